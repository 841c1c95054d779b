package node

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/store"
)

const (
	// redateFrom is the error of a clock from which on it is worth dating anew
	// what was made meanwhile.
	redateFrom = time.Hour
	// recallAfter is how long a clock must have been known at first hand, without
	// a jump, before what others dated ahead of it is put out: it may have been
	// set by mistake.
	recallAfter = day
)

// followClock looks at everything again that depends on the time whenever the
// clock was set, until ctx ends.
func (n *Node) followClock(ctx context.Context) error {
	tick := time.NewTicker(clockLookEvery)
	defer tick.Stop()
	redate, recall := true, true // an earlier run may not have come to it
	if err := n.library.redates.sweep(n.records); err != nil {
		n.log.Warn("old notes on records dated anew stay for now", "error", err)
	}
	for {
		if redate {
			redate = n.redate(ctx) != nil
		}
		if recall && n.clock.sureFor(recallAfter) {
			recall = n.recall(ctx) != nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.clock.wake:
			n.records.Reclocked()
			n.syncer.Nudge()
			redate, recall = true, true
		case <-tick.C:
		}
	}
}

// recall puts out what was taken in from others under a clock that was ahead.
func (n *Node) recall(ctx context.Context) error {
	count, err := n.records.Recall(ctx, n.key.Key())
	if err != nil && ctx.Err() == nil {
		n.log.Warn("putting out records dated ahead failed; it is tried again", "error", err)
	}
	if count > 0 {
		n.log.Info("records dated ahead were put out", "records", count)
	}
	return err
}

// redate issues anew, with right times, what this node made while it did not know
// the time: its peers would refuse it, or it would end too early. It waits until
// the time is known.
func (n *Node) redate(ctx context.Context) error {
	e, ok := n.clock.erred()
	if !ok {
		return nil
	}
	for _, kind := range []record.Kind{record.KindFile, record.KindMessage, record.KindPost} {
		if err := n.redateKind(ctx, kind, e); err != nil {
			if ctx.Err() == nil {
				n.log.Warn("dating records anew failed; it is tried again", "error", err)
			}
			return err
		}
	}
	n.clock.mended()
	return n.clock.save()
}

func (n *Node) redateKind(ctx context.Context, kind record.Kind, e clockError) error {
	ids, err := n.records.IDsBy(n.key.Key(), kind, e.since.UnixMilli())
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ids, publishAtOnce) {
		var pairs []replica.Redated
		for _, id := range some {
			old, ok, err := n.records.Get(id)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			fresh, err := n.redated(old, e)
			if err != nil {
				return err
			}
			if fresh != nil {
				pairs = append(pairs, replica.Redated{Old: old, New: fresh})
			}
		}
		if len(pairs) == 0 {
			continue
		}
		if err := n.library.redates.note(pairs); err != nil {
			return err
		}
		gone, err := n.records.Redate(ctx, pairs)
		if err != nil {
			return err
		}
		n.log.Info("records were dated anew", "records", len(gone))
		if err := n.disown(ctx, gone, e.now); err != nil {
			return err
		}
	}
	return nil
}

// redated is a record as it would be had the clock been right, nil where it is
// good enough or would have ended.
func (n *Node) redated(old *record.Record, e clockError) (*record.Record, error) {
	created := earliest(timeOf(old.Created).Add(e.by), e.now)
	life := timeOf(old.Expires).Sub(timeOf(old.Created))
	if !created.Add(life).After(e.now) {
		return nil, nil
	}
	body, err := bodyAgain(old)
	if err != nil {
		return nil, nil // a later version's
	}
	return n.key.sign(record.Draft{Created: created, Life: life, Undo: old.Undo, Body: body})
}

// bodyAgain is what a record says.
func bodyAgain(r *record.Record) (record.Body, error) {
	switch r.Kind {
	case record.KindFile:
		return r.File()
	case record.KindMessage:
		return r.Message()
	}
	return r.Post()
}

// disown takes down the old records where peers may hold them. Those dated ahead
// no peer with a right clock has taken in, and what is over goes by itself.
func (n *Node) disown(ctx context.Context, old []*record.Record, now time.Time) error {
	var downs []*record.Record
	for _, r := range old {
		if timeOf(r.Created).After(now) || !timeOf(r.Expires).After(now) {
			continue
		}
		down, err := n.key.sign(record.Draft{Created: now, Expires: timeOf(r.Expires), Body: record.Takedown{Target: r.ID()}})
		if err != nil {
			return err
		}
		downs = append(downs, down)
	}
	return n.records.Publish(ctx, downs...)
}

// redates notes on disk what became of records that were dated anew and that an
// undo code may name: the first bytes of the old id lead to the new one.
type redates struct{ table *store.Bucket }

const (
	// redatePrefix precedes the first redateID bytes of the old id in the keys.
	redatePrefix = "redated/"
	redateID     = len(record.UndoCode{}.Record)
	// redateChain is how often one record is followed.
	redateChain = 16
)

func redateKey(id []byte) []byte { return append([]byte(redatePrefix), id[:redateID]...) }

// note is called before the records are exchanged. A note on what does not happen
// leads nowhere.
func (d redates) note(pairs []replica.Redated) error {
	pairs = slices.DeleteFunc(slices.Clone(pairs), func(p replica.Redated) bool { return len(p.Old.Undo) == 0 })
	if len(pairs) == 0 {
		return nil
	}
	err := d.table.Write(func(yield func([]byte, []byte) bool) {
		for _, p := range pairs {
			from, to := p.Old.ID(), p.New.ID()
			if !yield(redateKey(from[:]), to[:]) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("note records dated anew: %w", err)
	}
	return nil
}

// find follows an id, of which the first bytes are enough, to its newest.
func (d redates) find(id []byte) (last record.ID, ok bool, err error) {
	for range redateChain {
		b, more, err := d.table.Get(redateKey(id))
		if err != nil {
			return last, false, fmt.Errorf("read what became of a record: %w", err)
		}
		if !more || len(b) != len(last) {
			break
		}
		last, ok, id = record.ID(b), true, b
	}
	return last, ok, nil
}

// sweep forgets what leads to records that are gone.
func (d redates) sweep(records *replica.Set) error {
	to := []byte(redatePrefix)
	to[len(to)-1]++
	notes, failed := d.table.Scan([]byte(redatePrefix), to)
	var from [][]byte
	for key := range notes {
		from = append(from, bytes.Clone(key))
	}
	if err := failed(); err != nil {
		return fmt.Errorf("read what became of records: %w", err)
	}
	var over [][]byte
	for _, key := range from {
		last, ok, err := d.find(key[len(redatePrefix):])
		if err != nil {
			return err
		}
		if _, lives, err := records.Get(last); err != nil {
			return err
		} else if !ok || !lives {
			over = append(over, key)
		}
	}
	for some := range slices.Chunk(over, guestBatch) {
		err := d.table.Write(func(yield func([]byte, []byte) bool) {
			for _, key := range some {
				if !yield(key, nil) {
					return
				}
			}
		})
		if err != nil {
			return fmt.Errorf("forget what became of records: %w", err)
		}
	}
	return nil
}
