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
	return errors.Join(k.sweepGuests(ctx), k.wantAll(ctx), k.findStrays(ctx))
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

// wantAll asks for every blob that is listed and not here.
func (k *keeper) wantAll(ctx context.Context) (err error) {
	var missing []record.CID
	flush := func() {
		err = k.want(missing)
		missing = missing[:0]
	}
	k.names.all(func(r *row) bool {
		if !k.lies(r.cid) && !k.blobs.Refused(r.cid) {
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
	return errors.Join(err, ctx.Err())
}

// findStrays looks for files that are the operator's and that this node does
// not offer: a crash came between the file and its record, or the record ran
// out while the box was off. A drop looks the same until it has its record, so
// they are not judged before every drop that is under way now has ended.
func (k *keeper) findStrays(ctx context.Context) error {
	var strays []share.File
	var bad error
	files, end := k.blobs.Files()
	for f := range files {
		stray, err := k.isStray(f)
		if err != nil || ctx.Err() != nil {
			bad = errors.Join(err, ctx.Err())
			break
		}
		if stray {
			strays = append(strays, f)
		}
		if len(strays) == maxStrays {
			k.all = true // the rest comes with another look
			break
		}
	}
	k.strays, k.straysAt = strays, k.drops.now()
	return errors.Join(bad, end())
}

// maxStrays is how many strays are remembered.
const maxStrays = 4096

func (k *keeper) isStray(f share.File) (bool, error) {
	mine, _ := k.names.own(f.CID)
	if operatorOffers(mine) || !k.mayOffer(bodyOf(f)) {
		return false, nil
	}
	guest, err := k.guests.has(f.CID)
	return !guest, err
}

// offerStrays offers what findStrays found, as if it had just appeared.
func (k *keeper) offerStrays(ctx context.Context) error {
	if len(k.strays) == 0 || k.crowded || !k.drops.over(k.straysAt) {
		return nil
	}
	var still []share.File
	for _, f := range k.strays {
		stray, err := k.isStray(f)
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
