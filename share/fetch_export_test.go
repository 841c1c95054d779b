package share

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"boucan/record"
)

// What the tests of the composition, in package share_test, need to play a peer
// that no program of ours would be, and to look at bounds.

const (
	MaxServed     = maxServed
	MaxServedPeer = maxServedPeer
	MaxSources    = maxSources
	UsualChunks   = usualChunks
	LeastChunks   = leastChunks
	MaxPiece      = maxPiece
	ServeIdle     = serveIdle
	PaceTime      = paceTime
	LateTime      = lateTime
	ServeWrite    = serveWrite
)

const (
	FrameAsk, FrameHave, FrameWrong    = byte(frameAsk), byte(frameHave), byte(frameWrong)
	FramePiece, FrameLast              = byte(framePiece), byte(frameLast)
	FrameSize, FrameLeaves             = byte(frameSize), byte(frameLeaves)
	FrameNotHere, FrameBusy, FrameGone = byte(frameNotHere), byte(frameBusy), byte(frameGone)
	FrameUnreadable                    = byte(frameUnreadable)
)

// AppendHead appends a head that may claim any size.
func AppendHead(b []byte, kind byte, size uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, kind), size)
}

func AppendHave(b []byte, cids ...record.CID) []byte { return appendHave(b, cids) }
func AppendWrong(b []byte, cid record.CID, chunk int) []byte {
	return appendWrong(b, cid, chunk)
}

// AppendAsk appends an ask frame with one item for all of a blob of one chunk,
// or for count chunks from first of a larger one; for its manifest with count 0.
func AppendAsk(b []byte, cid record.CID, first, count int) []byte {
	it := item{itemWhole, cid, uint32(first), uint32(count)}
	if cid.Codec() != record.CodecRaw {
		if it.kind = itemRange; count == 0 {
			it.kind = itemManifest
		}
	}
	body := it.append(nil)
	return append(appendHead(b, frameAsk, len(body)), body...)
}

// AppendManifest appends the answer to a question for a manifest.
func AppendManifest(b []byte, m Manifest) []byte {
	b = appendSize(b, m.Size)
	for l := m.Leaves; len(l) > 0; {
		n := min(len(l), maxPiece)
		b = append(appendHead(b, frameLeaves, n), l[:n]...)
		l = l[n:]
	}
	return b
}

// ReadAsk reads one frame of an asking side.
func ReadAsk(s Stream) (kind byte, payload []byte, err error) {
	k, payload, err := readAskFrame(s, nil)
	return byte(k), payload, err
}

// AskItem is one item of an ask frame.
type AskItem struct {
	CID          record.CID
	First, Count int
	Manifest     bool
}

// AskItems reads the payload of an ask frame.
func AskItems(payload []byte) (items []AskItem) {
	for len(payload) > 0 {
		it, rest, err := decodeItem(payload)
		if err != nil {
			panic(err) // the payload was checked when it was read
		}
		items = append(items, AskItem{it.cid, int(it.first), int(it.count), it.kind == itemManifest})
		payload = rest
	}
	return items
}

// RunFetching is Run without following the folder: what watches the folder
// would keep time from passing in a synctest bubble.
func (b *Blobs) RunFetching(ctx context.Context) error {
	t := &teller{b: b, reports: make(chan told)}
	var all sync.WaitGroup
	var fetching error
	all.Go(func() { fetching = b.transfers.run(ctx) })
	all.Go(func() { b.scrub.run(ctx) })
	err := t.run(ctx)
	all.Wait()
	if err == nil {
		err = fetching
	}
	return err
}

const (
	ScrubPeriod     = scrubPeriod
	ScrubSuspicious = scrubSuspicious
)

// LookForFolder does what following the folder does now and then.
func (b *Blobs) LookForFolder() bool { return b.dir.Look() }

// LookThrough looks through the folder once, as following it does, and tells nobody.
func (b *Blobs) LookThrough(ctx context.Context) {
	f := newFollower(b, func(context.Context, report) bool { return true })
	var collecting sync.WaitGroup
	collecting.Go(func() { f.collect(ctx) })
	f.look(ctx, []string{""})
	close(f.results)
	collecting.Wait()
}

// Bounds are the sizes of what could grow.
type Bounds struct {
	Slabs, Pulls, Sessions, Turns, Served, Hot, Tell, Wishes int
	LeafBytes                                                int64
	QuietTo                                                  time.Duration // longest
}

// Bounds looks at them.
func (b *Blobs) Bounds() Bounds {
	t := b.transfers
	t.serve.mu.Lock()
	served := len(t.serve.streams)
	t.serve.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	x := Bounds{
		Slabs: cap(t.slabs) - len(t.slabs), Pulls: len(t.pulls), Sessions: len(t.sessions), Turns: t.turns,
		Served: served, Wishes: len(t.q.wishes), LeafBytes: t.leafBytes,
	}
	for _, s := range t.peers {
		x.Hot, x.Tell = max(x.Hot, len(s.hot)), max(x.Tell, len(s.tell))
		x.QuietTo = max(x.QuietTo, time.Until(s.quietTo))
	}
	return x
}

// Spoiled reports whether a blob is not offered because it was found wrong.
func (b *Blobs) Spoiled(cid record.CID) bool { return b.transfers.serve.isSpoiled(cid) }

// PartialFiles lists the blobs of which a part has landed.
func (b *Blobs) PartialFiles(t testing.TB) []record.CID {
	t.Helper()
	cids, err := b.partials()
	if err != nil {
		t.Error(err)
	}
	return cids
}

const (
	MaxDemands = maxDemands
	MaxReaders = maxReaders
	GoneWait   = goneWait
	StartWait  = startWait
	ReadWait   = readWait
	UrgentLate = urgentLate
	LingerTime = lingerTime
)

// NewManifest makes a manifest of any leaves.
func NewManifest(size int64, leaves []byte) Manifest { return newManifest(size, leaves) }
