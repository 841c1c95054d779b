package replica

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

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
	blockedNames   map[string]string // folded by pattern
	fold           func(string) string
}

func (m *memory) init(fold func(string) string) {
	*m = memory{
		order:          newOrder(),
		kinds:          make(map[record.Kind]int),
		authors:        make(map[record.Key]usage),
		aimed:          make(map[uint64]int),
		blockedAuthors: make(map[record.Key]struct{}),
		blockedCIDs:    make(map[record.CID]struct{}),
		blockedNames:   make(map[string]string),
		fold:           fold,
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
	switch what := key[2:]; {
	case key[1] == blockAuthor && len(key) == blockAuthorSize:
		m.blockedAuthors[record.Key(what)] = struct{}{}
	case key[1] == blockCID && len(key) == blockCIDSize:
		m.blockedCIDs[record.CID(what)] = struct{}{}
	case key[1] == blockName:
		m.blockedNames[string(what)] = m.fold(string(what))
	}
}

func (m *memory) isBlocked(key []byte) bool {
	ok := false
	switch what := key[2:]; key[1] {
	case blockAuthor:
		_, ok = m.blockedAuthors[record.Key(what)]
	case blockCID:
		_, ok = m.blockedCIDs[record.CID(what)]
	case blockName:
		_, ok = m.blockedNames[string(what)]
	}
	return ok
}

func (m *memory) unblock(key []byte) {
	switch what := key[2:]; key[1] {
	case blockAuthor:
		delete(m.blockedAuthors, record.Key(what))
	case blockCID:
		delete(m.blockedCIDs, record.CID(what))
	case blockName:
		delete(m.blockedNames, string(what))
	}
}

func (m *memory) blocksKept() int {
	return len(m.blockedAuthors) + len(m.blockedCIDs) + len(m.blockedNames)
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
	if r.Kind != record.KindFile || len(m.blockedCIDs)+len(m.blockedNames) == 0 {
		return false
	}
	f, err := r.File()
	return err == nil && m.blocksFile(f)
}

func (m *memory) blocksFile(f record.File) bool {
	_, ok := m.blockedCIDs[f.CID]
	return ok || m.blocksName(f.Name)
}

// blocksName holds a name, and its last part, against every pattern.
func (m *memory) blocksName(name string) bool {
	if len(m.blockedNames) == 0 {
		return false
	}
	name = m.fold(name)
	base := name[strings.LastIndexByte(name, '/')+1:]
	for _, pattern := range m.blockedNames {
		if matches(pattern, name) || base != name && matches(pattern, base) {
			return true
		}
	}
	return false
}

// matches reports whether a name is as a pattern says: * is any text, slashes
// included, ? is one character, and all else is itself. It takes no more steps
// than the lengths multiplied, whoever chose the name.
func matches(pattern, name string) bool {
	p, n := 0, 0
	star, from := -1, 0 // the last star, and where what it stands for ends
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
			continue
		case p < len(pattern) && pattern[p] == '?':
			_, size := utf8.DecodeRuneInString(name[n:])
			p, n = p+1, n+size
			continue
		case p < len(pattern) && pattern[p] == name[n]:
			p, n = p+1, n+1
			continue
		case star < 0:
			return false
		}
		_, size := utf8.DecodeRuneInString(name[from:])
		from += size
		p, n = star+1, from
	}
	return strings.Trim(pattern[p:], "*") == ""
}
