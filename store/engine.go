package store

import "bytes"

// engine is what a key-value engine must do for a DB. Keys begin with their
// table's byte. get and scan are called by any number of goroutines at once,
// also while write runs; write and close by one at a time; close last, when
// nothing else runs. Any call may panic or fault on damaged files.
type engine interface {
	// get returns a copy of the value, the caller's own.
	get(key []byte) (value []byte, ok bool, err error)
	// scan returns a cursor before the first key of the range, over the store
	// as it is now.
	scan(r span) (cursor, error)
	// write makes all changes durable, or none, later ones winning over
	// earlier ones of the same key. It fails with ErrFull where there is no
	// room; after any other error it is not called again.
	write(changes []change) error
	// fits says whether so many changes with so many bytes of keys and values
	// are written together at the price of one write.
	fits(pairs, size int) bool
	// touch tells of so many bytes looked at or changed, see pages.
	touch(n int)
	close() error
}

// cursor walks a range. It belongs to one goroutine.
type cursor interface {
	// next moves on and returns the pair there; ok is false at the end. The
	// slices hold until the next call and must not be written to.
	next() (key, value []byte, ok bool, err error)
	close()
}

// change is one pair to put, or one key to remove. The engine may keep neither
// slice.
type change struct {
	key    []byte
	value  []byte
	remove bool
}

// span is a range of one table: from <= key < to, both with the table's byte.
type span struct {
	from, to []byte
	back     bool // from the last key to the first
}

// tableSpan is the range of the keys from <= key < to of table; a nil to means
// the table's end.
func tableSpan(t Table, from, to []byte, back bool) span {
	s := span{from: tableKey(t, from), to: []byte{byte(t) + 1}, back: back}
	if to != nil {
		s.to = tableKey(t, to)
	}
	return s
}

func tableKey(t Table, key []byte) []byte {
	k := make([]byte, 1+len(key))
	k[0] = byte(t)
	copy(k[1:], key)
	return k
}

// empty is true where no key can be in the range.
func (s span) empty() bool { return bytes.Compare(s.from, s.to) >= 0 }
