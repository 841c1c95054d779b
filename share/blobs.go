// Package share owns the blobs: the bytes of files, named by their CID. It
// identifies them, stores them as plain files through share/dropdir, keeps the
// index of what lies where, follows what people do to the folder by hand, and
// moves blobs between boxes, every chunk verified.
//
// It knows no record, no page and no network: peers are streams that somebody
// hands in, and what appears in the folder is told to a Catalog.
package share

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// The ways in which a blob is not to be had or not to be kept. Callers test
// them with errors.Is.
var (
	ErrFull     = dropdir.ErrFull
	ErrTooLarge = dropdir.ErrTooLarge
	ErrAway     = dropdir.ErrAway
	ErrReadOnly = dropdir.ErrReadOnly
	ErrFailing  = dropdir.ErrFailing
	ErrNotHere  = errors.New("blob is not here")
	ErrChanged  = dropdir.ErrChanged
)

// Index is the ordered key-value table that Blobs keeps its knowledge in.
// All methods may be called from many goroutines.
type Index interface {
	// Get returns the caller's own copy of a value.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan yields from <= key < to in ascending order, to the end of the table
	// where to is nil. The slices are valid until the next step. The loop must
	// not call Write. The function returned reports what ended the loop early.
	Scan(from, to []byte) (iter.Seq2[[]byte, []byte], func() error)
	// ScanBack is Scan in descending order.
	ScanBack(from, to []byte) (iter.Seq2[[]byte, []byte], func() error)
	// Write sets the pairs, a nil value deletes; atomic, and durable on return.
	Write(pairs iter.Seq2[[]byte, []byte]) error
}

// Catalog is told what the folder holds. Its methods are called from Run's
// goroutine only, never two at a time; what fails is tried again until ctx
// ends. The slices are the callee's to keep.
type Catalog interface {
	// Appeared tells of files put there by hand: whole, hashed, indexed and
	// durable; at most 1000 a call. A file may be told of again after a crash.
	Appeared(ctx context.Context, files []File) error
	// Vanished tells of files removed or replaced by hand. For an edited file
	// Appeared with the new content comes first.
	Vanished(ctx context.Context, files []File) error
	// Arrived tells of blobs pulled from a peer: whole, verified and durable.
	Arrived(ctx context.Context, cids []record.CID) error
}

// Streams opens streams to peers. Its methods may be called from many
// goroutines.
type Streams interface {
	// Peers lists the peers connected now.
	Peers() []record.Key
	// Open opens a /boucan/blob/1 stream. It may block until ctx ends.
	Open(ctx context.Context, peer record.Key) (Stream, error)
}

// Stream is one bidirectional stream. Close ends both directions.
type Stream interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
}

// File is one file of the folder.
type File struct {
	// Path is where it lies on disk, slash-separated, relative to the folder.
	// It may hold any bytes but NUL; see Name.
	Path     string
	CID      record.CID
	Size     int64 // bytes
	Modified time.Time
}

// Name is the path as a record may carry it: record.CheckName accepts it.
func (f File) Name() string { return record.CleanName(f.Path) }

// Dropped is what became of a drop.
type Dropped struct {
	File           // the file that holds the bytes
	Name    string // for the record: valid by record.CheckName and, unless Already, unique here
	Already bool   // the bytes were here before; nothing was stored
	Again   bool   // it was finished before, and is only told of again; of uploads only
	Cleaning
}

// Cleaning is what became of what identified in a file before its bytes were named.
type Cleaning struct {
	Cleaned  record.Cleaned
	Location bool // a position was among what was removed, as far as can be told
}

// Wanted is a blob to be fetched.
type Wanted struct {
	CID  record.CID
	Size int64      // bytes, as the record says
	Name string     // as the record says
	From record.Key // who may have it: the record's author; zero where unknown
}

// findRefused finds out whether Refuse was ever called for anything.
func (b *Blobs) findRefused() error {
	seq, end := b.index.Scan([]byte{keyRefused}, []byte{keyRefused + 1})
	for range seq {
		b.refuses.Store(true)
		break
	}
	if err := end(); err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	return nil
}

// Usage is how full the folder is.
type Usage struct {
	Files   int   // indexed and offered
	Bytes   int64 // of those files
	Missing int   // held back by the guard against mass disappearance, see Confirm
	Damaged int   // held back because they do not read as they were stored, see Damages
	Free    int64 // bytes the file system has left, the reserve included
	Total   int64 // bytes of the file system
	Uploads int64 // bytes that unfinished uploads have taken of the file system
	Landing int64 // bytes that blobs on their way here have taken of the file system
	Reserve int64 // bytes never eaten
	Away    bool  // the folder is not there or is another one

	// Condition is how the folder and its disk stand, also while it is away.
	Condition Condition
}

