// Package membox is a box in memory, with its files in a folder: enough of one
// for the tests of webui and for looking at the pages without a node.
package membox

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"boucan/record"
	"boucan/webui"
)

// Box implements webui.Files, webui.Rooms and webui.Box.
type Box struct {
	dir string

	// Changed is called after every change of the list; it may be nil.
	Changed func(webui.Topic)

	mu        sync.Mutex
	self      webui.Self
	usage     webui.Usage
	peers     []webui.Peer
	beyond    []webui.Peer
	files     []webui.File // newest first
	messages  []webui.Message
	listeners map[int]*listener
	next      int
	uploads   map[webui.UploadID]*upload
	once      map[string]webui.Message
	fail      error // what the next calls fail with
	far       func(record.CID) (webui.Content, error)
	dags      func(record.CID) (webui.DAG, error)
	posted    int
	undos     map[record.UndoCode]record.ID
	actions   []webui.Action // newest first
	asks      bool           // for the time
	times     []time.Time    // that visitors said
}

type listener struct {
	room   string
	events chan event
}

type event struct {
	message   webui.Message
	withdrawn bool
}

// New makes an empty box over a folder.
func New(dir string) *Box {
	b := &Box{dir: dir, listeners: make(map[int]*listener), once: make(map[string]webui.Message), undos: make(map[record.UndoCode]record.ID), uploads: make(map[webui.UploadID]*upload)}
	b.self = webui.Self{ID: Key(1), Name: "Le Radeau", URL: "http://100.64.0.1/", Software: "boucan 0.2"}
	b.usage = webui.Usage{Room: 63 << 30, Total: 128 << 30}
	return b
}

// Key makes a key that is good for nothing but to tell boxes apart.
func Key(n byte) record.Key {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return record.Key(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
}

// Rename sets the box's name.
func (b *Box) Rename(name string) { b.with(func() { b.self.Name = name }) }

// SetCircle puts the box into a circle.
func (b *Box) SetCircle(in bool) { b.with(func() { b.self.Circle = in }) }

// SetUsage sets what is kept and what may be.
func (b *Box) SetUsage(u webui.Usage) { b.with(func() { b.usage = u }) }

// SetPeers sets the boxes near.
func (b *Box) SetPeers(p ...webui.Peer) {
	b.with(func() { b.peers = p })
	b.tell(webui.BoxChanged)
}

// Fail makes every later call fail; nil ends that.
func (b *Box) Fail(err error) { b.with(func() { b.fail = err }) }

// Posted is how many messages were accepted.
func (b *Box) Posted() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.posted
}

// Add lists a file as it is, without bytes where Here is false.
func (b *Box) Add(f webui.File) {
	b.with(func() { b.files = slices.Insert(b.files, 0, f) })
	b.tell(webui.FilesChanged)
}

// Update changes the file of an ID.
func (b *Box) Update(id record.ID, change func(*webui.File)) {
	b.with(func() {
		for i := range b.files {
			if b.files[i].ID == id {
				change(&b.files[i])
			}
		}
	})
	b.tell(webui.FilesChanged | webui.TransfersChanged)
}

// Files returns the list, newest first.
func (b *Box) Files() []webui.File {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.files)
}

func (b *Box) with(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *Box) tell(t webui.Topic) {
	if b.Changed != nil {
		b.Changed(t)
	}
}

// ID makes a record id of nothing but chance.
func ID() (id record.ID) {
	rand.Read(id[:])
	return id
}

// List implements webui.Files.
func (b *Box) List(_ context.Context, q webui.Query) (webui.Page, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return webui.Page{}, b.fail
	}
	words := strings.Fields(strings.ToLower(q.Text))
	var page webui.Page
	for _, f := range b.files {
		text := strings.ToLower(f.Name + " " + f.From.Name)
		if slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			continue
		}
		if page.Total >= q.Offset && len(page.Files) < q.Limit {
			page.Files = append(page.Files, f)
		}
		page.Total++
	}
	return page, nil
}

