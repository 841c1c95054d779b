package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/share"
	"boucan/store"
)

const (
	// fileLife is how long a file is offered unless somebody says otherwise.
	fileLife = 90 * 24 * time.Hour
	// reissueBefore is how long before its end the record of a file that still
	// lies in the folder is issued anew.
	reissueBefore = 30 * 24 * time.Hour
	// reissueEvery is how often that is looked at.
	reissueEvery = 6 * time.Hour
)

// library is the shared files as one thing: the records that offer them and the
// bytes that lie here. It keeps the two in step: a file that appears in the
// folder gets a record, a record that comes gets its bytes fetched, bytes that
// no living record names are deleted.
type library struct {
	key     signer
	clock   *clock
	records *replica.Set
	blobs   *share.Blobs
	names   *catalogue
	changed *broadcast
	publish func(ctx context.Context, recs ...*record.Record) error
	journal journal
	log     *slog.Logger

	mu    sync.Mutex // guards todo
	todo  []change
	ready chan struct{} // holds one token when todo is not empty
}

// change is one thing the record set told of, to be acted on by run.
type change struct {
	added, removed []fileRecord
}

type fileRecord struct {
	record *record.Record
	file   record.File
}

func newLibrary(n *Node) *library {
	return &library{
		key: n.key, clock: n.clock, records: n.records, names: newCatalogue(), changed: n.changed,
		publish: n.records.Publish, journal: journal{n.db.Table(store.Node)}, log: n.log, ready: make(chan struct{}, 1),
	}
}

// load fills the catalogue from the records held, asks for the bytes that are
// missing and finishes the deletions that a crash broke off. It is called once,
// before anything else runs.
func (l *library) load(ctx context.Context) error {
	if err := l.loadRecords(); err != nil {
		return err
	}
	left, err := l.journal.pending()
	if err != nil {
		return err
	}
	return l.delete(ctx, slices.DeleteFunc(left, l.names.mentions))
}

func (l *library) loadRecords() error {
	const page = 4096
	var cursor replica.Cursor
	for {
		recs, err := l.records.Newest(record.KindFile, cursor, page)
		if err != nil {
			return fmt.Errorf("list files: %w", err)
		}
		l.want(l.note(recs))
		if len(recs) < page {
			return nil
		}
		cursor = replica.CursorOf(recs[len(recs)-1])
	}
}

// note enters file records into the catalogue.
func (l *library) note(recs []*record.Record) []fileRecord {
	files := readFiles(recs)
	for _, f := range files {
		l.names.add(f.record, f.file)
	}
	return files
}

func readFiles(recs []*record.Record) []fileRecord {
	var files []fileRecord
	for _, r := range recs {
		if r.Kind != record.KindFile {
			continue
		}
		if f, err := r.File(); err == nil {
			files = append(files, fileRecord{r, f})
		}
	}
	return files
}

// take hears of changes of the record set. It enters them into the catalogue at
// once and leaves what touches the folder to run; what is to be deleted is noted
// on disk first, so that a crash does not leave it lying there.
func (l *library) take(added, removed []*record.Record) {
	c := change{added: l.note(added), removed: readFiles(removed)}
	if len(c.added) == 0 && len(c.removed) == 0 {
		return
	}
	var gone []record.CID
	for _, f := range c.removed {
		l.names.remove(f.record.ID())
	}
	for _, f := range c.removed {
		if !l.names.mentions(f.file.CID) && !l.ranOut(f) {
			gone = append(gone, f.file.CID)
		}
	}
	if err := l.journal.note(gone); err != nil {
		l.log.Warn("noting withdrawn files failed", "error", err)
	}
	l.mu.Lock()
	l.todo = append(l.todo, c)
	l.mu.Unlock()
	select {
	case l.ready <- struct{}{}:
	default:
	}
	l.changed.tell()
}

