package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"boucan/record"
	"boucan/share"
)

// Limits of one search for copies to let go of.
const (
	evictBatch  = 32               // copies about which others are asked together
	evictTries  = 256              // copies that nobody else shows to have, before the search ends
	evictWait   = 20 * time.Second // while somebody waits for room
	trimWait    = 2 * time.Minute  // where nobody does
	trimRest    = 30 * time.Second // after a search that found too little; it doubles
	trimRestMax = 10 * time.Minute
)

// evict lets go of copies until so many bytes are freed, those first that came
// first, and returns how many were. A copy goes only when another box has just
// shown that it has it: its author, or a box that ranks before this one for this
// blob and so will not let go of it on this one's account. Two boxes never let go
// of the same blob each trusting in the other.
func (l *library) evict(ctx context.Context, lacking int64) (freed int64, err error) {
	select {
	case l.evicting <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-l.evicting }()
	peers := l.peers()
	if len(peers) == 0 || lacking <= 0 {
		return 0, nil
	}
	oldest := l.ledger.copies(l.evictFrom)
	for failed := 0; len(oldest) > 0 && freed < lacking && failed < evictTries && ctx.Err() == nil; {
		n, sum := 0, int64(0)
		for n < min(len(oldest), evictBatch) && sum < lacking-freed {
			sum += oldest[n].size
			n++
		}
		some := oldest[:n]
		l.evictFrom, oldest = some[n-1].moment, oldest[n:]
		held := l.heldElsewhere(ctx, peers, some)
		failed += n - len(held)
		gone, err := l.letGo(ctx, held)
		freed += gone
		if err != nil {
			return freed, err
		}
	}
	if freed >= lacking || len(oldest) == 0 {
		l.evictFrom = moment{} // the next search begins with the oldest again
	}
	l.ledger.found(freed >= lacking, time.Now())
	return freed, ctx.Err()
}

// heldElsewhere returns those of the copies that a peer, one of those that may be
// relied on for it, shows to have.
func (l *library) heldElsewhere(ctx context.Context, peers []record.Key, copies []oldCopy) []record.CID {
	authors := make(map[record.CID]map[record.Key]bool, len(copies))
	for _, c := range copies {
		of := make(map[record.Key]bool)
		l.names.offerers(c.cid, func(key record.Key, _ int64) { of[key] = true })
		authors[c.cid] = of
	}
	held := make(map[record.CID]bool)
	for _, peer := range peers {
		var doubtful []record.CID
		for _, c := range copies {
			if !held[c.cid] && (authors[c.cid][peer] || ranksBefore(peer, l.key.Key(), c.cid)) {
				doubtful = append(doubtful, c.cid)
			}
		}
		shown, err := l.blobs.HeldBy(ctx, peer, doubtful...)
		if err != nil && ctx.Err() == nil {
			l.log.Debug("a peer did not show what it has", "error", err)
		}
		for _, cid := range shown {
			held[cid] = true
		}
	}
	var list []record.CID
	for _, c := range copies {
		if held[c.cid] {
			list = append(list, c.cid)
		}
	}
	return list
}

// ranksBefore orders boxes, for each blob in another way: whichever of those that
// have a copy ranks first keeps it.
func ranksBefore(a, b record.Key, cid record.CID) bool {
	rank := func(k record.Key) []byte {
		h := sha256.Sum256(slices.Concat(k[:], cid[:]))
		return h[:]
	}
	return bytes.Compare(rank(a), rank(b)) < 0
}

// letGo deletes copies that another box has, and returns how many bytes that
// freed. What has become somebody's meanwhile stays.
func (l *library) letGo(ctx context.Context, cids []record.CID) (freed int64, err error) {
	mine := l.drops.claim(cids, 0, func(cid record.CID) bool {
		return l.class(cid) == classCopy
	})
	defer l.drops.unclaim(mine)
	if len(mine) == 0 {
		return 0, nil
	}
	if err := l.leaving.note(mine...); err != nil {
		return 0, err
	}
	// It ends what it began: half a deletion is of no use to anybody.
	err = l.blobs.Release(context.WithoutCancel(ctx), mine...)
	gone := 0
	for _, cid := range mine {
		if l.blobs.Has(cid) {
			continue
		}
		if s, ok := l.ledger.known(cid); ok && s.state == stakeHere {
			freed += s.size
			l.ledger.forget(cid)
		}
		gone++
	}
	if gone > 0 {
		l.log.Debug("copies that other boxes have made room", "files", gone)
		l.changed.tell()
	}
	// Their notes as guests stay: somebody may be fetching one anew already.
	return freed, errors.Join(err, l.leaving.strike(mine...))
}

// finishLeaving brings the index in step with what a crash left of letting go. It
// is called before anything looks into the folder.
func (l *library) finishLeaving(ctx context.Context) error {
	cids, err := l.leaving.list()
	if err != nil {
		return err
	}
	for _, cid := range cids {
		f, _, err := l.blobs.Open(cid)
		switch {
		case err == nil:
			err = f.Close() // it is still here, and stays
		case errors.Is(err, share.ErrAway):
			return nil // it is known when the folder is back, see Vanished
		case errors.Is(err, share.ErrNotHere):
			err = l.blobs.Release(ctx, cid)
		case errors.Is(err, share.ErrChanged):
			err = nil // a person put another file there
		}
		if err == nil {
			err = l.leaving.strike(cid)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// trim keeps room for drops until ctx ends: it lets go of copies where more is
// kept than there should be.
func (l *library) trim(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	rest := trimRest
	var notBefore time.Time
	near := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		surplus := l.ledger.surplus(l.space())
		if surplus <= 0 || l.blobs.Usage().Away {
			rest, notBefore = trimRest, time.Time{}
			continue
		}
		if now := len(l.peers()); now > near || time.Now().After(notBefore) {
			near = now
		} else {
			near = now
			continue
		}
		soon, done := context.WithTimeout(ctx, trimWait)
		freed, err := l.evict(soon, surplus)
		done()
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			l.log.Warn("making room for drops failed; it is tried again", "error", err)
		}
		if freed >= surplus {
			rest, notBefore = trimRest, time.Time{}
			continue
		}
		notBefore = time.Now().Add(rest)
		rest = min(2*rest, trimRestMax)
	}
}
