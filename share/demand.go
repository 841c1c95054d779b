package share

import (
	"errors"
	"slices"
	"time"

	"boucan/record"
)

// Limits of what is read while it comes. Beyond them Stream fails with ErrBusy.
const (
	maxDemands = 16  // blobs at once
	maxReaders = 256 // of all of them together
	// aheadChunks is how many chunks from a reader's place on go before all else.
	// What is further off comes in its turn, so that a reader who stalls does
	// not hold up the rest of the box.
	aheadChunks = 16
	// maxUrgentLeaves is what the chunk hashes of blobs read while they come
	// may take beside maxLeafBytes, in bytes.
	maxUrgentLeaves = 8 << 20
	// urgentTurns is how many peers more than maxTurns are asked at a time where
	// somebody waits for what they have.
	urgentTurns = 2
)

// Times of what is read while it comes.
const (
	urgentTick = time.Second      // between two looks at what stalls
	urgentLate = 3 * time.Second  // until others are asked for what a peer owes
	goneWait   = 10 * time.Second // for a peer to come back that took the blob with it
	readWait   = time.Minute      // for the next chunk
	seekEvery  = time.Second      // between two words that nobody connected has it
	startWait  = 20 * time.Second // for a peer to show that it has the blob
	lingerTime = 15 * time.Second // after the last reader: players hop from range to range
)

// demand is a blob that somebody reads while it comes. transfers.mu guards it.
type demand struct {
	cid     record.CID
	readers []*demandReader // the one to be served next first
	idle    time.Time       // since when there are none
	shown   bool            // a peer has shown to have the blob
	moved   time.Time       // when a chunk landed last
	lost    time.Time       // since when no peer has it; zero where one may
	sought  time.Time       // when others were last sought
	seeking bool            // and there was somebody to hope for
	err     error           // why it cannot be had
	changed chan struct{}   // closed and made anew when something happens
}

// demandReader is where a reader of a demand is.
type demandReader struct {
	r     *Reader
	chunk int // -1 before its first read
}

// attach makes a blob one that r reads while it comes.
func (t *transfers) attach(r *Reader, claims []Wanted) error {
	cid, ok := claimed(claims)
	if !ok {
		return errImpossible
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.pausedTo) {
		return t.pauseErr
	}
	if t.nReaders >= maxReaders {
		return ErrBusy
	}
	d := t.demands[cid]
	if d == nil || d.err != nil {
		if d == nil && !t.roomForDemand() {
			return ErrBusy
		}
		if err := t.wishFor(cid, claims); err != nil {
			return err
		}
		t.removeDemand(d)
		d = &demand{cid: cid, moved: now, changed: make(chan struct{})}
		t.demands[cid] = d
		t.demandList = append(t.demandList, d)
	}
	if p := t.pulls[cid]; p != nil && p.ready && t.hope(p.w, now) {
		d.shown = true // it is coming already
	}
	r.d = d
	d.readers = append(d.readers, &demandReader{r: r, chunk: -1})
	t.nReaders++
	t.wakeAll()
	t.pokeRun()
	return nil
}

// wishFor puts the blob into the queue, ready to be asked of everybody.
// t.mu is held.
func (t *transfers) wishFor(cid record.CID, claims []Wanted) error {
	var failed error
	for _, w := range claims {
		if err := t.q.addAhead(w); err != nil {
			failed = err
		}
	}
	w := t.q.wishes[cid]
	switch {
	case w != nil:
	case errors.Is(failed, errLiedSize), errors.Is(failed, errImpossible):
		return ErrLied
	default:
		return failed
	}
	w.held = false
	t.q.askAnew(w)
	return nil
}

// roomForDemand reports whether one more blob may be read while it comes. One
// that nobody reads any more makes room. t.mu is held.
func (t *transfers) roomForDemand() bool {
	if len(t.demands) < maxDemands {
		return true
	}
	var oldest *demand
	for _, d := range t.demandList {
		if len(d.readers) == 0 && (oldest == nil || d.idle.Before(oldest.idle)) {
			oldest = d
		}
	}
	if oldest == nil {
		return false
	}
	t.endDemand(oldest)
	return true
}

// detach takes a reader off its demand.
func (t *transfers) detach(r *Reader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := r.d
	d.readers = slices.DeleteFunc(d.readers, func(o *demandReader) bool { return o.r == r })
	t.nReaders--
	if len(d.readers) > 0 {
		return
	}
	if d.idle = time.Now(); d.err != nil {
		t.endDemand(d)
	}
}

// endDemand ends a demand that nobody reads. A blob that was wanted for it
// alone is wanted no longer. t.mu is held.
func (t *transfers) endDemand(d *demand) {
	if t.demands[d.cid] != d {
		return // another one has taken its place
	}
	t.removeDemand(d)
	w := t.q.wishes[d.cid]
	if w == nil || w.standing {
		return
	}
	t.forget(w)
	if p := t.pulls[d.cid]; p != nil {
		t.endPull(p, endKeep)
	}
}

func (t *transfers) removeDemand(d *demand) {
	if d == nil {
		return
	}
	delete(t.demands, d.cid)
	t.demandList = without(t.demandList, d)
}

