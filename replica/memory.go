package replica

import (
	"encoding/binary"

	"boucan/record"
)

// usage is what one author has in the set.
type usage struct {
	records   int // all kinds but takedowns
	takedowns int
	bytes     int64 // of the records; takedowns are small and counted only
}

func (u usage) plus(v usage) usage {
	return usage{u.records + v.records, u.takedowns + v.takedowns, u.bytes + v.bytes}
}

func usageOf(kind record.Kind, size int) usage {
	if kind == record.KindTakedown {
		return usage{takedowns: 1}
	}
	return usage{records: 1, bytes: int64(size)}
}

func (u usage) negative() usage { return usage{-u.records, -u.takedowns, -u.bytes} }

// memory is what the Set knows without asking the disk.
type memory struct {
	order   *order
	kinds   map[record.Kind]int
	authors map[record.Key]usage
	bytes   int64 // encoded, of all but takedowns
	// aimed counts takedowns by the first eight bytes of their target's id: enough
	// to know that nothing is aimed at a record, at a quarter of the memory.
	aimed          map[uint64]int
	blockedAuthors map[record.Key]struct{}
	blockedCIDs    map[record.CID]struct{}
}

func (m *memory) init() {
	*m = memory{
		order:          newOrder(),
		kinds:          make(map[record.Kind]int),
		authors:        make(map[record.Key]usage),
		aimed:          make(map[uint64]int),
		blockedAuthors: make(map[record.Key]struct{}),
		blockedCIDs:    make(map[record.CID]struct{}),
	}
}

// add counts a record. The order must be settled afterwards.
func (m *memory) add(it item, kind record.Kind, e entry) {
	if !m.order.insert(it) {
		return
	}
	m.kinds[kind]++
	u := usageOf(kind, e.size)
	m.bytes += u.bytes
	m.authors[e.author] = m.authors[e.author].plus(u)
}

// drop takes a record out of the counts. The order must be settled afterwards.
func (m *memory) drop(it item, kind record.Kind, e entry) {
	if !m.order.remove(it) {
		return
	}
	if m.kinds[kind]--; m.kinds[kind] == 0 {
		delete(m.kinds, kind)
	}
	less := usageOf(kind, e.size).negative()
	m.bytes += less.bytes
	u := m.authors[e.author].plus(less)
	if m.authors[e.author] = u; u == (usage{}) {
		delete(m.authors, e.author)
	}
}

// aim counts by takedowns more against target.
func (m *memory) aim(target record.ID, by int) {
	prefix := binary.BigEndian.Uint64(target[:])
	if m.aimed[prefix] += by; m.aimed[prefix] <= 0 {
		delete(m.aimed, prefix)
	}
}

// mayBeAimedAt is false where no takedown names target.
func (m *memory) mayBeAimedAt(target record.ID) bool {
	return m.aimed[binary.BigEndian.Uint64(target[:])] > 0
}

// block notes what a key of the block list names, isBlocked asks for it and unblock
// forgets it.
func (m *memory) block(key []byte) {
	switch len(key) {
	case blockAuthorSize:
		m.blockedAuthors[record.Key(key[2:])] = struct{}{}
	case blockCIDSize:
		m.blockedCIDs[record.CID(key[2:])] = struct{}{}
	}
}

func (m *memory) isBlocked(key []byte) bool {
	ok := false
	switch len(key) {
	case blockAuthorSize:
		_, ok = m.blockedAuthors[record.Key(key[2:])]
	case blockCIDSize:
		_, ok = m.blockedCIDs[record.CID(key[2:])]
	}
	return ok
}

func (m *memory) unblock(key []byte) {
	switch len(key) {
	case blockAuthorSize:
		delete(m.blockedAuthors, record.Key(key[2:]))
	case blockCIDSize:
		delete(m.blockedCIDs, record.CID(key[2:]))
	}
}

// blocks reports whether this node refuses r by its own choice. Takedowns pass:
// they only ever take away, and refusing one would bring back what it hid.
func (m *memory) blocks(r *record.Record) bool {
	if r.Kind == record.KindTakedown {
		return false
	}
	if _, ok := m.blockedAuthors[r.Author]; ok {
		return true
	}
	if r.Kind != record.KindFile || len(m.blockedCIDs) == 0 {
		return false
	}
	f, err := r.File()
	if err != nil {
		return false
	}
	_, ok := m.blockedCIDs[f.CID]
	return ok
}
