package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"boucan/chat"
	"boucan/discovery"
	"boucan/record"
	"boucan/replica"
	"boucan/share"
	"boucan/webui"
)

// files, rooms and box show the node to its visitors: they implement
// webui.Files, webui.Rooms and webui.Box.
type (
	files struct{ n *Node }
	rooms struct{ n *Node }
	box   struct{ n *Node }
)

func (f files) List(_ context.Context, q webui.Query) (webui.Page, error) {
	all := f.n.library.names.search(q.Text, f.n.boxName)
	page := webui.Page{Total: len(all)}
	if q.Offset >= len(all) {
		return page, nil
	}
	landed := f.n.landed()
	for _, e := range all[q.Offset:min(len(all), q.Offset+q.Limit)] {
		page.Files = append(page.Files, f.n.webFile(e, landed))
	}
	return page, nil
}

// landed says how many bytes have come of each blob on its way here.
func (n *Node) landed() map[record.CID]int64 {
	m := make(map[record.CID]int64)
	for _, t := range n.blobs.Transfers() {
		m[t.CID] = t.Landed
	}
	return m
}

func (n *Node) webFile(e *entry, landed map[record.CID]int64) webui.File {
	file := webui.File{
		ID: e.id, CID: e.file.CID, Name: e.name, Size: int64(e.file.Size), MediaType: e.file.MediaType,
		Added: timeOf(e.created), From: n.boxRef(e.author), Here: n.blobs.Has(e.file.CID),
	}
	if !file.Here {
		file.Landed = landed[e.file.CID]
	}
	return file
}

func (n *Node) boxRef(key record.Key) webui.BoxRef {
	return webui.BoxRef{ID: key, Name: n.boxName(key), Self: key == n.key.Key()}
}

// boxName is what people call a box: this one's own name, else what its card
// says, else what it announced, else the end of its id.
func (n *Node) boxName(key record.Key) string {
	if key == n.key.Key() {
		return n.name
	}
	if card, ok := n.records.Card(key); ok {
		return card.Name
	}
	if name := n.peers.name(key); name != "" {
		return name
	}
	return "Box " + key.Short()
}

func (f files) Drop(ctx context.Context, name string, r io.Reader, o webui.DropOptions) (webui.Dropped, error) {
	usage := f.n.blobs.Usage()
	switch {
	case usage.Away:
		return webui.Dropped{}, webui.ErrAway
	case o.Size > record.MaxBlob:
		return webui.Dropped{}, webui.ErrTooLarge
	case o.Size > usage.Free-usage.Reserve:
		return webui.Dropped{}, webui.ErrFull
	}
	note := record.File{MediaType: mediaType(name)}
	if note.MediaType == "" {
		note.MediaType = record.CleanLine(o.MediaType, record.MaxMediaType)
	}
	d, err := f.n.library.drop(ctx, name, r, note)
	if err != nil {
		return webui.Dropped{}, webError(err)
	}
	e, ok := f.n.library.names.named(d.CID, d.Name)
	if !ok {
		return webui.Dropped{}, fmt.Errorf("drop is not listed")
	}
	return webui.Dropped{File: f.n.webFile(e, nil), Already: d.Already}, nil
}

func (f files) Open(_ context.Context, cid record.CID) (*os.File, webui.File, error) {
	e, ok := f.n.library.names.named(cid, "")
	if !ok {
		return nil, webui.File{}, webui.ErrUnknown
	}
	file, _, err := f.n.blobs.Open(cid)
	if err != nil {
		return nil, f.n.webFile(e, f.n.landed()), webError(err)
	}
	return file, f.n.webFile(e, nil), nil
}

// webError names the errors of share as webui knows them.
func webError(err error) error {
	for _, same := range []struct{ from, to error }{
		{share.ErrFull, webui.ErrFull}, {share.ErrTooLarge, webui.ErrTooLarge}, {share.ErrAway, webui.ErrAway},
		{share.ErrNotHere, webui.ErrNotHere}, {share.ErrChanged, webui.ErrNotHere},
	} {
		if errors.Is(err, same.from) {
			return fmt.Errorf("%w: %w", same.to, err)
		}
	}
	return err
}

func (r rooms) History(room string, before webui.Cursor, limit int) ([]webui.Message, error) {
	list, err := r.n.hub.History(room, chat.Cursor(before), limit)
	if err != nil {
		return nil, roomError(err)
	}
	out := make([]webui.Message, 0, len(list))
	for _, m := range list {
		out = append(out, webui.Message(m))
	}
	return out, nil
}

func (r rooms) Post(ctx context.Context, d webui.Draft) (webui.Message, error) {
	m, err := r.n.hub.Post(ctx, chat.Draft(d))
	return webui.Message(m), roomError(err)
}

func (r rooms) Follow(ctx context.Context, room string, heard func(webui.Message, bool)) error {
	sub, err := r.n.hub.Subscribe(room)
	if err != nil {
		return roomError(err)
	}
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-sub.C:
			if !ok {
				return nil
			}
			heard(webui.Message(e.Message), e.Withdrawn)
		}
	}
}

