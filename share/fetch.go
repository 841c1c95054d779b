package share

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"boucan/record"
)

// Limits of fetching. Memory is what Options.Chunks says for data, and
// maxLeafBytes for the chunk hashes of what is being pulled.
const (
	leastChunks  = 6        // buffers of ChunkSize bytes
	usualChunks  = 12       // the same, where Options does not say
	maxPulls     = 64       // blobs of several chunks open at once, each an open file
	maxStarting  = 32       // manifests asked for at once
	maxLeafBytes = 16 << 20 // bytes of leaf hashes of all open pulls, but for a single larger one
	// maxTransfers is how many transfers Transfers lists.
	maxTransfers = 256
)

// Times of fetching.
const (
	tickTime   = 5 * time.Second  // between two looks at what got stuck
	turnTime   = 30 * time.Second // of one peer while others wait to be asked
	turnRest   = time.Second      // until a turn that is not used is the next peer's
	parkTime   = 30 * time.Second // until a pull that nobody feeds is put away
	lateTime   = 45 * time.Second // until others are asked what one was asked
	soonTime   = 10 * time.Second // the same, where a much faster one is idle
	idleTime   = 30 * time.Second // until an unused stream is closed
	tidyTime   = time.Hour        // between two looks for partial files nobody wants
	firstPause = 5 * time.Second  // after the disk refused what had been fetched
	lastPause  = 5 * time.Minute
	firstHold  = 30 * time.Second // after one blob could not be started or finished
	lastHold   = 30 * time.Minute
)

// Transfer is a blob on its way in.
type Transfer struct {
	CID    record.CID
	Name   string
	Landed int64 // bytes verified and on disk
	Size   int64 // bytes
	Peers  int   // peers being asked for it now; 0 while it waits
}

// transfers is the moving of blobs between boxes: it fetches what is wanted,
// tells peers of what arrived and serves what they ask for.
//
// One mutex guards the queue and everything that hangs on it. No I/O happens
// under it. Its goroutines belong to run, except those of serve, which belong
// to its callers.
type transfers struct {
	b     *Blobs
	log   *slog.Logger
	serve *server

	slabs  chan *slab                 // free ones
	tasks  chan task                  // slabs to verify
	landed chan *slab                 // verified small blobs to store
	disk   chan func(context.Context) // starts and ends of pulls
	wake   chan struct{}
	giant  chan struct{} // one token: the right to receive a manifest of more than one frame

	mu         sync.Mutex
	q          *queue
	peers      map[record.Key]*source
	unseated   []*source // connected, without a slot, in the order of their turn
	cuts       bounded[record.Key, cut]
	pulls      map[record.CID]*pull
	open       [classes][]*pull // the same, oldest first
	leafBytes  int64
	starting   int // manifests asked for
	holds      map[*wish]hold
	sessions   map[*session]struct{}
	turns      int       // taken
	turnQueue  []*source // waiting for one
	pausedTo   time.Time // nothing is asked for before
	pauseErr   error     // why
	pauses     int       // in a row
	roomlessTo time.Time // until queue.roomBelow holds
	roomless   int       // times in a row
	tidied     time.Time
	runs       bool

	demands    map[record.CID]*demand // what is read while it comes
	demandList []*demand              // the same, the one to be served next first
	nReaders   int                    // of them all

	seekLane class // where seekAuthors goes on
	seekAt   int
}

// maxTurns is how many peers are asked at the same time. Each holds a slab.
func (t *transfers) maxTurns() int { return cap(t.slabs) / 2 }

// maxWindow is how many bytes a fast peer is asked for ahead.
func (t *transfers) maxWindow() int64 {
	return max(minWindow, min(maxWindow, int64(cap(t.slabs)/3)*ChunkSize))
}

// cut is how long a peer that sent wrong bytes is not asked for anything.
type cut struct {
	until time.Time
	times int
}

// hold is how long a wish that failed here is left alone.
type hold struct {
	until time.Time
	times int
}

func newTransfers(b *Blobs) *transfers {
	chunks := b.o.Chunks
	if chunks == 0 {
		chunks = usualChunks
	}
	chunks = max(leastChunks, chunks)
	t := &transfers{
		b: b, log: b.log, serve: newServer(b),
		slabs: make(chan *slab, chunks), tasks: make(chan task), landed: make(chan *slab, chunks),
		// every pull has at most one of its two tasks waiting
		disk: make(chan func(context.Context), maxPulls+maxDemands), wake: make(chan struct{}, 1), giant: make(chan struct{}, 1),
		q: newQueue(), peers: map[record.Key]*source{}, cuts: newBounded[record.Key, cut](maxPeers),
		pulls: map[record.CID]*pull{}, holds: map[*wish]hold{}, sessions: map[*session]struct{}{},
		demands: map[record.CID]*demand{},
	}
	for range chunks {
		t.slabs <- &slab{}
	}
	return t
}

// Want asks for blobs to be fetched from whoever has them, oldest wish first.
// It returns at once and may be repeated; blobs that are refused or impossible are
// passed by. The caller has looked whether they are here; one that came meanwhile
// is found to be here when it has come once more. At most 262,144 are wanted at a time; what is beyond
// is not kept, and has to be wanted again when Wanting says there is room.
func (b *Blobs) Want(ws ...Wanted) {
	t := b.transfers
	added, full, impossible := 0, 0, 0
	for _, w := range ws {
		if !w.CID.Valid() || b.Refused(w.CID) {
			continue
		}
		switch err := t.add(w); {
		case err == nil:
			added++
		case errors.Is(err, errManyWanted):
			full++
		default:
			impossible++
		}
	}
	if full > 0 {
		t.log.Warn("too many blobs are wanted; the newest are left out", "blobs", full)
	}
	if impossible > 0 {
		t.log.Warn("a record lies about the size of its blob; it is not fetched", "blobs", impossible)
	}
	if added > 0 {
		t.pokeAll()
	}
}

