//go:build !boltstore && !386 && !arm && !mips && !mipsle

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// openFiles bounds what Badger's other files take up when it opens or closes,
// in bytes.
const openFiles = 256 << 10

// room keeps Badger from ever finding the disk full. Badger writes through
// maps of sparse files, where a full disk is a fault in one of its own
// goroutines and the end of the process; and where making a file fails while
// it compacts, it drops the tables it was compacting all the same.
//
// So a write is refused while there is room only for what Badger may still
// have to do by itself, which is to turn full memtables into tables; and that
// much is kept in a ballast file besides. Given up, it lets the store open and
// close on a disk that others have filled.
type room struct {
	dir     string // of the tables
	path    string // of the ballast
	logSize int64  // bytes that go into one log, at most
	need    int64  // bytes Badger may take up without being asked
	ballast bool   // there is one, of need bytes
	cannot  bool   // the file system reserves no space
	log     string // path of the log that has no space reserved yet, or empty
}

// openRoom makes room for opening the tables in dir, or fails with ErrFull.
func openRoom(store, dir string, memtable int64) (*room, error) {
	r := &room{
		dir: dir, path: filepath.Join(store, "ballast"),
		logSize: memtable * 5 / 4,
		need:    6 * memtable, // the active memtable, one waiting, one being flushed, and their indexes
	}
	logs, err := filesWith(dir, ".mem")
	if err != nil {
		return nil, err
	}
	_, err = os.Lstat(r.path)
	r.ballast = err == nil
	if r.ballast {
		r.reserve() // it may have been made for a smaller budget
	}
	need := openFiles + int64(len(logs))*r.tableSize()
	if r.lack(need) {
		r.drop()
	}
	if r.lack(need) {
		return nil, fmt.Errorf("%w: less than %d bytes free to open with", ErrFull, need)
	}
	return r, nil
}

// tableSize is how large the table of one log's changes is, in bytes, at most.
func (r *room) tableSize() int64 { return r.logSize * 5 / 4 }

// lack is true where less than size bytes are free.
func (r *room) lack(size int64) bool {
	free, ok := freeBytes(r.dir)
	return ok && free < size
}

// check reports ErrFull where a write would eat into what Badger needs. The
// need counts twice: once as ballast, once as free space, since somebody else
// may fill the disk while Badger still works on what it was given.
func (r *room) check() error {
	switch {
	case r.ballast && r.lack(r.need), !r.ballast && r.lack(2*r.need):
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

// newLog reserves a log that Badger has just made, so that all that goes into
// it has its place. Where that fails, no write is let through until it works.
func (r *room) newLog(path string) {
	r.log = ""
	err := allocate(path, os.O_RDWR, r.logSize)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrNotExist) {
		r.log = path
	}
}

// reserve makes the ballast.
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
	if r.lack(openFiles + 2*r.tableSize()) { // of the active log, and one that waits
		r.drop()
	}
}

func (r *room) drop() {
	if err := os.Remove(r.path); err == nil {
		r.ballast = false
	}
}