// run acts on changes until ctx ends.
func (l *library) run(ctx context.Context) error {
	tick := time.NewTicker(reissueEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := l.reissue(ctx); err != nil && ctx.Err() == nil {
				l.log.Warn("renewing shared files failed", "error", err)
			}
		case <-l.ready:
			l.mu.Lock()
			todo := l.todo
			l.todo = nil
			l.mu.Unlock()
			for _, c := range todo {
				l.want(c.added)
				l.release(ctx, c.removed)
			}
		}
	}
}

// want asks for the bytes of files that are not here.
func (l *library) want(files []fileRecord) {
	var wanted []share.Wanted
	for _, f := range files {
		if l.names.mentions(f.file.CID) {
			wanted = append(wanted, share.Wanted{
				CID: f.file.CID, Size: int64(f.file.Size), Name: f.file.Name, From: f.record.Author,
			})
		}
	}
	if len(wanted) > 0 {
		l.blobs.Want(wanted...)
	}
}

// release deletes the bytes that no living record names any more. What an
// operator shares here outlives a record that ran out while the box was off: it
// is offered anew.
func (l *library) release(ctx context.Context, files []fileRecord) {
	var gone []record.CID
	for _, f := range files {
		switch {
		case l.names.mentions(f.file.CID):
		case l.ranOut(f):
			if err := l.offer(ctx, f.file); err != nil && ctx.Err() == nil {
				l.log.Warn("renewing shared files failed", "error", err)
			}
		default:
			gone = append(gone, f.file.CID)
		}
	}
	if err := l.delete(ctx, gone); err != nil && ctx.Err() == nil {
		l.log.Warn("deleting withdrawn files failed", "error", err)
	}
}

// ranOut reports whether a removed record was this node's offer of a file that
// its operator shares, and went because its life was over.
func (l *library) ranOut(f fileRecord) bool {
	return f.record.Expires <= l.clock.Now().UnixMilli() && f.record.Author == l.key.Key() &&
		fromFolder(f.file) && l.blobs.Has(f.file.CID)
}

// delete removes bytes for good and strikes them off the journal.
func (l *library) delete(ctx context.Context, cids []record.CID) error {
	if len(cids) == 0 {
		return nil
	}
	l.blobs.Unwant(cids...)
	if err := l.blobs.Release(ctx, cids...); err != nil {
		return err
	}
	l.changed.tell()
	return l.journal.strike(cids)
}

// drop takes in one file and offers it. On return both the bytes and the record
// are durable. The errors are those of share.Blobs.Drop.
func (l *library) drop(ctx context.Context, name string, r io.Reader, note record.File) (share.Dropped, error) {
	d, err := l.blobs.Drop(ctx, name, r)
	if err != nil {
		return share.Dropped{}, err
	}
	if l.offeredHere(d.CID, d.Name) {
		return d, nil
	}
	note.Name, note.CID, note.Size = d.Name, d.CID, uint64(d.Size)
	if note.MediaType == "" {
		note.MediaType = mediaType(d.Name)
	}
	note.Description = record.CleanText(note.Description, record.MaxDescription)
	if err := l.offer(ctx, note); err != nil {
		if !d.Already {
			// Nothing was acknowledged, so nothing may stay that nobody can see.
			err = errors.Join(err, l.delete(context.WithoutCancel(ctx), []record.CID{d.CID}))
		}
		return share.Dropped{}, err
	}
	return d, nil
}

// offeredHere reports whether a living record of this node offers these bytes
// under this name.
func (l *library) offeredHere(cid record.CID, name string) bool {
	return slices.ContainsFunc(l.names.offersOf(cid), func(o offer) bool {
		return o.author == l.key.Key() && o.name == name
	})
}

// offer signs and publishes file records of this node.
func (l *library) offer(ctx context.Context, files ...record.File) error {
	now := l.clock.Now()
	recs := make([]*record.Record, 0, len(files))
	for _, f := range files {
		r, err := l.key.sign(record.Draft{Created: now, Life: fileLife, Body: f})
		if err != nil {
			return fmt.Errorf("offer file: %w", err)
		}
		recs = append(recs, r)
	}
	return l.publish(ctx, recs...)
}

