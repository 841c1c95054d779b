package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"boucan/control"
	"boucan/record"
	"boucan/replica"
)

func (o operator) Drop(ctx context.Context, name string, r io.Reader) (control.Added, error) {
	d, err := o.n.library.drop(ctx, name, r, record.File{}, terms{})
	if err != nil {
		return control.Added{}, operatorError(err)
	}
	return control.Added{Name: d.Name, CID: d.CID.String(), Size: uint64(d.Size), Already: d.Already, Undo: d.undo}, nil
}

func (o operator) Remove(ctx context.Context, ref string) (control.Removed, error) {
	if id, err := record.ParseID(ref); err == nil {
		return o.removeMessage(ctx, id)
	}
	r, err := o.find(ref)
	if err != nil {
		return control.Removed{}, err
	}
	name := r.said
	if _, err := record.ParseCID(ref); err == nil {
		name = "" // whatever it is called
	}
	n := o.n
	said := control.Removed{What: "file", Name: r.name, CID: r.cid.String(), Freed: n.blobs.Has(r.cid)}
	gone, err := n.library.takeDown(ctx, r.cid, name)
	if errors.Is(err, errNothing) {
		return said, fmt.Errorf("%w: %q was withdrawn just now", control.ErrNotFound, ref)
	}
	if err != nil {
		return said, takedownError(err)
	}
	for _, g := range gone {
		switch {
		case g.author == n.key.Key():
			said.Own++
			said.Shared = said.Shared || g.operator
		default:
			said.Others++
			said.From = n.boxName(g.author)
		}
	}
	said.Kept = n.library.names.mentions(r.cid)
	said.Freed = said.Freed && !said.Kept
	did := "remove"
	if said.Others == 0 {
		did = "withdraw"
	}
	return said, n.did(did, "file", r.cid.String())
}

func (o operator) removeMessage(ctx context.Context, id record.ID) (control.Removed, error) {
	n := o.n
	r, ok, err := n.records.Get(id)
	if err != nil {
		return control.Removed{}, err
	}
	if !ok || r.Kind != record.KindMessage {
		return control.Removed{}, fmt.Errorf("%w: there is no such message; \"boucan chat --json\" shows their ids", control.ErrNotFound)
	}
	said := control.Removed{What: "message", Own: 1}
	did := "withdraw"
	if r.Author != n.key.Key() {
		said.Own, said.Others, said.From, did = 0, 1, n.boxName(r.Author), "remove"
	}
	if err := n.library.publish(ctx, n.library.takedownOf(id, r.Created, r.Expires, nil)); err != nil {
		return said, takedownError(err)
	}
	return said, n.did(did, "message", id.String())
}

// takedownError is operatorError for what takes away.
func takedownError(err error) error {
	if errors.Is(err, replica.ErrQuota) {
		return errors.New("this box has signed as many takedowns as one box may; \"boucan block\" hides more, on this box")
	}
	return operatorError(err)
}

func (o operator) Undo(ctx context.Context, text string) (control.Removed, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "/")
	code, err := record.ParseUndoCode(text[strings.LastIndexByte(text, '/')+1:])
	if err != nil {
		return control.Removed{}, errors.New("this is no undo code: it has 39 letters and digits, and is the last part of the link")
	}
	removed, err := o.n.undo(ctx, code)
	if errors.Is(err, errNothing) {
		return removed, errors.New("nothing here is what this undo code is for: it is gone already, or has not come to this box")
	}
	return removed, takedownError(err)
}

// undo takes back what a code is for.
func (n *Node) undo(ctx context.Context, code record.UndoCode) (control.Removed, error) {
	recs, err := n.library.undoable(code)
	if err != nil {
		return control.Removed{}, err
	}
	said := control.Removed{What: "message", Undone: true}
	for _, r := range recs {
		// Before the takedown, since the bytes may be gone a moment after it.
		if f, err := fileOf(r); err == nil {
			said.Freed = said.Freed || n.blobs.Has(f.CID)
		}
	}
	if err := n.library.undo(ctx, code, recs); err != nil {
		return control.Removed{}, err
	}
	for _, r := range recs {
		if r.Author == n.key.Key() {
			said.Own++
		} else {
			said.Others++
			said.From = n.boxName(r.Author)
		}
		if f, err := fileOf(r); err == nil {
			said.What, said.Name, said.CID = "file", f.Name, f.CID.String()
			said.Kept = n.library.names.mentions(f.CID)
			said.Freed = said.Freed && !said.Kept
		}
	}
	return said, nil
}

// did writes down what the operator did, for everybody to read.
func (n *Node) did(did, what, ref string) error {
	return n.actions.add(control.Action{Day: n.clock.Now().UTC().Format(actionDay), Did: did, What: what, Ref: ref})
}

