package replica

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"boucan/record"
)

// request is records that passed every check that needs no order between changes,
// on their way to disk.
type request struct {
	records []*record.Record
	errs    []error // one a record, filled in before done is closed
	err     error   // what went wrong with the disk
	done    chan struct{}
}

// queue is the requests that wait for the next turn. Whoever gets the turn writes
// them all, so that many small ones share a sync.
type queue struct {
	mu       sync.Mutex
	requests []*request
}

func (q *queue) put(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.requests = append(q.requests, r)
}

func (q *queue) takeAll() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.requests
	q.requests = nil
	return all
}

// withdraw reports whether r was still waiting.
func (q *queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, waiting := range q.requests {
		if waiting == r {
			q.requests = append(q.requests[:i], q.requests[i+1:]...)
			return true
		}
	}
	return false
}

// commit writes records and returns one error for each, and an error for the disk.
// Once writing has begun it ends, whatever becomes of ctx.
func (s *Set) commit(ctx context.Context, recs []*record.Record) ([]error, error) {
	r := &request{records: recs, errs: make([]error, len(recs)), done: make(chan struct{})}
	s.queue.put(r)
	select {
	case s.turn <- struct{}{}:
		s.apply(s.queue.takeAll())
		<-s.turn
		<-r.done // by this turn, or by an earlier one
	case <-r.done:
	case <-ctx.Done():
		if s.queue.withdraw(r) {
			for i := range r.errs {
				r.errs[i] = ctx.Err()
			}
			return r.errs, ctx.Err()
		}
		<-r.done
	}
	return r.errs, r.err
}

// apply writes the requests, takedowns first: a record that comes in together with
// what takes it down is never shown.
func (s *Set) apply(requests []*request) {
	b := s.newBatch()
	for _, first := range []bool{true, false} {
		for _, r := range requests {
			for i, rec := range r.records {
				if (rec.Kind == record.KindTakedown) == first {
					b.put(rec, r, i)
				}
			}
		}
		b.flush()
	}
	for _, r := range requests {
		close(r.done)
	}
}

// pair is one key to write, or with a nil value to delete.
type pair struct{ key, value []byte }

// unit is pairs that are never written apart.
type unit struct {
	pairs   []pair
	added   *record.Record
	removed *record.Record
	// refused is why the record that the unit was planned for is not taken in,
	// although there is something to write.
	refused error
}

func (u *unit) size() int {
	n := 0
	for _, p := range u.pairs {
		n += len(p.key) + len(p.value)
	}
	return n
}

// slot is where the outcome for one record goes.
type slot struct {
	request *request
	index   int
}

// batch gathers units for one write. It is used by whoever has the turn.
type batch struct {
	set            *Set
	now            int64 // what ends before is over, in Unix milliseconds
	pairs          []pair
	bytes          int
	added, removed map[record.ID]*record.Record
	order          []*record.Record // added and removed, as they came
	usage          map[record.Key]usage
	total          usage
	slots          []slot
	err            error // of the disk; what comes after it is not tried
}

func (s *Set) newBatch() *batch {
	return &batch{
		set: s, now: s.past(),
		added:   make(map[record.ID]*record.Record),
		removed: make(map[record.ID]*record.Record),
		usage:   make(map[record.Key]usage),
	}
}

// reset empties the batch and keeps its room.
func (b *batch) reset() {
	clear(b.pairs)
	clear(b.order)
	clear(b.slots)
	clear(b.added)
	clear(b.removed)
	clear(b.usage)
	b.pairs, b.order, b.slots = b.pairs[:0], b.order[:0], b.slots[:0]
	b.bytes, b.total = 0, usage{}
}

// put plans one record and notes its outcome.
func (b *batch) put(rec *record.Record, r *request, i int) {
	if b.err != nil {
		r.errs[i], r.err = b.err, b.err
		return
	}
	u, err := b.set.plan(rec, b)
	switch {
	case err != nil && !refuses(err):
		r.errs[i], r.err = err, err
		return
	case err != nil:
		r.errs[i] = err
		return
	}
	r.errs[i] = u.refused
	b.join(u)
	b.slots = append(b.slots, slot{r, i})
}

// join adds a unit, after writing what is there if both do not fit.
func (b *batch) join(u unit) {
	size := u.size()
	if len(b.pairs)+len(u.pairs) > maxWritePairs || b.bytes+size > maxWriteBytes {
		b.flush()
	}
	b.pairs = append(b.pairs, u.pairs...)
	b.bytes += size
	if u.added != nil {
		b.count(u.added, 1)
		b.added[u.added.ID()] = u.added
		b.order = append(b.order, u.added)
	}
	if u.removed != nil {
		b.count(u.removed, -1)
		b.removed[u.removed.ID()] = u.removed
		b.order = append(b.order, u.removed)
	}
}

func (b *batch) count(r *record.Record, sign int) {
	u := usageOf(r.Kind, len(r.Encode()))
	if sign < 0 {
		u = u.negative()
	}
	b.usage[r.Author] = b.usage[r.Author].plus(u)
	b.total = b.total.plus(u)
}

// flush writes what was gathered, applies it to memory and tells the listener.
func (b *batch) flush() {
	if b.err == nil && len(b.pairs) > 0 {
		if err := b.set.log.Write(b.all()); err != nil {
			b.err = fmt.Errorf("write records: %w", err)
		} else {
			b.set.changed(b)
		}
	}
	if b.err != nil {
		for _, at := range b.slots {
			at.request.errs[at.index], at.request.err = b.err, b.err
		}
	}
	b.reset()
}

func (b *batch) all() iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for _, p := range b.pairs {
			if !yield(p.key, p.value) {
				return
			}
		}
	}
}

// changed applies a written batch to memory and tells the listener.
func (s *Set) changed(b *batch) {
	if len(b.order) == 0 {
		return
	}
	var added, removed []*record.Record
	soonest := int64(record.MaxTime)
	s.mu.Lock()
	for _, r := range b.order {
		e := entry{size: len(r.Encode()), author: r.Author}
		if b.added[r.ID()] == r {
			s.memory.add(itemOf(r), r.Kind, e)
			s.aimBy(r, 1)
			added = append(added, r)
			soonest = min(soonest, r.Expires)
		} else {
			s.memory.drop(itemOf(r), r.Kind, e)
			s.aimBy(r, -1)
			removed = append(removed, r)
		}
	}
	s.order.settle()
	s.mu.Unlock()
	s.cards.forget(added, removed)
	if soonest < s.wake.Load() {
		s.wakeRun()
	}
	if s.listener != nil {
		s.listener.Changed(added, removed)
	}
}

// aimBy counts a takedown against its target.
func (s *Set) aimBy(r *record.Record, by int) {
	if r.Kind != record.KindTakedown {
		return
	}
	if t, err := r.Takedown(); err == nil {
		s.memory.aim(t.Target, by)
	}
}

func (s *Set) wakeRun() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// refuses reports whether err speaks of a record, not of the disk.
func refuses(err error) bool {
	return errors.Is(err, ErrHave) || errors.Is(err, ErrBlocked) || errors.Is(err, ErrTakenDown) ||
		errors.Is(err, ErrQuota) || errors.Is(err, ErrFull) || errors.Is(err, record.ErrExpired) ||
		errors.Is(err, record.ErrBody)
}
