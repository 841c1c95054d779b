package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"boucan/record"
)

// How a session can end badly. errMisbehaved wraps what no honest peer does.
var (
	errMisbehaved = errors.New("peer broke the protocol")
	errStalled    = errors.New("peer made no progress")
	errTooLong    = errors.New("session took too long")
	errBusy       = errors.New("peer is busy")
	errUseless    = errors.New("peer sends what is of no use here")
)

// session is one conversation with one peer, on one stream. One goroutine reads
// frames, one writes them, two put records into the set. The reader never waits for
// the writer, so the two sides cannot block each other.
type session struct {
	syncer *Syncer
	set    *Set
	peer   record.Key
	stream Stream
	begins bool // this node opened the stream: it compares, the peer answers
	logger *slog.Logger

	cancel   context.CancelCauseFunc
	arriving *watch // a frame from the peer
	leaving  *watch // a frame to the peer
	wake     chan struct{}
	intake   chan []*record.Record
	moved    atomic.Int64 // bytes, either way, since the pace was looked at

	// The reader's own.
	greets bool // the peer's hello has come
	rounds int

	// The writer's own.
	carry          []byte // a record that did not fit in the last frame
	payload, frame []byte // buffers

	// mu guards what follows.
	mu    sync.Mutex
	out   outbox
	tally tally
}

// tally is what came of the records that the peer sent.
type tally struct {
	added, have, invalid, refused int
	ahead                         int              // of the refused, those dated ahead
	asked                         int              // ids the peer asked for
	later                         bool             // ids were left to another session
	fresh                         []*record.Record // the first of the added
}

// run works until both sides have said all, one misbehaves, or ctx ends. It closes
// the stream. Records that came before a failure are kept.
func (s *session) run(ctx context.Context) error {
	inner, cancel := context.WithCancelCause(ctx)
	s.cancel = cancel
	defer cancel(nil)
	end := time.AfterFunc(longestSession, func() { cancel(errTooLong) })
	defer end.Stop()
	defer s.keepPace()()
	s.arriving = newWatch(stall, cancel)
	s.leaving = newWatch(stall, cancel)
	defer context.AfterFunc(inner, func() {
		_ = s.stream.SetDeadline(time.Unix(1, 0)) // whoever reads or writes stops now
	})()

	var parts sync.WaitGroup
	var wrote error
	parts.Go(func() {
		wrote = s.write(inner)
	})
	for range 2 { // one verifies while the other waits for the disk
		parts.Go(func() { s.take(ctx) })
	}
	read := s.read(inner)
	if read != nil {
		cancel(read)
	}
	close(s.intake)
	parts.Wait()
	s.release()
	if cause := context.Cause(inner); cause != nil {
		read = cause
	}
	if err := s.stream.Close(); err != nil && read == nil && wrote == nil {
		s.logger.Debug("stream did not close cleanly", "error", err)
	}
	return errors.Join(read, wrote)
}

// read handles frames until the peer is done.
func (s *session) read(ctx context.Context) error {
	frames := newFrameReader(s.stream)
	for {
		s.arriving.start()
		t, payload, err := frames.next()
		s.arriving.stop()
		switch {
		case errors.Is(err, errFrame):
			return fmt.Errorf("%w: %w", errMisbehaved, err)
		case err != nil:
			return fmt.Errorf("read from peer: %w", noEOF(err))
		}
		s.moved.Add(int64(len(payload)))
		done, err := s.handle(ctx, t, payload)
		if done || err != nil {
			return err
		}
	}
}

// handle takes one frame. It reports whether the peer has nothing more to say.
func (s *session) handle(ctx context.Context, t frameType, payload []byte) (done bool, err error) {
	switch {
	case t == frameBusy && s.begins && !s.greets && len(payload) == 0:
		return false, errBusy
	case (t == frameHello) == s.greets: // a hello comes first, and once
		return false, s.broke(errFrame)
	}
	switch t {
	case frameHello:
		err = s.greeted(ctx, payload)
	case frameReconcile:
		err = s.compared(payload)
	case frameWant:
		err = s.wanted(payload)
	case frameRecords:
		err = s.arrived(ctx, payload)
	case frameAnswered:
		err = s.answered(payload)
	case frameDone:
		return true, s.peerDone(payload)
	default: // of a later version
		err = s.useless(1)
	}
	return false, err
}

func (s *session) broke(err error) error { return fmt.Errorf("%w: %w", errMisbehaved, err) }

