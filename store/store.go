// Package store is an ordered key-value store on disk that survives a pulled
// plug: what Write has returned for is there after kill -9, a power cut or a
// full disk. It owns one folder, the lock on it, the engine in it and the
// version of what is stored.
//
// It knows nothing of records, files or peers. Keys and values are bytes; the
// order is that of bytes.Compare within one [Table].
//
// The engine is Badger on 64-bit processors and bbolt on 32-bit ones (see
// docs/decisions/0002-store.md and [Engine]); the build tag boltstore picks
// bbolt everywhere. One contract suite holds both to the same behaviour.
//
// A [DB] and its [Bucket]s may be used by any number of goroutines. Readers
// never wait for writers: they see the store as it was when they began.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
)

// Limits of one Write. Past any of them it fails with ErrTooBig and nothing is
// written.
const (
	MaxKey   = 1280     // bytes of one key, the table not counted
	MaxValue = 64 << 10 // bytes of one value
	MaxPairs = 4096     // pairs of one Write
	MaxWrite = 1 << 20  // bytes of all keys and values of one Write
	// MaxWriters is how many Writes are held in memory at once, at most
	// MaxWrite bytes each. More wait before they are read from their iterator.
	MaxWriters = 32
)

// What Options.CacheBytes is taken as where it is 0, and at least and, for the
// engine's own part, at most.
const (
	defaultCache = 16 << 20
	leastCache   = 8 << 20
	mostCache    = 64 << 20
)

// The ways in which the store refuses. Callers test them with errors.Is.
var (
	// ErrTooBig says that a Write broke one of the limits above.
	ErrTooBig = errors.New("store: write is larger than the limit")
	// ErrEmptyKey says that a Write held a key of no bytes.
	ErrEmptyKey = errors.New("store: empty key")
	// ErrFull says that the disk has no room for the write. Nothing was
	// written; reads go on, and so do writes as soon as there is room.
	ErrFull = errors.New("store: disk is full")
	// ErrFailed says that an earlier write failed in the disk itself. Reads go
	// on; no write is taken until the store is opened again, since the kernel
	// may have dropped what it could not write.
	ErrFailed = errors.New("store: a write has failed")
	// ErrDamaged says that what is on the disk cannot be read: the medium is
	// failing, was pulled out, or the files were changed.
	ErrDamaged = errors.New("store: damaged or unreadable")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("store: closed")
	// ErrLocked says that another process, or another DB of this one, holds
	// the folder.
	ErrLocked = errors.New("store: in use by another process")
	// ErrNewer says that a newer version of this program made the store.
	ErrNewer = errors.New("store: made by a newer version of the program")
	// ErrOtherEngine says that the folder holds a store of the engine that
	// this build does not have: it was made on a processor of another width.
	ErrOtherEngine = errors.New("store: made on another kind of processor")
)

// Table names a key space of its own within the store.
type Table byte

// The tables. Their numbers are part of the format on disk.
const (
	// Records holds the signed records and what finds them.
	Records Table = 1
	// Blobs holds what is known of the files on disk: manifests, paths, partial transfers.
	Blobs Table = 2
	// Node holds what this node alone keeps: its clock, its peers, its settings.
	Node Table = 3

	// meta holds the schema version and the engine's own notes.
	meta Table = 0
	last       = Node
)

// Options of Open.
type Options struct {
	// CacheBytes is about how much memory the store may use for itself and,
	// besides, how much of its files it leaves mapped in memory, in bytes: 0
	// means 16 MiB, less than 8 MiB is taken as 8 MiB. The part for itself
	// grows no further than 64 MiB. bbolt keeps next to nothing for itself.
	CacheBytes int64
	// Logger is told what Badger says, at debug level, and of damage and of
	// trouble in its background work as a warning; nil means nobody.
	Logger *slog.Logger
}

// mapped is how much of the store's files may stay mapped.
func (o Options) mapped() int64 {
	if o.CacheBytes == 0 {
		return defaultCache
	}
	return max(o.CacheBytes, leastCache)
}

// DB is an open store.
type DB struct {
	engine  engine
	log     *slog.Logger
	lock    *os.File
	writers chan struct{} // a slot for each Write in memory
	commits *commits

	mu       sync.Mutex     // guards the fields below
	running  sync.WaitGroup // operations that Close waits for; added to under mu
	closed   bool
	done     chan struct{} // closed when Close is through
	closeErr error
	damage   error // set once; the engine is not called again
}

// Open opens the store in dir, making dir and the store as needed, and brings
// a store of an older schema up to date. It fails with ErrLocked, ErrNewer,
// ErrOtherEngine or ErrDamaged, with ErrFull where the disk has not even the
// room to start, or with what the engine or the system says. It may take
// seconds after a crash.
func Open(dir string, o Options) (*DB, error) {
	return open(dir, o, migrations())
}

func open(dir string, o Options, steps []migration) (_ *DB, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: make folder: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := checkOther(dir); err != nil {
		return nil, err
	}
	db := &DB{log: o.Logger, lock: lock, writers: make(chan struct{}, MaxWriters), done: make(chan struct{})}
	err = db.guard("open", func() (err error) {
		db.engine, err = openEngine(dir, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	db.commits = newCommits(db)
	if err := db.migrate(steps); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// checkOther reports ErrOtherEngine where only the other engine's files are in
// dir: a store that looked empty would be taken for one.
func checkOther(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, engineFile)); err == nil {
		return nil
	}
	_, err := os.Lstat(filepath.Join(dir, otherFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: look into folder: %w", err)
	}
	return ErrOtherEngine
}

// Table returns the bucket of one of the tables named above; any other is a
// mistake in the program and panics.
func (db *DB) Table(name Table) *Bucket {
	if name == meta || name > last {
		panic(fmt.Sprintf("store: no table %d", name))
	}
	return &Bucket{db: db, table: name}
}

// Close waits for the operations that run, scans included, and closes the
// store. Operations that begin later fail with ErrClosed. Every call waits and
// returns the same error. It must not be called from within a scan.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		<-db.done
		return db.closeErr
	}
	db.closed = true
	db.mu.Unlock()
	db.running.Wait()
	db.closeErr = db.shut()
	close(db.done)
	return db.closeErr
}

// shut leaves a damaged engine alone: it may hold locks of its own for ever.
func (db *DB) shut() error {
	err := db.damaged()
	if err == nil {
		err = db.guard("close", db.engine.close)
	}
	return errors.Join(err, db.lock.Close())
}

// begin counts an operation that Close must wait for. Who got nil calls end.
func (db *DB) begin() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return ErrClosed
	}
	if db.damage != nil {
		return db.damage
	}
	db.running.Add(1)
	return nil
}

func (db *DB) end() { db.running.Done() }

func (db *DB) damaged() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.damage
}

// guard runs a call into the engine. Both engines read files through memory
// maps, so a medium that fails or is pulled out shows as a fault, and bbolt
// panics on a page that makes no sense: both become ErrDamaged, for this call
// and all later ones, where they would otherwise end the process.
func (db *DB) guard(what string, call func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s: %v", ErrDamaged, what, p)
			db.mu.Lock()
			db.damage = err
			db.mu.Unlock()
		}
	}()
	return call()
}
