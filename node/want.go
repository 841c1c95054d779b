package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boucan/record"
	"boucan/share"
)

// space is what the disk says now.
func (l *library) space() space {
	u := l.blobs.Usage()
	return space{room: u.Free + u.Landing - u.Reserve, total: u.Total, begun: u.Uploads}
}

// isCounted reports whether what lies here is in the ledger.
func (l *library) isCounted() bool {
	select {
	case <-l.counted:
		return true
	default:
		return false
	}
}

// whenCounted waits for that where a quota depends on it. Without the folder nobody
// knows, and nothing can be kept.
func (l *library) whenCounted(ctx context.Context) error {
	if l.ledger.policy.Quota == 0 || l.isCounted() {
		return nil
	}
	if l.blobs.Usage().Away {
		return share.ErrAway
	}
	select {
	case <-l.counted:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// class says for whom the blob is kept.
func (l *library) class(cid record.CID) class {
	if mine, _ := l.names.own(cid); len(mine) > 0 {
		return classDrop
	}
	if l.pins.has(cid) {
		return classPinned
	}
	return classCopy
}

// wanted is why this box does not copy a listed blob by itself, "" where it does
// if there is room.
func (l *library) wanted(cid record.CID) refusal {
	switch {
	case l.ledger.policy.Mirror == MirrorNone:
		return refusedNone
	case !l.names.anyName(cid, l.rules.copies):
		return refusedExcluded
	}
	return ""
}

// wish enters a blob that is not here into the ledger, or says why it is not
// wanted now.
func (l *library) wish(cid record.CID, s space) refusal {
	class := l.class(cid)
	if class == classCopy {
		if why := l.wanted(cid); why != "" {
			return why
		}
	}
	size, by, ok := l.names.weight(cid)
	if !ok {
		return refusedNone
	}
	return l.ledger.wish(cid, size, by, class, s, l.clock.Now())
}

// want asks for those of the blobs, none of which is here, that are wanted and
// find room. They are guests from before the asking on, which note notes.
func (k *keeper) want(cids []record.CID, note func(...record.CID) error) error {
	if len(cids) == 0 {
		return nil
	}
	if !k.isCounted() {
		k.all = true // first it is counted what is here
		return nil
	}
	var mine, not []record.CID
	s := k.space()
	for _, cid := range cids {
		was, ok := k.ledger.known(cid)
		if why := k.wish(cid, s); why == "" {
			mine = append(mine, cid)
		} else {
			if ok && was.state == stakeWish {
				not = append(not, cid)
			}
			k.behind = k.behind || why == refusedRoom || why == refusedShare
		}
	}
	k.unwant(not)
	return k.request(mine, note)
}

// unwant stops wanting blobs; what is here of them is not counted as coming any
// more.
func (l *library) unwant(cids []record.CID) {
	if len(cids) == 0 {
		return
	}
	l.blobs.Unwant(cids...)
	for _, cid := range cids {
		if s, ok := l.ledger.known(cid); ok && s.state != stakeHere {
			l.ledger.forget(cid)
		}
	}
}

// request hands wishes that the ledger holds to share. What the ledger holds as a
// wish is noted as a guest.
func (k *keeper) request(cids []record.CID, note func(...record.CID) error) error {
	if len(cids) == 0 {
		return nil
	}
	if err := note(cids...); err != nil {
		k.unwant(cids)
		return err
	}
	wanted := make([]share.Wanted, 0, len(cids))
	for _, cid := range cids {
		k.names.sizes(cid, func(size uint64, name string, from record.Key) {
			wanted = append(wanted, share.Wanted{CID: cid, Size: int64(size), Name: name, From: from})
		})
	}
	k.blobs.Want(wanted...)
	if _, room := k.blobs.Wanting(); room == 0 {
		k.short = true
	}
	return nil
}

// wantAll decides anew on all that is listed and not here, the newest first.
// Older wishes that nothing has come of yet make room for newer files.
func (k *keeper) wantAll(ctx context.Context) error {
	if !k.isCounted() {
		k.all = true
		return nil
	}
	began := time.Now()
	waiting := k.layDown()
	var missing []record.CID
	var err error
	flush := func() {
		err = k.want(missing, k.guests.mark) // most were noted by an earlier look
		for _, cid := range missing {
			if _, ok := k.ledger.known(cid); ok {
				delete(waiting, cid)
			}
		}
		missing = missing[:0]
	}
	k.names.all(func(r *row) bool {
		if !k.ledger.isHere(r.cid) && !k.lies(r.cid) && !k.blobs.Refused(r.cid) {
			missing = append(missing, r.cid)
		}
		if len(missing) == guestBatch {
			flush()
		}
		return err == nil && ctx.Err() == nil && !k.short
	})
	if err == nil && ctx.Err() == nil {
		flush()
	}
	var not []record.CID
	for cid := range waiting {
		not = append(not, cid)
	}
	k.blobs.Unwant(not...)
	k.behind = false
	k.ledger.looked(k.space())
	k.planned, k.planTook = time.Now(), time.Since(began)
	return errors.Join(err, ctx.Err())
}

// layDown takes those wishes out of the ledger that nothing has come of yet, and
// returns them: they are entered again if they still find room.
func (k *keeper) layDown() map[record.CID]struct{} {
	coming := k.coming()
	waiting := make(map[record.CID]struct{})
	for _, cid := range k.ledger.list(func(cid record.CID, s stake) bool {
		_, begun := coming[cid]
		return s.state == stakeWish && !begun
	}) {
		waiting[cid] = struct{}{}
		k.ledger.forget(cid)
	}
	k.ledger.looking()
	return waiting
}

// planRest is how many times as long as a look at all wishes took nothing of the
// kind is done after it.
const planRest = 10

// wantMore decides anew on all wishes where that may change something.
func (k *keeper) wantMore(ctx context.Context) error {
	k.dropAsked()
	wanted, room := k.blobs.Wanting()
	more := k.short && room > wanted/8 || k.behind && wanted > 0 || k.ledger.roomAgain(k.space())
	if !more || time.Since(k.planned) < planRest*k.planTook {
		return nil
	}
	k.short = false
	return k.wantAll(ctx)
}

// askedRest is how long what somebody asked for is counted as coming although
// nothing of it is on its way.
const askedRest = time.Minute

// dropAsked takes out of the ledger what somebody asked for and that does not
// come any more.
func (k *keeper) dropAsked() {
	before := seconds(k.clock.Now().Add(-askedRest))
	for _, cid := range k.ledger.list(func(_ record.CID, s stake) bool {
		return s.state == stakeAsked && s.since < before
	}) {
		if !k.lies(cid) && !k.blobs.Underway(cid) {
			k.ledger.forget(cid)
		}
	}
}

// weigh enters into the ledger what lies here of a blob, and reports whether any
// does.
func (k *keeper) weigh(cid record.CID) (here bool, err error) {
	f, here := k.blobs.Lookup(cid)
	switch {
	case here:
	case k.blobs.Damaged(cid):
		return true, nil // it takes the room that it took, and is repaired where it lies
	default:
		if s, ok := k.ledger.known(cid); ok && s.state == stakeHere {
			k.ledger.forget(cid)
		}
		return false, nil
	}
	mine, _ := k.names.own(cid)
	kept := !operatorOffers(mine)
	if s, ok := k.ledger.known(cid); kept && !(ok && s.state == stakeWish) {
		if kept, err = k.guests.has(cid); err != nil {
			return true, err
		}
	}
	if kept {
		k.enter(f)
	} else {
		k.ledger.forget(cid)
	}
	return true, nil
}

// enter counts a file that is kept for others.
func (k *keeper) enter(f share.File) {
	_, by, _ := k.names.weight(f.CID)
	k.ledger.settle(f.CID, f.Size, by, k.class(f.CID), f.Modified)
}

// ask enters a blob into the ledger that somebody asks for. Copies make room for
// it.
func (l *library) ask(ctx context.Context, cid record.CID) error {
	if err := l.whenCounted(ctx); err != nil {
		return err
	}
	size, by, ok := l.names.weight(cid)
	if !ok || l.freeing(ctx, size, func(s space) bool { return l.ledger.ask(cid, size, by, s, l.clock.Now()) }) {
		return nil
	}
	return fmt.Errorf("fetch file: %w", share.ErrFull)
}

// admit is share's question whether a blob may land whose true size is known now.
func (l *library) admit(cid record.CID, size int64) error {
	_, by, _ := l.names.weight(cid)
	if l.operators(cid) || l.ledger.admit(cid, size, by, l.space(), l.clock.Now()) {
		return nil
	}
	return share.ErrFull
}
