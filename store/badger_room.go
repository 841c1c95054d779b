//go:build !boltstore && !386 && !arm && !mips && !mipsle

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
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
	dir      string // of the tables
	path     string // of the ballast
	memtable int64  // bytes
	need     int64  // bytes Badger may take up without being asked
	ballast  bool   // there is one, of at least need bytes
	cannot   bool   // the file system reserves no space
}

// openRoom makes room for opening the tables in dir, or fails with ErrFull.
func openRoom(store, dir string, memtable int64) (*room, error) {
	r := &room{dir: dir, path: filepath.Join(store, "ballast"), memtable: memtable}
	_, err := os.Lstat(r.path)
	r.ballast = err == nil
	r.measure()
	if free, ok := freeBytes(r.dir); ok && free < r.need {
		r.drop()
	}
	if free, ok := freeBytes(r.dir); ok && free < r.need {
		return nil, fmt.Errorf("%w: %d bytes free, need %d to open", ErrFull, free, r.need)
	}
	return r, nil
}

// measure works out what Badger may take up by itself: two memtables turned
// into tables while two more are logged, and compactions, which write what
// they read before they remove it, at most all tables, and no more at a time
// than a full level 0 with its base level, or a table with the ten under it.
func (r *room) measure() {
	var tables int64
	files, _ := filesWith(r.dir, ".sst") // where this fails, so will the write that asks
	for _, f := range files {
		tables += f.Size()
	}
	need := 4*r.memtable + min(tables, 24*r.memtable)
	if need > r.need && r.ballast {
		r.ballast = reserve(r.path, need) == nil
	}
	r.need = max(r.need, need)
}

// check reports ErrFull where a write would eat into what Badger needs. The
// need counts twice: once as ballast, once as free space, since somebody else
// may fill the disk while Badger still works on what it was given.
func (r *room) check() error {
	free, ok := freeBytes(r.dir)
	if !ok || r.ballast && free >= r.need {
		return nil
	}
	if r.ballast {
		r.drop()
		return ErrFull
	}
	if free < 2*r.need {
		return ErrFull
	}
	if !r.cannot {
		r.ballast = reserve(r.path, r.need) == nil
		r.cannot = !r.ballast
	}
	return nil
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

// snapshots knows which versions are being read, so that Badger keeps them.
type snapshots struct {
	mu   sync.Mutex // guards the fields below
	last uint64     // newest complete version
	open map[uint64]int
}

func newSnapshots(last uint64) *snapshots {
	return &snapshots{last: last, open: make(map[uint64]int)}
}

// acquire returns the newest complete version and keeps it until release.
func (s *snapshots) acquire() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[s.last]++
	return s.last
}

func (s *snapshots) release(version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[version]--; s.open[version] == 0 {
		delete(s.open, version)
	}
}

func (s *snapshots) newest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// advance makes version the newest and returns the oldest that is read or may
// be from now on: what lies below it, Badger may discard.
func (s *snapshots) advance(version uint64) (oldest uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = version
	oldest = version
	for v := range s.open {
		oldest = min(oldest, v)
	}
	return oldest
}
