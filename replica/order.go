package replica

import (
	"bytes"
	"cmp"
	"iter"
	"sort"

	"boucan/record"
)

// item is one element of the reconciled set.
type item struct {
	created uint64 // Unix milliseconds
	id      record.ID
}

func itemOf(r *record.Record) item { return item{created: uint64(r.Created), id: r.ID()} }

func (a item) compare(b item) int {
	if c := cmp.Compare(a.created, b.created); c != 0 {
		return c
	}
	return bytes.Compare(a.id[:], b.id[:])
}

// blockItems makes a block fill an allocation of 4096 bytes.
const blockItems = 101

// block is a run of neighbouring items with their sum.
type block struct {
	n     int
	sum   sum
	items [blockItems]item
}

// before is what lies left of a block: how many items, and their sum.
type before struct {
	n   int
	sum sum
}

// order holds items sorted by time, then id, in blocks whose sums are kept, so
// that the fingerprint of any range costs two partial blocks. Inserting is cheap
// in any order. After a change, settle must be called before anything is read.
// It is not safe for concurrent use; the Set guards it.
type order struct {
	blocks []*block
	before []before // len(blocks)+1 when settled; the last is the whole
	dirty  int      // before is right up to and including this index
}

func newOrder() *order { return &order{before: make([]before, 1)} }

// size is the number of items.
func (o *order) size() int { return o.before[len(o.before)-1].n }

// find returns the place of the first item that is not less than it.
func (o *order) find(it item) (b, i int) {
	b = sort.Search(len(o.blocks), func(k int) bool {
		last := o.blocks[k]
		return last.items[last.n-1].compare(it) >= 0
	})
	if b == len(o.blocks) {
		return b, 0
	}
	blk := o.blocks[b]
	i = sort.Search(blk.n, func(k int) bool { return blk.items[k].compare(it) >= 0 })
	return b, i
}

func (o *order) contains(it item) bool {
	b, i := o.find(it)
	return b < len(o.blocks) && o.blocks[b].items[i] == it
}

// insert adds it and reports whether it was absent.
func (o *order) insert(it item) bool {
	b, i := o.find(it)
	if b < len(o.blocks) && o.blocks[b].items[i] == it {
		return false
	}
	if b == len(o.blocks) { // after everything: at the end of the last block
		if b == 0 || o.blocks[b-1].n == blockItems {
			o.addBlock(b, &block{})
		} else {
			b--
		}
		i = o.blocks[b].n
	}
	if o.blocks[b].n == blockItems {
		b, i = o.makeRoom(b, i)
	}
	blk := o.blocks[b]
	copy(blk.items[i+1:blk.n+1], blk.items[i:blk.n])
	blk.items[i] = it
	blk.n++
	blk.sum = blk.sum.plus(sumOf(it.id))
	o.touch(b)
	return true
}

// makeRoom gives the full block b room for an item at i, in a neighbour if that
// has any, and returns where the item goes now.
func (o *order) makeRoom(b, i int) (int, int) {
	if b+1 == len(o.blocks) || o.blocks[b+1].n > blockItems*3/4 {
		o.addBlock(b+1, &block{})
	}
	left, right := o.blocks[b], o.blocks[b+1]
	move := (blockItems - right.n + 1) / 2
	copy(right.items[move:], right.items[:right.n])
	copy(right.items[:move], left.items[left.n-move:left.n])
	for _, it := range right.items[:move] {
		s := sumOf(it.id)
		left.sum, right.sum = left.sum.minus(s), right.sum.plus(s)
	}
	left.n -= move
	right.n += move
	o.touch(b)
	if i > left.n {
		return b + 1, i - left.n
	}
	return b, i
}

func (o *order) addBlock(b int, blk *block) {
	o.blocks = append(o.blocks, nil)
	copy(o.blocks[b+1:], o.blocks[b:])
	o.blocks[b] = blk
	o.touch(b)
}

// remove takes it out and reports whether it was there.
func (o *order) remove(it item) bool {
	b, i := o.find(it)
	if b == len(o.blocks) || o.blocks[b].items[i] != it {
		return false
	}
	blk := o.blocks[b]
	copy(blk.items[i:], blk.items[i+1:blk.n])
	blk.n--
	blk.sum = blk.sum.minus(sumOf(it.id))
	o.touch(b)
	switch {
	case blk.n == 0:
		o.dropBlock(b)
	case b+1 < len(o.blocks) && blk.n+o.blocks[b+1].n <= blockItems/2:
		next := o.blocks[b+1]
		copy(blk.items[blk.n:], next.items[:next.n])
		blk.n += next.n
		blk.sum = blk.sum.plus(next.sum)
		o.dropBlock(b + 1)
	}
	return true
}

func (o *order) dropBlock(b int) {
	copy(o.blocks[b:], o.blocks[b+1:])
	o.blocks[len(o.blocks)-1] = nil
	o.blocks = o.blocks[:len(o.blocks)-1]
	o.touch(b)
}

// touch notes that block b, or what follows it, has changed.
func (o *order) touch(b int) { o.dirty = min(o.dirty, b) }

// settle brings the running sums up to date. Appending at the end, the ordinary
// case, costs one step.
func (o *order) settle() {
	if want := len(o.blocks) + 1; cap(o.before) < want {
		grown := make([]before, want, want+want/4)
		copy(grown, o.before)
		o.before = grown
	} else {
		o.before = o.before[:want]
	}
	for b := o.dirty; b < len(o.blocks); b++ {
		o.before[b+1] = before{
			n:   o.before[b].n + o.blocks[b].n,
			sum: o.before[b].sum.plus(o.blocks[b].sum),
		}
	}
	o.dirty = len(o.blocks)
}

// locate returns the block that holds index i, and the place within it.
func (o *order) locate(i int) (b, within int) {
	b = sort.Search(len(o.blocks), func(k int) bool { return o.before[k+1].n > i })
	return b, i - o.before[b].n
}

// at returns the item at index i, which must be below size.
func (o *order) at(i int) item {
	b, within := o.locate(i)
	return o.blocks[b].items[within]
}

// lowerBound returns the index of the first item that is not less than it.
func (o *order) lowerBound(it item) int {
	b, i := o.find(it)
	return o.before[b].n + i
}

// sumTo adds up the items before index i.
func (o *order) sumTo(i int) sum {
	b, within := o.locate(i)
	s := o.before[b].sum
	if within > 0 {
		for _, it := range o.blocks[b].items[:within] {
			s = s.plus(sumOf(it.id))
		}
	}
	return s
}

// fingerprint is the digest of the items from lo up to but not including hi.
func (o *order) fingerprint(lo, hi int) fingerprint {
	return o.sumTo(hi).minus(o.sumTo(lo)).fingerprint(hi - lo)
}

// all yields the items from lo up to but not including hi with their indexes.
func (o *order) all(lo, hi int) iter.Seq2[int, item] {
	return func(yield func(int, item) bool) {
		b, within := o.locate(lo)
		for i := lo; i < hi; b, within = b+1, 0 {
			blk := o.blocks[b]
			for ; within < blk.n && i < hi; i, within = i+1, within+1 {
				if !yield(i, blk.items[within]) {
					return
				}
			}
		}
	}
}
