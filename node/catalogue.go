package node

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"boucan/record"
	"boucan/share/dropdir"
)

// entry is one line of the list that visitors see: a name and the bytes it
// stands for, whichever boxes offer them.
type entry struct {
	name    string // as shown: unique in the catalogue, but for case and normal form
	file    record.File
	author  record.Key
	id      record.ID // of the oldest record for this name and these bytes
	created int64     // Unix milliseconds, of the oldest
	expires int64     // Unix milliseconds, of the longest-lived
	offers  []offer   // every living record for this name and these bytes
}

// offer is one record that offers an entry.
type offer struct {
	name    string // as the record says
	id      record.ID
	author  record.Key
	created int64
	expires int64
}

// catalogue is every living file record, in memory, by name and newest first.
// Two different files of one name both stay: the older keeps it, the others
// carry the end of their CID, alike on every box. Safe for concurrent use.
type catalogue struct {
	mu     sync.RWMutex
	byName map[string][]*entry     // folded record name → its entries, oldest first
	byID   map[record.ID]*entry    // every record → its entry
	byCID  map[record.CID][]string // folded names of the entries for these bytes
	sorted []*entry                // newest first; stale entries until refreshed
	stale  bool
	bytes  uint64 // sizes of distinct blobs added up
}

func newCatalogue() *catalogue {
	return &catalogue{
		byName: make(map[string][]*entry),
		byID:   make(map[record.ID]*entry),
		byCID:  make(map[record.CID][]string),
	}
}

// add takes a living file record in. Adding one twice changes nothing.
func (c *catalogue) add(r *record.Record, f record.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byID[r.ID()]; ok {
		return
	}
	o := offer{name: f.Name, id: r.ID(), author: r.Author, created: r.Created, expires: r.Expires}
	key := dropdir.Fold(f.Name)
	group := c.byName[key]
	for _, e := range group {
		if e.file.CID == f.CID {
			e.offers = append(slices.Clone(e.offers), o)
			c.byID[o.id] = e
			c.settle(key)
			return
		}
	}
	c.byName[key] = append(slices.Clone(group), &entry{file: f, offers: []offer{o}})
	if len(c.byCID[f.CID]) == 0 {
		c.bytes += f.Size
	}
	c.byCID[f.CID] = append(c.byCID[f.CID], key)
	c.settle(key)
}

// remove forgets a record; the entry goes with its last one.
func (c *catalogue) remove(id record.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	if !ok {
		return
	}
	delete(c.byID, id)
	key := dropdir.Fold(e.file.Name)
	e.offers = slices.DeleteFunc(slices.Clone(e.offers), func(o offer) bool { return o.id == id })
	if len(e.offers) == 0 {
		c.byName[key] = slices.DeleteFunc(slices.Clone(c.byName[key]), func(x *entry) bool { return x == e })
		if len(c.byName[key]) == 0 {
			delete(c.byName, key)
		}
		cid := e.file.CID
		c.byCID[cid] = slices.DeleteFunc(slices.Clone(c.byCID[cid]), func(k string) bool { return k == key })
		if len(c.byCID[cid]) == 0 {
			delete(c.byCID, cid)
			c.bytes -= e.file.Size
		}
	}
	c.settle(key)
}

// settle works out what the entries of one folded name show. Readers may hold
// entries without the lock, so those are replaced; only offers, which readers
// take through offersOf, changes in place.
func (c *catalogue) settle(key string) {
	c.stale = true
	older := func(aCreated, bCreated int64, a, b record.ID) int {
		return cmp.Or(cmp.Compare(aCreated, bCreated), slices.Compare(a[:], b[:]))
	}
	group := c.byName[key]
	for i, old := range group {
		e := &entry{file: old.file, offers: slices.Clone(old.offers)}
		slices.SortFunc(e.offers, func(a, b offer) int { return older(a.created, b.created, a.id, b.id) })
		first := e.offers[0]
		e.id, e.author, e.created = first.id, first.author, first.created
		for _, o := range e.offers {
			e.expires = max(e.expires, o.expires)
			c.byID[o.id] = e
		}
		group[i] = e
	}
	slices.SortFunc(group, func(a, b *entry) int { return older(a.created, b.created, a.id, b.id) })
	for i, e := range group {
		e.name = e.file.Name
		if i > 0 {
			e.name = dropdir.Tagged(e.file.Name, e.file.CID.Short())
		}
	}
}

// offersOf lists the living records that offer these bytes under any name.
func (c *catalogue) offersOf(cid record.CID) []offer {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []offer
	for _, e := range c.entriesOf(cid) {
		out = append(out, e.offers...)
	}
	return out
}

// entriesOf lists the entries for these bytes; the caller holds mu.
func (c *catalogue) entriesOf(cid record.CID) []*entry {
	var out []*entry
	for _, key := range c.byCID[cid] {
		for _, e := range c.byName[key] {
			if e.file.CID == cid {
				out = append(out, e)
			}
		}
	}
	return out
}

// refreshed returns every entry, newest first. The slice must not be changed.
func (c *catalogue) refreshed() []*entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stale {
		sorted := make([]*entry, 0, len(c.byID))
		for _, group := range c.byName {
			sorted = append(sorted, group...)
		}
		slices.SortFunc(sorted, func(a, b *entry) int {
			return cmp.Or(cmp.Compare(b.created, a.created), strings.Compare(a.name, b.name))
		})
		c.sorted, c.stale = sorted, false
	}
	return c.sorted
}

// find returns the entry that shows this name, the exact spelling before one
// that differs in case or normal form.
func (c *catalogue) find(name string) (*entry, bool) {
	var near *entry
	folded := dropdir.Fold(name)
	for _, e := range c.refreshed() {
		if e.name == name {
			return e, true
		}
		if near == nil && dropdir.Fold(e.name) == folded {
			near = e
		}
	}
	return near, near != nil
}

// named returns an entry for these bytes: the one that shows this name, else
// the first that was offered.
func (c *catalogue) named(cid record.CID, name string) (*entry, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var first *entry
	for _, e := range c.entriesOf(cid) {
		if e.name == name {
			return e, true
		}
		if first == nil || e.created < first.created {
			first = e
		}
	}
	return first, first != nil
}

// search returns the entries whose name, description or box holds every word
// of text, newest first.
func (c *catalogue) search(text string, box func(record.Key) string) []*entry {
	words := strings.Fields(dropdir.Fold(text))
	all := c.refreshed()
	if len(words) == 0 {
		return all
	}
	var out []*entry
	for _, e := range all {
		hay := dropdir.Fold(e.name + "\n" + e.file.Description + "\n" + box(e.author))
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(hay, w) }) {
			out = append(out, e)
		}
	}
	return out
}

// size is the number of entries and the bytes they stand for, each blob once.
func (c *catalogue) size() (files int, bytes uint64) {
	n := len(c.refreshed())
	c.mu.RLock()
	defer c.mu.RUnlock()
	return n, c.bytes
}

// mentions reports whether any entry names these bytes.
func (c *catalogue) mentions(cid record.CID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.byCID[cid]) > 0
}
