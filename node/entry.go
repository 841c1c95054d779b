package node

import (
	"bytes"
	"container/heap"
	"iter"
	"strings"
	"unicode/utf8"

	"boucan/record"
	"boucan/share/dropdir"
)

// There are as many entries and offers as files in the mesh, so each field
// counts: docs/decisions/0013-scale.md. What few of them have stands in extra
// and in the catalogue's maps.

// entry is one line of the list: a name and the bytes it stands for. Name and
// case are those of its oldest offer.
type entry struct {
	cid   record.CID
	nth   int32  // place among the younger ones of its name
	own   int32  // how many of the offers are this node's
	first *offer // the oldest, which an entry takes its looks from
	more  *extra // nil for most
}

// extra is what few entries have.
type extra struct {
	offers offerHeap           // all of them, where there are more than one
	twins  map[*entry]struct{} // the others of the same bytes, with the one that byCID finds
	rest   *younger            // the younger ones of its name, with the oldest, which byName finds
	tagged string              // the name shown where it is not the record's
}

// offer is one record that offers an entry.
type offer struct {
	entry   *entry
	author  *author
	text    string // the name and behind it, unless it is ASCII or the same, the folded name
	created int64  // Unix milliseconds
	expires int64  // Unix milliseconds
	size    uint64 // bytes
	id      record.ID
	at      int32  // place in the entry's offers
	cut     uint16 // where the name ends in text
	is      traits
}

// traits say what an offer is.
type traits uint8

const (
	byOperator traits = 1 << iota // an operator shares it, see fromFolder
	described                     // the catalogue's abouts has its description
	oddMedia                      // the catalogue's media has its type: it is not as the name says
)

// author is whose an offer is. All offers of one share it.
type author struct {
	key    record.Key
	offers int
}

// row is an entry as it was at some moment.
type row struct {
	name    string // as shown
	said    string // as the oldest record says
	cid     record.CID
	size    uint64 // bytes, as the oldest record says
	media   string
	author  record.Key // of the oldest record
	id      record.ID  // of the oldest record
	created int64      // Unix milliseconds, of the oldest record
	expires int64      // Unix milliseconds, of the longest-lived record
	own     bool       // a record of this node is among them
	alone   bool       // there is one record only

	folded, about string // what search looks at, see appendFolded
}

// claim is one record that offers certain bytes.
type claim struct {
	id       record.ID
	name     string // as the record says
	created  int64
	expires  int64
	operator bool
}

// name is the record's.
func (o *offer) name() string { return o.text[:o.cut] }

// setName makes text of a name and its folded form.
func (o *offer) setName(name, key string) {
	o.text, o.cut = name, uint16(len(name))
	if key != name && !ascii(name) {
		o.text = name + key
	}
}

// folded is what appendFolded makes the folded name of.
func (o *offer) folded() string {
	if int(o.cut) < len(o.text) {
		return o.text[o.cut:]
	}
	return o.text
}

