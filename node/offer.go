package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"boucan/record"
	"boucan/replica"
	"boucan/share"
)

// errWithdrawn says that the bytes of a drop were deleted while it came in: they
// had been here already, and just then their last record went.
var errWithdrawn = errors.New("the same file was being removed at the same moment; drop it again")

// terms are what whoever drops something wants beside what the record says of it.
type terms struct {
	secret *[record.SecretSize]byte // the undo secret of a visitor's drop, nil to have one made
	life   time.Duration            // how long it is offered, at most fileLife; 0 for that
}

// drop takes in one file and offers it. On return both the bytes and the record
// are durable. note is what the record says beside name and bytes; by fromFolder
// it tells an operator's file from a visitor's, which is cleaned of what identifies
// unless note says that it is to be kept. The errors are those of
// share.Blobs.Drop and replica.Set.Publish, and errWithdrawn.
func (l *library) drop(ctx context.Context, name string, r io.Reader, note record.File, t terms) (dropped, error) {
	if l.records.Blocked(record.File{Name: record.CleanName(name)}) {
		return dropped{}, replica.ErrBlocked // before its bytes have come
	}
	// What an operator shares stays as it is, as what lies in the folder does.
	clean := !fromFolder(note) && note.Cleaned == record.CleanedUnknown
	n := l.drops.begin()
	defer l.drops.end(n)
	if !fromFolder(note) {
		if err := l.whenCounted(ctx); err != nil {
			return dropped{}, err
		}
		p := l.promise(ctx, r)
		defer p.end()
		r = p
	}
	take := l.blobs.Drop
	if clean {
		take = l.blobs.DropClean
	}
	d, err := take(ctx, name, r)
	if err != nil {
		return dropped{}, err
	}
	if clean {
		note.Cleaned = d.Cleaned
	}
	return l.land(ctx, n, d, note, t)
}

// land offers what drop number n brought.
func (l *library) land(ctx context.Context, n uint64, d share.Dropped, note record.File, t terms) (dropped, error) {
	// What is left takes moments. That whoever dropped it has gone meanwhile
	// is no reason to keep half of it.
	ctx = context.WithoutCancel(ctx)
	if err := l.drops.bind(ctx, n, d.CID); err != nil {
		return dropped{}, err
	}
	if !l.blobs.Has(d.CID) {
		return dropped{}, errWithdrawn
	}
	note.Name, note.CID, note.Size = d.Name, d.CID, uint64(d.Size)
	if note.MediaType == "" {
		note.MediaType = mediaType(d.Name)
	}
	undo, err := l.list(ctx, d, note, t)
	if err != nil {
		return dropped{}, errors.Join(err, l.dropBack(ctx, n, d))
	}
	if !fromFolder(note) && !l.operators(d.CID) {
		l.ledger.settle(d.CID, d.Size, l.key.Key(), classDrop, d.Modified)
	}
	return dropped{d, undo}, nil
}

// list offers a drop. undo is the code that takes it back, of a visitor's only.
func (l *library) list(ctx context.Context, d share.Dropped, note record.File, t terms) (undo string, err error) {
	if !fromFolder(note) {
		return l.listDrop(ctx, d, note, t)
	}
	if l.records.Blocked(note) {
		return "", replica.ErrBlocked
	}
	// The operator's word now counts for more than a moderator's before.
	if err := l.withheld.strike(d.CID); err != nil {
		return "", err
	}
	if err := l.offerOnce(ctx, l.fresh(note)); err != nil {
		return "", err
	}
	return "", l.guests.strike(d.CID)
}

// dropBack undoes drop number n that could not be listed: nothing was
// acknowledged, so nothing may stay that nobody can see.
func (l *library) dropBack(ctx context.Context, n uint64, d share.Dropped) error {
	if d.Already {
		return nil
	}
	mine := l.drops.claim([]record.CID{d.CID}, n, func(cid record.CID) bool { return !l.names.mentions(cid) })
	defer l.drops.unclaim(mine)
	defer l.touch(mine, nil) // somebody may have offered them meanwhile
	return l.blobs.Release(ctx, mine...)
}

// offerFiles offers files of the folder, which lie there, as the operator's.
func (l *library) offerFiles(ctx context.Context, files []share.File) error {
	drafts := make([]record.Draft, 0, len(files))
	cids := make([]record.CID, 0, len(files))
	for _, f := range files {
		drafts = append(drafts, l.fresh(bodyOf(f)))
		cids = append(cids, f.CID)
	}
	err := l.oneByOne(ctx, func() error {
		defer l.lieHere(cids)()
		return l.offerNew(ctx, drafts)
	})
	if err != nil {
		return err
	}
	return l.guests.strike(cids...)
}

