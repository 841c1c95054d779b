package node

import (
	"container/heap"
	"strings"
	"sync"

	"boucan/record"
	"boucan/share"
	"boucan/share/dropdir"
)

// catalogue is every living file record, in memory, by name and newest first.
// What is the same bytes under the same name is one entry, however many boxes
// offer it. Two different files of one name both stay; see names.go.
//
// Strangers choose what is in it, so no change and no page goes through all
// entries, all files of one name or all records of one file. Safe for concurrent
// use.
type catalogue struct {
	self record.Key

	mu     sync.RWMutex // guards what follows, entries and offers included
	byID   map[record.ID]*offer
	byCID  map[record.CID]blob
	byName map[string]group // by folded record name
	byAge  ages
	names  shownNames

	bytes    uint64 // sizes of distinct blobs added up
	ownFiles int    // entries that this node offers
	ownBytes uint64 // their sizes added up
}

// entry is one line of the list: a name and the bytes it stands for. Name and
// case are those of its oldest offer.
type entry struct {
	key    string // folded record name
	cid    record.CID
	offers offerHeap // oldest first
	tagged string    // the name shown where it is not the record's
	nth    int       // place among the younger ones of its name
	own    int       // how many of the offers are this node's
	size   uint64    // as counted in ownBytes while own > 0
}

// offer is one record that offers an entry.
type offer struct {
	entry    *entry
	at       int // place in the entry's offers
	id       record.ID
	author   record.Key
	created  int64 // Unix milliseconds
	expires  int64 // Unix milliseconds
	name     string
	media    string
	about    string // description, folded
	size     uint64 // bytes
	operator bool   // an operator shares it, see fromFolder
}

// blob is the entries that stand for the same bytes.
type blob struct {
	size  uint64 // as counted in catalogue.bytes
	first *entry
	more  map[*entry]struct{} // nil where there is one only
}

// row is an entry as it was at some moment.
type row struct {
	name    string // as shown
	cid     record.CID
	size    uint64 // bytes, as the oldest record says
	media   string
	author  record.Key // of the oldest record
	id      record.ID  // of the oldest record
	created int64      // Unix milliseconds, of the oldest record
	expires int64      // Unix milliseconds, of the longest-lived record

	key, about string // what search looks at
}

// claim is one record that offers certain bytes.
type claim struct {
	id       record.ID
	name     string // as the record says
	created  int64
	expires  int64
	operator bool
}

func newCatalogue(self record.Key) *catalogue {
	return &catalogue{
		self: self, byID: make(map[record.ID]*offer), byCID: make(map[record.CID]blob),
		byName: make(map[string]group), names: newShownNames(),
	}
}

// possible reports whether a blob of the record's CID can have the size it
// says (IPIP-499: one chunk is a raw leaf, more are a tree). No such bytes
// exist otherwise, and nothing can be done with the record.
func possible(f record.File) bool {
	return f.Size <= record.MaxBlob && (f.CID.Codec() == record.CodecRaw) == (f.Size <= share.ChunkSize)
}

// older orders offers, and entries by their oldest offer.
func (o *offer) older(p *offer) bool {
	if o.created != p.created {
		return o.created < p.created
	}
	return string(o.id[:]) < string(p.id[:])
}

// oldest is the offer that an entry takes its looks from.
func (e *entry) oldest() *offer { return e.offers[0] }

