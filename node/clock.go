package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/store"
)

const (
	// clockSaveEvery spares flash: an hour's error after a power cut is small
	// beside the life of a record.
	clockSaveEvery = time.Hour
	// clockLookEvery is how often the system is asked whether its clock is right,
	// and peers' clocks are compared.
	clockLookEvery = 10 * time.Second
	// clockGoodFor is how long the word of the operator, of peers or of NTP that
	// has gone is passed on as good. A cheap crystal (100 ppm) is off by a
	// minute then.
	clockGoodFor = 7 * day
	// clockStep is a difference of clocks that means that one of them was set.
	clockStep = time.Minute
	// clockLag is by how much a clock with a battery may lag behind what was
	// known before it counts as one whose battery is flat.
	clockLag = 5 * time.Minute
	// settleRate is how many times as fast as time itself what is forgotten may
	// catch up with a clock that jumped forward on hearsay: a month a day.
	settleRate = 30

	day = 24 * time.Hour
)

// clock is this node's idea of the time (docs/decisions/0012-clock.md). Routers
// have no clock battery: where nobody says better, it is the latest of the build
// of the program, the time last saved and the system's. All methods are safe for
// concurrent use.
type clock struct {
	table   clockTable
	system  func() time.Time
	kept    func() bool // whether something keeps system right
	battery bool        // it was set from a clock with a battery
	build   time.Time   // of the program: it is never earlier
	log     *slog.Logger
	wake    chan struct{} // holds one token when run has something to look at

	mu     sync.Mutex    // guards what follows
	synced bool          // what kept said last
	word   word          // the best that was said of the time
	least  time.Time     // the latest time that was known at first hand
	lent   time.Duration // by which a guess has gone forward with single peers
	votes  ballot
	guests guestBook
	stands time.Duration // clockStands, but in a test
	opened word          // the time at the start, a guess perhaps
	doubt  time.Time     // since when, by this clock, the time was not known; zero if it was
	sure   time.Time     // since when it has been known at first hand without a jump, monotonic; zero if it is not
	// settled is how far things are forgotten: it follows the clock, but not at
	// once where that jumps forward.
	settled pace
}

// word is what was said of the time.
type word struct {
	time   time.Time // what it was
	at     time.Time // when that was said, on the monotonic clock
	source replica.ClockSource
	hops   int // boxes between this one and one that knows by itself
}

// now is what the word means now. Setting the system's clock does not move it.
func (w word) now() time.Time { return w.time.Add(time.Since(w.at)) }

// pace is a time that goes rate times as fast as time does.
type pace struct {
	time, at time.Time
	rate     int
}

func (p pace) now() time.Time { return p.time.Add(time.Duration(p.rate) * time.Since(p.at)) }

// openClock reads the saved time. system is the system's clock, nil for the
// real one; kept says whether something keeps system right.
func openClock(table clockTable, system func() time.Time, kept func() bool, log *slog.Logger) (*clock, error) {
	c := &clock{table: table, system: system, kept: kept, log: log, build: buildTime(), wake: make(chan struct{}, 1), votes: newBallot(), guests: guestBook{by: make(map[string]word)}, stands: clockStands}
	if system == nil {
		c.system, c.kept, c.battery = time.Now, clockDisciplined, clockHasBattery()
	}
	if c.kept == nil {
		c.kept = func() bool { return false }
	}
	saved, err := loadClock(table)
	if err != nil {
		return nil, err
	}
	c.word = word{time: latest(c.build, saved.time), at: time.Now()}
	c.least, c.lent = saved.least, saved.lent
	c.look()
	c.opened, c.doubt = c.best(), saved.doubt
	c.opened.at = time.Now()
	if c.doubt.IsZero() && c.opened.source == replica.ClockGuess {
		c.doubt = c.word.time
	}
	c.settled = pace{time: c.opened.time, at: time.Now(), rate: 1}
	if !saved.settled.IsZero() {
		c.settled.time = earliest(saved.settled, c.settled.time)
	}
	c.settle()
	return c, nil
}

// Now is the node's time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.best().time
}

// Settled is the time by which things may be forgotten. It is never after Now.
// Where Now jumps forward, Settled follows at once if NTP or a battery say so,
// else slowly: what a lie, or a slip of the operator's hand, makes a node forget
// would be gone for good.
func (c *clock) Settled() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return earliest(c.settled.now(), c.best().time)
}

// best is the time and how it is known; the caller holds mu.
func (c *clock) best() word {
	system := c.system()
	if c.right(system) {
		return word{time: system, source: replica.ClockSynced}
	}
	w := word{time: c.word.now(), source: c.word.source, hops: c.word.hops}
	switch {
	case w.source == replica.ClockGuess:
		w.time = latest(w.time, system)
	case time.Since(c.word.at) > clockGoodFor:
		w.source, w.hops = replica.ClockGuess, 0
	}
	return w
}

// right reports whether the system's clock can be relied on; the caller holds mu.
func (c *clock) right(system time.Time) bool {
	return c.synced || c.battery && !system.Before(latest(c.build, c.least).Add(-clockLag))
}

// firstHand reports whether a source needs no peer.
func firstHand(s replica.ClockSource) bool { return s >= replica.ClockOperator }

