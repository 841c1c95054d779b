package replica

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"boucan/record"
)

// Add takes records in. It checks time, body and signature of each, the signatures
// in parallel, and returns one error a record: nil for one that is on disk now,
// ErrHave for one that was there already, or why it was refused. A record dated
// ahead is refused with record.ErrFuture and waits in memory to be taken in when
// its time comes. The second error is the disk's; records that met it carry it too.
//
// A takedown among the records is judged before the others.
func (s *Set) Add(ctx context.Context, recs []*record.Record) ([]error, error) {
	return s.add(ctx, recs, s.brought.take)
}

// add is Add where take counts what an author brings, and says whether they may.
func (s *Set) add(ctx context.Context, recs []*record.Record, take func(record.Key) bool) ([]error, error) {
	errs := make([]error, len(recs))
	for i, r := range recs {
		if errs[i] = s.screen(r); errs[i] == nil && !s.brought.has(r.Author) {
			errs[i] = ErrRate // before the costly part
		}
	}
	todo := make([]int, 0, len(recs))
	for i, r := range recs {
		if errs[i] == nil || s.couldWait(r, errs[i]) {
			todo = append(todo, i)
		}
	}
	if err := s.verify(ctx, recs, errs, todo); err != nil {
		return errs, err
	}
	for _, i := range todo {
		if errors.Is(errs[i], record.ErrFuture) {
			s.wait(recs[i])
		}
	}
	// Only what the author has signed counts against them.
	for i, r := range recs {
		if errs[i] == nil && !take(r.Author) {
			errs[i] = ErrRate
		}
	}
	return errs, s.commitGood(ctx, recs, errs)
}

// commitGood commits the records that have no error yet and fills in theirs.
func (s *Set) commitGood(ctx context.Context, recs []*record.Record, errs []error) error {
	var good []*record.Record
	var at []int
	for i, r := range recs {
		if errs[i] == nil {
			good, at = append(good, r), append(at, i)
		}
	}
	if len(good) == 0 {
		return nil
	}
	outcome, err := s.commit(ctx, good)
	for k, i := range at {
		errs[i] = outcome[k]
	}
	return err
}

// screen is every check that costs less than a signature.
func (s *Set) screen(r *record.Record) error {
	s.mu.RLock()
	have, blocked := s.order.contains(itemOf(r)), s.memory.blocks(r)
	s.mu.RUnlock()
	switch {
	case have:
		return ErrHave
	case blocked:
		return ErrBlocked
	}
	gone, err := s.takenDown(r.ID())
	if err != nil {
		return err
	}
	if gone {
		return ErrTakenDown
	}
	if err := s.current(r); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.memory.room(s.limits, r, &batch{})
}

// verify checks body and signature of the records that todo indexes, on as many
// processors as there are.
func (s *Set) verify(ctx context.Context, recs []*record.Record, errs []error, todo []int) error {
	var next atomic.Int64
	work := func() {
		s.cpu <- struct{}{}
		defer func() { <-s.cpu }()
		for ctx.Err() == nil {
			k := int(next.Add(1)) - 1
			if k >= len(todo) {
				return
			}
			if err := genuine(recs[todo[k]]); err != nil {
				errs[todo[k]] = err
			}
		}
	}
	var helpers sync.WaitGroup
	for range min(len(todo), runtime.GOMAXPROCS(0)) - 1 {
		helpers.Go(work)
	}
	work()
	helpers.Wait()
	if err := ctx.Err(); err != nil {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = err
			}
		}
		return err
	}
	return nil
}

// genuine checks what costs most: body and signature.
func genuine(r *record.Record) error {
	if err := r.CheckBody(); err != nil {
		return err
	}
	return r.Verify()
}

// Publish takes in records that this process has just signed, whose signatures it
// does not check again, and pushes them to peers. A record that was there already
// is no error. It returns when the records are on disk; a push that fails is not an
// error, for reconciling finds what pushes lose.
func (s *Set) Publish(ctx context.Context, recs ...*record.Record) error {
	errs := make([]error, len(recs))
	for i, r := range recs {
		errs[i] = s.screen(r)
	}
	if err := s.commitGood(ctx, recs, errs); err != nil {
		return fmt.Errorf("publish records: %w", err)
	}
	var added []*record.Record
	var failed []error
	for i, r := range recs {
		switch {
		case errs[i] == nil:
			added = append(added, r)
		case !errors.Is(errs[i], ErrHave):
			failed = append(failed, errs[i])
		}
	}
	s.spread(ctx, added)
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("publish records: %w", err)
	}
	return nil
}

// spread pushes the first of the records and tells the Syncer of all.
func (s *Set) spread(ctx context.Context, added []*record.Record) {
	pushed := 0
	if s.pusher != nil && len(added) <= MaxPush {
		pushed = s.push(ctx, added)
	}
	if len(added) > 0 {
		s.tellSyncer(len(added), len(added)-pushed)
	}
}

// tellSyncer says that there is news for peers, some of which no push carries.
func (s *Set) tellSyncer(added, unpushed int) {
	s.mu.RLock()
	published := s.published
	s.mu.RUnlock()
	if published != nil {
		published(added, unpushed)
	}
}

// push returns how many of the records went out.
func (s *Set) push(ctx context.Context, recs []*record.Record) int {
	pushed := 0
	for _, r := range recs {
		if err := s.pusher.Push(ctx, r.Encode()); err != nil {
			s.logger.Debug("push of a record failed", "error", err)
			continue
		}
		pushed++
	}
	return pushed
}

// Receive takes in one encoded record that a peer pushed, cheap checks before
// expensive ones. raw is not kept. It reports whether the record is new here and on
// disk; Judge turns its error into what a relay should do. What a relay passes on may
// be lost like any push (a gossip mesh takes a second to take in a new peer), so it
// is compared a little later too.
func (s *Set) Receive(ctx context.Context, raw []byte) (added bool, err error) {
	if len(raw) > record.MaxSize {
		err = record.ErrTooLarge
	} else {
		err = s.receive(ctx, raw)
	}
	if Judge(err) == Reject {
		s.logger.Warn("refused a pushed record", "reason", reason(err))
	}
	if err == nil {
		s.tellSyncer(1, 0)
	}
	return err == nil, err
}

func (s *Set) receive(ctx context.Context, raw []byte) error {
	r, err := record.Decode(append([]byte(nil), raw...))
	if err != nil {
		return err
	}
	if !s.pushed.has(r.Author) {
		return ErrRate
	}
	// It counts before it is on disk: as many as a flood brings wait there together.
	errs, err := s.add(ctx, []*record.Record{r}, func(k record.Key) bool { return s.pushed.take(k) && s.brought.take(k) })
	if err == nil {
		err = errs[0]
	}
	return err
}
