package node

import (
	"context"
	"errors"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/share"
)

// keeper does the library's work on the disk. It belongs to the goroutine of
// run; only it deletes guests and wishes for blobs.
type keeper struct {
	*library

	all     bool // look at everything the next time
	renew   bool // and renew what is about to end
	crowded bool // the record set has no room for what the folder holds
	away    bool // the folder was away at the last look
	short   bool // there was no room for all wishes
	behind  bool // what is newer than some wishes found no room

	planned  time.Time     // when all wishes were looked at last
	planTook time.Duration // how long that took

	strays   []share.File // see findStrays
	straysAt uint64
}

// act looks at what was touched.
func (k *keeper) act(ctx context.Context) {
	cids, ended, over := k.takeTouched()
	k.all = k.all || over
	if err := k.offerAgain(ctx, ended); err != nil {
		k.failed(ctx, err)
	}
	if err := k.decide(ctx, cids); err != nil {
		k.failed(ctx, err)
	}
	if over {
		k.look(ctx)
	}
}

// failed has all looked at the next time.
func (k *keeper) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if errors.Is(err, replica.ErrQuota) || errors.Is(err, replica.ErrFull) {
		if !k.crowded {
			k.log.Warn("the list of files is full; what is new in the folder is not offered")
		}
		k.crowded = true // until the next renewal
		return
	}
	k.all = true
	if errors.Is(err, share.ErrAway) {
		return // it is said elsewhere, and all is looked at when the folder is back
	}
	k.log.Warn("keeping files and records in step failed; it is tried again", "error", err)
}

// decide fetches, keeps or deletes each blob, as the records say.
func (k *keeper) decide(ctx context.Context, cids []record.CID) error {
	var missing, gone []record.CID
	for _, cid := range cids {
		switch {
		case !k.names.mentions(cid):
			gone = append(gone, cid)
		default:
			here, err := k.weigh(cid)
			if err != nil {
				return err
			}
			if !here && !k.blobs.Refused(cid) {
				missing = append(missing, cid)
			}
		}
	}
	return errors.Join(k.want(missing, k.guests.note), k.forget(ctx, gone))
}

// forget deletes those of the blobs that are guests; no record names them any
// more. A file of the operator's that nothing offers is offered again: it is
// removed by the hand that put it there.
func (k *keeper) forget(ctx context.Context, cids []record.CID) error {
	if len(cids) == 0 {
		return nil
	}
	var leaving []record.CID
	for _, cid := range cids {
		guest, err := k.guests.has(cid)
		switch {
		case err != nil:
			return err
		case guest:
			leaving = append(leaving, cid)
		case k.blobs.Has(cid):
			k.all = true
		}
	}
	k.unwant(cids)
	if err := k.pins.unpin(cids...); err != nil {
		return err
	}
	free := func(cid record.CID) bool { return !k.names.mentions(cid) }
	mine := k.drops.claim(leaving, 0, free)
	defer k.drops.unclaim(mine)
	if len(mine) == 0 {
		return nil
	}
	if err := k.blobs.Release(ctx, mine...); err != nil {
		return err
	}
	for _, cid := range mine {
		k.ledger.forget(cid)
	}
	k.changed.tell()
	return k.guests.strike(mine...)
}

// look does what is due.
func (k *keeper) look(ctx context.Context) {
	away := k.blobs.Usage().Away
	k.all = k.all || k.away && !away
	if k.away = away; away {
		return
	}
	if err := k.wantMore(ctx); err != nil {
		k.failed(ctx, err)
	}
	// A record that is to be dated anew only looks as if it ended: renewed as well, it
	// would be there twice.
	if now, dated := k.clock.dated(); k.renew && dated {
		k.renew, k.crowded = false, false
		if err := k.renewOffers(ctx, now); err != nil {
			k.failed(ctx, err)
		}
	}
	// What was a stray at an earlier look and still is one: records that ran
	// out come back by themselves meanwhile, with all they said.
	if err := k.offerStrays(ctx); err != nil {
		k.failed(ctx, err)
	}
	if k.all {
		k.all = false
		if err := k.settle(ctx); err != nil {
			k.failed(ctx, err)
		}
	}
}
