package node

import (
	"context"

	"boucan/record"
)

// makeRoom promises a drop so many bytes, and reports whether they are to be
// had. Copies that are wanted give way to it.
func (l *library) makeRoom(ctx context.Context, size int64) bool {
	for {
		s := l.space()
		if l.ledger.begin(size, s) {
			return true
		}
		if ctx.Err() != nil || !l.giveWay(l.ledger.lacking(size, s)) {
			return false
		}
	}
}

// giveWay stops wanting copies of which nothing has come yet, until so many
// bytes that were kept for them are free; false where there is none to stop.
func (l *library) giveWay(lacking int64) bool {
	begun := l.coming()
	var freed int64
	cids := l.ledger.list(func(cid record.CID, s stake) bool {
		if _, ok := begun[cid]; ok || s.state != stakeWish || s.class != classCopy || freed >= lacking {
			return false
		}
		freed += s.size
		return true
	})
	l.unwant(cids)
	l.ledger.missed(freed)
	return len(cids) > 0
}

// coming is the blobs of which something is on its way.
func (l *library) coming() map[record.CID]struct{} {
	m := make(map[record.CID]struct{})
	for _, t := range l.blobs.Transfers() {
		m[t.CID] = struct{}{}
	}
	return m
}

// fits reports whether a drop of so many bytes may find room.
func (l *library) fits(size int64) bool { return size <= l.ledger.roomForDrop(l.space()) }
