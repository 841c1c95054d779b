package node

import (
	"slices"
	"sort"
)

// ages is entries in the order of the list: by their oldest offer, newest
// first. Blocks keep a change as well as a jump to any place cheap: a hundred
// thousand entries are some two hundred blocks. An entry is taken out before its
// oldest offer changes, and put back after.
type ages struct {
	blocks [][]*entry // none is empty
	count  int
	row    func(*entry) row
	later  bool // entries are only counted, until order is called
}

// ageBlock is the most entries of one block.
const ageBlock = 512

// newer is the order of the list.
func newer(a, b *offer) int {
	switch {
	case b.older(a):
		return -1
	case a.older(b):
		return 1
	}
	return 0
}

// place finds where an entry of this oldest offer is, or would be.
func (a *ages) place(o *offer) (block, at int) {
	if len(a.blocks) == 0 {
		return 0, 0
	}
	// The last block that does not begin behind o.
	block = sort.Search(len(a.blocks), func(i int) bool { return newer(a.blocks[i][0].first, o) > 0 })
	block = max(block-1, 0)
	at, _ = slices.BinarySearchFunc(a.blocks[block], o, func(e *entry, o *offer) int { return newer(e.first, o) })
	return block, at
}

// order puts entries that were only counted in their place, all of them at once.
// It keeps the slice no longer than it runs.
func (a *ages) order(all []*entry) {
	slices.SortFunc(all, func(e, f *entry) int { return newer(e.first, f.first) })
	a.later, a.blocks = false, make([][]*entry, 0, len(all)/ageBlock+1)
	for some := range slices.Chunk(all, ageBlock) {
		a.blocks = append(a.blocks, slices.Clone(some))
	}
}

func (a *ages) insert(e *entry) {
	a.count++
	if a.later {
		return
	}
	if len(a.blocks) == 0 {
		a.blocks = append(a.blocks, []*entry{e})
		return
	}
	b, at := a.place(e.first)
	if block := a.blocks[b]; len(block) == ageBlock {
		// What comes in order fills blocks, what comes anywhere halves them.
		cut := ageBlock / 2
		if at == ageBlock {
			cut = at
		}
		a.blocks = slices.Insert(a.blocks, b+1, slices.Clone(block[cut:]))
		if cut < ageBlock {
			a.blocks[b] = slices.Clone(block[:cut])
		}
		if at >= cut {
			b, at = b+1, at-cut
		}
	}
	a.blocks[b] = slices.Insert(a.blocks[b], at, e)
}

func (a *ages) remove(e *entry) {
	if a.later {
		a.count--
		return
	}
	b, at := a.place(e.first)
	if b >= len(a.blocks) || at >= len(a.blocks[b]) || a.blocks[b][at] != e {
		return
	}
	a.count--
	if a.blocks[b] = slices.Delete(a.blocks[b], at, at+1); len(a.blocks[b]) == 0 {
		a.blocks = slices.Delete(a.blocks, b, b+1)
	}
}

// from appends to rows what begins offset places from the newest, as many as
// rows has room for.
func (a *ages) from(offset int, rows []row) []row {
	b := 0
	for b < len(a.blocks) && offset >= len(a.blocks[b]) {
		offset -= len(a.blocks[b])
		b++
	}
	return a.fill(b, offset, rows)
}

// behind appends to rows what comes behind an entry whose oldest offer is, or
// was, o, as many as rows has room for.
func (a *ages) behind(o *offer, rows []row) []row {
	b, at := a.place(o)
	if b < len(a.blocks) && at < len(a.blocks[b]) && newer(a.blocks[b][at].first, o) == 0 {
		at++
	}
	return a.fill(b, at, rows)
}

func (a *ages) fill(b, at int, rows []row) []row {
	for ; b < len(a.blocks); b, at = b+1, 0 {
		for _, e := range a.blocks[b][min(at, len(a.blocks[b])):] {
			if len(rows) == cap(rows) {
				return rows
			}
			rows = append(rows, a.row(e))
		}
	}
	return rows
}
