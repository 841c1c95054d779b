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

	"boucan/chat"
	"boucan/control"
	"boucan/record"
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
		Profile: n.config.Profile.Name, Store: store.Engine, Data: n.config.Data,
		Files: count, Bytes: bytes, Peers: n.peers.connected(),
	}
	if hasAES() {
		id.Security = "tls"
	}
	port := strconv.Itoa(listenPort(n.host.Network()))
	for _, a := range interfaceAddrs() {
		id.Addrs = append(id.Addrs, net.JoinHostPort(a.String(), port))
	}
	if len(id.Addrs) == 0 {
		id.Addrs = []string{net.JoinHostPort("127.0.0.1", port)}
	}
	return id
}

// FilesDir is the folder that is shared.
func (n *Node) FilesDir() string { return filepath.Join(n.config.Data, filesDir) }

func (o operator) Identity() control.Identity { return o.n.Identity() }

func (o operator) Files(_ context.Context, query string) ([]control.File, error) {
	entries := o.n.library.names.search(query, o.n.boxName)
	landed := o.n.landed()
	out := make([]control.File, 0, len(entries))
	for _, e := range entries {
		out = append(out, o.file(e, landed))
	}
	return out, nil
}

func (o operator) file(e *entry, landed map[record.CID]int64) control.File {
	f := control.File{
		Name: e.name, CID: e.file.CID.String(), Size: e.file.Size, From: o.n.boxName(e.author), FromID: e.author.String(),
		Here: o.n.blobs.Has(e.file.CID), MediaType: e.file.MediaType, Description: e.file.Description,
		Created: timeOf(e.created), Expires: timeOf(e.expires),
	}
	if f.Landed = uint64(max(landed[e.file.CID], 0)); f.Here {
		f.Landed = f.Size
	}
	return f
}

func (o operator) Peers() []control.Peer {
	out := []control.Peer{}
	for _, m := range o.n.peers.list() {
		out = append(out, control.Peer{
			ID: m.key.String(), Name: o.n.boxName(m.key), Addrs: append([]string{}, m.addrs...),
			Connected: m.connected, LastSeen: m.lastSeen,
		})
	}
	return out
}

func (o operator) Add(ctx context.Context, name string, modified time.Time, r io.Reader) (control.Added, error) {
	if modified.IsZero() {
		modified = o.n.clock.Now()
	}
	d, err := o.n.library.drop(ctx, name, r, record.File{Modified: sharedAt(modified)})
	if err != nil {
		return control.Added{}, operatorError(err)
	}
	return control.Added{Name: d.Name, CID: d.CID.String(), Size: uint64(d.Size), Already: d.Already}, nil
}

// operatorError says what to do about the errors an operator can mend.
func operatorError(err error) error {
	switch {
	case errors.Is(err, share.ErrFull):
		return errors.New("there is no room left above the reserve: free some space, then try again")
	case errors.Is(err, share.ErrTooLarge):
		return errors.New("the file is larger than a box can share (256 GiB)")
	case errors.Is(err, share.ErrAway):
		return errors.New("the shared folder is not there: put the stick back")
	}
	return err
}

func (o operator) find(ref string) (*entry, error) {
	if cid, err := record.ParseCID(ref); err == nil {
		if e, ok := o.n.library.names.named(cid, ""); ok {
			return e, nil
		}
	} else if e, ok := o.n.library.names.find(ref); ok {
		return e, nil
	}
	return nil, fmt.Errorf("%w: nothing listed is called %q; \"boucan ls\" shows what there is", control.ErrNotFound, ref)
}

func (o operator) Lookup(ref string) (control.File, error) {
	e, err := o.find(ref)
	if err != nil {
		return control.File{}, err
	}
	return o.file(e, o.n.landed()), nil
}

func (o operator) Get(ctx context.Context, ref string) (control.File, io.ReadCloser, error) {
	e, err := o.find(ref)
	if err != nil {
		return control.File{}, nil, err
	}
	for {
		next := o.n.changed.wait()
		file, _, err := o.n.blobs.Open(e.file.CID)
		if err == nil {
			return o.file(e, nil), file, nil
		}
		if !errors.Is(err, share.ErrNotHere) && !errors.Is(err, share.ErrChanged) {
			return control.File{}, nil, operatorError(err)
		}
		if !o.n.library.names.mentions(e.file.CID) {
			return control.File{}, nil, fmt.Errorf("%w: %s was withdrawn while it was fetched", control.ErrNotFound, e.name)
		}
		select {
		case <-next:
		case <-ctx.Done():
			return control.File{}, nil, ctx.Err()
		}
	}
}

func (o operator) History(_ context.Context, room string, limit int) ([]control.Message, error) {
	list, err := o.n.hub.History(room, chat.Cursor{}, min(limit, chat.MaxHistory))
	if err != nil {
		return nil, err
	}
	out := make([]control.Message, 0, len(list))
	for _, m := range list {
		out = append(out, chatLine(m))
	}
	return out, nil
}

func (o operator) Say(ctx context.Context, room, nick, text string) (control.Message, error) {
	m, err := o.n.hub.Post(ctx, chat.Draft{Room: room, Nick: nick, Text: text})
	if err != nil {
		return control.Message{}, err
	}
	return chatLine(m), nil
}

func (o operator) Follow(ctx context.Context, room string, each func(control.Message) error) error {
	sub, err := o.n.hub.Subscribe(room)
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-sub.C:
			if !ok {
				return errors.New("this reader fell too far behind")
			}
			if e.Withdrawn {
				continue
			}
			if err := each(chatLine(e.Message)); err != nil {
				return err
			}
		}
	}
}

func chatLine(m chat.Message) control.Message {
	return control.Message{ID: m.ID.String(), Room: m.Room, Nick: m.Nick, Text: m.Text, Box: m.Box, At: m.At}
}

// timeOf turns a record's time into Go's.
func timeOf(ms int64) time.Time { return time.UnixMilli(ms) }
