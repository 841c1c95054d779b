package node

import (
	"context"
	"errors"

	"boucan/record"
	"boucan/share"
)

// settle brings folder, guests and records in step, whatever happened before:
// guests without a record are deleted, bytes that are missing are asked for, and
// files that nothing offers and that are no guests are found.
func (k *keeper) settle(ctx context.Context) error {
	var nameless []record.CID
	for _, cid := range k.pins.list() {
		if !k.names.mentions(cid) {
			nameless = append(nameless, cid)
		}
	}
	return errors.Join(k.pins.unpin(nameless...), k.sweepGuests(ctx), k.lookThrough(ctx), k.wantAll(ctx))
}

func (k *keeper) sweepGuests(ctx context.Context) error {
	var last record.CID
	for ctx.Err() == nil {
		some, err := k.guests.after(last)
		if err != nil || len(some) == 0 {
			return err
		}
		last = some[len(some)-1]
		var gone, shared []record.CID
		for _, cid := range some {
			switch mine, _ := k.names.own(cid); {
			case !k.names.mentions(cid):
				gone = append(gone, cid)
			case operatorOffers(mine):
				shared = append(shared, cid) // a crash came before the note was taken back
			}
		}
		if err := errors.Join(k.forget(ctx, gone), k.guests.strike(shared...)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// lookThrough goes through all that lies here: it counts what is kept for others,
// and finds files that are the operator's and that this node does not offer. A
// crash came between the file and its record, or the record ran out while the box
// was off. A drop looks the same until it has its record, so such strays are not
// judged before every drop that is under way now has ended.
func (k *keeper) lookThrough(ctx context.Context) error {
	var strays []share.File
	var bad error
	gone := k.ledger.count()
	files, end := k.blobs.Files()
	for f := range files {
		kept, stray, err := k.kindOf(f)
		if err != nil || ctx.Err() != nil {
			bad = errors.Join(err, ctx.Err())
			break
		}
		if kept {
			k.enter(f)
		}
		if stray && len(strays) < maxStrays {
			strays = append(strays, f)
		} else if stray {
			k.all = true // the rest comes with another look
		}
	}
	k.strays, k.straysAt = strays, k.drops.now()
	if err := errors.Join(bad, end()); err != nil {
		return err
	}
	for _, cid := range gone() { // unless it came since
		if _, err := k.weigh(cid); err != nil {
			return err
		}
	}
	if !k.isCounted() {
		close(k.counted)
	}
	return nil
}

// maxStrays is how many strays are remembered.
const maxStrays = 4096

// kindOf reports whether a file is kept for others, or is the operator's and not
// offered.
func (k *keeper) kindOf(f share.File) (kept, stray bool, err error) {
	mine, _ := k.names.own(f.CID)
	if operatorOffers(mine) {
		return false, false, nil
	}
	guest, err := k.guests.has(f.CID)
	return guest, !guest && k.mayOffer(bodyOf(f)), err
}

// offerStrays offers what findStrays found, as if it had just appeared.
func (k *keeper) offerStrays(ctx context.Context) error {
	if len(k.strays) == 0 || k.crowded || !k.drops.over(k.straysAt) {
		return nil
	}
	var still []share.File
	for _, f := range k.strays {
		_, stray, err := k.kindOf(f)
		if err != nil {
			return err
		}
		if stray && k.blobs.Has(f.CID) {
			still = append(still, f)
		}
	}
	k.strays = nil
	return k.offerFiles(ctx, still)
}

// operatorOffers reports whether the operator shares a file by any of the
// records.
func operatorOffers(mine []claim) bool {
	for _, c := range mine {
		if c.operator {
			return true
		}
	}
	return false
}
