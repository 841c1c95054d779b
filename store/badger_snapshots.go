//go:build !boltstore && !386 && !arm && !mips && !mipsle

package store

import "sync"

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