// Drop implements webui.Files. The CID is that of the whole file as one raw
// block, which is right up to 1 MiB and good enough for names above. It cleans
// nothing, and says of pictures that they told where they were made.
func (b *Box) Drop(ctx context.Context, name string, r io.Reader, o webui.DropOptions) (webui.Dropped, error) {
	b.mu.Lock()
	fail, usage := b.fail, b.usage
	b.mu.Unlock()
	switch {
	case fail != nil:
		return webui.Dropped{}, fail
	case usage.Trouble != nil:
		return webui.Dropped{}, usage.Trouble
	case o.Size > usage.Room:
		return webui.Dropped{}, webui.ErrFull
	}
	f, err := os.CreateTemp(b.dir, "part-*")
	if err != nil {
		return webui.Dropped{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, usage.Room+1))
	if err != nil {
		return webui.Dropped{}, fmt.Errorf("drop: %w", err)
	}
	if n > usage.Room {
		return webui.Dropped{}, fmt.Errorf("drop: %w", webui.ErrFull)
	}
	cid := record.NewCID(record.CodecRaw, [32]byte(h.Sum(nil)))
	cleaned := record.CleanedCannot
	switch {
	case o.KeepMetadata:
		cleaned = record.CleanedKept
	case strings.HasSuffix(name, ".jpg"):
		cleaned = record.CleanedDone
	}
	b.mu.Lock()
	for _, have := range b.files {
		if have.CID == cid && have.Here {
			b.mu.Unlock()
			return webui.Dropped{File: have, Already: true, Undo: b.undoable(have.ID, o.Secret), Cleaned: cleaned, Location: true}, nil
		}
	}
	b.mu.Unlock()
	if err := os.Rename(f.Name(), filepath.Join(b.dir, cid.String())); err != nil {
		return webui.Dropped{}, err
	}
	file := webui.File{
		ID: ID(), CID: cid, Name: name, Size: n, MediaType: o.MediaType, Description: o.Description, Here: true,
		Added: time.Now(), Expires: time.Now().Add(cmp.Or(o.Life, 90*24*time.Hour)),
		From: webui.BoxRef{ID: b.self.ID, Name: b.self.Name, Self: true},
	}
	b.Add(file)
	return webui.Dropped{File: file, Undo: b.undoable(file.ID, o.Secret), Cleaned: cleaned, Location: true}, nil
}

// undoable keeps the secret that takes a file back.
func (b *Box) undoable(id record.ID, chosen *[record.SecretSize]byte) string {
	secret := record.NewSecret()
	if chosen != nil {
		secret = *chosen
	}
	code := record.UndoCodeFor(id, secret)
	b.with(func() { b.undos[code] = id })
	return code.String()
}

// Undoable implements webui.Files.
func (b *Box) Undoable(_ context.Context, code record.UndoCode) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id, ok := b.undos[code]
	i := slices.IndexFunc(b.files, func(f webui.File) bool { return f.ID == id })
	if !ok || i < 0 {
		return "", webui.ErrNoUndo
	}
	return b.files[i].Name, nil
}

// Undo implements webui.Files.
func (b *Box) Undo(ctx context.Context, code record.UndoCode) (webui.Undone, error) {
	name, err := b.Undoable(ctx, code)
	if err != nil {
		return webui.Undone{}, err
	}
	var cid record.CID
	kept := false
	b.with(func() {
		id := b.undos[code]
		for _, f := range b.files {
			if f.ID == id {
				cid = f.CID
			}
		}
		b.files = slices.DeleteFunc(b.files, func(f webui.File) bool { return f.ID == id })
		kept = slices.ContainsFunc(b.files, func(f webui.File) bool { return f.CID == cid })
	})
	b.tell(webui.FilesChanged)
	return webui.Undone{Name: name, Kept: kept}, nil
}

// AskTime has the box ask visitors for the time.
func (b *Box) AskTime() { b.with(func() { b.asks = true }) }

// AsksTime implements webui.Box.
func (b *Box) AsksTime() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asks
}

// HearTime implements webui.Box.
func (b *Box) HearTime(visitor string, now time.Time) {
	b.with(func() { b.times = append(b.times, now) })
}

// Times is what visitors said of the time.
func (b *Box) Times() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.times)
}

// SetActions sets the operator's log.
func (b *Box) SetActions(a ...webui.Action) { b.with(func() { b.actions = a }) }

// Actions implements webui.Box.
func (b *Box) Actions() []webui.Action {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.actions)
}

