package share

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"boucan/record"
)

// errEnded says that a session ended from this side.
var errEnded = errors.New("conversation is over")

// session is one stream on which a source is asked. Its writer is the source's
// goroutine, its reader a goroutine of its own; transfers.mu guards the fields
// below it.
type session struct {
	t       *transfers
	src     *source
	stream  Stream
	batches chan []*job // asked, for the reader to expect in this order
	gone    chan struct{}
	in      *answers
	slab    *slab // reader only: small blobs read and not handed on

	// guarded by transfers.mu
	window  int64
	out     int64  // bytes asked for and not there yet
	jobs    []*job // questions not answered yet, in order
	nBatch  int    // frames of them
	turnOf  class
	used    time.Time // when something was last asked, told or answered
	rated   time.Time // when the rate was last taken
	came    int64     // bytes since then
	closing bool      // only notices go out any more
	wrongs  []wrongChunk
	err     error // what ended it
}

// wrongChunk is a chunk that did not match.
type wrongChunk struct {
	cid   record.CID
	chunk int
}

// converse asks a source on one stream until there is nothing to ask, the
// stream breaks or ctx ends.
func (t *transfers) converse(ctx context.Context, src *source) error {
	defer t.leave(src)
	stream, err := t.openStream(ctx, src.key)
	if err != nil {
		return err
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stop()
	now := time.Now()
	s := &session{
		t: t, src: src, stream: stream, batches: make(chan []*job, maxBatches), gone: make(chan struct{}),
		in: newAnswers(stream), window: minWindow, used: now, rated: now,
	}
	t.mu.Lock()
	t.sessions[s] = struct{}{}
	t.mu.Unlock()
	var reader sync.WaitGroup
	reader.Go(func() { s.read(ctx) })
	err = s.write(ctx)
	close(s.batches)
	stream.Close()
	reader.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sessions, s)
	if slow := errors.Join(err, s.err); errors.Is(slow, errSlow) || errors.Is(slow, os.ErrDeadlineExceeded) {
		t.log.Warn("a peer stopped sending what it was asked for; others are asked")
	}
	if err == nil || !errors.Is(s.err, errEnded) {
		err = s.err
	}
	return err
}

// leave gives back the turn of a source that is not asked any more.
func (t *transfers) leave(src *source) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endTurn(src)
}

// openTime is how long a peer may take to accept a stream.
const openTime = 20 * time.Second

func (t *transfers) openStream(ctx context.Context, peer record.Key) (Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	return t.b.streams.Open(ctx, peer)
}

// write sends what there is to ask and to tell. It returns nil when there is
// nothing left.
func (s *session) write(ctx context.Context) error {
	for {
		frame, jobs, wait, done := s.t.next(s)
		if done {
			return nil
		}
		if frame == nil {
			if !s.rest(ctx, wait) {
				return nil
			}
			continue
		}
		if jobs != nil {
			s.batches <- jobs // has room for maxBatches
		}
		if err := s.stream.SetDeadline(time.Now().Add(paceTime)); err != nil {
			return err
		}
		if _, err := s.stream.Write(frame); err != nil {
			return err
		}
	}
}

// rest waits for something to do, and reports whether to go on.
func (s *session) rest(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-s.gone:
		return false
	case <-s.src.wake:
	case <-timer.C:
	}
	return true
}

// next is what to send now. Without a frame, there may be something after wait.
func (t *transfers) next(s *session) (frame []byte, jobs []*job, wait time.Duration, done bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if s.err != nil {
		return nil, nil, 0, true
	}
	if len(s.wrongs) > 0 {
		for _, w := range s.wrongs {
			frame = appendWrong(frame, w.cid, w.chunk)
		}
		s.wrongs, s.used = nil, now
		return frame, nil, 0, false
	}
	src := s.src
	if s.closing || t.peers[src.key] != src {
		return nil, nil, 0, true
	}
	if frame = src.takeTell(now); frame != nil {
		s.used = now
		return frame, nil, 0, false
	}
	if frame, jobs = t.ask(s, now); frame != nil {
		s.used = now
		return frame, jobs, 0, false
	}
	rest := idleTime - now.Sub(s.used)
	if s.out == 0 && len(s.jobs) == 0 {
		if now.Sub(s.used) >= turnRest {
			t.endTurn(src)
		} else if src.turn {
			rest = turnRest // what has just been opened may be asked for in a moment
		}
		if rest <= 0 {
			return nil, nil, 0, true
		}
	}
	return nil, nil, min(t.waitTime(src, now), max(rest, time.Second)), false
}