func (t *transfers) add(w Wanted) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.q.add(w)
	if n := t.q.wishes[w.CID]; n != nil {
		n.standing = true
	}
	return err
}

// addMend is add for a blob that lies here damaged.
func (t *transfers) addMend(w Wanted) error {
	err := t.add(w)
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.q.wishes[w.CID]; n != nil && n.size == w.Size {
		n.mends = true
	}
	return err
}

// Unwant stops wanting blobs and forgets what has landed of them.
func (b *Blobs) Unwant(cids ...record.CID) {
	t := b.transfers
	var partial []record.CID
	t.mu.Lock()
	for _, cid := range cids {
		if w := t.q.wishes[cid]; w != nil {
			t.forget(w)
		}
		if p := t.pulls[cid]; p != nil {
			t.endPull(p, endDiscard)
		} else if cid.Codec() == record.CodecDagPB {
			partial = append(partial, cid)
		}
	}
	t.mu.Unlock()
	if err := b.dropPartial(partial...); err != nil {
		t.log.Warn("cannot delete a partial file", "err", err)
	}
}

// Wanting is how many blobs are wanted, and how many more may be.
func (b *Blobs) Wanting() (blobs, room int) {
	t := b.transfers
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.q.wishes), maxWanted - len(t.q.wishes)
}

// Hope reports whether a blob is wanted that a connected peer may still give.
func (b *Blobs) Hope(cid record.CID) bool {
	t := b.transfers
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.q.wishes[cid]
	return w != nil && t.hope(w, time.Now())
}

// Underway reports whether a blob is wanted or read while it comes, or whether a
// part of it has landed.
func (b *Blobs) Underway(cid record.CID) bool {
	t := b.transfers
	t.mu.Lock()
	busy := t.q.wishes[cid] != nil || t.pulls[cid] != nil
	t.mu.Unlock()
	if busy || cid.Codec() == record.CodecRaw {
		return busy
	}
	partial, err := b.partials()
	return err != nil || slices.Contains(partial, cid)
}

// forget takes a wish out for good. t.mu is held.
func (t *transfers) forget(w *wish) {
	t.q.remove(w)
	delete(t.holds, w)
	t.stir(w.cid)
}

// Transfers lists what is being fetched, at most 256: first what has begun to
// land, oldest first.
func (b *Blobs) Transfers() []Transfer {
	t := b.transfers
	t.mu.Lock()
	defer t.mu.Unlock()
	peers := map[record.CID]int{}
	for s := range t.sessions {
		seen := map[record.CID]bool{}
		for _, j := range s.jobs {
			if !seen[j.w.cid] {
				seen[j.w.cid] = true
				peers[j.w.cid]++
			}
		}
	}
	var list []Transfer
	for _, open := range t.open {
		for _, p := range open {
			list = append(list, Transfer{p.w.cid, p.w.name, p.landed(), p.w.size, peers[p.w.cid]})
			delete(peers, p.w.cid)
		}
	}
	for cid, n := range peers {
		if w := t.q.wishes[cid]; w != nil && len(list) < maxTransfers {
			list = append(list, Transfer{cid, w.name, 0, w.size, n})
		}
	}
	return list[:min(len(list), maxTransfers)]
}

// PeerUp says that a peer is connected: it is asked for everything wanted at
// once, also if it was up before.
func (b *Blobs) PeerUp(peer record.Key) { b.transfers.up(peer) }

func (t *transfers) up(peer record.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.peers[peer]; s != nil {
		s.rounds, s.faults, s.quietTo = 0, 0, t.cutUntil(peer)
		t.q.newRound(s)
		s.poke()
		return
	}
	if len(t.peers) >= maxPeers {
		t.log.Warn("too many peers; one is not asked for blobs")
		return
	}
	s := newSource(peer)
	s.quietTo = t.cutUntil(peer)
	t.peers[peer] = s
	if !t.q.seat(s) {
		t.unseated = append(t.unseated, s)
	}
	t.pokeRun()
}

// cutUntil is when a peer that sent wrong bytes may be asked again. t.mu is held.
func (t *transfers) cutUntil(peer record.Key) time.Time {
	c, _ := t.cuts.get(peer)
	return c.until
}

// PeerDown says that a peer is no longer connected.
func (b *Blobs) PeerDown(peer record.Key) {
	t := b.transfers
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.peers[peer]
	if s == nil {
		return
	}
	delete(t.peers, peer)
	if s.stop != nil {
		s.stop()
	}
	t.leaveTurns(s)
	t.giveUpSlot(s)
	t.stirAll()
}

// Serve answers what a peer asks on one stream, until the stream or ctx ends. It
// closes the stream. The error says what ended it; a proper end is nil.
func (b *Blobs) Serve(ctx context.Context, peer record.Key, s Stream) error {
	return b.transfers.serveStream(ctx, peer, s)
}

func (t *transfers) pokeRun() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *transfers) pokeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.peers {
		s.poke()
	}
}