// offerOnce publishes those of the drafts by which the operator offers what is
// not offered so already, under the same name, and may be.
func (l *library) offerOnce(ctx context.Context, drafts ...record.Draft) error {
	return l.oneByOne(ctx, func() error { return l.offerNew(ctx, drafts) })
}

// offerNew is offerOnce for who holds the token of offering.
func (l *library) offerNew(ctx context.Context, drafts []record.Draft) error {
	type offering struct {
		cid  record.CID
		name string
	}
	seen := make(map[offering]bool)
	drafts = slices.DeleteFunc(drafts, func(d record.Draft) bool {
		f := d.Body.(record.File)
		o := offering{f.CID, f.Name}
		mine, _ := l.names.own(f.CID)
		was := seen[o] || operatorOffersAs(mine, f.Name) || !l.mayOffer(f)
		seen[o] = true
		return was
	})
	return l.publish(ctx, drafts...)
}

func operatorOffersAs(mine []claim, name string) bool {
	return slices.ContainsFunc(mine, func(c claim) bool { return c.operator && c.name == name })
}

// oneByOne keeps two from finding at the same time that a file is not offered.
func (l *library) oneByOne(ctx context.Context, do func() error) error {
	select {
	case l.offering <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.offering }()
	return do()
}

// fresh is the draft of a record that begins to offer a file now.
func (l *library) fresh(f record.File) record.Draft {
	return record.Draft{Created: l.clock.Now(), Life: fileLife, Body: f}
}

// publish signs and publishes some at a time, and signs the next while those
// before are written. The first error ends it.
func (l *library) publish(ctx context.Context, drafts ...record.Draft) error {
	signed := make(chan []*record.Record)
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		defer close(signed)
		for some := range slices.Chunk(drafts, publishAtOnce) {
			recs, err := l.key.signAll(some)
			if err != nil {
				return fmt.Errorf("offer file: %w", err)
			}
			select {
			case signed <- recs:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	both.Go(func() error {
		for recs := range signed {
			if err := l.records.Publish(ctx, recs...); err != nil {
				return err
			}
		}
		return nil
	})
	return both.Wait()
}

// renewOffers issues the records anew by which the operator shares files that
// still lie here, before they end.
func (k *keeper) renewOffers(ctx context.Context, now time.Time) error {
	var drafts []record.Draft
	for _, c := range k.names.ending(now.Add(renewBefore).UnixMilli()) {
		r, ok, err := k.records.Get(c.id)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if f, err := r.File(); err == nil && k.lies(f.CID) {
			drafts = append(drafts, k.renewed(c.created, f))
		}
	}
	return k.publish(ctx, drafts...)
}

// lies reports whether a file of these bytes lies in the folder, whole or damaged.
func (l *library) lies(cid record.CID) bool { return l.blobs.Has(cid) || l.blobs.Damaged(cid) }

// renewed is the draft of a record that goes on offering a file. It keeps the
// date, and with it the file's place in the list and its right to its name, as
// long as the limit on a record's life allows.
func (l *library) renewed(created int64, f record.File) record.Draft {
	now := l.clock.Now()
	end := now.Add(fileLife)
	if since := timeOf(created); end.Sub(since) <= record.KindFile.MaxLife() && since.Before(now) {
		now = since
	}
	return record.Draft{Created: now, Expires: end, Body: f}
}

// offerAgain goes on offering files whose records have run out although the
// operator's file still lies here: the box was off, or the folder away, for long.
func (k *keeper) offerAgain(ctx context.Context, ended []endedOffer) error {
	var drafts []record.Draft
	for _, o := range ended {
		if k.lies(o.file.CID) {
			drafts = append(drafts, k.renewed(o.created, o.file))
		}
	}
	return k.offerOnce(ctx, drafts...)
}

// withdraw publishes takedowns for records.
func (l *library) withdraw(ctx context.Context, claims []claim) error {
	past := l.clock.Settled().UnixMilli()
	var drafts []record.Draft
	for _, c := range claims {
		if c.expires > past { // else it ends by itself, this very moment
			drafts = append(drafts, l.takedownOf(c.id, c.created, c.expires, nil))
		}
	}
	return l.publish(ctx, drafts...)
}

// timeOf turns a record's time into Go's.
func timeOf(ms int64) time.Time { return time.UnixMilli(ms) }