// said is what this node tells peers of its time.
func (c *clock) said() (now time.Time, source replica.ClockSource, hops int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.best()
	return w.time, w.source, w.hops
}

// set takes a better word for the time; the caller holds mu.
func (c *clock) set(w word) {
	by := w.time.Sub(c.best().time)
	c.moved(by)
	w.at = time.Now()
	c.word = w
	if firstHand(w.source) {
		c.least = w.time
	}
	if w.source != replica.ClockGuess {
		c.lent = 0
	}
	if by.Abs() > clockStep {
		c.log.Info("the clock was set", "by", by.Round(time.Second), "source", sourceName(w.source))
		c.poke()
	}
}

// moved draws the consequence of a correction: what was made before was dated too
// early; the caller holds mu.
func (c *clock) moved(by time.Duration) {
	if by > redateFrom && c.doubt.IsZero() {
		c.doubt = c.opened.time
	}
}

func (c *clock) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// look asks the system whether its clock is kept right, hears what peers agree
// on, and lets what may be forgotten follow the clock.
func (c *clock) look() {
	kept := c.kept()
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.best()
	c.synced = kept
	if system := c.system(); c.right(system) {
		c.moved(system.Sub(was.time))
		// When NTP goes, what it said stays good for a while.
		c.word = word{time: system, at: time.Now(), source: replica.ClockSynced}
		c.least, c.lent = system, 0
	}
	c.hearPeers()
	c.hearVisitors()
	c.settle()
}

// settle lets what may be forgotten follow the clock; the caller holds mu.
func (c *clock) settle() {
	w, was := c.best(), c.settled
	at := was.now()
	c.settled = pace{time: at, at: time.Now(), rate: 1}
	ahead := w.time.Sub(at)
	jumped := ahead.Abs() > clockStep && was.rate == 1
	if jumped {
		c.poke()
	}
	switch {
	case !firstHand(w.source):
		c.sure = time.Time{}
	case jumped, c.sure.IsZero():
		c.sure = time.Now()
	}
	switch {
	case ahead <= clockStep:
		c.settled.time = w.time
	case c.undated(w):
		// What this node made meanwhile is dated anew first.
	case w.source == replica.ClockSynced:
		c.settled.time = w.time
	default:
		c.settled.rate = settleRate
	}
}

// run keeps the clock and saves the time now and then, and when ctx ends.
func (c *clock) run(ctx context.Context) error {
	save, look := time.NewTicker(clockSaveEvery), time.NewTicker(clockLookEvery)
	defer save.Stop()
	defer look.Stop()
	if err := c.save(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return c.save()
		case <-look.C:
			c.look()
		case <-save.C:
			if err := c.save(); err != nil {
				return err
			}
		}
	}
}

// save fails where the store does. A disk that is full is no such failure: it
// may have room again.
func (c *clock) save() error {
	c.mu.Lock()
	w := c.best()
	if firstHand(w.source) {
		c.least = w.time
	}
	saved := savedClock{time: w.time, least: c.least, settled: earliest(c.settled.now(), w.time), lent: c.lent, doubt: c.doubt}
	c.mu.Unlock()
	err := saved.write(c.table)
	if errors.Is(err, store.ErrFull) {
		c.log.Warn("the disk is full: the time is not saved")
		return nil
	}
	if err != nil {
		return fmt.Errorf("the store takes nothing any more: %w", err)
	}
	return nil
}

// clockError is how wrong this clock was.
type clockError struct {
	now   time.Time
	since time.Time     // when it began, by the wrong clock; what was made before is right
	by    time.Duration // to be added to what it said
}

// erred reports what must be dated anew: what was made since a time was not known,
// if it was off by much, and in any case what is dated ahead. false where nothing
// better is known.
func (c *clock) erred() (clockError, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.best()
	if !c.known(w) {
		return clockError{}, false
	}
	e := clockError{now: w.time, since: w.time.Add(record.MaxSkew), by: w.time.Sub(c.opened.now())}
	if !c.doubt.IsZero() && e.by > redateFrom {
		e.since = c.doubt
	}
	return e, true
}

// known reports whether something better than what was made until now goes by is
// known of the time; the caller holds mu.
func (c *clock) known(w word) bool { return w.source != replica.ClockGuess || c.guests.undone }

// undated reports whether what this node made while it did not know the time is
// still to be dated anew; the caller holds mu.
func (c *clock) undated(w word) bool { return !c.doubt.IsZero() && c.known(w) }

// dated is the time, and whether this node's own records go by it: false between
// the moment in which the time became known and mended.
func (c *clock) dated() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.best()
	return w.time, !c.undated(w)
}

// mended says that what erred reported has been dealt with.
func (c *clock) mended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened, c.doubt, c.guests.undone = c.best(), time.Time{}, false
	c.opened.at = time.Now()
	if c.opened.source == replica.ClockGuess {
		c.doubt = c.opened.time
	}
	c.settle()
}

// sureFor reports whether the time has been known at first hand for so long,
// without a jump.
func (c *clock) sureFor(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.sure.IsZero() && time.Since(c.sure) >= d
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
