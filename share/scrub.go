package share

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"boucan/share/dropdir"
)

// Times and measures of the scrub, which reads all files now and then and
// compares them with what they were.
const (
	scrubPeriod = 30 * 24 * time.Hour // from the beginning of one scrub to that of the next
	scrubFirst  = 10 * time.Minute    // after the start, for what else a box has to do then
	scrubSave   = 10 * time.Minute    // between two notes of how far it is: flash wears out
	scrubSick   = time.Minute         // after the disk did not answer
	scrubMend   = time.Hour           // between two looks for damaged files that nobody repairs
	// scrubShare keeps a scrub from more than one part in so many of the disk's
	// or the processor's time, however quick it may be: what takes others long
	// takes the scrub long, too.
	scrubShare = 8
	// scrubYield is how much slower it goes while others are using the disk, and
	// scrubQuiet for how long after their last use.
	scrubYield = 4
	scrubQuiet = 2 * time.Second
	// scrubSuspicious is how many damaged files one after the other are taken
	// for a fault of machine or disk, which the operator is to look at.
	scrubSuspicious = 32
	// scrubLeast is the rate of a scrub that the operator began where none is
	// set, bytes a second.
	scrubLeast = 4 << 20
)

// Scrub is how far the scrub is.
type Scrub struct {
	Rate     int64      // bytes a second, at most; 0 where none begins by itself
	State    ScrubState // what it does now
	Begun    time.Time  // this scrub, or the last; zero where there was none yet
	Finished time.Time  // the last whole one; zero where there was none yet
	Next     time.Time  // when the next begins by itself; zero while one goes on and where none does
	Done     int64      // bytes of this scrub, or the last
	Total    int64      // bytes there are to be read
	Files    int        // of this scrub, or the last
	Found    int        // of them, that were found damaged
}

// ScrubState is what the scrub does.
type ScrubState string

// The states of the scrub.
const (
	ScrubResting  ScrubState = "resting"  // until the next begins
	ScrubRunning  ScrubState = "running"  //
	ScrubPaused   ScrubState = "paused"   // by the operator
	ScrubAlarmed  ScrubState = "alarmed"  // by itself: one file after the other was damaged
	ScrubWaiting  ScrubState = "waiting"  // the folder is away
	ScrubNoAnswer ScrubState = "noanswer" // the disk cannot be read
)

// scrub reads all files, one after the other in the order of their paths.
type scrub struct {
	b    *Blobs
	buf  []byte        // for reading; made when first needed
	wake chan struct{} // one token: something was asked for
	left []damage      // repairs that a stop broke off; for run only
	due  atomic.Bool   // damage was found that nobody has set about repairing

	mu      sync.Mutex // guards what follows; no I/O is done under it
	p       progress
	fault   ScrubState // why it waits: ScrubWaiting, ScrubNoAnswer or none
	inARow  int        // damaged files since the last whole one
	pass    int        // counts what StartScrub begins
	started time.Time  // of Run, by the clock of the machine
	saved   time.Time
	dirty   bool
	doubts  map[wrongChunk]struct{} // to be looked at before all else
}

func newScrub(b *Blobs) (*scrub, error) {
	s := &scrub{b: b, wake: make(chan struct{}, 1), started: time.Now(), doubts: make(map[wrongChunk]struct{})}
	v, ok, err := b.get(settingScrub)
	if err == nil && ok {
		s.p, err = decodeProgress(v)
	}
	if err != nil {
		return nil, fmt.Errorf("read how far the scrub is: %w", err)
	}
	s.left, err = b.interrupted()
	return s, err
}

// use notes that somebody has bytes read or written, who goes before the scrub.
func (b *Blobs) use() { b.used.Store(time.Now().UnixNano()) }

// Scrub tells how far the scrub is.
func (b *Blobs) Scrub() Scrub {
	s := b.scrub
	total := b.readTally().bytes
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Scrub{
		Rate: b.o.Scrub, State: ScrubResting, Begun: unixMilli(s.p.last), Finished: unixMilli(s.p.finished),
		Done: s.p.done, Total: max(total, s.p.done), Files: int(s.p.files), Found: int(s.p.found),
	}
	switch {
	case s.p.alarmed:
		out.State = ScrubAlarmed
	case s.p.paused:
		out.State = ScrubPaused
	case s.p.begun != 0 && s.fault != "":
		out.State = s.fault
	case s.p.begun != 0:
		out.State = ScrubRunning
	case b.o.Scrub > 0:
		out.Next = b.o.Now().Add(s.rest(b.o.Now()))
	}
	if s.p.begun == 0 {
		out.Total = max(s.p.done, total)
	}
	return out
}

func unixMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// StartScrub begins a scrub anew, also where one is paused or goes on.
func (b *Blobs) StartScrub() error {
	return b.scrub.change(func(p *progress) {
		*p = progress{finished: p.finished}
		p.begin(b.o.Now())
	})
}

// PauseScrub stops the scrub until ResumeScrub, also across restarts.
func (b *Blobs) PauseScrub() error {
	return b.scrub.change(func(p *progress) { p.paused = true })
}

// ResumeScrub goes on where the scrub was paused or stopped by itself.
func (b *Blobs) ResumeScrub() error {
	return b.scrub.change(func(p *progress) { p.paused, p.alarmed = false, false })
}

// change is an order of the operator, durable on return.
func (s *scrub) change(do func(*progress)) error {
	s.mu.Lock()
	do(&s.p)
	s.pass++
	s.inARow, s.dirty = 0, true
	s.mu.Unlock()
	s.poke()
	return s.save()
}

// poke makes run look at what was asked for.
func (s *scrub) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// mendSoon has damaged files repaired that others found.
func (s *scrub) mendSoon() {
	s.due.Store(true)
	s.poke()
}

// save notes how far the scrub is.
func (s *scrub) save() error {
	s.mu.Lock()
	v, dirty := s.p.encode(), s.dirty
	s.dirty, s.saved = false, time.Now()
	s.mu.Unlock()
	if !dirty {
		return nil
	}
	return writePairs(s.b.index, []pair{{settingScrub, v}})
}

// run scrubs until ctx ends, and has repaired what is damaged.
func (s *scrub) run(ctx context.Context) {
	for ctx.Err() == nil && !s.settleInterrupted(ctx) {
		s.sleep(ctx, presenceEvery)
	}
	var mended time.Time
	for ctx.Err() == nil {
		if s.due.Swap(false) || time.Since(mended) >= scrubMend {
			s.mendAll(ctx)
			mended = time.Now()
		}
		s.settleDoubts(ctx)
		wait := s.next()
		if wait == 0 {
			wait = s.step(ctx)
		}
		s.saveNow(s.isDue())
		s.sleep(ctx, min(wait, scrubMend-time.Since(mended)))
	}
	s.saveNow(true)
}

func (s *scrub) isDue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.saved) >= scrubSave || s.p.begun == 0
}

func (s *scrub) saveNow(due bool) {
	if !due {
		return
	}
	if err := s.save(); err != nil {
		s.b.log.Warn("cannot note how far the scrub is", "err", err)
	}
}

// never is until an order comes.
const never = 1000 * time.Hour

// next is how long to wait for the scrub to go on, or to begin, which it does
// where that is now.
func (s *scrub) next() time.Duration {
	now := s.b.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.p.paused || s.p.alarmed:
		return never
	case s.p.begun != 0:
		return 0
	case s.b.o.Scrub <= 0:
		return never
	}
	wait := s.rest(now)
	if wait <= 0 {
		s.p.begin(now)
		s.dirty = true
		return 0
	}
	return wait
}

// rest is how long it is until the next scrub begins by itself. Clocks of boxes
// jump: it is never more than the period. s.mu is held.
func (s *scrub) rest(now time.Time) time.Duration {
	wait := time.Duration(0)
	if s.p.last != 0 {
		wait = min(time.UnixMilli(s.p.last).Add(scrubPeriod).Sub(now), scrubPeriod)
	}
	return max(wait, scrubFirst-time.Since(s.started))
}

func (s *scrub) sleep(ctx context.Context, wait time.Duration) {
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-s.wake:
	}
}

