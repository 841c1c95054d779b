package share

import (
	"errors"
	"slices"

	"boucan/record"
)

// Limits of the queue.
const (
	// maxWanted is how many blobs are wanted at once. One costs about 250 bytes.
	maxWanted = 1 << 18
	// maxRivals is how many claims about blobs that are wanted under another
	// size already are kept, in all.
	maxRivals = 1024
	// maxTruths is how many blobs are remembered whose records lied about size.
	maxTruths = 4096
	// maxBad is how many pairs of a peer and a blob are remembered that are not
	// asked for again.
	maxBad = 1024
)

// Why a blob is not wanted. They are reasons for the log.
var (
	errImpossible = errors.New("a blob of this CID cannot have this size")
	errLiedSize   = errors.New("the record lies about the size")
	errManyWanted = errors.New("too many blobs are wanted")
)

// class sorts blobs by size, so that a large one does not keep the small
// waiting: the classes take turns, and within each the oldest wish comes first.
type class uint8

const (
	classWhole  class = iota // one chunk
	classMiddle              // up to middleSize
	classLarge
	classes
)

// middleSize is the longest blob of classMiddle, in bytes: photos, songs.
const middleSize = 32 << 20

// wish is one wanted blob.
type wish struct {
	cid      record.CID
	from     record.Key
	class    class
	asked    uint8 // questions about it that are out: whole blobs and manifests
	late     uint8 // the same, of peers so late that others are asked too
	held     bool  // not to be asked for yet, see transfers.hold
	standing bool  // wanted by Want, not only by a reader
	mends    bool  // it lies here damaged: its manifest need not be asked for
	dropped  bool  // no longer in the queue
	size     int64
	name     string
	seq      uint64
	told     uint64 // slots of the sources that do not have it, this round
	pull     *pull  // its chunks, once the manifest is known
}

func (w *wish) wanted() Wanted {
	return Wanted{CID: w.cid, Size: w.size, Name: w.name, From: w.from}
}

// queue holds the wishes, what is known about who has them, and where each
// source stands in its round through them. It does no I/O and no locking.
//
// A source goes through each lane from the oldest wish to the newest; its
// cursor is where it goes on. It skips what others are being asked for. A wish
// that is let go turns back the cursors of all who may be asked for it.
type queue struct {
	wishes  map[record.CID]*wish
	lanes   [classes]lane
	seq     uint64
	sources [maxSources]*source // by slot
	authors map[record.Key]*source
	rivals  map[record.CID][]Wanted
	nRivals int
	truths  bounded[record.CID, int64]
	bad     bounded[badPair, bool]
	badKeys map[record.Key]int // how many of bad are of this peer
	// roomBelow is the size in bytes from which on blobs are not asked for,
	// because there is no room; 0 for none.
	roomBelow int64
}

// badPair is a blob that is not asked for from a peer. Its value in queue.bad
// tells whether word from the peer lifts that.
type badPair struct {
	peer record.Key
	cid  record.CID
}

func newQueue() *queue {
	return &queue{
		wishes:  map[record.CID]*wish{},
		authors: map[record.Key]*source{},
		rivals:  map[record.CID][]Wanted{},
		truths:  newBounded[record.CID, int64](maxTruths),
		bad:     newBounded[badPair, bool](maxBad),
		badKeys: map[record.Key]int{},
	}
}

// possible reports errImpossible for a size that no blob of this CID can have.
func (w Wanted) possible() error {
	oneChunk := w.CID.Codec() == record.CodecRaw
	if !w.CID.Valid() || w.Size < 0 || w.Size > record.MaxBlob || oneChunk != (w.Size <= ChunkSize) {
		return errImpossible
	}
	return nil
}

// add puts a blob at the end of its lane. A blob that is wanted already stays
// where it is; a record by another author says who else has it, and another size
// for it is kept in case the first is a lie.
func (q *queue) add(w Wanted) error { return q.addUpTo(maxWanted, w) }

