package share

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// Limits of serving. A stream holds at most two ask frames and one buffer.
const (
	maxServed     = 32        // streams served at once
	maxServedPeer = 4         // the same, of one peer
	serveBuffer   = 256 << 10 // bytes read from disk and written at once
	serveReads    = 4         // disk reads at once; streams take turns
	serveOpen     = 4         // files one stream keeps open
	leastPiece    = 4 << 10   // bytes worth putting at the end of a buffer
)

// Times of serving.
const (
	serveIdle  = 2 * time.Minute  // until a stream on which nothing is asked is closed
	serveWrite = time.Minute      // for a peer to take one buffer
	serveStuck = 10 * time.Second // after which a write may be broken off for somebody else
	slowWrite  = 2 * time.Second  // beyond which less is written at once
	slowBytes  = 16 << 10
)

// server is the answering side. Its mutex comes after transfers.mu.
type server struct {
	b        *Blobs
	reads    chan struct{} // tokens taken while reading from disk
	checking chan struct{} // one token: the right to look at a chunk that was called wrong
	buffers  chan []byte   // for reuse

	mu      sync.Mutex
	streams map[*serving]struct{}
	spoiled bounded[record.CID, struct{}]
	checked bounded[wrongChunk, time.Time]
}

func newServer(b *Blobs) *server {
	return &server{
		b: b, reads: make(chan struct{}, serveReads), checking: make(chan struct{}, 1), buffers: make(chan []byte, 2),
		streams: map[*serving]struct{}{},
		spoiled: newBounded[record.CID, struct{}](maxSpoiled),
		checked: newBounded[wrongChunk, time.Time](maxChecked),
	}
}

// serving is one stream that is answered: a reader of questions and a writer of
// answers.
type serving struct {
	v      *server
	peer   record.Key
	s      Stream
	out    []byte // answers not yet written
	atOnce int    // bytes in one write
	files  []servedFile
	opener *dropdir.Opener
	// done is closed when the writer has ended.
	done chan struct{}

	// guarded by server.mu
	idle  time.Time // since when nothing was asked; zero while answering
	stuck time.Time // since when a write goes on; zero for none
}

// servedFile is a blob that a stream has open.
type servedFile struct {
	f      *os.File
	m      Manifest // without its leaves
	broken *broken  // in the place of f, where the blob lies here damaged
}

// serveStream answers what a peer asks on a stream, and closes it.
func (t *transfers) serveStream(ctx context.Context, peer record.Key, s Stream) error {
	defer s.Close()
	sv := &serving{
		v: t.serve, peer: peer, s: s, atOnce: slowBytes, done: make(chan struct{}), idle: time.Now(),
		opener: t.b.dir.Opener(),
	}
	if !t.serve.admit(sv) {
		if err := s.SetDeadline(time.Now().Add(serveStuck)); err != nil {
			return err
		}
		_, err := s.Write(appendHead(nil, frameBusy, 0))
		return err
	}
	defer t.serve.leave(sv)
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()

	asks := make(chan []byte)
	var reader sync.WaitGroup
	var readErr error
	reader.Go(func() {
		defer close(asks)
		readErr = t.readAsks(sv, asks)
	})
	writeErr := sv.answerAll(asks)
	close(sv.done)
	s.Close()
	reader.Wait()
	sv.closeFiles()
	t.serve.putBuffer(sv.out)
	return t.served(ctx, readErr, writeErr)
}

// served sorts out what ended a stream.
func (t *transfers) served(ctx context.Context, readErr, writeErr error) error {
	switch {
	case isWire(readErr) || isWire(writeErr):
		t.log.Warn("a peer asks for blobs in a way that makes no sense; its stream is closed")
	case ctx.Err() != nil, readErr == io.EOF:
		return nil
	case errors.Is(writeErr, os.ErrDeadlineExceeded):
		t.log.Warn("a peer stopped reading what it asked for; its stream is closed")
	}
	return errors.Join(readErr, writeErr)
}

// isWire reports whether only a faulty or hostile peer causes the error.
func isWire(err error) bool {
	wire := []error{errWireKind, errWireLength, errWireItem, errWireChunk, errWireSize}
	return slices.ContainsFunc(wire, func(e error) bool { return errors.Is(err, e) })
}

