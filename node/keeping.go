package node

import (
	"context"
	"errors"
	"time"

	"boucan/control"
	"boucan/record"
)

// nextShown is how many of the copies are shown that would be let go of next.
const nextShown = 5

// Policy implements control.Node.
func (o operator) Policy() control.Policy {
	l := o.n.library
	u, s := o.n.blobs.Usage(), l.space()
	p := l.ledger.policy
	out := control.Policy{
		Mirror: p.Mirror.String(), Include: append([]string{}, p.Include...), Exclude: append([]string{}, p.Exclude...),
		Quota: p.Quota, Reserve: u.Reserve, Free: u.Free, Room: l.roomForDrop(), Full: l.ledger.limit(s),
	}
	var kept [classes]control.Kept
	kept, out.Coming = l.ledger.kept()
	out.Copies, out.Pinned, out.Drops = kept[classCopy], kept[classPinned], kept[classDrop]
	for _, c := range l.ledger.copies(moment{}) {
		if len(out.Next) == nextShown {
			break
		}
		if r, ok := l.names.first(c.cid); ok {
			out.Next = append(out.Next, control.Next{Name: r.name, CID: c.cid.String(), Size: c.size, Since: time.Unix(int64(c.since), 0)})
		}
	}
	out.Own = control.Kept{Files: u.Files, Bytes: u.Bytes}
	for _, k := range kept {
		out.Own.Files, out.Own.Bytes = max(0, out.Own.Files-k.Files), max(0, out.Own.Bytes-k.Bytes)
	}
	return out
}

// kept is how much of each class lies here, and what is promised.
func (g *ledger) kept() (kept [classes]control.Kept, coming int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range kept {
		kept[c] = control.Kept{Files: g.blobsOf[c], Bytes: g.here[c]}
	}
	return kept, g.coming + g.dropping
}

// Pin implements control.Node.
func (o operator) Pin(ctx context.Context, ref string) (control.File, error) {
	r, err := o.find(ref)
	if err != nil {
		return control.File{}, err
	}
	if err := o.n.library.pin(ctx, r.cid); err != nil {
		return control.File{}, operatorError(err)
	}
	return o.file(&r, o.n.landed()), nil
}

// Unpin implements control.Node.
func (o operator) Unpin(_ context.Context, ref string) (control.File, error) {
	r, err := o.find(ref)
	if err != nil {
		return control.File{}, err
	}
	if err := o.n.library.unpin(r.cid); err != nil {
		return control.File{}, operatorError(err)
	}
	return o.file(&r, o.n.landed()), nil
}

// errPinLarge says that a file cannot be pinned.
var errPinLarge = errors.New("there is no room for it: drops, pinned files and what else has to stay leave less than it takes; raise --quota or unpin another file")

// pin keeps a blob here, whatever the policy says, and has it fetched where it is
// not here. Copies make room for it. It is durable on return.
func (l *library) pin(ctx context.Context, cid record.CID) error {
	// As a drop of it: nobody begins to delete it from now on.
	n := l.drops.begin()
	defer l.drops.end(n)
	if err := l.drops.bind(ctx, n, cid); err != nil {
		return err
	}
	if l.blobs.Refused(cid) {
		return errRefusedHere
	}
	if err := l.whenCounted(ctx); err != nil {
		return err
	}
	size, _, _ := l.names.weight(cid)
	if _, entered := l.ledger.known(cid); !entered && !l.blobs.Has(cid) && !l.freeing(ctx, size, func(s space) bool { return l.ledger.lacking(size, s) <= 0 }) {
		return errPinLarge
	}
	if err := l.pins.pin(cid); err != nil {
		return err
	}
	l.touch([]record.CID{cid}, nil)
	return nil
}

// unpin takes that back.
func (l *library) unpin(cid record.CID) error {
	if err := l.pins.unpin(cid); err != nil {
		return err
	}
	l.touch([]record.CID{cid}, nil)
	return nil
}

// errRefusedHere says why a file cannot be pinned.
var errRefusedHere = errors.New("it was removed from this box's folder by hand and is not fetched again: put it back by hand, or get it from another box")

// whyNot is why a listed blob is not here, "" where it is or is on its way.
func (l *library) whyNot(cid record.CID) refusal {
	switch {
	case l.lies(cid):
		return ""
	case l.blobs.Refused(cid):
		return refusedByHand
	}
	if _, entered := l.ledger.known(cid); entered {
		if l.blobs.Hope(cid) {
			return ""
		}
		return refusedNobody
	}
	if l.class(cid) == classCopy {
		if why := l.wanted(cid); why != "" {
			return why
		}
	}
	size, by, _ := l.names.weight(cid)
	s := l.space()
	l.ledger.mu.Lock()
	defer l.ledger.mu.Unlock()
	return l.ledger.judge(size, by, s)
}
