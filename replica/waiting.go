package replica

import (
	"context"
	"errors"
	"sync"

	"boucan/record"
)

// waiting is the records dated ahead of this node's clock. They are held in memory
// only: whoever sent one still has it, and after a restart reconciling brings it
// again. Their signatures have been checked.
type waiting struct {
	mu      sync.Mutex
	records map[record.ID]*record.Record
	authors map[record.Key]int
	bytes   int
}

func (w *waiting) init() {
	w.records = make(map[record.ID]*record.Record)
	w.authors = make(map[record.Key]int)
}

// put keeps r if there is room. What is due later makes room for what is due
// sooner.
func (w *waiting) put(r *record.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.records[r.ID()]; ok || w.authors[r.Author] >= MaxWaitingAuthor {
		return
	}
	for len(w.records) >= MaxWaiting || w.bytes+len(r.Encode()) > MaxWaitingBytes {
		last := w.last()
		if last.Created <= r.Created {
			return
		}
		w.drop(last)
	}
	w.records[r.ID()] = r
	w.authors[r.Author]++
	w.bytes += len(r.Encode())
}

func (w *waiting) last() *record.Record {
	var last *record.Record
	for _, r := range w.records {
		if last == nil || r.Created > last.Created {
			last = r
		}
	}
	return last
}

func (w *waiting) drop(r *record.Record) {
	delete(w.records, r.ID())
	w.bytes -= len(r.Encode())
	if w.authors[r.Author]--; w.authors[r.Author] == 0 {
		delete(w.authors, r.Author)
	}
}

func (w *waiting) has(id record.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.records[id]
	return ok
}

// due takes out what was created at or before latest, in Unix milliseconds, and
// returns when the next is due, record.MaxTime if none waits.
func (w *waiting) due(latest int64) (ready []*record.Record, next int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next = record.MaxTime
	for _, r := range w.records {
		if r.Created <= latest {
			ready = append(ready, r)
			w.drop(r)
		} else {
			next = min(next, r.Created-record.MaxSkew.Milliseconds())
		}
	}
	return ready, next
}

// couldWait reports whether a record that was refused with err is worth the check
// of its signature, to wait for its time.
func (s *Set) couldWait(r *record.Record, err error) bool {
	return errors.Is(err, record.ErrFuture) && r.Created <= s.now().Add(MaxAhead).UnixMilli() && !s.waiting.has(r.ID())
}

// wait keeps a genuine record that is dated ahead.
func (s *Set) wait(r *record.Record) {
	s.waiting.put(r)
	if r.Created-record.MaxSkew.Milliseconds() < s.wake.Load() {
		s.wakeRun()
	}
}

// admitWaiting takes in what is due and returns when the next is, in Unix
// milliseconds.
func (s *Set) admitWaiting(ctx context.Context) (next int64, err error) {
	ready, next := s.waiting.due(s.now().Add(record.MaxSkew).UnixMilli())
	if len(ready) == 0 {
		return next, nil
	}
	errs, err := s.commit(ctx, ready)
	if err != nil {
		for _, r := range ready {
			s.waiting.put(r)
		}
		return next, err
	}
	for _, err := range errs {
		if err != nil {
			s.logger.Debug("record that waited for its time is not taken in", "reason", reason(err))
		}
	}
	return next, nil
}
