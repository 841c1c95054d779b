package node

import "math/bits"

// finder is a hash table of pointers (linear probing, deletion by shifting
// back). Go's maps keep a copy of each key; here a key is read from what the
// pointer points to, and a place costs 13 bytes in place of 60 to 100, which
// is most of what a catalogue on a router would hold. A byte of each hash stands
// beside the pointer, so that looking for what is not there follows next to none.
//
// A finder is not safe for concurrent use. The key of what is in it does not
// change.
type finder[T any] struct {
	slots []*T
	tags  []byte // of what is in the slots, see tagOf; 0 for nothing
	count int
	hash  func(*T) uint64
}

// A finder is at most 4/5 full, grows by a quarter and shrinks where it is
// nearly empty.
const (
	finderLeast = 16 // slots
	finderLow   = 4  // shrinks where fewer than one slot in so many is taken
)

// tagOf is the part of a hash that home makes the least use of.
func tagOf(hash uint64) byte { return byte(hash) | 1 }

// home is the slot where what has this hash would like to be.
func (f *finder[T]) home(hash uint64) int {
	at, _ := bits.Mul64(hash, uint64(len(f.slots)))
	return int(at)
}

func (f *finder[T]) next(i int) int {
	if i++; i == len(f.slots) {
		return 0
	}
	return i
}

// find returns what has this hash and satisfies is, or nil.
func (f *finder[T]) find(hash uint64, is func(*T) bool) *T {
	if len(f.slots) == 0 {
		return nil
	}
	tag := tagOf(hash)
	for i := f.home(hash); f.tags[i] != 0; i = f.next(i) {
		if f.tags[i] == tag && is(f.slots[i]) {
			return f.slots[i]
		}
	}
	return nil
}

// reserve makes room for so many at once.
func (f *finder[T]) reserve(count int) {
	if slots := count + count/4 + 1; slots > max(finderLeast, len(f.slots)) {
		f.resize(slots)
	}
}

// put takes in what is not there yet.
func (f *finder[T]) put(t *T) {
	if 5*(f.count+1) > 4*len(f.slots) {
		f.resize(max(finderLeast, len(f.slots)+len(f.slots)/4))
	}
	f.place(t)
	f.count++
}

func (f *finder[T]) place(t *T) {
	hash := f.hash(t)
	i := f.home(hash)
	for f.tags[i] != 0 {
		i = f.next(i)
	}
	f.slots[i], f.tags[i] = t, tagOf(hash)
}

func (f *finder[T]) resize(slots int) {
	old := f.slots
	f.slots, f.tags = make([]*T, slots), make([]byte, slots)
	for _, t := range old {
		if t != nil {
			f.place(t)
		}
	}
}

// swap puts one with the same key in the place of another.
func (f *finder[T]) swap(old, t *T) { f.slots[f.slot(old)] = t }

// slot is where t is, which must be there.
func (f *finder[T]) slot(t *T) int {
	i := f.home(f.hash(t))
	for f.slots[i] != t {
		i = f.next(i)
	}
	return i
}

// remove takes out what is there.
func (f *finder[T]) remove(t *T) {
	hole := f.slot(t)
	for i := f.next(hole); f.slots[i] != nil; i = f.next(i) {
		// What stands between its home and here stays; others fill the hole.
		home := f.home(f.hash(f.slots[i]))
		if hole < i && hole < home && home <= i || hole > i && (hole < home || home <= i) {
			continue
		}
		f.slots[hole], f.tags[hole] = f.slots[i], f.tags[i]
		hole = i
	}
	f.slots[hole], f.tags[hole] = nil, 0
	if f.count--; len(f.slots) > finderLeast && finderLow*f.count < len(f.slots) {
		f.resize(max(finderLeast, len(f.slots)/2))
	}
}
