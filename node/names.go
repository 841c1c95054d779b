package node

import (
	"container/heap"

	"boucan/record"
	"boucan/share/dropdir"
)

// Two different files of one name both stay: the oldest keeps it, the others
// carry the end of their CID, as in "photo (q5l2ya).jpg", alike on every box.
// Names are one if every file system takes them for one, see dropdir.Fold.
// Where somebody's file is really called what another would show, that one
// carries more of its CID.

// group is the entries of one folded name.
type group struct {
	oldest *entry
	rest   *younger // nil where there is one only
}

// younger is the entries of one folded name but the oldest: a heap
// (container/heap) of them, the oldest first.
type younger struct {
	heap  entryHeap
	byCID map[record.CID]*entry
}

// find returns the group's entry for a blob, or nil.
func (g group) find(cid record.CID) *entry {
	switch {
	case g.oldest == nil:
	case g.oldest.cid == cid:
		return g.oldest
	case g.rest != nil:
		return g.rest.byCID[cid]
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

// addToGroup gives a new entry its name; the caller holds mu.
func (c *catalogue) addToGroup(e *entry) {
	g, ok := c.byName[e.key]
	if !ok {
		c.byName[e.key] = group{oldest: e}
		if t := c.names.tagged[e.key]; t != nil {
			c.retag(t)
		}
		return
	}
	if g.rest == nil {
		g.rest = &younger{byCID: make(map[record.CID]*entry)}
	}
	if e.oldest().older(g.oldest.oldest()) {
		e, g.oldest = g.oldest, e
	}
	c.byName[e.key] = g
	g.rest.add(e)
	c.retag(e)
}

// removeFromGroup takes an entry out; the oldest of what is left has the name.
func (c *catalogue) removeFromGroup(e *entry) {
	g := c.byName[e.key]
	if g.oldest != e {
		g.rest.remove(e)
		c.untag(e)
	} else if g.rest == nil {
		delete(c.byName, e.key)
		c.freed(e.key)
		return
	} else {
		g.oldest = g.rest.heap[0]
		g.rest.remove(g.oldest)
		c.untag(g.oldest)
	}
	if len(g.rest.heap) == 0 {
		g.rest = nil
	}
	c.byName[e.key] = g
}

// regroup is called when an entry's oldest offer is another one.
func (c *catalogue) regroup(e *entry) {
	g := c.byName[e.key]
	if g.rest == nil {
		return
	}
	if g.oldest != e {
		heap.Fix(&g.rest.heap, e.nth)
	}
	first := g.rest.heap[0]
	if first.oldest().older(g.oldest.oldest()) {
		g.rest.remove(first)
		c.untag(first)
		g.oldest, first = first, g.oldest
		g.rest.add(first)
		c.byName[e.key] = g
		c.retag(first)
	}
	if e != g.oldest {
		c.retag(e) // it may be spelled otherwise
	}
}

// retag chooses the name that one of a group's younger entries shows.
func (c *catalogue) retag(e *entry) {
	c.untag(e)
	o := e.oldest()
	text := e.cid.String()
	for _, tag := range []string{e.cid.Short(), text[len(text)-12:], text, o.id.String()[:32]} {
		e.tagged = dropdir.Tagged(o.name, tag)
		key := dropdir.Fold(e.tagged)
		_, real := c.byName[key]
		if _, taken := c.names.tagged[key]; !real && !taken {
			c.names.tagged[key] = e
			return
		}
		c.names.wish(key, e)
	}
	// Only somebody who wants two files to show one name gets here.
}

// untag takes back what an entry shows beside its record's name.
func (c *catalogue) untag(e *entry) {
	if e.tagged == "" {
		return
	}
	for _, key := range c.names.wishes[e] {
		delete(c.names.wanted[key], e)
		if len(c.names.wanted[key]) == 0 {
			delete(c.names.wanted, key)
		}
	}
	delete(c.names.wishes, e)
	key := dropdir.Fold(e.tagged)
	e.tagged = ""
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

func (y *younger) add(e *entry) {
	heap.Push(&y.heap, e)
	y.byCID[e.cid] = e
}

func (y *younger) remove(e *entry) {
	heap.Remove(&y.heap, e.nth)
	delete(y.byCID, e.cid)
}

// entryHeap is a heap (container/heap), the oldest first.
type entryHeap []*entry

func (h entryHeap) Len() int           { return len(h) }
func (h entryHeap) Less(i, j int) bool { return h[i].oldest().older(h[j].oldest()) }
func (h entryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].nth, h[j].nth = i, j
}

// Push and Pop are for container/heap.
func (h *entryHeap) Push(x any) {
	e := x.(*entry)
	e.nth = len(*h)
	*h = append(*h, e)
}

func (h *entryHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