func (o operator) Trust(ctx context.Context, text, name string) error {
	n := o.n
	key, err := boxKey(text)
	if err != nil {
		return err
	}
	if key == n.key.Key() {
		return errors.New("a box trusts itself always")
	}
	known := n.trust.holds(key)
	if err := n.trust.add(key, record.CleanLine(name, record.MaxNodeName)); err != nil {
		return operatorError(err)
	}
	if known {
		return nil // only the name is another
	}
	if err := n.records.Retrust(ctx); err != nil {
		return err
	}
	return n.did("trust", "box", key.String())
}

func (o operator) Untrust(ctx context.Context, text string) error {
	n := o.n
	key, err := boxKey(text)
	if err != nil {
		return err
	}
	known, err := n.trust.drop(key)
	if err != nil {
		return operatorError(err)
	}
	if !known {
		return errors.New("this key is not trusted; \"boucan trust\" lists those that are")
	}
	if err := n.records.Retrust(ctx); err != nil {
		return err
	}
	if err := n.library.distrusted(key); err != nil {
		return err
	}
	n.syncer.Nudge()
	return n.did("untrust", "box", key.String())
}

func boxKey(text string) (record.Key, error) {
	key, err := record.ParseKey(strings.TrimSpace(text))
	if err != nil {
		return key, errors.New("a box's key begins with 12D3KooW and has 52 characters; \"boucan peers\" and \"boucan id\" show them")
	}
	return key, nil
}

func (o operator) Trusted() []control.Trusted {
	list := []control.Trusted{}
	for k, name := range o.n.trust.all() {
		list = append(list, control.Trusted{ID: k.String(), Name: name, Box: o.n.boxName(k)})
	}
	slices.SortFunc(list, func(a, b control.Trusted) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// What control.Block.What begins with.
const (
	blockedAuthor = "author:"
	blockedName   = "name:"
)

// blocking is what a block is done and undone with.
type blocking struct {
	what, ref  string // as the log of actions says it
	set, unset func(context.Context) error
	is         bool // it is blocked now
}

func (o operator) blocking(text string) (blocking, error) {
	records := o.n.records
	now := records.Blocks()
	if pattern, ok := strings.CutPrefix(text, blockedName); ok {
		pattern = record.CleanLine(pattern, replica.MaxPattern+1)
		return blocking{
			"name", pattern,
			func(ctx context.Context) error { return records.BlockName(ctx, pattern) },
			func(ctx context.Context) error { return records.UnblockName(ctx, pattern) },
			slices.Contains(now.Names, pattern),
		}, nil
	}
	if author, ok := strings.CutPrefix(text, blockedAuthor); ok {
		key, err := boxKey(author)
		if err != nil {
			return blocking{}, err
		}
		if key == o.n.key.Key() {
			return blocking{}, errors.New("a box cannot block itself: \"boucan remove\" takes back what it shares")
		}
		return blocking{
			"box", key.String(),
			func(ctx context.Context) error { return records.BlockAuthor(ctx, key) },
			func(ctx context.Context) error { return records.UnblockAuthor(ctx, key) },
			slices.Contains(now.Authors, key),
		}, nil
	}
	cid, err := record.ParseCID(strings.TrimSpace(text))
	if err != nil {
		return blocking{}, errors.New("say what to block as a CID, as author:KEY or as name:PATTERN; \"boucan ls --json\" shows CIDs and keys")
	}
	return blocking{
		"file", cid.String(),
		func(ctx context.Context) error { return records.BlockCID(ctx, cid) },
		func(ctx context.Context) error { return records.UnblockCID(ctx, cid) },
		slices.Contains(now.CIDs, cid),
	}, nil
}

func (o operator) Block(ctx context.Context, what string) error {
	b, err := o.blocking(what)
	if err != nil {
		return err
	}
	if err := b.set(ctx); err != nil {
		return operatorError(err)
	}
	if b.is {
		return nil
	}
	return o.n.did("block", b.what, b.ref)
}

func (o operator) Unblock(ctx context.Context, what string) error {
	b, err := o.blocking(what)
	if err != nil {
		return err
	}
	if !b.is {
		return errors.New("this is not blocked; \"boucan blocks\" lists what is, as it has to be written")
	}
	if err := b.unset(ctx); err != nil {
		return operatorError(err)
	}
	o.n.library.lookAtAll()
	o.n.syncer.Nudge()
	return o.n.did("unblock", b.what, b.ref)
}

func (o operator) Blocks() []control.Block {
	list := []control.Block{}
	b := o.n.records.Blocks()
	for _, cid := range b.CIDs {
		list = append(list, control.Block{What: cid.String()})
	}
	for _, k := range b.Authors {
		list = append(list, control.Block{What: blockedAuthor + k.String(), Box: o.n.boxName(k)})
	}
	for _, p := range b.Names {
		list = append(list, control.Block{What: blockedName + p})
	}
	slices.SortFunc(list, func(a, b control.Block) int { return cmp.Compare(a.What, b.What) })
	return list
}

func (o operator) Actions() []control.Action { return o.n.actions.list() }
