package share

import (
	"slices"
	"time"
)

// nowhere is a chunk that no blob has.
const nowhere = 1 << 30

// urgent asks for what somebody waits to read: the blobs in turn, and within
// each its readers.
func (p *picker) urgent() {
	t := p.t
	for idle := 0; idle < len(t.demandList) && p.room > 0 && len(p.jobs) < p.most; {
		d := t.demandList[0]
		t.demandList = append(slices.Delete(t.demandList, 0, 1), d)
		if p.demanded(d) {
			idle = 0
		} else {
			idle++
		}
	}
}

// demanded asks for a little of what a demand needs next.
func (p *picker) demanded(d *demand) bool {
	w := p.t.q.wishes[d.cid]
	if w == nil || d.err != nil || !p.t.q.able(p.src, w) {
		return false
	}
	o := p.t.pulls[d.cid]
	if o == nil {
		return p.t.startableFor(d, p.src, w, p.now) && p.ask(w)
	}
	if !o.ready {
		return false
	}
	for range d.readers {
		r := d.readers[0]
		d.readers = append(slices.Delete(d.readers, 0, 1), r)
		if i, ok := o.takeFrom(d.place(r), p.src); ok {
			o.moved = p.now
			p.addChunk(o, i)
			return true
		}
	}
	return false
}

// startableFor reports whether src may be asked the first question about a blob
// that somebody waits for. Its author, where it answers, is asked first: most
// others do not have it. t.mu is held.
func (t *transfers) startableFor(d *demand, src *source, w *wish, now time.Time) bool {
	if len(d.readers) == 0 || w.asked > 0 || w.pull != nil {
		return false
	}
	if a := t.q.authors[w.from]; a != nil && now.Before(a.quietTo) {
		// is left alone for now
	} else if t.q.leftToAuthor(src, w) {
		return false
	}
	if w.class == classWhole {
		return true
	}
	leaves := int64(Chunks(w.size)) * leafSize
	return t.starting < maxStarting+maxDemands && len(t.pulls)+t.starting < maxPulls+maxDemands &&
		(t.leafBytes+leaves <= maxLeafBytes+maxUrgentLeaves || len(t.pulls) == 0)
}

// place is the chunk from which on a reader waits for what comes. Before its
// first read nobody knows, and the beginning stands in until a peer has shown to
// have the blob.
func (d *demand) place(r *demandReader) int {
	if r.chunk < 0 && d.shown {
		return nowhere
	}
	return max(r.chunk, 0)
}

// takeFrom takes a chunk at a reader's place or a little ahead of it.
func (p *pull) takeFrom(from int, s *source) (chunk int, ok bool) {
	if i := p.ahead(from, s); i >= 0 {
		p.todo.clear(i)
		p.asked++
		return i, true
	}
	return 0, false
}

// ahead is the first chunk that s may be asked for within aheadChunks of from, -1
// for none; a nil s stands for anybody.
func (p *pull) ahead(from int, s *source) int {
	for i := p.todo.next(from); i >= 0 && i < from+aheadChunks; i = p.todo.next(i + 1) {
		if s == nil || p.gives(s, i) {
			return i
		}
	}
	return -1
}

// urgentFor reports whether somebody waits for what src may be asked for.
// t.mu is held.
func (t *transfers) urgentFor(src *source, now time.Time) bool {
	if src.slot < 0 {
		return false
	}
	return slices.ContainsFunc(t.demandList, func(d *demand) bool {
		w := t.q.wishes[d.cid]
		if w == nil || d.err != nil || !t.q.able(src, w) {
			return false
		}
		if t.pulls[d.cid] == nil {
			return t.startableFor(d, src, w, now)
		}
		return t.ahead(d, src)
	})
}

// ahead reports whether a reader of d waits for a chunk that src may be asked
// for. t.mu is held.
func (t *transfers) ahead(d *demand, src *source) bool {
	p := t.pulls[d.cid]
	return p != nil && p.ready && slices.ContainsFunc(d.readers, func(o *demandReader) bool {
		return p.ahead(d.place(o), src) >= 0
	})
}