// Condition is how the folder, and the disk that it lies on, stand.
type Condition = dropdir.Condition

// Options of Open. The zero value serves.
type Options struct {
	Logger  *slog.Logger     // nil discards
	Workers int              // goroutines that hash, 0 for one a processor
	Chunks  int              // buffers of ChunkSize bytes for what is fetched, at least 6; 0 for 12
	Reserve int64            // bytes of free space that are never eaten
	Now     func() time.Time // nil for time.Now
	Scrub   int64            // bytes a second that a scrub reads at most; 0 where only StartScrub begins one
	// Seek is asked to connect with peers that may have a blob that no connected
	// one has: the author of its record and, where somebody waits to read it,
	// others. It reports whether there is anybody to hope for, and is called again
	// while nobody has come with it. It must be quick and not call Blobs; nil where
	// all that can be reached is connected.
	Seek func(author record.Key, waited bool) bool
	// Changed is called when Usage's Condition has. It must be quick and not call
	// Blobs; nil for nobody.
	Changed func()
	// Admit is asked before a blob of several chunks begins to land, with its
	// true size in bytes. What it fails with ends the attempt; wrapping ErrFull
	// it says that there is no room. It must not block and may be called from
	// many goroutines. nil admits all.
	Admit func(cid record.CID, size int64) error
}

// Blobs is the store of blobs. Its methods may be called from many goroutines.
type Blobs struct {
	dir     *dropdir.Dir
	index   Index
	streams Streams
	catalog Catalog
	o       Options
	log     *slog.Logger

	hashers   hashers
	committer committer
	writing   atomic.Int64 // bytes that are about to be written
	promised  atomic.Int64 // bytes that landings will still write
	landing   atomic.Int64 // bytes of the blobs that are landing
	hints     hints
	suspects  suspects
	confirmed atomic.Bool   // Confirm was called, and no look has been since
	placed    atomic.Uint64 // counts the files that were placed, so that a look need not ask for each
	used      atomic.Int64  // Unix nanoseconds: when somebody last had bytes read or written
	refuses   atomic.Bool   // some blobs are never to be fetched
	scrub     *scrub
	mends     mends
	uploads   uploads
	landings  landings
	blocks    blocks
	arrivals  chan record.CID

	transfers *transfers
}

// maxArrivals is how many arrivals wait to be told of before landings wait.
const maxArrivals = 4096

// Open makes the blobs of dir ready, where no folder was known or that one is
// at hand; else all is away until the folder comes back or Confirm is called.
// Nothing in the folder is read or told of until Run.
func Open(dir *dropdir.Dir, index Index, streams Streams, catalog Catalog, o Options) (*Blobs, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Seek == nil {
		o.Seek = func(record.Key, bool) bool { return false }
	}
	b := &Blobs{dir: dir, index: index, streams: streams, catalog: catalog, o: o, log: o.Logger}
	b.hashers = newHashers(o.Workers)
	b.committer.turn.L = &b.committer.mu
	b.hints.init()
	b.landings.init()
	b.blocks.init()
	b.mends.open = make(map[string]bool)
	b.arrivals = make(chan record.CID, maxArrivals)
	if v, ok, err := b.get(settingTally); err != nil {
		return nil, err
	} else if ok {
		if b.committer.tally, err = decodeTally(v); err != nil {
			return nil, fmt.Errorf("read index: %w", err)
		}
	}
	var err error
	if b.committer.tally.damaged, err = b.countDamage(); err != nil {
		return nil, err
	}
	if err := b.findRefused(); err != nil {
		return nil, err
	}
	if err := b.claim(); err != nil {
		return nil, err
	}
	if err := b.openUploads(); err != nil {
		return nil, err
	}
	if b.scrub, err = newScrub(b); err != nil {
		return nil, err
	}
	b.transfers = newTransfers(b)
	return b, nil
}

func (b *Blobs) claim() error {
	known, _, err := b.get(settingMark)
	if err != nil {
		return err
	}
	mark, err := b.dir.Claim(string(known))
	if errors.Is(err, ErrAway) && len(known) > 0 {
		return nil // the follower says so
	}
	if err != nil {
		return fmt.Errorf("claim the shared folder: %w", err)
	}
	if mark == string(known) {
		return nil
	}
	return writePairs(b.index, []pair{{settingMark, []byte(mark)}})
}

// Confirm is the operator's word that what lies in the folder now is right:
// files held back by the guard against mass disappearance are told of as
// vanished, and another folder in the known one's place becomes ours.
func (b *Blobs) Confirm(context.Context) error {
	mark, err := b.dir.Adopt()
	if err != nil {
		return fmt.Errorf("confirm the shared folder: %w", err)
	}
	if err := writePairs(b.index, []pair{{settingMark, []byte(mark)}}); err != nil {
		return err
	}
	b.confirmed.Store(true)
	b.hints.add("")
	return nil
}

