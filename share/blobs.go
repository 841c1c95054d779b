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
	"io"
	"iter"
	"log/slog"
	"os"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// The ways in which a blob is not to be had or not to be kept. Callers test
// them with errors.Is.
var (
	ErrFull     = errors.New("no room above the reserve")
	ErrTooLarge = errors.New("file is larger than the limit")
	ErrNotHere  = errors.New("blob is not here")
	ErrChanged  = errors.New("file was changed by hand")
	ErrAway     = dropdir.ErrAway
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
	Path     string // on disk, slash-separated, relative to the folder; may hold any bytes but NUL
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
}

// Wanted is a blob to be fetched.
type Wanted struct {
	CID  record.CID
	Size int64      // bytes, as the record says
	Name string     // as the record says
	From record.Key // who may have it: the record's author; zero where unknown
}

// Usage is how full the folder is.
type Usage struct {
	Files   int   // indexed and offered
	Bytes   int64 // of those files
	Missing int   // held back by the guard against mass disappearance, see Confirm
	Free    int64 // bytes the file system has left, the reserve included
	Total   int64 // bytes of the file system
	Reserve int64 // bytes never eaten
	Away    bool  // the folder is not there or is another one
}

// Options of Open. The zero value serves.
type Options struct {
	Logger  *slog.Logger     // nil discards
	Workers int              // goroutines that hash, 0 for one a processor
	Reserve int64            // bytes of free space that are never eaten
	Now     func() time.Time // nil for time.Now
}

// Blobs is the store of blobs. Its methods may be called from many goroutines.
type Blobs struct {
	dir     *dropdir.Dir
	index   Index
	streams Streams
	catalog Catalog
	o       Options
	log     *slog.Logger

	transfers *transfers
}

// Open makes the blobs of dir ready. Nothing is read or told of until Run.
func Open(dir *dropdir.Dir, index Index, streams Streams, catalog Catalog, o Options) (*Blobs, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Blobs{dir: dir, index: index, streams: streams, catalog: catalog, o: o, log: o.Logger}
	b.transfers = newTransfers(b)
	return b, nil
}

// Run follows the folder and fetches what is wanted until ctx ends.
func (b *Blobs) Run(ctx context.Context) error { return b.transfers.run(ctx) }

// Drop stores what r yields under name or one like it.
func (b *Blobs) Drop(ctx context.Context, name string, r io.Reader) (Dropped, error) {
	return Dropped{}, ErrAway
}

// Files yields every file indexed and offered, in the order of their paths.
func (b *Blobs) Files() (iter.Seq[File], func() error) {
	return func(func(File) bool) {}, func() error { return nil }
}

// Has reports whether the bytes are here.
func (b *Blobs) Has(cid record.CID) bool { return false }

// Path is where the bytes lie, relative to the folder.
func (b *Blobs) Path(cid record.CID) (string, bool) { return "", false }

// Open opens the bytes for reading.
func (b *Blobs) Open(cid record.CID) (*os.File, File, error) { return nil, File{}, ErrNotHere }

// Manifest returns the chunk hashes of a blob that is here or being fetched.
func (b *Blobs) Manifest(cid record.CID) (Manifest, bool, error) { return Manifest{}, false, nil }

// Release deletes the bytes.
func (b *Blobs) Release(ctx context.Context, cids ...record.CID) error { return nil }

// Refuse remembers blobs that are never to be fetched again.
func (b *Blobs) Refuse(cids ...record.CID) error { return nil }

// Refused reports whether Refuse was called for the blob.
func (b *Blobs) Refused(cid record.CID) bool { return false }

// Usage is how full the folder is.
func (b *Blobs) Usage() Usage { return Usage{} }