// step reads one file, or what is left of it, and returns how long to wait then.
func (s *scrub) step(ctx context.Context) time.Duration {
	if !s.b.dir.Present() {
		s.stopped(ScrubWaiting)
		return presenceEvery
	}
	s.mu.Lock()
	at, pass := s.p, s.pass
	s.mu.Unlock()
	path, k, ok, err := s.file(at)
	if err != nil {
		s.b.log.Warn("the scrub cannot read the index", "err", err)
		return scrubSick
	}
	if !ok {
		s.finish(pass)
		return 0
	}
	chunk := 0
	if path == at.path {
		chunk = at.chunk
	}
	c := &check{s: s, path: path, k: k, pass: pass}
	err = c.run(ctx, chunk, Chunks(k.size))
	switch {
	case err == nil:
		s.stopped("")
	case errors.Is(err, errOrdered) || ctx.Err() != nil:
		return 0
	case errors.Is(err, ErrAway):
		s.stopped(ScrubWaiting)
		return presenceEvery
	case errors.Is(err, errNoAnswer):
		s.stopped(ScrubNoAnswer)
		return scrubSick
	default:
		s.b.log.Warn("the scrub cannot go on; it tries again", "err", err)
		return scrubSick
	}
	s.passed(c)
	s.mend(ctx, c)
	return 0
}

// stopped notes why the scrub waits.
func (s *scrub) stopped(why ScrubState) {
	s.mu.Lock()
	s.fault = why
	s.mu.Unlock()
}

// file is the next file to be read: the one at hand if a part of it is left,
// else the first behind it.
func (s *scrub) file(at progress) (path string, k known, ok bool, err error) {
	from := pathKey(at.path)
	if at.chunk == 0 && at.path != "" {
		from += "\x00"
	}
	seq, end := s.b.index.Scan([]byte(from), []byte(after(string(keyPath))))
	for key, v := range seq {
		path = string(key[1:])
		k, err = decodeKnown(v)
		ok = true
		break
	}
	if err := end(); err != nil {
		return "", known{}, false, err
	}
	return path, k, ok && err == nil, err
}

// read notes that a chunk was read; false where an order came meanwhile.
func (s *scrub) read(pass int, path string, chunk int, bytes int64) bool {
	if pass == noPass {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pass != pass {
		return false
	}
	s.p.path, s.p.chunk, s.dirty = path, chunk, true
	s.p.done += bytes
	return true
}

// passed notes that a file was gone through.
func (s *scrub) passed(c *check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pass != c.pass {
		return
	}
	s.p.path, s.p.chunk, s.dirty = c.path, 0, true
	if !c.read {
		return
	}
	s.p.files++
	if !c.found {
		s.inARow = 0
		return
	}
	s.p.found++
	if s.inARow++; s.inARow == scrubSuspicious {
		s.p.alarmed = true
		s.b.log.Error("one file after the other is damaged: disk, cable or memory may be failing; the scrub stops until the operator resumes it")
	}
}

// finish ends a scrub that has come through.
func (s *scrub) finish(pass int) {
	s.mu.Lock()
	if s.pass != pass {
		s.mu.Unlock()
		return
	}
	s.p.begun, s.p.finished, s.p.path, s.dirty = 0, max(1, s.b.o.Now().UnixMilli()), "", true
	files, found := s.p.files, s.p.found
	s.mu.Unlock()
	s.b.log.Info("the scrub has read all files", "files", files, "damaged", found)
}

// pace waits as long as the reading of some bytes, which took so long, gives the
// others a right to.
func (s *scrub) pace(ctx context.Context, bytes int64, took time.Duration) {
	rate := s.b.o.Scrub
	if rate <= 0 {
		rate = scrubLeast
	}
	rate = max(rate, s.b.readTally().bytes/int64(scrubPeriod/time.Second))
	wait := max(time.Duration(float64(bytes)/float64(rate)*float64(time.Second))-took, (scrubShare-1)*took)
	if time.Since(time.Unix(0, s.b.used.Load())) < scrubQuiet {
		wait *= scrubYield
	}
	s.sleep(ctx, wait)
}

func (s *scrub) buffer() []byte {
	if s.buf == nil {
		s.buf = dropdir.ScanBuffer()
	}
	return s.buf
}

// sayDamaged says once that a file is damaged.
func (b *Blobs) sayDamaged(path string) {
	b.log.Error("a file does not read as it was stored; it is not offered until it is repaired")
	b.log.Debug("which file is damaged", "path", path)
}