// add takes a living file record in. Adding one twice changes nothing, and
// neither does one that no bytes can fit.
func (c *catalogue) add(r *record.Record, f record.File) {
	if !possible(f) {
		return
	}
	key := dropdir.Fold(f.Name)
	o := &offer{
		id: r.ID(), author: r.Author, created: r.Created, expires: r.Expires, name: f.Name, size: f.Size,
		media: f.MediaType, operator: fromFolder(f), about: dropdir.Fold(f.Description),
	}
	if known := mediaType(f.Name); known == f.MediaType {
		o.media = known // so that one string serves all
	}
	if key == f.Name {
		key = f.Name // so that one string serves both
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byID[o.id]; ok {
		return
	}
	c.byID[o.id] = o
	if e := c.byName[key].find(f.CID); e != nil {
		c.join(e, o)
		return
	}
	e := &entry{key: key, cid: f.CID}
	o.entry = e
	heap.Push(&e.offers, o)
	c.count(e, o, 1)
	c.addToBlob(e)
	c.byAge.insert(e)
	c.addToGroup(e)
}

// join adds an offer to an entry that is there.
func (c *catalogue) join(e *entry, o *offer) {
	o.entry = e
	if n := e.oldest().name; n == o.name {
		o.name = n // so that one string serves all
	}
	first := o.older(e.oldest())
	if first {
		c.byAge.remove(e)
	}
	heap.Push(&e.offers, o)
	c.count(e, o, 1)
	if first {
		c.byAge.insert(e)
		c.regroup(e)
	}
}

// remove forgets a record; the entry goes with its last one.
func (c *catalogue) remove(id record.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.byID[id]
	if !ok {
		return
	}
	delete(c.byID, id)
	e := o.entry
	switch {
	case len(e.offers) == 1:
		c.removeFromGroup(e)
		c.byAge.remove(e)
		c.removeFromBlob(e)
		c.count(e, o, -1)
	case o.at == 0:
		c.byAge.remove(e)
		heap.Remove(&e.offers, 0)
		c.count(e, o, -1)
		c.byAge.insert(e)
		c.regroup(e)
	default:
		heap.Remove(&e.offers, o.at)
		c.count(e, o, -1)
	}
}

// count keeps what this node offers itself.
func (c *catalogue) count(e *entry, o *offer, by int) {
	if o.author != c.self {
		return
	}
	if e.own == 0 {
		e.size = o.size
		c.ownFiles++
		c.ownBytes += e.size
	}
	if e.own += by; e.own == 0 {
		c.ownFiles--
		c.ownBytes -= e.size
	}
}

func (c *catalogue) addToBlob(e *entry) {
	b, ok := c.byCID[e.cid]
	switch {
	case !ok:
		b = blob{size: e.oldest().size, first: e}
		c.bytes += b.size
	default:
		if b.more == nil {
			b.more = make(map[*entry]struct{})
		}
		b.more[e] = struct{}{}
	}
	c.byCID[e.cid] = b
}

func (c *catalogue) removeFromBlob(e *entry) {
	b := c.byCID[e.cid]
	if b.first != e {
		delete(b.more, e)
		return
	}
	for next := range b.more {
		delete(b.more, next)
		b.first = next
		c.byCID[e.cid] = b
		return
	}
	delete(c.byCID, e.cid)
	c.bytes -= b.size
}

// each calls f for the entries of a blob until it returns false.
func (b blob) each(f func(*entry) bool) {
	if b.first == nil || !f(b.first) {
		return
	}
	for e := range b.more {
		if !f(e) {
			return
		}
	}
}

// offerHeap is a heap (container/heap) of an entry's offers, the oldest first.
type offerHeap []*offer

func (h offerHeap) Len() int           { return len(h) }
func (h offerHeap) Less(i, j int) bool { return h[i].older(h[j]) }
func (h offerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push and Pop are for container/heap.
func (h *offerHeap) Push(x any) {
	o := x.(*offer)
	o.at = len(*h)
	*h = append(*h, o)
}

func (h *offerHeap) Pop() any {
	old := *h
	o := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return o
}

// row is the entry as it is now; the caller holds mu.
func (e *entry) row() row {
	o := e.oldest()
	r := row{
		name: o.name, cid: e.cid, size: o.size, media: o.media, author: o.author, id: o.id, created: o.created,
		key: e.key, about: o.about,
	}
	if e.tagged != "" {
		r.name = e.tagged
	}
	const enough = 64 // more records for one file are a stranger's game
	for _, o := range e.offers[:min(len(e.offers), enough)] {
		r.expires = max(r.expires, o.expires)
	}
	return r
}

// matches reports whether name, description or box of the row hold every word.
// The words are folded; box names an author, folded.
func (r *row) matches(words []string, box func(record.Key) string) bool {
	for _, w := range words {
		if !strings.Contains(r.key, w) && !strings.Contains(r.about, w) && !strings.Contains(box(r.author), w) {
			return false
		}
	}
	return true
}