// ask makes the next ask frame, nil where nothing may be asked now. t.mu is held.
func (t *transfers) ask(s *session, now time.Time) ([]byte, []*job) {
	src := s.src
	t.newRounds(src, now)
	if now.Before(t.pausedTo) || now.Before(src.quietTo) || s.nBatch >= maxBatches || s.out > s.window/2 {
		return nil, nil
	}
	if !t.anything(src, now) {
		if len(s.jobs) == 0 {
			t.roundEnded(src, now)
		}
		return nil, nil
	}
	if !src.proven && len(s.jobs) > 0 || !t.takeTurn(src, s.out, now, t.urgentFor(src, now)) {
		return nil, nil
	}
	jobs := t.pick(s, now)
	if len(jobs) == 0 {
		return nil, nil
	}
	body := make([]byte, headSize, headSize+len(jobs)*rangeSize)
	for _, j := range jobs {
		body = j.item().append(body)
	}
	appendHead(body[:0], frameAsk, len(body)-headSize)
	if len(s.jobs) == 0 {
		s.came, s.rated = 0, now // the rate is that of a source at work
	}
	s.jobs = append(s.jobs, jobs...)
	s.nBatch++
	return body, jobs
}

// newRounds begins the source's next round when it is time. t.mu is held.
func (t *transfers) newRounds(src *source, now time.Time) {
	if !src.retryAt.IsZero() && !now.Before(src.retryAt) {
		t.q.newRound(src)
		for _, p := range t.pulls {
			delete(p.lacks, src)
		}
	}
}

// roundEnded is called when a source has been asked for all it may be asked
// for. It gives its slot to one that waits for it. t.mu is held.
func (t *transfers) roundEnded(src *source, now time.Time) {
	t.q.endRound(src, now)
	if src.slot < 0 || t.nextUnseated(now) < 0 {
		return
	}
	if src.retryAt.IsZero() {
		src.retryAt = now.Add(firstRound)
	}
	t.giveUpSlot(src)
	t.unseated = append(t.unseated, src)
}

// nextUnseated is the index of the first source that waits for a slot and would
// use it now, -1 for none. t.mu is held.
func (t *transfers) nextUnseated(now time.Time) int {
	return slices.IndexFunc(t.unseated, func(s *source) bool { return !now.Before(s.retryAt) })
}

// seatNext fills the free slots. t.mu is held.
func (t *transfers) seatNext(now time.Time) {
	for i := t.nextUnseated(now); i >= 0; i = t.nextUnseated(now) {
		s := t.unseated[i]
		if !t.q.seat(s) {
			return
		}
		t.unseated = slices.Delete(t.unseated, i, i+1)
		s.poke()
	}
}

// giveUpSlot takes the source's slot, or its place in the queue for one.
// t.mu is held.
func (t *transfers) giveUpSlot(src *source) {
	t.unseated = without(t.unseated, src)
	t.q.unseat(src)
	t.seatNext(time.Now())
}

// without is list without one element.
func without[T comparable](list []T, e T) []T {
	return slices.DeleteFunc(list, func(o T) bool { return o == e })
}

// waitTime is how long nothing can be asked of or told to a source, if nobody
// pokes it. t.mu is held.
func (t *transfers) waitTime(src *source, now time.Time) time.Duration {
	wait := time.Hour
	sooner := func(at time.Time) {
		if d := at.Sub(now); d > 0 {
			wait = min(wait, d)
		}
	}
	sooner(t.pausedTo)
	sooner(src.quietTo)
	sooner(src.retryAt)
	if len(src.tell) > 0 {
		sooner(src.tellAt)
	}
	if len(t.q.wishes) > 0 {
		sooner(src.probeAt)
	}
	return wait
}

// takeTurn reports whether a source that owes out bytes may be asked: only so
// many peers are asked at a time, so that the slow do not hold all buffers. One
// that may not has its place in the queue, and is poked when it is its turn.
// What somebody waits for is urgent and keeps its turn, or gets one beside the
// others. t.mu is held.
func (t *transfers) takeTurn(src *source, out int64, now time.Time, urgent bool) bool {
	most := t.maxTurns()
	if urgent {
		most += urgentTurns
	}
	if src.turn {
		if urgent {
			src.turnAt = now
			return true
		}
		if len(t.turnQueue) == 0 || now.Sub(src.turnAt) < turnTime {
			return true
		}
		if out > 0 {
			return false // what is out comes first
		}
		t.endTurn(src)
	}
	if t.turns < most {
		if src.waits {
			src.waits = false
			t.turnQueue = without(t.turnQueue, src)
		}
		t.turns++
		src.turn, src.turnAt = true, now
		return true
	}
	if !src.waits {
		src.waits = true
		at := slices.IndexFunc(t.turnQueue, func(o *source) bool { return o.faults > src.faults })
		if at < 0 {
			at = len(t.turnQueue)
		}
		t.turnQueue = slices.Insert(t.turnQueue, at, src) // behind those that failed no more often
	}
	return false
}

// endTurn gives the source's turn to the next that waits for one.
// t.mu is held.
func (t *transfers) endTurn(src *source) {
	if !src.turn {
		return
	}
	src.turn = false
	t.turns--
	if len(t.turnQueue) > 0 && t.turns < t.maxTurns() {
		next := t.turnQueue[0]
		t.turnQueue = t.turnQueue[1:]
		t.turns++
		next.waits, next.turn, next.turnAt = false, true, time.Now()
		next.poke()
	}
}

// leaveTurns takes a source out of the queue for turns. t.mu is held.
func (t *transfers) leaveTurns(src *source) {
	if src.waits {
		src.waits = false
		t.turnQueue = without(t.turnQueue, src)
	}
	t.endTurn(src)
}