// Put drops bytes, for tests that need a file.
func (b *Box) Put(name, mediaType string, data []byte) (webui.File, error) {
	d, err := b.Drop(context.Background(), name, bytes.NewReader(data), webui.DropOptions{Size: int64(len(data)), MediaType: mediaType})
	return d.File, err
}

// Open implements webui.Files.
func (b *Box) Open(_ context.Context, cid record.CID) (*os.File, webui.File, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return nil, webui.File{}, b.fail
	}
	i := slices.IndexFunc(b.files, func(f webui.File) bool { return f.CID == cid })
	if i < 0 {
		return nil, webui.File{}, webui.ErrUnknown
	}
	if !b.files[i].Here {
		return nil, b.files[i], fmt.Errorf("open: %w", webui.ErrNotHere)
	}
	f, err := os.Open(filepath.Join(b.dir, cid.String()))
	return f, b.files[i], err
}

// Far gives the bytes of files that are not here, as another box would; nil where
// none has them. It must be set before the box is used.
func (b *Box) Far(far func(cid record.CID) (webui.Content, error)) { b.with(func() { b.far = far }) }

// Fetch implements webui.Files.
func (b *Box) Fetch(_ context.Context, cid record.CID) (webui.Content, webui.File, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.files, func(f webui.File) bool { return f.CID == cid })
	switch {
	case i < 0:
		return nil, webui.File{}, webui.ErrUnknown
	case b.far == nil:
		return nil, b.files[i], fmt.Errorf("fetch: %w", webui.ErrNotHere)
	}
	c, err := b.far(cid)
	return c, b.files[i], err
}

// Chosen implements webui.Files.
func (b *Box) Chosen(_ context.Context, ids []record.ID) (out []webui.File, _ error) {
	for _, id := range ids {
		for _, f := range b.Files() {
			if f.ID == id {
				out = append(out, f)
			}
		}
	}
	return out, nil
}

// Folder implements webui.Files.
func (b *Box) Folder(_ context.Context, folder string, limit int) (page webui.Page, _ error) {
	for _, f := range b.Files() {
		if !strings.HasPrefix(f.Name, folder+"/") {
			continue
		}
		if page.Total++; len(page.Files) < limit {
			page.Files = append(page.Files, f)
		}
	}
	return page, nil
}

// Named implements webui.Files.
func (b *Box) Named(_ context.Context, cid record.CID, name string) (found webui.File, err error) {
	err = webui.ErrUnknown
	for _, f := range b.Files() {
		if f.CID == cid && (err != nil || f.Name == name) {
			found, err = f, nil
		}
	}
	return found, err
}

// DAGs gives the blocks of the IPFS door; nil where there are none. It must be set
// before the box is used.
func (b *Box) DAGs(dags func(cid record.CID) (webui.DAG, error)) { b.with(func() { b.dags = dags }) }

// DAG implements webui.Files.
func (b *Box) DAG(_ context.Context, cid record.CID) (webui.DAG, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dags == nil {
		return nil, webui.ErrUnknown
	}
	return b.dags(cid)
}

// Leftovers counts the unfinished files in the folder.
func (b *Box) Leftovers() (int, error) {
	parts, err := filepath.Glob(filepath.Join(b.dir, "part-*"))
	return len(parts), err
}

// History implements webui.Rooms.
func (b *Box) History(room string, before webui.Cursor, limit int) ([]webui.Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return nil, b.fail
	}
	if room == "" || strings.ToLower(room) != room || len(room) > record.MaxRoom {
		return nil, webui.ErrRoom
	}
	var out []webui.Message
	for _, m := range slices.Backward(b.messages) {
		earlier := before == webui.Cursor{} ||
			cmp.Or(cmp.Compare(m.At.UnixMilli(), before.Created), bytes.Compare(m.ID[:], before.ID[:])) < 0
		if m.Room == room && earlier && len(out) < limit {
			out = append(out, m)
		}
	}
	slices.Reverse(out)
	return out, nil
}

// RoomNames implements webui.Rooms.
func (b *Box) RoomNames() ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rooms := []string{"lobby"}
	for _, m := range b.messages {
		if !slices.Contains(rooms, m.Room) {
			rooms = append(rooms, m.Room)
		}
	}
	slices.Sort(rooms[1:])
	return rooms, b.fail
}

