package node

import (
	"container/heap"
	"hash/maphash"

	"boucan/record"
	"boucan/share/dropdir"
)

// Two different files of one name both stay: the oldest keeps it, the others
// carry the end of their CID, as in "photo (q5l2ya).jpg", alike on every box.
// Names are one if every file system takes them for one, see dropdir.Fold.
// Where somebody's file is really called what another would show, that one
// carries more of its CID.

// younger is the entries of one folded name but the oldest: a heap
// (container/heap) of them, the oldest first.
type younger struct {
	heap  entryHeap
	byCID map[record.CID]*entry
}

// named returns the oldest entry of a folded name, or nil; the caller holds mu.
func (c *catalogue) named(key string) *entry {
	return c.byName.find(maphash.String(c.seed, key), func(e *entry) bool { return e.first.hasKey(key) })
}

// entry returns the entry of a folded name for a blob, or nil; the caller holds
// mu.
func (c *catalogue) entry(key string, cid record.CID) *entry {
	e := c.named(key)
	switch {
	case e == nil || e.cid == cid:
		return e
	case e.younger() != nil:
		return e.younger().byCID[cid]
	}
	return nil
}

// shownNames is the names that entries show which are not in their records.
type shownNames struct {
	tagged map[string]*entry // by folded shown name
	// wanted is the entries that would show a name if it were not taken.
	wanted map[string]map[*entry]struct{}
	wishes map[*entry][]string // the same, by entry
}

func newShownNames() shownNames {
	return shownNames{
		tagged: make(map[string]*entry), wanted: make(map[string]map[*entry]struct{}), wishes: make(map[*entry][]string),
	}
}

// addToGroup gives a new entry, whose folded name is key, its name; the caller
// holds mu.
func (c *catalogue) addToGroup(e *entry, key string) {
	oldest := c.named(key)
	if oldest == nil {
		c.byName.put(e)
		if t := c.names.tagged[key]; t != nil {
			c.retag(t)
		}
		return
	}
	if e.first.older(oldest.first) {
		c.lead(oldest, e)
		e, oldest = oldest, e
	}
	oldest.addYounger(e)
	c.retag(e)
}

// removeFromGroup takes an entry out; the oldest of what is left has the name.
func (c *catalogue) removeFromGroup(e *entry) {
	key := e.key()
	oldest := c.named(key)
	switch {
	case oldest != e:
		oldest.dropYounger(e)
		c.untag(e)
	case e.younger() == nil:
		c.byName.remove(e)
		c.freed(key)
	default:
		next := e.younger().heap[0]
		e.dropYounger(next)
		c.lead(e, next)
		c.untag(next)
	}
}

// regroup is called when an entry's oldest offer is another one.
func (c *catalogue) regroup(e *entry) {
	oldest := c.named(e.key())
	rest := oldest.younger()
	if rest == nil {
		return
	}
	if oldest != e {
		heap.Fix(&rest.heap, int(e.nth))
	}
	if first := rest.heap[0]; first.first.older(oldest.first) {
		oldest.dropYounger(first)
		c.lead(oldest, first)
		c.untag(first)
		first.addYounger(oldest)
		c.retag(oldest)
		oldest = first
	}
	if e != oldest {
		c.retag(e) // it may be spelled otherwise
	}
}

// lead makes next the oldest of a name, with all the younger ones. The old one
// is in no group then.
func (c *catalogue) lead(old, next *entry) {
	c.byName.swap(old, next)
	if rest := old.younger(); rest != nil {
		next.extra().rest = rest
		old.more.rest = nil
		old.tidy()
	}
}

func (e *entry) addYounger(young *entry) {
	x := e.extra()
	if x.rest == nil {
		x.rest = &younger{byCID: make(map[record.CID]*entry)}
	}
	heap.Push(&x.rest.heap, young)
	x.rest.byCID[young.cid] = young
}

func (e *entry) dropYounger(young *entry) {
	rest := e.more.rest
	heap.Remove(&rest.heap, int(young.nth))
	if delete(rest.byCID, young.cid); len(rest.heap) == 0 {
		e.more.rest = nil
		e.tidy()
	}
}

// retag chooses the name that one of a group's younger entries shows.
func (c *catalogue) retag(e *entry) {
	c.untag(e)
	o := e.first
	text := e.cid.String()
	for _, tag := range []string{e.cid.Short(), text[len(text)-12:], text, o.id.String()[:32]} {
		shown := dropdir.Tagged(o.name(), tag)
		e.extra().tagged = shown
		key := dropdir.Fold(shown)
		if _, taken := c.names.tagged[key]; !taken && c.named(key) == nil {
			c.names.tagged[key] = e
			return
		}
		c.names.wish(key, e)
	}
	// Only somebody who wants two files to show one name gets here.
}

// untag takes back what an entry shows beside its record's name.
func (c *catalogue) untag(e *entry) {
	if e.tagged() == "" {
		return
	}
	for _, key := range c.names.wishes[e] {
		delete(c.names.wanted[key], e)
		if len(c.names.wanted[key]) == 0 {
			delete(c.names.wanted, key)
		}
	}
	delete(c.names.wishes, e)
	key := dropdir.Fold(e.more.tagged)
	e.more.tagged = ""
	e.tidy()
	if c.names.tagged[key] == e {
		delete(c.names.tagged, key)
		c.freed(key)
	}
}

// freed gives a shown name that nobody has any more to one who wanted it.
func (c *catalogue) freed(key string) {
	for e := range c.names.wanted[key] {
		c.retag(e)
		return
	}
}

func (n *shownNames) wish(key string, e *entry) {
	if n.wanted[key] == nil {
		n.wanted[key] = make(map[*entry]struct{})
	}
	n.wanted[key][e] = struct{}{}
	n.wishes[e] = append(n.wishes[e], key)
}

// entryHeap is a heap (container/heap), the oldest first.
type entryHeap []*entry

func (h entryHeap) Len() int           { return len(h) }
func (h entryHeap) Less(i, j int) bool { return h[i].first.older(h[j].first) }
func (h entryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].nth, h[j].nth = int32(i), int32(j)
}

// Push and Pop are for container/heap.
func (h *entryHeap) Push(x any) {
	e := x.(*entry)
	e.nth = int32(len(*h))
	*h = append(*h, e)
}

func (h *entryHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
