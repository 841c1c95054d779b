package clean

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// items is which items of a picture stay.
type items struct {
	keep    map[uint32]bool // by number; false for one that goes
	primary uint32          // the picture itself
}

// longestItem is how long the description of one item may be, in bytes.
const longestItem = 1 << 10

// number reads an item's number, of 2 or 4 bytes, from the front of b.
func number(b []byte, wide bool) (id uint32, rest []byte) {
	switch {
	case wide && len(b) >= 4:
		return binary.BigEndian.Uint32(b), b[4:]
	case !wide && len(b) >= 2:
		return uint32(binary.BigEndian.Uint16(b)), b[2:]
	}
	return 0, nil
}

// itemID reads the number in a pitm box.
func (m *media) itemID(x box) (uint32, error) {
	b, err := m.in.upTo(x.body, int(min(x.end-x.body, 8)))
	if err != nil || len(b) < 6 {
		return 0, errShort
	}
	id, _ := number(b[4:], b[0] > 0)
	return id, nil
}

// infoHead is how long the head of an iinf box is.
func (m *media) infoHead(x box) (int, error) {
	version, err := m.in.u8(x.body)
	if version == 0 {
		return 6, err
	}
	return 8, err
}

// readItems finds out which items there are, and which of them are pictures.
func (m *media) readItems(x box) (*items, error) {
	all := &items{keep: make(map[uint32]bool)}
	head, err := m.infoHead(x)
	if err != nil {
		return nil, err
	}
	err = m.each(x, head, 2, func(x box) error {
		e, err := m.itemEntry(x)
		if err != nil {
			return err
		}
		if _, twice := all.keep[e.id]; twice {
			return errBroken
		}
		if len(all.keep) == maxItems {
			return errTooMany
		}
		all.keep[e.id] = itemKept[e.kind]
		return nil
	})
	return all, err
}

// itemEntry is one infe box.
type itemEntry struct {
	id   uint32
	kind string
	name int // where its name begins, in bytes from the box's
}

func (m *media) itemEntry(x box) (itemEntry, error) {
	b, err := m.in.upTo(x.body, int(min(x.end-x.body, 16)))
	if err != nil {
		return itemEntry{}, err
	}
	if x.kind != "infe" || len(b) < 12 || b[0] < 2 || b[0] > 3 || x.end-x.at > longestItem {
		return itemEntry{}, errBroken
	}
	id, rest := number(b[4:], b[0] == 3)
	if len(rest) < 6 {
		return itemEntry{}, errBroken
	}
	name := int(x.body-x.at) + len(b) - len(rest) + 6
	return itemEntry{id, string(rest[2:6]), name}, nil
}

// itemRefs takes out the thumbnails, and what points at items that go, or from them.
func (m *media) itemRefs(x box, all *items) error {
	version, err := m.in.u8(x.body)
	if err != nil {
		return err
	}
	wide := version > 0
	type ref struct {
		x    box
		from uint32
		to   []uint32
	}
	var refs []ref
	total := 0
	err = m.each(x, 4, 2, func(x box) error {
		if x.end-x.at > window {
			return errTooMany
		}
		b, err := m.in.bytes(x.body, int(x.end-x.body))
		if err != nil {
			return err
		}
		r := ref{x: x}
		r.from, b = number(b, wide)
		count, b := number(b, false)
		for range count {
			var to uint32
			if to, b = number(b, wide); b == nil {
				return errBroken
			}
			r.to = append(r.to, to)
		}
		if total += len(r.to) + 1; total > 4*maxItems {
			return errTooMany
		}
		refs = append(refs, r)
		if x.kind == "thmb" && r.from != all.primary {
			all.keep[r.from] = false
		}
		return nil
	})
	if err != nil {
		return err
	}
	var kept []byte
	for _, r := range refs {
		stays := all.keep[r.from]
		for _, to := range r.to {
			if stays && !all.keep[to] && r.x.kind == "dimg" {
				return errBroken // a tile is missing
			}
			stays = stays && all.keep[to]
		}
		if !stays {
			continue
		}
		b, err := m.in.bytes(r.x.at, int(r.x.end-r.x.at))
		if err != nil {
			return err
		}
		kept = append(kept, b...)
	}
	return m.shrink(x, []byte{version, 0, 0, 0}, kept)
}

