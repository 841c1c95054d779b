package node

import (
	"context"
	"sync"

	"boucan/record"
)

// drops is the drops under way. It keeps the deletion of a blob apart from a
// drop of the same bytes: share tells the second of two that its bytes are here
// already, and they must not go before it has a record.
type drops struct {
	mu       sync.Mutex // guards what follows; no I/O is done under it
	next     uint64
	open     map[uint64]record.CID // by number; zero while the CID is not known
	deleting map[record.CID]chan struct{}
}

func newDrops() *drops {
	return &drops{open: make(map[uint64]record.CID), deleting: make(map[record.CID]chan struct{})}
}

// begin counts a drop that begins; end with its number must follow.
func (d *drops) begin() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	d.open[d.next] = record.CID{}
	return d.next
}

func (d *drops) end(n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, n)
}

// bind says which bytes a drop brought. It waits while they are being deleted;
// from its return on nobody begins to.
func (d *drops) bind(ctx context.Context, n uint64, cid record.CID) error {
	for {
		d.mu.Lock()
		gone := d.deleting[cid]
		if gone == nil {
			d.open[n] = cid
			d.mu.Unlock()
			return nil
		}
		d.mu.Unlock()
		select {
		case <-gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// claim returns those of the blobs that may be deleted now: no drop is bound to
// them, but for the one of the number given, and free says so. unclaim with the
// same must follow.
func (d *drops) claim(cids []record.CID, n uint64, free func(record.CID) bool) []record.CID {
	d.mu.Lock()
	defer d.mu.Unlock()
	bound := make(map[record.CID]bool)
	for other, cid := range d.open {
		bound[cid] = bound[cid] || other != n
	}
	var mine []record.CID
	for _, cid := range cids {
		if !bound[cid] && d.deleting[cid] == nil && free(cid) {
			d.deleting[cid] = make(chan struct{})
			mine = append(mine, cid)
		}
	}
	return mine
}

func (d *drops) unclaim(cids []record.CID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, cid := range cids {
		close(d.deleting[cid])
		delete(d.deleting, cid)
	}
}

// now is a moment between two drops, for over.
func (d *drops) now() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next
}

// over reports whether every drop has ended that was under way at a moment.
func (d *drops) over(moment uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range d.open {
		if n <= moment {
			return false
		}
	}
	return true
}