// greeted hears the peer's hello. A card in it is a record like any other, but must
// be the peer's own.
func (s *session) greeted(ctx context.Context, payload []byte) error {
	h, err := s.syncer.hellos.decode(payload)
	if err != nil {
		return s.broke(err)
	}
	s.greets = true
	if h.Clock > 0 {
		s.mu.Lock()
		s.out.latest = uint64(h.Clock + record.MaxSkew.Milliseconds())
		s.mu.Unlock()
	}
	if len(h.Card) > 0 {
		r, err := record.Decode(h.Card)
		switch {
		case err != nil:
			if err := s.refuse(err); err != nil {
				return err
			}
			h.Card = nil
		case r.Kind != record.KindCard || r.Author != s.peer:
			return s.broke(errHello)
		default:
			if err := s.pass(ctx, []*record.Record{r}); err != nil {
				return err
			}
		}
	}
	if s.syncer.heard != nil {
		s.syncer.heard(s.peer, h)
	}
	return nil
}

// arrived takes records that the peer sent, asked for or not.
func (s *session) arrived(ctx context.Context, payload []byte) error {
	var recs []*record.Record
	var bad error
	err := splitRecords(payload, func(raw []byte) {
		r, err := record.Decode(append([]byte(nil), raw...))
		if err != nil {
			bad = errors.Join(bad, s.refuse(err))
			return
		}
		recs = append(recs, r)
	})
	if err != nil {
		return s.broke(err)
	}
	s.mu.Lock()
	for _, r := range recs {
		delete(s.out.outstanding, r.ID())
	}
	s.mu.Unlock()
	if err := s.pass(ctx, recs); err != nil {
		return err
	}
	return bad
}

// pass hands records to the goroutine that takes them in, and waits while that is
// behind.
func (s *session) pass(ctx context.Context, recs []*record.Record) error {
	if len(recs) == 0 {
		return nil
	}
	select {
	case s.intake <- recs:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// take puts what has arrived into the set, many frames at once where the disk is
// slower than the peer. It ends when the reader has.
func (s *session) take(ctx context.Context) {
	for recs := range s.intake {
		size := sizeOf(recs)
	gather:
		for size < intakeBytes {
			select {
			case more, ok := <-s.intake:
				if !ok {
					break gather
				}
				size += sizeOf(more)
				recs = append(recs, more...)
			default:
				break gather
			}
		}
		errs, err := s.set.Add(ctx, recs)
		s.syncer.claims.release(s, recs)
		if err != nil {
			s.cancel(fmt.Errorf("take in records: %w", err))
			continue
		}
		if err := s.count(recs, errs); err != nil {
			s.cancel(err)
		}
	}
}

func sizeOf(recs []*record.Record) int {
	n := 0
	for _, r := range recs {
		n += len(r.Encode())
	}
	return n
}

// count tallies what became of records.
func (s *session) count(recs []*record.Record, errs []error) error {
	held := s.set.Len()
	for i, err := range errs {
		if err == nil {
			s.mu.Lock()
			s.tally.added++
			if len(s.tally.fresh) <= MaxPush {
				s.tally.fresh = append(s.tally.fresh, recs[i])
			}
			s.mu.Unlock()
			continue
		}
		if errors.Is(err, ErrHave) {
			s.mu.Lock()
			s.tally.have++
			n := s.tally.have
			s.mu.Unlock()
			// Each record is sent once, so no more can be duplicates than are here.
			if n > held+maxUseless {
				return s.broke(errUseless)
			}
			continue
		}
		s.syncer.refusals.note(recs[i].ID(), err, s.set.loosened.Load())
		if err := s.refuse(err); err != nil {
			return err
		}
	}
	return nil
}

// refuse counts a record that is not taken in, and returns an error when the peer
// has sent too many.
func (s *session) refuse(err error) error {
	if errors.Is(err, record.ErrFuture) {
		s.mu.Lock()
		s.tally.ahead++
		n := s.tally.ahead
		s.mu.Unlock()
		if n > maxAhead {
			return errUseless
		}
	}
	if Judge(err) != Reject {
		return s.useless(1)
	}
	s.logger.Warn("refused a record from a peer", "reason", reason(err))
	s.mu.Lock()
	s.tally.invalid++
	n := s.tally.invalid
	s.mu.Unlock()
	if n >= maxInvalid {
		return s.broke(err)
	}
	return nil
}

// useless counts what does no harm and brings nothing.
func (s *session) useless(n int) error {
	held := s.set.Len()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tally.refused += n; s.tally.refused > held+maxUseless {
		return errUseless
	}
	return nil
}

// release gives back what this session had taken on itself and not got.
func (s *session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncer.claims.releaseAll(s)
	s.out.outstanding = nil
}
