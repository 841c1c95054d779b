package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"boucan/chat"
	"boucan/record"
	"boucan/replica"
	"boucan/share"
	"boucan/store"
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
	rows, total := f.n.library.names.searchPage(q.Text, f.n.boxName, q.Offset, q.Limit)
	page := webui.Page{Total: total, Files: make([]webui.File, 0, len(rows))}
	landed := f.n.landed()
	for i := range rows {
		page.Files = append(page.Files, f.n.webFile(&rows[i], landed))
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

func (n *Node) webFile(r *row, landed map[record.CID]int64) webui.File {
	file := webui.File{
		ID: r.id, CID: r.cid, Name: r.name, Size: int64(r.size), MediaType: r.media,
		Added: timeOf(r.created), Expires: timeOf(r.expires), Description: n.library.description(r), From: n.boxRef(r.author, r.created), Here: n.blobs.Has(r.cid),
	}
	if !file.Here {
		file.Landed = landed[r.cid]
		file.Damaged = n.blobs.Damaged(r.cid)
	}
	return file
}

// boxRef names the author of a record made at the time created, Unix
// milliseconds, and says when it was last heard of.
func (n *Node) boxRef(key record.Key, created int64) webui.BoxRef {
	ref := webui.BoxRef{ID: key, Name: n.boxName(key), Self: key == n.key.Key()}
	ref.Near, ref.Seen = n.lastSeen(key, created)
	return ref
}

// lastSeen reports whether a box is in reach, and when it was last heard of: when
// it was here, when it made its newest card, or a record at the time created, Unix
// milliseconds. The last two are known after a restart too. Nothing is written
// down for it.
func (n *Node) lastSeen(key record.Key, created int64) (near bool, at time.Time) {
	now := n.clock.Now()
	at = timeOf(created)
	if spoke, ok := n.records.Spoke(key); ok && spoke.After(at) {
		at = spoke
	}
	near, ago, ok := n.peers.seen(key)
	if here := now.Add(-ago); ok && here.After(at) {
		at = here
	}
	if near || key == n.key.Key() || at.After(now) {
		at = now
	}
	return near, at.Truncate(time.Minute)
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
	if err := f.refuses(name, o); err != nil {
		return webui.Dropped{}, err
	}
	note, terms := wishes(name, o)
	d, err := f.n.library.drop(ctx, name, r, note, terms)
	return f.dropped(d, o, err)
}

// refuses says why a drop cannot be, before its bytes have come.
func (f files) refuses(name string, o webui.DropOptions) error {
	trouble := f.n.trouble()
	switch {
	case trouble != nil:
		return trouble
	case o.Size > record.MaxBlob:
		return webui.ErrTooLarge
	case f.n.records.Blocked(record.File{Name: record.CleanName(name)}):
		return webui.ErrBlocked
	case !f.n.library.fits(o.Size):
		return webui.ErrFull
	}
	return nil
}

// wishes is what a visitor wants of a drop.
func wishes(name string, o webui.DropOptions) (record.File, terms) {
	note := record.File{MediaType: mediaType(name), Description: record.CleanText(o.Description, record.MaxDescription)}
	if note.MediaType == "" {
		note.MediaType = record.CleanLine(o.MediaType, record.MaxMediaType)
	}
	if o.KeepMetadata {
		note.Cleaned = record.CleanedKept
	}
	return note, terms{secret: o.Secret, life: o.Life}
}

func (f files) dropped(d dropped, o webui.DropOptions, err error) (webui.Dropped, error) {
	if err != nil {
		return webui.Dropped{}, webError(err)
	}
	listed, ok := f.n.library.names.offered(d.CID, d.Name)
	if !ok {
		return webui.Dropped{}, errWithdrawn
	}
	cleaned := d.Cleaned
	if o.KeepMetadata {
		cleaned = record.CleanedKept
	}
	return webui.Dropped{
		File: f.n.webFile(&listed, nil), Already: d.Already, Undo: d.undo, Cleaned: cleaned, Location: d.Location,
	}, nil
}

func (f files) Undoable(_ context.Context, code record.UndoCode) (string, error) {
	recs, err := f.n.records.Undoable(code.Record[:], code.Secret[:])
	if err != nil {
		return "", err
	}
	if len(recs) == 0 {
		return "", webui.ErrNoUndo
	}
	if file, err := fileOf(recs[0]); err == nil {
		return file.Name, nil
	}
	return "", nil
}

func (f files) Undo(ctx context.Context, code record.UndoCode) (webui.Undone, error) {
	// Whoever asked for it may have gone when it is half done.
	done, err := f.n.undo(context.WithoutCancel(ctx), code)
	if errors.Is(err, errNothing) {
		return webui.Undone{}, webui.ErrNoUndo
	}
	if err != nil {
		return webui.Undone{}, webError(err)
	}
	return webui.Undone{Name: done.Name, Kept: done.Kept}, nil
}

func (f files) Fetch(ctx context.Context, cid record.CID) (webui.Content, webui.File, error) {
	r, ok := f.n.library.names.first(cid)
	if !ok {
		return nil, webui.File{}, webui.ErrUnknown
	}
	content, err := f.n.library.fetch(ctx, cid)
	listed := f.n.webFile(&r, f.n.landed())
	if err != nil {
		listed.From = f.n.likeliest(cid, listed.From)
		return nil, listed, webError(err)
	}
	listed.Size = content.File().Size // which the record may have got wrong
	if content.Here() != nil {        // it came at once, and the system can send it by itself
		if file, _, err := f.n.blobs.Open(cid); err == nil {
			content.Close()
			return file, listed, nil
		}
	}
	return content, listed, nil
}

// likeliest is the box most lately heard of among those that offer a blob, which
// this one does not have.
func (n *Node) likeliest(cid record.CID, best webui.BoxRef) webui.BoxRef {
	n.library.names.offerers(cid, func(key record.Key, created int64) {
		if ref := n.boxRef(key, created); !ref.Self && (best.Self || ref.Seen.After(best.Seen)) {
			best = ref
		}
	})
	return best
}

func (f files) Open(_ context.Context, cid record.CID) (*os.File, webui.File, error) {
	r, ok := f.n.library.names.first(cid)
	if !ok {
		return nil, webui.File{}, webui.ErrUnknown
	}
	file, here, err := f.n.blobs.Open(cid)
	if err != nil {
		return nil, f.n.webFile(&r, f.n.landed()), webError(err)
	}
	opened := f.n.webFile(&r, nil)
	opened.Size = here.Size // which the record may have got wrong
	return file, opened, nil
}

func (f files) DAG(ctx context.Context, cid record.CID) (webui.DAG, error) {
	dag, err := f.n.blobs.DAG(ctx, cid, func(blob record.CID) bool {
		_, listed := f.n.library.names.first(blob)
		return listed
	})
	if err != nil {
		return nil, webError(err)
	}
	return dag, nil
}

// webError names the errors of share as webui knows them.
func webError(err error) error {
	for _, same := range []struct{ from, to error }{
		{share.ErrFull, webui.ErrFull}, {share.ErrTooLarge, webui.ErrTooLarge}, {share.ErrAway, webui.ErrAway},
		{share.ErrReadOnly, webui.ErrReadOnly}, {share.ErrFailing, webui.ErrFailing}, {store.ErrFailed, webui.ErrFailing}, {store.ErrDamaged, webui.ErrFailing},
		{share.ErrNoUpload, webui.ErrNoUpload}, {share.ErrOffset, webui.ErrOffset}, {share.ErrUploads, webui.ErrBusy},
		{share.ErrNotHere, webui.ErrNotHere}, {share.ErrChanged, webui.ErrNotHere}, {share.ErrSlow, webui.ErrNotHere},
		{share.ErrBusy, webui.ErrBusy}, {share.ErrRefused, webui.ErrRemoved}, {replica.ErrBlocked, webui.ErrBlocked}, {share.ErrLied, webui.ErrLied},
		{store.ErrFull, webui.ErrFull}, {replica.ErrFull, webui.ErrFull}, {replica.ErrQuota, webui.ErrFull},
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

func (r rooms) RoomNames() ([]string, error) { return r.n.hub.Rooms() }

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

func (l chatLog) Rooms() ([]string, error) { return l.n.records.Rooms() }

func (l chatLog) Publish(ctx context.Context, m record.Message) (*record.Record, error) {
	r, err := l.n.key.sign(record.Draft{Created: l.n.clock.Now(), Life: record.KindMessage.MaxLife(), Body: m})
	if err != nil {
		return nil, err
	}
	return r, l.n.records.Publish(ctx, r)
}

func (b box) Self() webui.Self {
	self := webui.Self{ID: b.n.key.Key(), Name: b.n.name, Software: "boucan " + version, Circle: b.n.circle != nil}
	if urls := b.n.urls(); len(urls) > 0 {
		self.URL = urls[0]
	}
	return self
}

func (b box) Peers() []webui.Peer {
	var out []webui.Peer
	for _, m := range b.n.peers.list() {
		p := webui.Peer{ID: m.key, Name: b.n.boxName(m.key), Connected: m.near, LastSeen: m.lastSeen}
		if card, ok := b.n.records.Card(m.key); ok {
			p.Files, p.Bytes = int(min(card.Files, 1<<30)), int64(min(card.Bytes, 1<<60))
		}
		if m.near {
			p.Hops = 1
		}
		out = append(out, p)
	}
	return out
}

func (b box) AsksTime() bool { return b.n.clock.asks() }

func (b box) HearTime(visitor string, now time.Time) { b.n.clock.visited(visitor, now) }

func (b box) Actions() []webui.Action {
	all := b.n.actions.list()
	out := make([]webui.Action, 0, len(all))
	for _, a := range all {
		out = append(out, webui.Action(a))
	}
	return out
}

func (b box) Usage() webui.Usage {
	u := b.n.blobs.Usage()
	s := b.n.library.space()
	return webui.Usage{
		Files: u.Files, Bytes: u.Bytes, Total: u.Total, Trouble: b.n.trouble(),
		Room: b.n.library.roomForDrop(), Stopped: b.n.library.ledger.limit(s) == limitDisk,
	}
}

func (b box) Transfers() []webui.Transfer {
	var out []webui.Transfer
	for _, t := range b.n.blobs.Transfers() {
		out = append(out, webui.Transfer{CID: t.CID, Name: t.Name, Landed: t.Landed, Size: t.Size})
	}
	return out
}
