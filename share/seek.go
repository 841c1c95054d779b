package share

import "time"

// seekPage is how many wishes are looked at in one turn for those that nobody
// connected has.
const seekPage = 1024

// seek asks for peers that may have what a reader waits for, and reports whether
// there is anybody to hope for. t.mu is held.
func (t *transfers) seek(d *demand, w *wish, now time.Time) bool {
	if now.Sub(d.sought) >= seekEvery {
		d.sought, d.seeking = now, t.b.o.Seek(w.from, true)
	}
	return d.seeking
}

// seekAuthors asks for the author of one wish that no connected peer has. Wishes are
// looked at in turn, a page at a time. t.mu is held.
func (t *transfers) seekAuthors(now time.Time) {
	if len(t.peers) == 0 {
		return
	}
	left := seekPage
	for range classes + 1 {
		items := t.q.lanes[t.seekLane].items
		for t.seekAt < len(items) && left > 0 {
			w := items[t.seekAt]
			t.seekAt++
			left--
			if t.q.free(w) && t.q.authors[w.from] == nil && t.peers[w.from] == nil && !t.hope(w, now) {
				t.b.o.Seek(w.from, false)
				return
			}
		}
		if left == 0 {
			return
		}
		t.seekLane, t.seekAt = (t.seekLane+1)%classes, 0
	}
}
