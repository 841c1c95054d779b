package share

import (
	"math/rand/v2"
	"time"

	"boucan/record"
)

// Limits of the sources.
const (
	// maxSources is how many peers are asked in one round. More take turns.
	maxSources = 64
	// maxPeers is how many connected peers are known.
	maxPeers = 1024
	// maxHot is how many blobs are remembered that one peer said to have.
	maxHot = 4096
	// maxTell is how many blobs wait to be told of to one peer. Peers that miss
	// a word ask again by themselves.
	maxTell = 4096
)

// How long a source is left alone. All grow by doubling and are spread by up to
// a quarter, so that boxes that met at once do not ask at once.
const (
	firstRound = 4 * time.Second  // after a round in which it did not have all
	lastRound  = 10 * time.Minute // the same, at most
	firstFault = time.Second      // after a stream that broke
	lastFault  = 2 * time.Minute
	firstCut   = time.Minute // after a chunk that did not match
	lastCut    = time.Hour
	busyPause  = 2 * time.Second // after it said busy
	firstProbe = time.Second     // between two guesses that it has others' blobs too
	lastProbe  = time.Minute
)

// source is a connected peer as one to be asked.
type source struct {
	key     record.Key
	slot    int // its place in queue.sources, -1 for none
	wake    chan struct{}
	started bool   // has a goroutine
	stop    func() // ends it; set with started

	cursor  [classes]uint64 // the first wish of each lane it was not yet asked for
	told    int             // wishes it said no to in this round
	retryAt time.Time       // when the next round begins; zero while one goes on
	rounds  int             // rounds ended since it came up
	hot     []record.CID    // it said it has these

	probe     int       // how many blobs of others to ask for at once
	probeAt   time.Time // not before
	probeWait time.Duration
	guesses   int  // questions of the last guess that are out
	guessed   bool // one of them came true

	faults  int       // streams that broke, since one answered
	proven  bool      // it answered something since then; before, little is asked of it
	rate    float64   // bytes a second, as last seen
	quietTo time.Time // not to be asked before

	turn   bool // it may be asked, see transfers.takeTurn
	waits  bool // it is in transfers.turnQueue
	turnAt time.Time

	tell   []record.CID
	tellAt time.Time
}

func newSource(key record.Key) *source {
	return &source{key: key, slot: -1, wake: make(chan struct{}, 1), probe: smallProbe}
}

// Sizes of a guess, in blobs.
const (
	smallProbe = 8
	largeProbe = 256
)

// bit is the source's bit in wish.told. It has one only with a slot.
func (s *source) bit() uint64 {
	if s.slot < 0 {
		return 0
	}
	return 1 << s.slot
}

// poke makes the source's goroutine look again.
func (s *source) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// seat gives s a slot and reports whether there was one.
func (q *queue) seat(s *source) bool {
	for i, o := range q.sources {
		if o == nil {
			s.slot = i
			q.sources[i] = s
			q.authors[s.key] = s
			q.newRound(s)
			return true
		}
	}
	return false
}

// unseat takes the slot back. What was left to s is anybody's now.
func (q *queue) unseat(s *source) {
	if s.slot < 0 {
		return
	}
	q.sources[s.slot] = nil
	s.slot = -1
	delete(q.authors, s.key)
	q.releaseAll()
}

// newRound lets s be asked for everything again.
func (q *queue) newRound(s *source) {
	if s.slot < 0 {
		return
	}
	for _, w := range q.wishes {
		w.told &^= s.bit()
	}
	s.told, s.retryAt, s.cursor = 0, time.Time{}, [classes]uint64{}
	s.probe, s.probeAt, s.probeWait = smallProbe, time.Time{}, 0
}

// no notes that s does not have w in this round. Others may be asked.
func (q *queue) no(s *source, w *wish) {
	if s.slot < 0 || w.dropped {
		return
	}
	if w.told&s.bit() == 0 {
		w.told |= s.bit()
		s.told++
	}
}

// maybe takes back that s does not have w.
func (q *queue) maybe(s *source, w *wish) {
	if w.told&s.bit() != 0 {
		w.told &^= s.bit()
		s.told--
	}
}

// askAnew lets everybody be asked for w that said no to it in this round.
func (q *queue) askAnew(w *wish) {
	for _, s := range q.sources {
		if s != nil {
			q.maybe(s, w)
		}
	}
	q.release(w)
}

// has notes that s said to have a blob, and reports whether that is of use.
func (q *queue) has(s *source, cid record.CID) bool {
	w := q.wishes[cid]
	if w == nil || s.slot < 0 || !q.liftBad(s.key, cid) {
		return false
	}
	q.maybe(s, w)
	s.cursor[w.class] = min(s.cursor[w.class], w.seq)
	if len(s.hot) < maxHot {
		s.hot = append(s.hot, cid)
	}
	return true
}

// endRound plans the next round where s said no to anything in this one.
func (q *queue) endRound(s *source, now time.Time) {
	if s.told > 0 && s.retryAt.IsZero() {
		s.retryAt = now.Add(spread(backoff(firstRound, lastRound, s.rounds)))
		s.rounds++
	}
}

// backoff is first doubled times times, at most last.
func backoff(first, last time.Duration, times int) time.Duration {
	for ; times > 0 && first < last; times-- {
		first *= 2
	}
	return min(first, last)
}

// spread adds up to a quarter.
func spread(d time.Duration) time.Duration {
	return d + rand.N(d/4+1)
}
