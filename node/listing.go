package node

import (
	"bytes"
	"slices"
	"strings"

	"boucan/record"
	"boucan/share/dropdir"
)

// lookAtOnce is how many entries are copied out of the catalogue at a time, so
// that nobody who goes through all of it keeps records from coming in.
const lookAtOnce = 256

// page returns up to limit rows, newest first, beginning offset from the
// newest, and how many entries there are.
func (c *catalogue) page(offset, limit int) (rows []row, total int) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	total = c.byAge.count
	room := max(0, min(limit, total-offset))
	return c.byAge.from(offset, make([]row, 0, room)), total
}

// all calls visit for every entry, newest first, until it returns false. What
// comes or goes meanwhile may be missed, and what is dated anew be seen twice. The catalogue is not locked during
// visit, and the row is only valid until it returns.
func (c *catalogue) all(visit func(*row) bool) {
	rows := make([]row, 0, lookAtOnce)
	c.mu.RLock()
	rows = c.byAge.from(0, rows)
	c.mu.RUnlock()
	for len(rows) > 0 {
		for i := range rows {
			if !visit(&rows[i]) {
				return
			}
		}
		if len(rows) < cap(rows) {
			return
		}
		last := offer{id: rows[len(rows)-1].id, created: rows[len(rows)-1].created}
		c.mu.RLock()
		rows = c.byAge.behind(&last, rows[:0])
		c.mu.RUnlock()
	}
}

// search calls visit for every entry whose name, description or box holds every
// word of text, newest first, until it returns false.
func (c *catalogue) search(text string, box func(record.Key) string, visit func(*row) bool) {
	words := bytes.Fields([]byte(dropdir.Fold(text)))
	boxes := make(map[record.Key]string)
	folded := func(k record.Key) string {
		name, ok := boxes[k]
		if !ok {
			name = dropdir.Fold(box(k))
			boxes[k] = name
		}
		return name
	}
	var scratch []byte
	c.all(func(r *row) bool { return !r.matches(words, folded, &scratch) || visit(r) })
}

// searchPage returns up to limit of the rows that match, beginning offset from
// the newest, and how many match in all.
func (c *catalogue) searchPage(text string, box func(record.Key) string, offset, limit int) (rows []row, total int) {
	if strings.TrimSpace(text) == "" {
		return c.page(offset, limit)
	}
	c.search(text, box, func(r *row) bool {
		if total >= offset && len(rows) < limit {
			rows = append(rows, *r)
		}
		total++
		return true
	})
	return rows, total
}

// find returns the entry that shows this name, or one that differs from it in
// case or normal form only.
func (c *catalogue) find(name string) (row, bool) {
	key := dropdir.Fold(name)
	c.mu.RLock()
	defer c.mu.RUnlock()
	e := c.named(key)
	if e == nil {
		e = c.names.tagged[key]
	}
	if e == nil {
		return row{}, false
	}
	return c.row(e), true
}

// offered returns the entry for these bytes under the name of a record.
func (c *catalogue) offered(cid record.CID, name string) (row, bool) {
	key := dropdir.Fold(name)
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e := c.entry(key, cid); e != nil {
		return c.row(e), true
	}
	return row{}, false
}

// first returns the entry for these bytes that was offered first.
func (c *catalogue) first(cid record.CID) (row, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var oldest *entry
	c.each(cid, func(e *entry) bool {
		if oldest == nil || e.first.older(oldest.first) {
			oldest = e
		}
		return true
	})
	if oldest == nil {
		return row{}, false
	}
	return c.row(oldest), true
}

// mentions reports whether any living record names these bytes.
func (c *catalogue) mentions(cid record.CID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.blob(cid) != nil
}

// own lists the living records of this node that offer these bytes, and whether
// there are any of others.
func (c *catalogue) own(cid record.CID) (mine []claim, others bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	c.each(cid, func(e *entry) bool {
		others = others || int(e.own) < e.count()
		if e.own == 0 {
			return true
		}
		for o := range e.offers() {
			if o.author.key == c.self {
				mine = append(mine, o.claim())
			}
		}
		return true
	})
	return mine, others
}

