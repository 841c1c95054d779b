package share

import (
	"context"
	"slices"
	"sync"
	"time"

	"boucan/record"
)

// Run follows the folder and fetches what is wanted until ctx ends, and tells
// the catalog of it. It is called once.
func (b *Blobs) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t := &teller{b: b, reports: make(chan told)}
	f := newFollower(b, t.tell)
	var all sync.WaitGroup
	var fetching error
	all.Go(func() { f.run(ctx) })
	all.Go(func() { b.scrub.run(ctx) })
	all.Go(func() {
		fetching = b.transfers.run(ctx)
		if fetching != nil {
			stop()
		}
	})
	err := t.run(ctx)
	stop()
	all.Wait()
	if err == nil {
		err = fetching
	}
	return err
}

// teller tells the catalog, from one goroutine.
type teller struct {
	b       *Blobs
	reports chan told
}

// told is a report and who waits for its being told.
type told struct {
	report
	done chan struct{}
}

// tell has a report told of, after all earlier ones, and waits for it where
// anything vanished: that is noted until it is told. What appeared is only handed
// over, so that more is hashed and indexed meanwhile; at most one report waits.
// It returns false where ctx ended before.
func (t *teller) tell(ctx context.Context, r report) bool {
	if len(r.appeared)+len(r.vanished) == 0 {
		return true
	}
	w := told{r, make(chan struct{})}
	select {
	case t.reports <- w:
	case <-ctx.Done():
		return false
	}
	if len(r.vanished) == 0 {
		return true
	}
	select {
	case <-w.done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *teller) run(ctx context.Context) error {
	if err := t.tellGone(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-t.reports:
			if t.report(ctx, r.report) {
				close(r.done)
			}
		case cid := <-t.b.arrivals:
			t.arrived(ctx, cid)
		}
	}
}

// tellGone tells of what vanished before the last stop.
func (t *teller) tellGone(ctx context.Context) error {
	for ctx.Err() == nil {
		files, err := t.b.goneBefore()
		if err != nil || len(files) == 0 {
			return err
		}
		if t.report(ctx, report{vanished: files}) {
			if err := t.b.forgetGone(files); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *teller) report(ctx context.Context, r report) bool {
	for files := range slices.Chunk(r.appeared, maxReport) {
		if !t.insist(ctx, func() error { return t.b.catalog.Appeared(ctx, files) }) {
			return false
		}
	}
	for files := range slices.Chunk(r.vanished, maxReport) {
		if !t.insist(ctx, func() error { return t.b.catalog.Vanished(ctx, files) }) {
			return false
		}
	}
	return true
}

// arrived tells of this arrival and of those waiting behind it.
func (t *teller) arrived(ctx context.Context, first record.CID) {
	cids := []record.CID{first}
	for len(cids) < maxReport && len(t.b.arrivals) > 0 {
		cids = append(cids, <-t.b.arrivals)
	}
	t.insist(ctx, func() error { return t.b.catalog.Arrived(ctx, cids) })
}

// insist calls do until it succeeds; false where ctx ended before.
func (t *teller) insist(ctx context.Context, do func() error) bool {
	const soonest, latest = time.Second, 30 * time.Second
	for wait := soonest; ; wait = min(2*wait, latest) {
		err := do()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		t.b.log.Warn("the catalog did not take what is in the shared folder", "err", err)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// hasArrived passes an arrival on to the catalog. It waits while too many do.
func (b *Blobs) hasArrived(ctx context.Context, cid record.CID) {
	select {
	case b.arrivals <- cid:
	case <-ctx.Done(): // the caller's records show what is here at the next start
	}
}
