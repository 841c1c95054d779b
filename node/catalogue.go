package node

import (
	"hash/maphash"
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
	seed maphash.Seed

	mu      sync.RWMutex // guards what follows, entries and offers included
	byID    finder[offer]
	byCID   finder[entry] // one entry for each blob; it has the others
	byName  finder[entry] // the oldest entry of each folded name; it has the others
	authors finder[author]
	byAge   ages
	names   shownNames
	abouts  map[*offer]string // descriptions, folded
	media   map[*offer]string // media types that are not as the name says

	bytes    uint64 // sizes of distinct blobs added up
	ownFiles int    // entries that this node offers
	ownBytes uint64 // their sizes added up
}

func newCatalogue(self record.Key) *catalogue {
	c := &catalogue{
		self: self, seed: maphash.MakeSeed(), names: newShownNames(),
		abouts: make(map[*offer]string), media: make(map[*offer]string),
	}
	c.byAge.row = c.row
	c.byID.hash = func(o *offer) uint64 { return maphash.Bytes(c.seed, o.id[:]) }
	c.byCID.hash = func(e *entry) uint64 { return maphash.Bytes(c.seed, e.cid[:]) }
	c.authors.hash = func(a *author) uint64 { return maphash.Bytes(c.seed, a.key[:]) }
	c.byName.hash = func(e *entry) uint64 {
		var room [128]byte
		return maphash.Bytes(c.seed, appendFolded(room[:0], e.first.folded()))
	}
	return c
}

// possible reports whether a blob of the record's CID can have the size it
// says (IPIP-499: one chunk is a raw leaf, more are a tree). No such bytes
// exist otherwise, and nothing can be done with the record.
func possible(f record.File) bool {
	return f.Size <= record.MaxBlob && (f.CID.Codec() == record.CodecRaw) == (f.Size <= share.ChunkSize)
}

// The following look for something; the caller holds mu.

func (c *catalogue) offer(id record.ID) *offer {
	return c.byID.find(maphash.Bytes(c.seed, id[:]), func(o *offer) bool { return o.id == id })
}

// blob returns one entry for these bytes, or nil.
func (c *catalogue) blob(cid record.CID) *entry {
	return c.byCID.find(maphash.Bytes(c.seed, cid[:]), func(e *entry) bool { return e.cid == cid })
}

// each calls f for the entries of a blob until it returns false.
func (c *catalogue) each(cid record.CID, f func(*entry) bool) {
	e := c.blob(cid)
	if e == nil || !f(e) || e.more == nil {
		return
	}
	for twin := range e.more.twins {
		if !f(twin) {
			return
		}
	}
}

// listed is what the catalogue takes of a file's record. Making one is the part
// of add that needs no lock.
type listed struct {
	id               record.ID
	author           record.Key
	created, expires int64 // Unix milliseconds
	file             record.File
	key, about       string // name and description, folded
}

func listedOf(r *record.Record, f record.File) listed {
	return listed{
		id: r.ID(), author: r.Author, created: r.Created, expires: r.Expires,
		file: f, key: dropdir.Fold(f.Name), about: dropdir.Fold(f.Description),
	}
}

// add takes a living file record in. Adding one twice changes nothing, and
// neither does one that no bytes can fit.
func (c *catalogue) add(r *record.Record, f record.File) {
	if !possible(f) {
		return
	}
	l := listedOf(r, f)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(&l)
}