// addAhead is add for a blob that somebody waits for; it finds room.
func (q *queue) addAhead(w Wanted) error { return q.addUpTo(maxWanted+maxDemands, w) }

func (q *queue) addUpTo(most int, w Wanted) error {
	if err := w.possible(); err != nil {
		return err
	}
	if size, ok := q.truths.get(w.CID); ok && size != w.Size {
		return errLiedSize
	}
	if old := q.wishes[w.CID]; old != nil {
		q.addRival(old, w)
		if s := q.authors[w.From]; s != nil && w.From != old.from {
			old.from = w.From
			q.has(s, w.CID)
		}
		return nil
	}
	if len(q.wishes) >= most {
		return errManyWanted
	}
	q.seq++
	n := &wish{cid: w.CID, from: w.From, size: w.Size, name: w.Name, seq: q.seq, class: classLarge}
	switch {
	case w.Size <= ChunkSize:
		n.class = classWhole
	case w.Size <= middleSize:
		n.class = classMiddle
	}
	q.wishes[w.CID] = n
	q.lanes[n.class].items = append(q.lanes[n.class].items, n)
	return nil
}

func (q *queue) addRival(old *wish, w Wanted) {
	same := func(o Wanted) bool { return o.Size == w.Size }
	if old.size == w.Size || q.nRivals >= maxRivals || slices.ContainsFunc(q.rivals[w.CID], same) {
		return
	}
	q.rivals[w.CID] = append(q.rivals[w.CID], w)
	q.nRivals++
}

// remove takes a wish out.
func (q *queue) remove(w *wish) {
	if w.dropped {
		return
	}
	w.dropped = true
	delete(q.wishes, w.cid)
	q.nRivals -= len(q.rivals[w.cid])
	delete(q.rivals, w.cid)
	q.lanes[w.class].removed()
}

// lied takes out a wish whose blob is of another size than its record says. A
// rival claim of the right size takes its place.
func (q *queue) lied(w *wish, size int64) {
	rivals := q.rivals[w.cid]
	q.remove(w)
	q.truths.put(w.cid, size)
	for _, r := range rivals {
		if r.Size == size {
			_ = q.addAhead(r) // it was possible and is of the right size; room has just been made
			if n := q.wishes[r.CID]; n != nil {
				n.standing = w.standing
			}
		}
	}
}

// release lets sources be asked for w again that have passed it by.
func (q *queue) release(w *wish) {
	if w.dropped {
		return
	}
	for _, s := range q.sources {
		if s != nil && w.told&s.bit() == 0 {
			s.cursor[w.class] = min(s.cursor[w.class], w.seq)
			s.poke()
		}
	}
}

// releaseAll is release of every wish.
func (q *queue) releaseAll() {
	for _, s := range q.sources {
		if s != nil {
			s.cursor = [classes]uint64{}
			s.poke()
		}
	}
}

// setBad remembers not to ask this peer for the blob again; lifted tells
// whether the peer's own word of having it lifts that.
func (q *queue) setBad(peer record.Key, cid record.CID, lifted bool) {
	p := badPair{peer, cid}
	if was, ok := q.bad.get(p); ok {
		q.bad.put(p, was && lifted)
		return
	}
	q.badKeys[peer]++
	if old, ok := q.bad.put(p, lifted); ok {
		q.lessBad(old.peer)
	}
}

func (q *queue) lessBad(peer record.Key) {
	if q.badKeys[peer]--; q.badKeys[peer] <= 0 {
		delete(q.badKeys, peer)
	}
}

// isBad reports whether the peer is not to be asked for the blob.
func (q *queue) isBad(peer record.Key, cid record.CID) bool {
	if q.badKeys[peer] == 0 {
		return false
	}
	_, ok := q.bad.get(badPair{peer, cid})
	return ok
}

