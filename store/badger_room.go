//go:build !boltstore && !386 && !arm && !mips && !mipsle

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// room keeps Badger from ever finding the disk full. Badger writes through
// maps of sparse files, where a full disk is a fault in one of its own
// goroutines and the end of the process; and where making a file fails while
// it compacts, it drops the tables it was compacting all the same.
//
// So a write is refused while there is room only for what Badger may still do
// by itself, and that much is kept in a ballast file besides: given up, it lets
// the store open and close on a disk that others have filled.
type room struct {
	dir     string // of the tables
	path    string // of the ballast
	flush   int64  // bytes that logs and the tables made of them may take up
	compact int64  // bytes that the compactions of any one time may take up
	need    int64  // bytes Badger may take up without being asked
	ballast bool   // there is one, of at least need bytes
	cannot  bool   // the file system reserves no space
	log     string // path of the log that has no space reserved yet, or empty
}

// openRoom makes room for opening the tables in dir, or fails with ErrFull.
func openRoom(store, dir string, o badger.Options) (*room, error) {
	r := &room{
		dir: dir, path: filepath.Join(store, "ballast"),
		flush:   4 * o.MemTableSize,
		compact: stall*o.MemTableSize + o.BaseLevelSize + 12*o.BaseTableSize,
	}
	tables, left, err := tableBytes(dir, o)
	if err != nil {
		return nil, err
	}
	_, err = os.Lstat(r.path)
	r.ballast = err == nil
	r.measure(tables)
	if free, ok := freeBytes(dir); ok && free+left < r.need {
		r.drop()
	}
	if free, ok := freeBytes(dir); ok && free+left < r.need {
		return nil, fmt.Errorf("%w: %d bytes free, need %d to open", ErrFull, free, r.need)
	}
	return r, nil
}

// tableBytes adds up the sizes of the tables, and of what is left of tables
// that a crash cut off, which Badger removes before it makes others.
func tableBytes(dir string, o badger.Options) (tables, left int64, err error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("store: open manifest: %w", err)
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, 0, o)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: manifest: %w", ErrDamaged, err)
	}
	files, err := filesWith(dir, ".sst")
	if err != nil {
		return 0, 0, err
	}
	for _, file := range files {
		id, _ := table.ParseFileID(file.Name())
		if _, ok := manifest.Tables[id]; ok {
			tables += file.Size()
		} else {
			left += file.Size()
		}
	}
	return tables, left, nil
}

// measure works out what Badger may take up by itself: two memtables turned
// into tables while two more are logged, and compactions, which write what
// they read before they remove it: at most all tables, and no more at a time
// than a full level 0 with its base level and a table with the ten under it.
func (r *room) measure(tables int64) {
	r.need = r.flush + min(tables, r.compact)
	if r.ballast {
		r.reserve()
	}
}

// newLog reserves a log that Badger has just made, so that all that goes into
// it has its place. Where that fails, no write is let through until it works.
func (r *room) newLog(path string) {
	r.log = ""
	err := allocate(path, os.O_RDWR, r.flush/4*5/4)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrNotExist) {
		r.log = path
	}
}

// check reports ErrFull where a write would eat into what Badger needs. The
// need counts twice: once as ballast, once as free space, since somebody else
// may fill the disk while Badger still works on what it was given.
func (r *room) check() error {
	free, ok := freeBytes(r.dir)
	switch {
	case !ok:
		return nil
	case r.ballast && free < r.need:
		r.drop()
		return ErrFull
	case !r.ballast && free < 2*r.need:
		return ErrFull
	case !r.ballast && !r.cannot:
		r.reserve()
	}
	if r.log != "" {
		r.newLog(r.log)
	}
	if r.log != "" {
		return ErrFull
	}
	return nil
}

// reserve makes the ballast, or makes it as large as it must be.
func (r *room) reserve() {
	err := allocate(r.path, os.O_CREATE|os.O_RDWR, r.need)
	r.ballast = err == nil
	if err != nil {
		r.cannot = errors.Is(err, errors.ErrUnsupported)
		_ = os.Remove(r.path) // what is left of it only takes up room
	}
}

// release gives up the ballast where closing needs the room.
func (r *room) release() {
	if free, ok := freeBytes(r.dir); ok && free < r.need {
		r.drop()
	}
}

func (r *room) drop() {
	if err := os.Remove(r.path); err == nil {
		r.ballast = false
	}
}