// begun is the stage of a demand whose reader waits, since began, for a peer to
// show that it has the blob.
func (t *transfers) begun(r *Reader, began time.Time) stage {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := r.d
	s := t.stage(d, began, startWait, 0)
	if p := t.pulls[d.cid]; d.shown && p != nil && p.land != nil && s.err == nil {
		s.land = p.land
	}
	return s
}

// lookAt is the stage of a demand whose reader waits, since began, for a chunk.
func (t *transfers) lookAt(r *Reader, chunk int, began time.Time) stage {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := r.d
	if i := slices.IndexFunc(d.readers, func(o *demandReader) bool { return o.r == r }); i >= 0 && d.readers[i].chunk != chunk {
		d.readers[i].chunk = chunk
		if t.ahead(d, nil) {
			t.wakeAll()
		}
	}
	if p := t.pulls[d.cid]; p != nil && p.land != nil && p.land != r.shut && p.land.has(chunk) {
		return stage{land: p.land}
	}
	if d.moved.After(began) {
		began = d.moved
	}
	return t.stage(d, began, readWait, goneWait)
}

// stage says how long to wait for a demand, or why not: most from since on, and
// gone where no peer has it any more. t.mu is held.
func (t *transfers) stage(d *demand, since time.Time, most, gone time.Duration) stage {
	now := time.Now()
	w, p := t.q.wishes[d.cid], t.pulls[d.cid]
	s := stage{changed: d.changed, over: p == nil, until: since.Add(most)}
	switch {
	case d.err != nil:
		s.err = d.err
	case p != nil && (p.busy || p.writing > 0):
		s.until = now.Add(most) // the disk is at work
	case w == nil:
		s.err = ErrNotHere // if it is not here by now, it was withdrawn
	case t.hope(w, now):
		if d.lost = (time.Time{}); !now.Before(s.until) {
			s.err = ErrSlow
		}
	default:
		if d.lost.IsZero() {
			d.lost = now
		}
		end := d.lost.Add(gone)
		if t.seek(d, w, now) && s.until.After(end) {
			end = s.until // somebody may still come with it
		}
		if s.until = end; !now.Before(end) {
			s.err = ErrNotHere
		} else if again := now.Add(seekEvery); d.seeking && again.Before(end) {
			s.until = again
		}
	}
	return s
}

// hope reports whether a connected peer may still give w, be it late. t.mu is held.
func (t *transfers) hope(w *wish, now time.Time) bool {
	if w.asked > 0 || w.late > 0 {
		return true
	}
	for _, s := range t.q.sources {
		if s != nil && t.q.able(s, w) && s.quietTo.Sub(now) < goneWait {
			return true
		}
	}
	return false
}

// demanded reports whether anything is read while it comes.
func (t *transfers) demanded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.demands) > 0
}

// stir wakes whoever reads a blob that comes. t.mu is held.
func (t *transfers) stir(cid record.CID) {
	if d := t.demands[cid]; d != nil {
		d.stir()
	}
}

func (t *transfers) stirAll() {
	for _, d := range t.demandList {
		d.stir()
	}
}

func (d *demand) stir() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// shows notes that a peer has shown to have a blob. t.mu is held.
func (t *transfers) shows(cid record.CID) {
	if d := t.demands[cid]; d != nil {
		d.shown, d.moved = true, time.Now()
		d.stir()
	}
}

// failDemand tells the readers of a blob why they cannot have it. t.mu is held.
func (t *transfers) failDemand(d *demand, err error) {
	if d == nil || d.err != nil {
		return
	}
	if errors.Is(err, errLanding) {
		err = ErrBusy
	}
	d.err = err
	d.stir()
	if len(d.readers) == 0 {
		t.endDemand(d)
	}
}

// lookUrgent asks others for what a peer is late with while somebody waits for
// it, and ends what nobody has read for a while.
func (t *transfers) lookUrgent(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range slices.Clone(t.demandList) {
		if len(d.readers) == 0 && now.Sub(d.idle) > lingerTime {
			t.endDemand(d)
		}
	}
	if len(t.demands) == 0 {
		return
	}
	for s := range t.sessions {
		for _, j := range s.jobs {
			if now.Sub(j.asked) < urgentLate {
				break // the following are younger
			}
			if !j.taken && t.awaited(j) && t.q.others(s.src, j.w) && (now.Sub(s.used) >= urgentLate || t.idleFor(s, j.w)) {
				t.askOthers(s, j)
			}
		}
	}
}

// awaited reports whether a reader waits for what the job asks for. t.mu is held.
func (t *transfers) awaited(j *job) bool {
	d := t.demands[j.w.cid]
	if d == nil || len(d.readers) == 0 {
		return false
	}
	return j.kind != itemRange || slices.ContainsFunc(d.readers, func(o *demandReader) bool {
		return j.first < o.chunk+aheadChunks && o.chunk < j.first+j.count
	})
}

// idleFor reports whether a source that is asked for nothing may give w.
// t.mu is held.
func (t *transfers) idleFor(s *session, w *wish) bool {
	busy := map[*source]bool{s.src: true}
	for o := range t.sessions {
		busy[o.src] = busy[o.src] || len(o.jobs) > 0
	}
	return slices.ContainsFunc(t.q.sources[:], func(o *source) bool { return o != nil && !busy[o] && t.q.able(o, w) })
}
