package share

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"sync"
	"time"

	"boucan/share/dropdir"
)

// bitset is a set of chunk numbers.
type bitset []uint64

func newBitset(n int) bitset    { return make(bitset, (n+63)/64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) clear(i int)    { b[i/64] &^= 1 << (i % 64) }
func (b bitset) next(from int) int { // the first member from from on, -1 for none
	if from/64 >= len(b) {
		return -1
	}
	word := b[from/64] &^ (1<<(from%64) - 1)
	for i := from / 64; ; word = b[i] {
		if word != 0 {
			return i*64 + bits.TrailingZeros64(word)
		}
		if i++; i == len(b) {
			return -1
		}
	}
}

// pullEnd is what becomes of a pull that ends before it is whole.
type pullEnd uint8

const (
	endNone    pullEnd = iota
	endKeep            // close it, keep what has landed
	endDiscard         // forget what has landed
)

// pull is a blob of several chunks whose manifest is known. transfers.mu guards
// its fields; m does not change once the pull is ready, and land is set before.
type pull struct {
	// disk lets one worker write at a time. The kernel would let in no more
	// either, and would burn what the others could hash with in waiting.
	disk sync.Mutex

	w       *wish
	m       Manifest
	land    *landing
	ready   bool // chunks may be asked for
	busy    bool // one of its tasks is with the disk
	end     pullEnd
	todo    bitset // missing, and nobody is asked for them
	low     int    // no member of todo is below
	have    bitset // landed, or being written
	left    int    // chunks not landed
	asked   int    // chunks somebody is asked for
	writing int    // chunks being written
	moved   time.Time
	late    map[int]*source    // chunks that this source was asked for long ago
	lacks   map[*source]bitset // chunks that a source cannot give, though it has others
}

// landed is the bytes on disk.
func (p *pull) landed() int64 {
	if p.land == nil {
		return 0
	}
	return max(0, p.w.size-int64(p.left)*ChunkSize)
}

// take returns a chunk that s may be asked for, and marks it.
func (p *pull) take(s *source) (chunk int, ok bool) {
	passed := false
	for i := p.todo.next(p.low); i >= 0; i = p.todo.next(i + 1) {
		if !p.gives(s, i) {
			passed = true
			continue
		}
		if !passed {
			p.low = i + 1
		}
		p.todo.clear(i)
		p.asked++
		return i, true
	}
	return 0, false
}

// gives reports whether s may be asked for a chunk, as far as is known.
func (p *pull) gives(s *source, i int) bool {
	if len(p.late) > 0 && p.late[i] == s {
		return false
	}
	lacks := p.lacks[s]
	return lacks == nil || !lacks.has(i)
}

// lack notes that s has the blob and cannot give a chunk of it, and reports whether
// there is another that it may be asked for.
func (p *pull) lack(s *source, i int) (others bool) {
	lacks := p.lacks[s]
	if lacks == nil {
		lacks = newBitset(p.m.Chunks())
		if p.lacks == nil {
			p.lacks = map[*source]bitset{}
		}
		p.lacks[s] = lacks
	}
	lacks.set(i)
	for i := p.todo.next(0); i >= 0; i = p.todo.next(i + 1) {
		if !lacks.has(i) {
			return true
		}
	}
	return false
}

// putBack makes a chunk one to be asked for again.
func (p *pull) putBack(i int) {
	if !p.have.has(i) {
		p.todo.set(i)
		p.low = min(p.low, i)
	}
}

// begin opens a pull for a wish whose manifest has been verified. t.mu is held.
func (t *transfers) begin(w *wish, m Manifest) {
	if w.dropped || w.pull != nil || t.pulls[w.cid] != nil || len(t.pulls) >= t.mostPulls(w) {
		return
	}
	p := &pull{w: w, m: m, moved: time.Now(), left: m.Chunks(), busy: true}
	w.pull = p
	t.pulls[w.cid] = p
	t.open[w.class] = append(t.open[w.class], p)
	t.leafBytes += int64(len(m.Leaves))
	t.disk <- func(context.Context) { t.startPull(p) } // has room for every pull
}

// mostPulls is how many pulls there may be before one for w is opened.
// t.mu is held.
func (t *transfers) mostPulls(w *wish) int {
	if t.demands[w.cid] != nil {
		return maxPulls + maxDemands
	}
	return maxPulls
}

// startPull opens or resumes the partial file.
func (t *transfers) startPull(p *pull) {
	m, err := p.m, error(nil)
	if m.Leaves == nil { // it lies here damaged
		var ok bool
		if m, ok, err = t.b.Manifest(m.CID); err == nil && (!ok || m.Size != p.m.Size) {
			err = errUnknown
		}
	}
	var land *landing
	if err == nil {
		land, err = t.b.startLanding(p.w.wanted(), m)
	}
	todo, left := newBitset(p.m.Chunks()), 0
	if err == nil {
		for i := range land.missing() {
			todo.set(i)
			left++
		}
	}
	have := newBitset(p.m.Chunks())
	for i := range p.m.Chunks() {
		if !todo.has(i) {
			have.set(i)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p.busy = false
	if err != nil {
		t.closed(p)
		t.failed(p.w, err, "cannot begin to store a blob")
		return
	}
	t.roomless = 0
	t.leafBytes += int64(len(m.Leaves) - len(p.m.Leaves))
	p.m = m
	p.land, p.todo, p.have, p.left, p.ready = land, todo, have, left, true
	p.moved = time.Now()
	t.settlePull(p)
	t.q.release(p.w)
	t.stir(p.w.cid)
}

// settlePull hands a pull to the disk that is whole or has ended and that
// nobody is writing to. t.mu is held.
func (t *transfers) settlePull(p *pull) {
	if p.busy || p.writing > 0 || (p.end == endNone && p.left > 0) {
		return
	}
	p.busy, p.ready = true, false
	if p.left == 0 && p.end != endDiscard {
		t.disk <- func(ctx context.Context) { t.finishPull(ctx, p) }
		return
	}
	end := p.end
	t.disk <- func(context.Context) { t.closePull(p, end) }
}

// finishPull makes a whole blob durable.
func (t *transfers) finishPull(ctx context.Context, p *pull) {
	_, err := p.land.finish(ctx)
	if err != nil {
		_ = p.land.close() // the first error is the one that counts
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed(p)
	if err != nil {
		if ctx.Err() == nil {
			t.failed(p.w, err, "cannot store a blob that has been fetched")
		}
		return
	}
	t.forget(p.w)
	t.worked()
	t.tellHave(nil, p.w.cid)
}

// closePull ends a pull that is not whole.
func (t *transfers) closePull(p *pull, end pullEnd) {
	var err error
	if end == endDiscard {
		err = p.land.discard()
	} else {
		err = p.land.close()
	}
	t.mu.Lock()
	t.closed(p)
	unwanted := p.end == endDiscard && end != endDiscard // since it was begun
	t.mu.Unlock()
	if unwanted {
		err = errors.Join(err, t.b.dropPartial(p.w.cid))
	}
	if err != nil {
		t.log.Warn("cannot put away a partial file", "err", err)
	}
}

// closed forgets a pull whose landing has ended, so that its wish, or a new one
// for the same blob, may begin again. t.mu is held.
func (t *transfers) closed(p *pull) {
	p.ready = false
	delete(t.pulls, p.w.cid)
	open := &t.open[p.w.class]
	*open = slices.DeleteFunc(*open, func(o *pull) bool { return o == p })
	t.leafBytes -= int64(len(p.m.Leaves))
	p.w.pull = nil
	t.stir(p.w.cid)
	t.q.release(p.w)
	if w := t.q.wishes[p.w.cid]; w != nil {
		t.q.release(w)
	}
	for s := range t.sessions {
		s.src.poke() // one more may be opened
	}
	t.pokeRun()
}

// endPull ends a pull as soon as nobody writes to it. t.mu is held.
func (t *transfers) endPull(p *pull, end pullEnd) {
	p.end = max(p.end, end)
	p.ready = false
	t.settlePull(p)
}

// failed deals with a wish that this node could not start or store. t.mu is held.
func (t *transfers) failed(w *wish, err error, msg string) {
	if w.dropped {
		return
	}
	if d := t.demands[w.cid]; d != nil && !errors.Is(err, errHere) {
		defer t.failDemand(d, err)
	}
	t.b.blame(err)
	switch {
	case isDisk(err):
		t.hold(w)
		t.pause(err)
	case errors.Is(err, errHere):
		t.forget(w) // it came by another way meanwhile, and has been told of
		t.tellHave(nil, w.cid)
	case errors.Is(err, ErrTooLarge):
		t.forget(w) // this file system will not hold it later either
		t.log.Warn("a blob is too large for this file system; it is not fetched")
	case errors.Is(err, ErrFull):
		t.tooLarge(w.size)
	case errors.Is(err, errUnknown):
		w.mends = false // as if nothing of it were here
	case errors.Is(err, dropdir.ErrInUse), errors.Is(err, ErrChanged):
		t.hold(w) // a damaged file that somebody is at
	default:
		t.log.Warn(msg, "err", err)
		t.hold(w)
	}
}

// hold leaves a wish alone for a while. t.mu is held.
func (t *transfers) hold(w *wish) {
	h := t.holds[w]
	h.until = time.Now().Add(spread(backoff(firstHold, lastHold, h.times)))
	h.times++
	t.holds[w] = h
	w.held = true
}

// unhold lets wishes go whose time has come. t.mu is held.
func (t *transfers) unhold(now time.Time) {
	for w, h := range t.holds {
		if w.held && now.After(h.until) {
			w.held = false
			t.q.release(w)
		}
	}
}

// pause stops all asking for a while, because the disk refuses what comes.
// t.mu is held.
func (t *transfers) pause(err error) {
	if time.Now().Before(t.pausedTo) {
		return
	}
	t.b.blame(err)
	t.pausedTo, t.pauseErr = time.Now().Add(spread(backoff(firstPause, lastPause, t.pauses))), err
	for _, d := range slices.Clone(t.demandList) {
		t.failDemand(d, err)
	}
	t.pauses++
	switch {
	case t.pauses > 1, isDisk(err): // said before, and nothing has been stored since; or said by the follower
	case errors.Is(err, ErrFull):
		t.log.Warn("no room for what peers offer; fetching waits")
	default:
		t.log.Warn("cannot store what is fetched; fetching waits", "err", err)
	}
}

// tooLarge leaves blobs alone for a while that are as long as one that found no
// room. Shorter ones may still fit. t.mu is held.
func (t *transfers) tooLarge(size int64) {
	if t.q.roomBelow == 0 {
		if t.roomless == 0 {
			t.log.Warn("no room for a blob that is wanted; it waits")
		}
		t.roomlessTo = time.Now().Add(spread(backoff(firstPause, lastPause, t.roomless)))
		t.roomless++
		t.q.roomBelow = size
	}
	t.q.roomBelow = min(t.q.roomBelow, max(size, 1))
}

// worked notes that the disk takes what comes. t.mu is held.
func (t *transfers) worked() { t.pauses = 0 }