// liftBad takes back setBad where the peer's word may do that, and reports
// whether the peer may be asked.
func (q *queue) liftBad(peer record.Key, cid record.CID) bool {
	p := badPair{peer, cid}
	lifted, ok := q.bad.get(p)
	if ok && lifted {
		q.bad.remove(p)
		q.lessBad(peer)
	}
	return !ok || lifted
}

// able reports whether s may be asked for w at all.
func (q *queue) able(s *source, w *wish) bool {
	return !w.dropped && s.slot >= 0 && w.told&s.bit() == 0 && !q.isBad(s.key, w.cid)
}

// others reports whether anybody but s is able to give w.
func (q *queue) others(s *source, w *wish) bool {
	for _, o := range q.sources {
		if o != nil && o != s && q.able(o, w) {
			return true
		}
	}
	return false
}

// free reports whether w waits for somebody to be asked for it.
func (q *queue) free(w *wish) bool {
	return !w.dropped && !w.held && w.asked == 0 && w.pull == nil && (q.roomBelow == 0 || w.size < q.roomBelow)
}

// leftToAuthor reports whether w is better asked of its record's author, who is
// connected and has not said no. Most others do not have it yet.
func (q *queue) leftToAuthor(s *source, w *wish) bool {
	a := q.authors[w.from]
	return a != nil && a != s && q.able(a, w)
}

// scan offers the wishes of a lane that s may be asked for to take, from its
// cursor on, until take returns false, and leaves the cursor behind the last
// one that was taken or passed by. take reports whether it took the wish.
func (q *queue) scan(s *source, c class, take func(*wish) bool) {
	items := q.lanes[c].items
	from, _ := slices.BinarySearchFunc(items, s.cursor[c], func(w *wish, seq uint64) int {
		return cmpSeq(w.seq, seq)
	})
	for _, w := range items[from:] {
		if q.free(w) && q.able(s, w) && !q.leftToAuthor(s, w) && !take(w) {
			s.cursor[c] = w.seq
			return
		}
	}
	s.cursor[c] = q.seq + 1
}

// scanBack offers the newest wishes first, also those left to their author: the
// author is working from the other end. It looks at most at limit wishes.
func (q *queue) scanBack(s *source, c class, limit int, take func(*wish) bool) {
	items := q.lanes[c].items
	for _, w := range slices.Backward(items[max(0, len(items)-limit):]) {
		if q.free(w) && q.able(s, w) && !take(w) {
			return
		}
	}
}

func cmpSeq(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// lane holds the wishes of one class in the order of their numbers. Removed
// ones stay until they are half of it.
type lane struct {
	items []*wish
	dead  int
}

func (l *lane) removed() {
	const few = 64
	if l.dead++; l.dead < few || l.dead < len(l.items)/2 {
		return
	}
	l.items = slices.DeleteFunc(l.items, func(w *wish) bool { return w.dropped })
	if cap(l.items) > 4*(len(l.items)+few) {
		l.items = slices.Clone(l.items)
	}
	l.dead = 0
}

// bounded is a map that forgets its oldest entry when it is full.
type bounded[K comparable, V any] struct {
	most  int
	items map[K]V
	order []K // oldest first
}

func newBounded[K comparable, V any](most int) bounded[K, V] {
	return bounded[K, V]{most: most, items: map[K]V{}}
}

func (b *bounded[K, V]) get(k K) (V, bool) {
	v, ok := b.items[k]
	return v, ok
}

// put sets a value and returns the key that was forgotten for it.
func (b *bounded[K, V]) put(k K, v V) (forgotten K, ok bool) {
	if _, have := b.items[k]; !have {
		for len(b.items) >= b.most {
			forgotten, b.order = b.order[0], b.order[1:]
			_, ok = b.items[forgotten]
			delete(b.items, forgotten)
		}
		b.order = append(b.order, k)
	}
	b.items[k] = v
	return forgotten, ok
}

func (b *bounded[K, V]) remove(k K) {
	if _, ok := b.items[k]; !ok {
		return
	}
	delete(b.items, k)
	b.order = slices.DeleteFunc(b.order, func(o K) bool { return o == k })
}