// offerings lists the living records that offer these bytes, of every name or, where
// name is not empty, of one.
func (c *catalogue) offerings(cid record.CID, name string) (all []signedClaim) {
	key := dropdir.Fold(name)
	c.mu.RLock()
	defer c.mu.RUnlock()
	c.each(cid, func(e *entry) bool {
		if name == "" || e.first.hasKey(key) {
			for o := range e.offers() {
				all = append(all, signedClaim{o.claim(), o.author.key})
			}
		}
		return true
	})
	return all
}

// maxSizes is how many sizes that records claim for one blob are passed on. All
// but one are lies.
const maxSizes = 8

// sizes calls f for each size that a record claims for these bytes, with the
// name and the author that come with it.
func (c *catalogue) sizes(cid record.CID, f func(size uint64, name string, from record.Key)) {
	type said struct {
		size uint64
		name string
		from record.Key
	}
	var list []said
	c.mu.RLock()
	c.each(cid, func(e *entry) bool {
		for o := range e.offers() {
			known := false
			for _, s := range list {
				known = known || s.size == o.size
			}
			if !known {
				list = append(list, said{o.size, o.name(), o.author.key})
			}
			if len(list) == maxSizes {
				return false
			}
		}
		return true
	})
	c.mu.RUnlock()
	for _, s := range list {
		f(s.size, s.name, s.from)
	}
}

// weight is what a blob is said to weigh, in bytes, the smallest that records
// claim of it, and who offered it first; false where nobody does.
func (c *catalogue) weight(cid record.CID) (size int64, by record.Key, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var oldest *offer
	left := maxAuthors
	c.each(cid, func(e *entry) bool {
		if oldest == nil || e.first.older(oldest) {
			oldest = e.first
		}
		for o := range e.offers() {
			if n := int64(o.size); !ok || n < size {
				size, ok = n, true
			}
			if left--; left <= 0 {
				return false
			}
		}
		return true
	})
	if oldest != nil {
		by = oldest.author.key
	}
	return size, by, ok
}

// anyName reports whether any of up to maxAuthors names of a blob is as ok wants.
func (c *catalogue) anyName(cid record.CID, ok func(name string) bool) bool {
	var names []string
	c.mu.RLock()
	c.each(cid, func(e *entry) bool {
		names = append(names, e.first.name())
		return len(names) < maxAuthors
	})
	c.mu.RUnlock()
	return slices.ContainsFunc(names, ok)
}

// maxAuthors is how many records are looked at for who offers a blob.
const maxAuthors = 64

// offerers calls f for each of up to maxAuthors records that offer these bytes,
// with when it was made in Unix milliseconds.
func (c *catalogue) offerers(cid record.CID, f func(key record.Key, created int64)) {
	type said struct {
		key     record.Key
		created int64
	}
	var list []said
	c.mu.RLock()
	c.each(cid, func(e *entry) bool {
		for o := range e.offers() {
			if len(list) == maxAuthors {
				return false
			}
			list = append(list, said{o.author.key, o.created})
		}
		return true
	})
	c.mu.RUnlock()
	for _, s := range list {
		f(s.key, s.created)
	}
}

// ending lists the records by which this node's operator offers a file and
// which end by the time before, unless another that does the same lives longer.
func (c *catalogue) ending(before int64) []claim {
	var due []claim
	c.all(func(r *row) bool {
		if !r.own || r.alone && r.expires > before {
			return true
		}
		c.mu.RLock()
		defer c.mu.RUnlock()
		if e := c.entry(dropdir.Fold(r.said), r.cid); e != nil && e.own > 0 {
			due = append(due, e.ending(c.self, before)...)
		}
		return true
	})
	return due
}

func (e *entry) ending(self record.Key, before int64) []claim {
	last := make(map[string]*offer) // by name as spelled
	for o := range e.offers() {
		name := o.name()
		if o.author.key == self && o.is&byOperator != 0 && (last[name] == nil || last[name].expires < o.expires) {
			last[name] = o
		}
	}
	var due []claim
	for _, o := range last {
		if o.expires <= before {
			due = append(due, o.claim())
		}
	}
	return due
}

// size is the number of entries and the bytes they stand for, each blob once.
func (c *catalogue) size() (files int, bytes uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byAge.count, c.bytes
}

// offers is the number of entries that this node offers itself, and their
// sizes added up.
func (c *catalogue) offers() (files int, bytes uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.ownFiles, c.ownBytes
}
