package node

import (
	"fmt"
	"iter"
	"slices"
	"sync"

	"boucan/record"
	"boucan/store"
)

// pins are the blobs that the operator wants to have here whatever the policy says,
// for as long as a record names them. They are on disk, and in memory beside it.
// Safe for concurrent use.
type pins struct {
	table *store.Bucket

	mu  sync.Mutex // guards set
	set map[record.CID]struct{}
}

// pinPrefix precedes the binary CID in the keys; the values are empty.
const pinPrefix = "pin/"

// maxPins is how many blobs may be pinned. Each costs about 50 bytes of memory.
const maxPins = 1 << 16

// errManyPins says that maxPins is reached.
var errManyPins = fmt.Errorf("%d files are pinned already, and no more may be: unpin some first", maxPins)

// openPins reads what is pinned.
func openPins(table *store.Bucket) (*pins, error) {
	p := &pins{table: table, set: make(map[record.CID]struct{})}
	err := eachBelow(table, pinPrefix, func(rest, _ []byte) {
		if len(rest) == len(record.CID{}) {
			p.set[record.CID(rest)] = struct{}{}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read what is pinned: %w", err)
	}
	return p, nil
}

// has reports whether a blob is pinned.
func (p *pins) has(cid record.CID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.set[cid]
	return ok
}

// list returns all that is pinned.
func (p *pins) list() []record.CID {
	p.mu.Lock()
	defer p.mu.Unlock()
	cids := make([]record.CID, 0, len(p.set))
	for cid := range p.set {
		cids = append(cids, cid)
	}
	return cids
}

// pin is durable on return. It fails with errManyPins.
func (p *pins) pin(cid record.CID) error {
	p.mu.Lock()
	_, ok := p.set[cid]
	full := len(p.set) >= maxPins
	if !ok && !full {
		p.set[cid] = struct{}{} // from now on nobody lets go of it
	}
	p.mu.Unlock()
	switch {
	case ok:
		return nil
	case full:
		return errManyPins
	}
	if err := writeNotes(p.table, pinPrefix, []record.CID{cid}, []byte{}); err != nil {
		p.mu.Lock()
		delete(p.set, cid)
		p.mu.Unlock()
		return fmt.Errorf("pin: %w", err)
	}
	return nil
}

// unpin is durable on return.
func (p *pins) unpin(cids ...record.CID) error {
	var were []record.CID
	for _, cid := range cids {
		if p.has(cid) {
			were = append(were, cid)
		}
	}
	if len(were) == 0 {
		return nil
	}
	if err := writeNotes(p.table, pinPrefix, were, nil); err != nil {
		return fmt.Errorf("unpin: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cid := range were {
		delete(p.set, cid)
	}
	return nil
}

// leaving are the copies that this box is letting go of. The note is made before
// the file is deleted, so that after a crash in between nobody takes the missing
// file for one that a person removed.
type leaving struct{ table *store.Bucket }

const leavingPrefix = "leaving/"

func (l leaving) note(cids ...record.CID) error {
	return writeNotes(l.table, leavingPrefix, cids, []byte{})
}

func (l leaving) strike(cids ...record.CID) error {
	return writeNotes(l.table, leavingPrefix, cids, nil)
}

func (l leaving) has(cid record.CID) (bool, error) {
	_, ok, err := l.table.Get(noteKey(leavingPrefix, cid))
	return ok, err
}

// list returns those noted: few at a time.
func (l leaving) list() (cids []record.CID, err error) {
	err = eachBelow(l.table, leavingPrefix, func(rest, _ []byte) {
		if len(rest) == len(record.CID{}) {
			cids = append(cids, record.CID(rest))
		}
	})
	return cids, err
}

func noteKey(prefix string, cid record.CID) []byte { return append([]byte(prefix), cid[:]...) }

// writeNotes sets the value of the notes about blobs; nil deletes them. It is
// durable on return.
func writeNotes(table *store.Bucket, prefix string, cids []record.CID, value []byte) error {
	for some := range slices.Chunk(cids, guestBatch) {
		if err := table.Write(notePairs(prefix, some, value)); err != nil {
			return err
		}
	}
	return nil
}

func notePairs(prefix string, cids []record.CID, value []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for _, cid := range cids {
			if !yield(noteKey(prefix, cid), value) {
				return
			}
		}
	}
}
