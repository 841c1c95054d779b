package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"boucan/control"
	"boucan/record"
	"boucan/replica"
	"boucan/share"
	"boucan/store"
)

// operator shows the node to its operator's command line. It implements
// control.Node.
type operator struct{ n *Node }

// Identity says who and where this node is.
func (n *Node) Identity() control.Identity {
	count, bytes := n.library.names.size()
	id := control.Identity{
		ID: n.key.Key().String(), Name: n.name, Version: version, URLs: n.urls(), Security: "noise",
		Profile: n.config.Profile.Name, Store: store.Engine, Data: n.config.Data, Folder: n.FilesDir(),
		Files: count, Bytes: bytes, Peers: n.peers.connected(),
	}
	usage := n.blobs.Usage()
	id.Here, id.Missing, id.Damaged, id.Away, id.Storage = usage.Files, usage.Missing, usage.Damaged, usage.Away, string(usage.Condition)
	if n.circle != nil {
		id.Circle = n.circle.Fingerprint()
	}
	if hasAES() {
		id.Security = "tls"
	}
	port := strconv.Itoa(listenPort(n.host.Network()))
	list, _ := n.addresses.get()
	for _, a := range list {
		id.Addrs = append(id.Addrs, net.JoinHostPort(a.String(), port))
	}
	if len(id.Addrs) == 0 {
		id.Addrs = []string{net.JoinHostPort("127.0.0.1", port)}
	}
	return id
}

// FilesDir is the folder that is shared.
func (n *Node) FilesDir() string { return filepath.Join(n.home, filesDir) }

func (o operator) Identity() control.Identity { return o.n.Identity() }

func (o operator) Confirm(ctx context.Context) error {
	return operatorError(o.n.blobs.Confirm(ctx))
}

func (o operator) Files(ctx context.Context, query string, each func(control.File) error) (err error) {
	landed := o.n.landed()
	o.n.library.names.search(query, o.n.boxName, func(r *row) bool {
		err = each(o.file(r, landed))
		return err == nil && ctx.Err() == nil
	})
	return errors.Join(err, ctx.Err())
}

func (o operator) file(r *row, landed map[record.CID]int64) control.File {
	f := control.File{
		Name: r.name, CID: r.cid.String(), Size: r.size, From: o.n.boxName(r.author), FromID: r.author.String(),
		Here: o.n.blobs.Has(r.cid), Pinned: o.n.library.pins.has(r.cid), MediaType: r.media, Created: timeOf(r.created), Expires: timeOf(r.expires),
	}
	if f.Landed = uint64(max(landed[r.cid], 0)); f.Here {
		f.Landed = f.Size
	} else if f.Damaged = o.n.blobs.Damaged(r.cid); !f.Damaged {
		f.Why = string(o.n.library.whyNot(r.cid))
	}
	f.Description = o.n.library.description(r)
	return f
}

func (o operator) Peers() []control.Peer {
	out := []control.Peer{}
	for _, m := range o.n.peers.list() {
		out = append(out, control.Peer{
			ID: m.key.String(), Name: o.n.boxName(m.key), Addrs: append([]string{}, m.addrs...),
			Connected: m.connected, Near: m.near, LastSeen: m.lastSeen,
		})
	}
	return out
}

func (o operator) Add(ctx context.Context, name string, modified time.Time, r io.Reader) (control.Added, error) {
	if modified.IsZero() {
		modified = o.n.clock.Now()
	}
	d, err := o.n.library.drop(ctx, name, r, record.File{Modified: sharedAt(modified)}, terms{})
	if err != nil {
		return control.Added{}, operatorError(err)
	}
	return control.Added{Name: d.Name, CID: d.CID.String(), Size: uint64(d.Size), Already: d.Already}, nil
}

// operatorError says what to do about the errors an operator can mend.
func operatorError(err error) error {
	for _, known := range []struct {
		is  error
		say string
	}{
		{share.ErrAway, "the shared folder is not there: put the stick back; \"boucan id\" tells more"},
		{share.ErrReadOnly, "the disk with the shared folder can only be read: have its file system checked, and mounted for writing"},
		{share.ErrFailing, "the disk with the shared folder is failing: copy what is on it while that is possible, and replace it"},
		{store.ErrFailed, "the disk with the data folder is failing: copy what is on it while that is possible, and replace it"},
		{share.ErrFull, "there is no room left: free some space or raise --quota, then try again"},
		{store.ErrFull, "there is no room left: free some space or raise --quota, then try again"},
		{share.ErrTooLarge, "the file is larger than a box can share (256 GiB), or than this disk can hold"},
		{replica.ErrFull, "this box lists as many files as it can"},
		{replica.ErrQuota, "this box offers as many files as one box may"},
		{replica.ErrBlocked, "this is blocked on this box: \"boucan blocks\" shows what is, \"boucan unblock\" ends it"},
		{replica.ErrTooManyBlocks, "10,000 blocks, or 256 patterns, are as many as a box keeps: take some away with \"boucan unblock\""},
		{replica.ErrPattern, "a pattern of names has at most 256 bytes, and something in it beside * and ?"},
	} {
		if errors.Is(err, known.is) {
			return errors.New(known.say)
		}
	}
	return err
}

func (o operator) find(ref string) (row, error) {
	if cid, err := record.ParseCID(ref); err == nil {
		if r, ok := o.n.library.names.first(cid); ok {
			return r, nil
		}
	} else if r, ok := o.n.library.names.find(ref); ok {
		return r, nil
	}
	return row{}, fmt.Errorf("%w: nothing listed is called %q; \"boucan ls\" shows what there is", control.ErrNotFound, ref)
}

func (o operator) Lookup(ref string) (control.File, error) {
	r, err := o.find(ref)
	if err != nil {
		return control.File{}, err
	}
	return o.file(&r, o.n.landed()), nil
}
