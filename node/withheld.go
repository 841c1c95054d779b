package node

import (
	"fmt"
	"sync"

	"boucan/record"
	"boucan/store"
)

// withheld is files of this box's own folder that a trusted moderator elsewhere took
// down. They are the operator's and stay in the folder, but without this note they
// would look like files that nobody has offered yet. Safe for concurrent use.
type withheld struct {
	table *store.Bucket

	mu  sync.Mutex // guards all, and orders changes of both
	all map[record.CID]hiding
}

// hiding is why a file is withheld.
type hiding struct {
	by     record.Key // the moderator
	record record.ID  // that was taken down
}

// withheldPrefix precedes a CID in the table; the value is key and record id.
const withheldPrefix = "withheld/"

func openWithheld(table *store.Bucket) (*withheld, error) {
	w := &withheld{table: table, all: make(map[record.CID]hiding)}
	err := eachBelow(table, withheldPrefix, func(rest, value []byte) {
		if len(rest) == len(record.CID{}) && len(value) == len(record.Key{})+len(record.ID{}) {
			w.all[record.CID(rest)] = hiding{record.Key(value), record.ID(value[len(record.Key{}):])}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read which files are withheld: %w", err)
	}
	return w, nil
}

func (w *withheld) has(cid record.CID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.all[cid]
	return ok
}

// note withholds a file. It is durable on return.
func (w *withheld) note(cid record.CID, h hiding) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.write(cid, &h)
}

// strike ends it.
func (w *withheld) strike(cids ...record.CID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cid := range cids {
		if _, ok := w.all[cid]; !ok {
			continue
		}
		if err := w.write(cid, nil); err != nil {
			return err
		}
	}
	return nil
}

// write sets or, with nil, deletes; mu is held.
func (w *withheld) write(cid record.CID, h *hiding) error {
	var value []byte
	if h != nil {
		value = append(h.by[:], h.record[:]...)
	}
	if err := writeOne(w.table, append([]byte(withheldPrefix), cid[:]...), value); err != nil {
		return fmt.Errorf("note a withheld file: %w", err)
	}
	if h == nil {
		delete(w.all, cid)
	} else {
		w.all[cid] = *h
	}
	return nil
}

// by lists what a moderator has withheld.
func (w *withheld) by(k record.Key) map[record.CID]record.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := make(map[record.CID]record.ID)
	for cid, h := range w.all {
		if h.by == k {
			found[cid] = h.record
		}
	}
	return found
}