// withdraw publishes takedowns for records of this node.
func (l *library) withdraw(ctx context.Context, offers []offer) error {
	now := l.clock.Now().UnixMilli()
	var recs []*record.Record
	for _, o := range offers {
		if o.expires <= now {
			continue // it ends by itself, this very moment
		}
		r, err := l.key.sign(record.Draft{
			Created: timeOf(max(now, o.created)), Expires: timeOf(o.expires), Body: record.Takedown{Target: o.id},
		})
		if err != nil {
			return fmt.Errorf("withdraw file: %w", err)
		}
		recs = append(recs, r)
	}
	if len(recs) == 0 {
		return nil
	}
	return l.publish(ctx, recs...)
}

// Appeared implements share.Catalog: files found in the folder are offered.
func (l *library) Appeared(ctx context.Context, files []share.File) error {
	var bodies []record.File
	for _, f := range files {
		name := f.Name()
		if l.offeredHere(f.CID, name) {
			continue
		}
		bodies = append(bodies, record.File{
			Name: name, CID: f.CID, Size: uint64(f.Size), MediaType: mediaType(name),
			Modified: sharedAt(f.Modified),
		})
	}
	if len(bodies) == 0 {
		return nil
	}
	return l.offer(ctx, bodies...)
}

// Vanished implements share.Catalog: files that somebody removed from the
// folder by hand are withdrawn where this node offered them, and are not
// fetched again where another did.
func (l *library) Vanished(ctx context.Context, files []share.File) error {
	var mine []offer
	var others []record.CID
	for _, f := range files {
		here := l.blobs.Has(f.CID)
		for _, o := range l.names.offersOf(f.CID) {
			switch {
			case o.author == l.key.Key() && (!here || o.name == f.Name()):
				mine = append(mine, o) // while a copy lies here, only the name that went is withdrawn
			case o.author != l.key.Key() && !here:
				others = append(others, f.CID)
			}
		}
	}
	if len(others) > 0 {
		if err := l.blobs.Refuse(others...); err != nil {
			return fmt.Errorf("remember removed files: %w", err)
		}
	}
	return l.withdraw(ctx, mine)
}

// Arrived implements share.Catalog.
func (l *library) Arrived(context.Context, []record.CID) error {
	l.changed.tell()
	return nil
}

// reissue renews this node's records of files that still lie here before they
// expire, and withdraws the old ones so that nothing is listed twice.
func (l *library) reissue(ctx context.Context) error {
	soon := l.clock.Now().Add(reissueBefore).UnixMilli()
	for _, e := range l.names.refreshed() {
		if e.expires > soon || !fromFolder(e.file) || !l.blobs.Has(e.file.CID) {
			continue
		}
		var old []offer
		for _, o := range l.names.offersOf(e.file.CID) {
			if o.author == l.key.Key() {
				old = append(old, o)
			}
		}
		if len(old) == 0 {
			continue
		}
		if err := l.offer(ctx, e.file); err != nil {
			return err
		}
		if err := l.withdraw(ctx, old); err != nil {
			return err
		}
	}
	return nil
}

// sharedAt is a modification time as the record of a file that an operator
// shares carries it. It is never 0, by which fromFolder knows a drop.
func sharedAt(t time.Time) uint64 {
	return uint64(min(max(t.UnixMilli(), 1), record.MaxTime))
}

// fromFolder reports whether an operator shares the file, from the folder or by
// the command line: such files say when they were modified, drops do not.
func fromFolder(f record.File) bool { return f.Modified != 0 }

// broadcast wakes whoever waits for the next change.
type broadcast struct {
	mu   sync.Mutex
	next chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{next: make(chan struct{})} }

// tell wakes every waiter.
func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.next)
	b.next = make(chan struct{})
}

// wait returns a channel that is closed at the next tell.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next
}