// enter is add for what is possible; the caller holds mu.
func (c *catalogue) enter(l *listed) {
	if c.offer(l.id) != nil {
		return
	}
	e := c.entry(l.key, l.file.CID)
	known := e != nil
	var o *offer
	if known {
		o = new(offer)
	} else {
		both := new(struct { // most entries have one offer, and both go together
			e entry
			o offer
		})
		e, o = &both.e, &both.o
		e.cid = l.file.CID
	}
	o.id, o.created, o.expires, o.size = l.id, l.created, l.expires, l.file.Size
	o.setName(l.file.Name, l.key)
	if fromFolder(l.file) {
		o.is |= byOperator
	}
	if l.about != "" {
		o.is |= described
		c.abouts[o] = l.about
	}
	if l.file.MediaType != mediaType(l.file.Name) {
		o.is |= oddMedia
		c.media[o] = l.file.MediaType
	}
	c.byID.put(o)
	c.sign(o, l.author)
	if known {
		c.join(e, o)
		return
	}
	e.push(o)
	c.addToBlob(e)
	c.weigh(e, o, 1)
	c.byAge.insert(e)
	c.addToGroup(e, l.key)
}

// sign notes whose an offer is.
func (c *catalogue) sign(o *offer, by record.Key) {
	o.author = c.authors.find(maphash.Bytes(c.seed, by[:]), func(a *author) bool { return a.key == by })
	if o.author == nil {
		o.author = &author{key: by}
		c.authors.put(o.author)
	}
	o.author.offers++
}

// join adds an offer to an entry that is there.
func (c *catalogue) join(e *entry, o *offer) {
	if n := e.first.text; n == o.text {
		o.text = n // so that one string serves all
	}
	first := o.older(e.first)
	c.unweigh(e)
	if first {
		c.byAge.remove(e)
	}
	e.push(o)
	c.weigh(e, o, 1)
	if first {
		c.byAge.insert(e)
		c.regroup(e)
	}
}

// remove forgets a record; the entry goes with its last one.
func (c *catalogue) remove(id record.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.offer(id)
	if o == nil {
		return
	}
	c.byID.remove(o)
	delete(c.abouts, o)
	delete(c.media, o)
	if o.author.offers--; o.author.offers == 0 {
		c.authors.remove(o.author)
	}
	e := o.entry
	c.unweigh(e)
	switch {
	case e.count() == 1:
		c.removeFromGroup(e)
		c.byAge.remove(e)
		c.removeFromBlob(e)
	case o == e.first:
		c.byAge.remove(e)
		e.pull(o)
		c.weigh(e, o, -1)
		c.byAge.insert(e)
		c.regroup(e)
	default:
		e.pull(o)
		c.weigh(e, o, -1)
	}
}

// unweigh takes an entry out of the sums before it changes, weigh enters it
// again when offer o has come to it, by being 1, or gone from it.
func (c *catalogue) unweigh(e *entry) { c.sum(e, ^uint64(0)) }

func (c *catalogue) weigh(e *entry, o *offer, by int32) {
	if o.author.key == c.self {
		e.own += by
	}
	c.sum(e, 1)
}

// sum adds to the sums what the entry counts for, times 1 or, modulo 2^64, -1.
func (c *catalogue) sum(e *entry, times uint64) {
	if c.blob(e.cid) == e {
		c.bytes += times * e.first.size
	}
	if e.own > 0 {
		c.ownFiles += int(int64(times))
		c.ownBytes += times * e.first.size
	}
}

func (c *catalogue) addToBlob(e *entry) {
	b := c.blob(e.cid)
	if b == nil {
		c.byCID.put(e)
		return
	}
	x := b.extra()
	if x.twins == nil {
		x.twins = make(map[*entry]struct{})
	}
	x.twins[e] = struct{}{}
}

// removeFromBlob takes out an entry that the sums do not hold any more.
func (c *catalogue) removeFromBlob(e *entry) {
	b := c.blob(e.cid)
	if b != e {
		b.dropTwin(e)
		return
	}
	if e.more == nil || e.more.twins == nil {
		c.byCID.remove(e)
		return
	}
	for next := range e.more.twins {
		next.extra().twins = e.more.twins
		next.dropTwin(next)
		c.byCID.swap(e, next)
		c.bytes += next.first.size
		return
	}
}

func (e *entry) dropTwin(twin *entry) {
	if delete(e.more.twins, twin); len(e.more.twins) == 0 {
		e.more.twins = nil
		e.tidy()
	}
}