// itemInfo takes the items that go out of their list, and what the others are
// called.
func (m *media) itemInfo(x box, all *items) error {
	headSize, err := m.infoHead(x)
	if err != nil {
		return err
	}
	b, err := m.in.bytes(x.body, headSize)
	if err != nil {
		return err
	}
	head := bytes.Clone(b)
	var kept []byte
	count, gone := 0, false
	var names []span
	err = m.each(x, headSize, 2, func(x box) error {
		e, err := m.itemEntry(x)
		if err != nil {
			return err
		}
		if !all.keep[e.id] {
			gone = true
			return nil
		}
		count++
		b, err := m.in.bytes(x.at, int(x.end-x.at))
		if err != nil {
			return err
		}
		from := len(kept)
		kept = append(kept, b...)
		clear(kept[from+e.name:])
		names = append(names, span{x.at + int64(e.name), x.end})
		return nil
	})
	if err != nil {
		return err
	}
	if gone {
		putCount(head[4:], count)
		return m.shrink(x, head, kept)
	}
	for _, n := range names {
		if err := m.blank(n.at, n.end-n.at); err != nil {
			return err
		}
	}
	return nil
}

// putCount writes a count of 2 or 4 bytes.
func putCount(b []byte, n int) {
	if len(b) == 2 {
		binary.BigEndian.PutUint16(b, uint16(n))
	} else {
		binary.BigEndian.PutUint32(b, uint32(n))
	}
}

// places reads an iloc box, which says where each item's data lie.
type places struct {
	m                           *media
	at, end                     int64
	version                     byte
	offset, length, base, index int // bytes of each number
}

// number reads the next one, of n bytes.
func (l *places) number(n int) (int64, error) {
	if l.at+int64(n) > l.end {
		return 0, errShort
	}
	b, err := l.m.in.bytes(l.at, n)
	if err != nil {
		return 0, err
	}
	l.at += int64(n)
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	if v > 1<<62 {
		return 0, errBroken
	}
	return int64(v), nil
}

// itemPlaces takes the items that go out of the list of places, and notes where
// the others' data lie.
func (m *media) itemPlaces(x box, store box, all *items) error {
	b, err := m.in.bytes(x.body, 6)
	if err != nil {
		return err
	}
	head := bytes.Clone(b)
	l := &places{m: m, at: x.body + 6, end: x.end, version: head[0]}
	l.offset, l.length = int(head[4]>>4), int(head[4]&15)
	l.base, l.index = int(head[5]>>4), int(head[5]&15)
	if l.version == 0 {
		l.index = 0
	}
	for _, n := range []int{l.offset, l.length, l.base, l.index} {
		if n != 0 && n != 4 && n != 8 {
			return errBroken
		}
	}
	wide := 2
	if l.version > 1 {
		wide = 4
	}
	count, err := l.number(wide)
	if err != nil || l.version > 2 || count > maxItems {
		return errors.Join(errBroken, err)
	}
	head = append(head, make([]byte, wide)...)
	var kept []byte
	n := 0
	for range count {
		from := l.at
		id, spans, err := l.item(store)
		if err != nil {
			return err
		}
		if !all.keep[id] {
			continue
		}
		n++
		if l.at-from > window || len(m.items)+len(spans) > maxSpans {
			return errTooMany
		}
		m.items = append(m.items, spans...)
		b, err := m.in.bytes(from, int(l.at-from))
		if err != nil {
			return err
		}
		kept = append(kept, b...)
	}
	putCount(head[6:], n)
	if n == int(count) {
		return nil
	}
	return m.shrink(x, head, kept)
}

// item reads where one item's data lie, in the file.
func (l *places) item(store box) (id uint32, spans []span, err error) {
	var failed error
	read := func(n int) int64 {
		v, err := l.number(n)
		if failed == nil {
			failed = err
		}
		return v
	}
	if l.version < 2 {
		id = uint32(read(2))
	} else {
		id = uint32(read(4))
	}
	method := int64(0)
	if l.version > 0 {
		method = read(2) & 15
	}
	reference := read(2)
	base := read(l.base)
	extents := read(2)
	if failed != nil {
		return 0, nil, failed
	}
	whole := span{0, l.m.in.size}
	if method == 1 {
		whole = span{store.body, store.end}
		base += store.body
	}
	if reference != 0 || method > 1 || method == 1 && store.end == 0 {
		return 0, nil, errors.New("its data lie in another file, or in one another")
	}
	for range extents {
		read(l.index)
		at := read(l.offset) + base
		n := read(l.length)
		if failed != nil {
			return 0, nil, failed
		}
		if n == 0 {
			n = whole.end - at // all that there is
		}
		if at < whole.at || at > whole.end || n < 0 || n > whole.end-at {
			return 0, nil, errShort
		}
		spans = append(spans, span{at, at + n})
	}
	return id, spans, nil
}