// ascii reports whether folding a name is no more than making it lower case.
func ascii(name string) bool {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// lower is c in lower case where it is an ASCII letter.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// appendFolded appends a folded name, as dropdir.Fold makes it, of what folded
// returned.
func appendFolded(b []byte, folded string) []byte {
	for i := range len(folded) {
		b = append(b, lower(folded[i]))
	}
	return b
}

// hasKey reports whether the folded name is key.
func (o *offer) hasKey(key string) bool {
	folded := o.folded()
	if len(folded) != len(key) {
		return false
	}
	for i := range len(key) {
		if lower(folded[i]) != key[i] {
			return false
		}
	}
	return true
}

// older orders offers, and entries by their oldest offer.
func (o *offer) older(p *offer) bool {
	if o.created != p.created {
		return o.created < p.created
	}
	return bytes.Compare(o.id[:], p.id[:]) < 0
}

func (o *offer) claim() claim {
	return claim{id: o.id, name: o.name(), created: o.created, expires: o.expires, operator: o.is&byOperator != 0}
}

// key is the entry's folded name.
func (e *entry) key() string { return dropdir.Fold(e.first.name()) }

// tagged is the name that the entry shows where it is not the record's.
func (e *entry) tagged() string {
	if e.more == nil {
		return ""
	}
	return e.more.tagged
}

// younger is the others of its name, nil where there are none or the entry is
// not the oldest.
func (e *entry) younger() *younger {
	if e.more == nil {
		return nil
	}
	return e.more.rest
}

// extra makes room for what few entries have; tidy gives it back.
func (e *entry) extra() *extra {
	if e.more == nil {
		e.more = &extra{}
	}
	return e.more
}

func (e *entry) tidy() {
	if x := e.more; x != nil && x.offers == nil && x.twins == nil && x.rest == nil && x.tagged == "" {
		e.more = nil
	}
}

// count is how many offers the entry has.
func (e *entry) count() int {
	switch {
	case e.first == nil:
		return 0
	case e.more == nil || e.more.offers == nil:
		return 1
	}
	return len(e.more.offers)
}

// offers goes through the offers, the oldest first, the others in no order.
func (e *entry) offers() iter.Seq[*offer] {
	return func(yield func(*offer) bool) {
		if e.count() == 1 {
			yield(e.first)
			return
		}
		for _, o := range e.more.offers {
			if !yield(o) {
				return
			}
		}
	}
}

// push adds an offer, pull takes one out.
func (e *entry) push(o *offer) {
	o.entry, o.at = e, 0
	if e.first == nil {
		e.first = o
		return
	}
	x := e.extra()
	if x.offers == nil {
		x.offers = offerHeap{e.first}
	}
	heap.Push(&x.offers, o)
	e.first = x.offers[0]
}

func (e *entry) pull(o *offer) {
	if e.count() == 1 {
		e.first = nil
		return
	}
	x := e.more
	heap.Remove(&x.offers, int(o.at))
	if e.first = x.offers[0]; len(x.offers) == 1 {
		x.offers = nil
		e.tidy()
	}
}

// row is the entry as it is now; the caller holds the catalogue's mu.
func (c *catalogue) row(e *entry) row {
	o := e.first
	r := row{
		name: o.name(), said: o.name(), cid: e.cid, size: o.size, author: o.author.key, id: o.id,
		created: o.created, expires: o.expires, own: e.own > 0, alone: e.count() == 1, folded: o.folded(),
	}
	if o.is&oddMedia != 0 {
		r.media = c.media[o]
	} else {
		r.media = mediaType(r.name)
	}
	if o.is&described != 0 {
		r.about = c.abouts[o]
	}
	if t := e.tagged(); t != "" {
		r.name = t
	}
	if e.count() > 1 {
		const enough = 64 // more records for one file are a stranger's game
		for _, o := range e.more.offers[:min(len(e.more.offers), enough)] {
			r.expires = max(r.expires, o.expires)
		}
	}
	return r
}

// matches reports whether name, description or box of the row hold every word.
// The words are folded; box names an author, folded. Scratch is room to work in.
func (r *row) matches(words [][]byte, box func(record.Key) string, scratch *[]byte) bool {
	*scratch = appendFolded((*scratch)[:0], r.folded)
	for _, w := range words {
		if !bytes.Contains(*scratch, w) && !strings.Contains(r.about, string(w)) && !strings.Contains(box(r.author), string(w)) {
			return false
		}
	}
	return true
}

// offerHeap is a heap (container/heap) of an entry's offers, the oldest first.
type offerHeap []*offer

func (h offerHeap) Len() int           { return len(h) }
func (h offerHeap) Less(i, j int) bool { return h[i].older(h[j]) }
func (h offerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = int32(i), int32(j)
}

// Push and Pop are for container/heap.
func (h *offerHeap) Push(x any) {
	o := x.(*offer)
	o.at = int32(len(*h))
	*h = append(*h, o)
}

func (h *offerHeap) Pop() any {
	old := *h
	o := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return o
}