// Files yields every file indexed and offered, in the order of their paths.
// The caller may call any method meanwhile.
func (b *Blobs) Files() (iter.Seq[File], func() error) {
	pages, end := pagesOf(b.index, string(keyPath))
	var bad error
	seq := func(yield func(File) bool) {
		for p := range pages {
			k, err := decodeKnown(p.value)
			if err != nil {
				bad = fmt.Errorf("read index: %w", err)
				return
			}
			if !k.held && !yield(k.file(p.key[1:])) {
				return
			}
		}
	}
	return seq, func() error { return errors.Join(bad, end()) }
}

// Has reports whether the bytes are here, as far as the index knows.
func (b *Blobs) Has(cid record.CID) bool {
	if !b.dir.Present() {
		return false
	}
	_, ok, err := b.get(cidKey(keyCID, cid))
	return err == nil && ok
}

// Path is where the bytes lie, relative to the folder; one of the places where
// there are several.
func (b *Blobs) Path(cid record.CID) (string, bool) {
	if !b.dir.Present() {
		return "", false
	}
	v, ok, err := b.get(cidKey(keyCID, cid))
	return string(v), err == nil && ok
}

// Lookup is the file that holds the bytes, as the index knows it; one of them
// where there are several.
func (b *Blobs) Lookup(cid record.CID) (File, bool) {
	if !b.dir.Present() {
		return File{}, false
	}
	path, k, ok, err := b.find(cid)
	if err != nil || !ok {
		return File{}, false
	}
	return k.file(path), true
}

// Open opens the bytes for reading. It fails with ErrNotHere where they are
// not, with ErrChanged where the file was written or replaced by hand since it
// was indexed; then it will be looked at again soon. The file is a plain
// *os.File, so that the system can send it by itself.
func (b *Blobs) Open(cid record.CID) (*os.File, File, error) {
	b.use()
	return b.open(cid)
}

// open is Open for what the box does by itself.
func (b *Blobs) open(cid record.CID) (*os.File, File, error) { return b.openBy(nil, cid) }

// openBy is open by way of an opener, which may be nil.
func (b *Blobs) openBy(o *dropdir.Opener, cid record.CID) (*os.File, File, error) {
	if !b.dir.Present() {
		return nil, File{}, fmt.Errorf("%w: %w", ErrNotHere, ErrAway)
	}
	path, k, ok, err := b.find(cid)
	if err != nil {
		return nil, File{}, err
	}
	if !ok {
		return nil, File{}, ErrNotHere
	}
	var f *os.File
	var e dropdir.Entry
	if o != nil {
		f, e, err = o.Open(k.entry(path))
	}
	if o == nil || errors.Is(err, fs.ErrNotExist) {
		f, e, err = b.dir.Open(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		b.hints.add(path)
		return nil, File{}, ErrNotHere
	}
	if err != nil {
		return nil, File{}, fmt.Errorf("open blob: %w", err)
	}
	if !k.same(e) {
		b.hints.add(path)
		return nil, File{}, errors.Join(ErrChanged, f.Close())
	}
	return f, k.file(path), nil
}

// Refuse remembers blobs that are never to be fetched again. It is durable on
// return.
func (b *Blobs) Refuse(cids ...record.CID) error {
	if len(cids) > 0 {
		b.refuses.Store(true)
	}
	for some := range slices.Chunk(cids, groupPairs) {
		pairs := make([]pair, len(some))
		for i, cid := range some {
			pairs[i] = pair{cidKey(keyRefused, cid), []byte{1}}
		}
		if err := writePairs(b.index, pairs); err != nil {
			return err
		}
	}
	return nil
}

// Refused reports whether Refuse was called for the blob.
func (b *Blobs) Refused(cid record.CID) bool {
	if !b.refuses.Load() {
		return false
	}
	_, ok, err := b.get(cidKey(keyRefused, cid))
	return err == nil && ok
}

// Usage is how full the folder is.
func (b *Blobs) Usage() Usage {
	t := b.readTally()
	u := Usage{Files: int(t.files), Bytes: t.bytes, Missing: int(t.held - t.damaged), Damaged: int(t.damaged), Reserve: b.o.Reserve, Away: !b.dir.Present(), Condition: b.dir.Condition()}
	u.Uploads = b.uploadBytes()
	u.Landing = max(0, b.landing.Load()-b.promised.Load())
	if space, err := b.dir.Space(); err == nil {
		u.Free, u.Total = space.Free, space.Total
	}
	return u
}