// Post implements webui.Rooms. The word "flood" is always too fast.
func (b *Box) Post(_ context.Context, d webui.Draft) (webui.Message, error) {
	text := record.CleanText(d.Text, len(d.Text))
	switch {
	case text == "":
		return webui.Message{}, webui.ErrEmpty
	case len(text) > record.MaxMessage:
		return webui.Message{}, webui.ErrTooLong
	case text == "flood":
		return webui.Message{}, &webui.TooFastError{Wait: 2500 * time.Millisecond}
	}
	if _, err := b.History(d.Room, webui.Cursor{}, 1); err != nil {
		return webui.Message{}, err
	}
	m := webui.Message{
		ID: ID(), Room: d.Room, Nick: record.CleanLine(d.Nick, record.MaxNick), Text: text, Reply: d.Reply, Mark: d.Mark,
		From: b.self.ID, Box: b.self.Name, At: time.Now(),
	}
	key := d.Visitor + d.Once + text
	b.mu.Lock()
	if again, ok := b.once[key]; ok && d.Once != "" {
		b.mu.Unlock()
		return again, nil
	}
	b.once[key] = m
	b.posted++
	b.mu.Unlock()
	b.Hear(m)
	return m, nil
}

// Hear adds a message as if it came from wherever it says.
func (b *Box) Hear(m webui.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, m)
	slices.SortStableFunc(b.messages, func(x, y webui.Message) int {
		return cmp.Or(cmp.Compare(x.At.UnixMilli(), y.At.UnixMilli()), bytes.Compare(x.ID[:], y.ID[:]))
	})
	b.spreadLocked(event{message: m})
}

// Withdraw takes a message away.
func (b *Box) Withdraw(m webui.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = slices.DeleteFunc(b.messages, func(o webui.Message) bool { return o.ID == m.ID })
	b.spreadLocked(event{message: m, withdrawn: true})
}

func (b *Box) spreadLocked(e event) {
	for _, l := range b.listeners {
		if l.room != e.message.Room {
			continue
		}
		select {
		case l.events <- e:
		default:
		}
	}
}

// Followers is how many follow a room.
func (b *Box) Followers(room string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, l := range b.listeners {
		if l.room == room {
			n++
		}
	}
	return n
}

// LoseFollowers ends every Follow as if they were too slow.
func (b *Box) LoseFollowers() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, l := range b.listeners {
		close(l.events)
		delete(b.listeners, i)
	}
}

// Follow implements webui.Rooms.
func (b *Box) Follow(ctx context.Context, room string, heard func(webui.Message, bool)) error {
	b.mu.Lock()
	b.next++
	mine, l := b.next, &listener{room: room, events: make(chan event, 4096)}
	b.listeners[mine] = l
	b.mu.Unlock()
	defer b.with(func() { delete(b.listeners, mine) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-l.events:
			if !ok {
				return nil
			}
			heard(e.message, e.withdrawn)
		}
	}
}

// Self implements webui.Box.
func (b *Box) Self() webui.Self {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.self
}

// Peers implements webui.Box.
func (b *Box) Peers() []webui.Peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.peers)
}

// SetBeyond sets the boxes known through others.
func (b *Box) SetBeyond(p ...webui.Peer) {
	b.with(func() { b.beyond = p })
	b.tell(webui.BoxChanged)
}

// Beyond implements webui.Box.
func (b *Box) Beyond() []webui.Peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.beyond)
}

// Usage implements webui.Box.
func (b *Box) Usage() webui.Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.usage
	u.Files = len(b.files)
	for _, f := range b.files {
		u.Bytes += f.Size
	}
	return u
}

// Transfers implements webui.Box.
func (b *Box) Transfers() []webui.Transfer {
	var out []webui.Transfer
	for _, f := range b.Files() {
		if !f.Here && f.Landed > 0 {
			out = append(out, webui.Transfer{CID: f.CID, Name: f.Name, Landed: f.Landed, Size: f.Size})
		}
	}
	return out
}

// CID makes the CID of bytes nobody has.
func CID(n uint64) record.CID {
	return record.NewCID(record.CodecRaw, sha256.Sum256(binary.BigEndian.AppendUint64(nil, n)))
}
