package node

import (
	"context"
	"time"

	"boucan/record"
)

// freeing calls enter, which puts so many bytes into the ledger if there is room,
// until it has; copies make room meanwhile. It reports whether it has.
func (l *library) freeing(ctx context.Context, size int64, enter func(space) bool) bool {
	for {
		s := l.space()
		if enter(s) {
			return true
		}
		if ctx.Err() != nil || !l.fits(size) {
			return false
		}
		if lacking := l.ledger.lacking(size, s); lacking > 0 && !l.giveWay(lacking) && !l.makeRoom(ctx, lacking) {
			return false
		}
	}
}

// evictAhead is how many bytes more than needed are made room for at most, so that
// a drop does not ask others anew with each megabyte.
const evictAhead = 16 << 20

// makeRoom lets go of copies and reports whether that freed so many bytes.
func (l *library) makeRoom(ctx context.Context, lacking int64) bool {
	soon, done := context.WithTimeout(ctx, evictWait)
	defer done()
	ahead := int64(evictAhead)
	if q := l.ledger.policy.Quota; q > 0 {
		ahead = min(ahead, margin(q))
	}
	freed, err := l.evict(soon, lacking+ahead)
	if err != nil && ctx.Err() == nil {
		l.log.Debug("making room ended early", "error", err)
	}
	return freed >= lacking
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

// fits reports whether so many bytes may find room that go before copies.
func (l *library) fits(size int64) bool { return size <= l.roomForDrop() }

// roomForDrop is how many bytes a drop may have, copies that other boxes may have
// too included.
func (l *library) roomForDrop() int64 {
	var copies int64
	if len(l.peers()) > 0 {
		copies = l.ledger.yielding(time.Now())
	}
	return l.ledger.roomForDrop(l.space(), copies)
}