// roomError names the errors of chat as webui knows them.
func roomError(err error) error {
	if tf, ok := errors.AsType[*chat.TooFastError](err); ok {
		return &webui.TooFastError{Wait: tf.Wait}
	}
	for _, same := range []struct{ from, to error }{
		{chat.ErrRoom, webui.ErrRoom}, {chat.ErrEmpty, webui.ErrEmpty}, {chat.ErrTooLong, webui.ErrTooLong}, {chat.ErrBusy, webui.ErrBusy},
	} {
		if errors.Is(err, same.from) {
			return fmt.Errorf("%w: %w", same.to, err)
		}
	}
	return err
}

// chatLog keeps messages as records. It implements chat.Log.
type chatLog struct{ n *Node }

func (l chatLog) Messages(room string, before chat.Cursor, limit int) ([]*record.Record, error) {
	return l.n.records.Messages(room, replica.Cursor(before), limit)
}

func (l chatLog) Publish(ctx context.Context, m record.Message) (*record.Record, error) {
	r, err := l.n.key.sign(record.Draft{Created: l.n.clock.Now(), Life: record.KindMessage.MaxLife(), Body: m})
	if err != nil {
		return nil, err
	}
	return r, l.n.records.Publish(ctx, r)
}

func (b box) Self() webui.Self {
	self := webui.Self{ID: b.n.key.Key(), Name: b.n.name, Software: "boucan " + version}
	if urls := b.n.urls(); len(urls) > 0 {
		self.URL = urls[0]
	}
	return self
}

func (b box) Peers() []webui.Peer {
	var out []webui.Peer
	for _, m := range b.n.peers.list() {
		p := webui.Peer{ID: m.key, Name: b.n.boxName(m.key), Connected: m.connected, LastSeen: m.lastSeen}
		if card, ok := b.n.records.Card(m.key); ok {
			p.Files = int(min(card.Files, 1<<30))
		}
		out = append(out, p)
	}
	return out
}

func (b box) Usage() webui.Usage {
	u := b.n.blobs.Usage()
	return webui.Usage{Files: u.Files, Bytes: u.Bytes, Free: u.Free, Total: u.Total, Reserve: u.Reserve, Away: u.Away}
}

func (b box) Transfers() []webui.Transfer {
	var out []webui.Transfer
	for _, t := range b.n.blobs.Transfers() {
		out = append(out, webui.Transfer{CID: t.CID, Name: t.Name, Landed: t.Landed, Size: t.Size})
	}
	return out
}

// ownHost reports whether a Host header names this box: any IP address, which
// no page elsewhere can be served under, or one of the box's names.
func (n *Node) ownHost(name string) bool {
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	own := []string{"localhost", "boucan.lan", n.hostName()}
	if machine, err := os.Hostname(); err == nil {
		own = append(own, strings.ToLower(machine), strings.ToLower(machine)+".local")
	}
	return slices.Contains(own, strings.TrimSuffix(strings.ToLower(name), "."))
}

// hostName is what mDNS resolves to this box.
func (n *Node) hostName() string { return discovery.HostName(n.key.Key().String()) }

// httpPort is the TCP port of the page.
func (n *Node) httpPort() int { return n.web.Addr().(*net.TCPAddr).Port }

// announcedPort is the page's port for others to be told, 0 where the page is
// for this machine alone.
func (n *Node) announcedPort() int {
	if n.web.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return 0
	}
	return n.httpPort()
}

// urls lists where the page is found, the address that most visitors can use
// first.
func (n *Node) urls() []string {
	at := n.web.Addr().(*net.TCPAddr)
	url := func(host string) string {
		if at.Port == 80 {
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			return "http://" + host + "/"
		}
		return "http://" + net.JoinHostPort(host, strconv.Itoa(at.Port)) + "/"
	}
	if !at.IP.IsUnspecified() {
		return []string{url(at.IP.String())}
	}
	var urls []string
	for _, a := range interfaceAddrs() {
		if a.Zone() == "" { // browsers cannot follow an address with a zone
			urls = append(urls, url(a.String()))
		}
	}
	if len(urls) > 0 {
		urls = append(urls, url(n.hostName()))
	}
	return append(urls, url("localhost"))
}

// interfaceAddrs lists this machine's addresses on live interfaces without
// loopback: IPv4 first, link-local last.
func interfaceAddrs() []netip.Addr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			addr := p.Addr()
			if addr.Is6() && addr.IsLinkLocalUnicast() {
				addr = addr.WithZone(i.Name)
			}
			out = append(out, addr)
		}
	}
	rank := func(a netip.Addr) int {
		r := 0
		if a.IsLinkLocalUnicast() {
			r += 2
		}
		if a.Is6() {
			r++
		}
		return r
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	return out
}

// newInstance names this run of the process.
func newInstance() (string, error) {
	b := make([]byte, 8)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make instance id: %w", err)
	}
	return hex.EncodeToString(b), nil
}