// admit takes a stream in if there is room, if need be by closing one that is
// idle or stuck.
func (v *server) admit(sv *serving) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	same := 0
	for o := range v.streams {
		if o.peer == sv.peer {
			same++
		}
	}
	if same >= maxServedPeer {
		return false
	}
	if len(v.streams) >= maxServed {
		victim := v.victim(time.Now())
		if victim == nil {
			return false
		}
		delete(v.streams, victim)
		victim.s.Close()
	}
	v.streams[sv] = struct{}{}
	return true
}

// victim is the stream that is missed least: the one idle for longest, or else
// the one stuck for longest. v.mu is held.
func (v *server) victim(now time.Time) *serving {
	var idle, stuck *serving
	for o := range v.streams {
		if !o.idle.IsZero() && (idle == nil || o.idle.Before(idle.idle)) {
			idle = o
		}
		if !o.stuck.IsZero() && now.Sub(o.stuck) > serveStuck && (stuck == nil || o.stuck.Before(stuck.stuck)) {
			stuck = o
		}
	}
	if idle != nil {
		return idle
	}
	return stuck
}

func (v *server) leave(sv *serving) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.streams, sv)
}

// rest notes that nothing is asked, and gives the peer serveIdle to ask.
func (sv *serving) rest() error {
	sv.v.mu.Lock()
	defer sv.v.mu.Unlock()
	sv.idle, sv.stuck = time.Now(), time.Time{}
	return sv.s.SetDeadline(sv.idle.Add(serveIdle))
}

// stir notes that something is asked.
func (sv *serving) stir() {
	sv.v.mu.Lock()
	defer sv.v.mu.Unlock()
	sv.idle = time.Time{}
}

// readAsks reads the peer's frames until the stream ends: notices are heeded at
// once, questions are handed to the writer.
func (t *transfers) readAsks(sv *serving, asks chan<- []byte) error {
	var buf []byte
	for {
		kind, payload, err := readAskFrame(sv.s, buf)
		if err != nil {
			return err
		}
		buf = payload
		switch kind {
		case frameHave:
			cids, err := decodeHave(payload)
			if err != nil {
				return err
			}
			t.heard(sv.peer, cids)
		case frameWrong:
			cid, chunk, err := decodeWrong(payload)
			if err != nil {
				return err
			}
			t.serve.suspect(cid, chunk)
		default:
			select {
			case asks <- payload:
				buf = nil
			case <-sv.done:
				return io.EOF
			}
			continue
		}
		if err := sv.heard(); err != nil {
			return err
		}
	}
}

// heard gives a peer that only sent a notice time for the next. While it is
// being answered, the answers set the time.
func (sv *serving) heard() error {
	sv.v.mu.Lock()
	defer sv.v.mu.Unlock()
	if sv.idle.IsZero() {
		return nil
	}
	return sv.s.SetDeadline(time.Now().Add(serveIdle))
}

// answerAll answers frame after frame. It writes when a buffer is full, or when
// nothing more is asked.
func (sv *serving) answerAll(asks <-chan []byte) error {
	if err := sv.rest(); err != nil {
		return err
	}
	for {
		var payload []byte
		var ok bool
		select {
		case payload, ok = <-asks:
		default:
			if err := sv.flush(); err != nil {
				return err
			}
			sv.pause()
			if err := sv.rest(); err != nil {
				return err
			}
			payload, ok = <-asks
		}
		if !ok {
			return nil
		}
		sv.stir()
		for len(payload) > 0 {
			it, rest, err := decodeItem(payload)
			if err != nil {
				return err
			}
			if err := sv.answer(it); err != nil {
				return err
			}
			payload = rest
		}
	}
}

// pause lets go of what an idle stream does not need.
func (sv *serving) pause() {
	sv.closeFiles()
	sv.v.putBuffer(sv.out)
	sv.out = nil
}

func (v *server) putBuffer(b []byte) {
	if cap(b) == 0 {
		return
	}
	select {
	case v.buffers <- b[:0]:
	default:
	}
}

func (v *server) takeBuffer() []byte {
	select {
	case b := <-v.buffers:
		return b
	default:
		return make([]byte, 0, serveBuffer)
	}
}

func (sv *serving) closeFiles() {
	for _, o := range sv.files {
		o.close()
	}
	sv.files = nil
	sv.opener.Close()
}
