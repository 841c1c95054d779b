package node

import (
	"time"

	"boucan/replica"
)

// What visitors' browsers may do to a clock that is only guessed, where no peer
// knows better. Whoever joins an open Wi-Fi may have several addresses, so what they
// say stays a guess, and peers are told so.
const (
	// clockVisitors is the fewest visitors who agree, within clockAgree, and they
	// must be most of those who said anything.
	clockVisitors = clockVoices
	// visitorGoodFor is how long a visitor's word counts, and visitorsEvery how
	// long what they set is left alone: each time, records are written anew.
	visitorGoodFor = time.Hour
	visitorsEvery  = time.Hour
	// visitorsMost is how long after the program was made visitors may say it is.
	visitorsMost = 20 * 365 * day
	// maxVisitorVotes bounds the visitors whose clocks are remembered, in memory.
	maxVisitorVotes = 256
)

// guestBook is what visitors said of the time, by their keys, which die with the
// process.
type guestBook struct {
	by map[string]word
	// hope is what most agree on, since when.
	hope  time.Time
	since time.Time
	set   time.Time // when the clock was last set by it
	// undone says that what was made before the clock was set is not dated anew yet.
	undone bool
}

// asks reports whether visitors' clocks would help.
func (c *clock) asks() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.best().source == replica.ClockGuess
}

// visited takes what a visitor's browser says of the time.
func (c *clock) visited(visitor string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.best().source != replica.ClockGuess || now.Before(latest(c.build, c.least)) || now.After(c.build.Add(visitorsMost)) {
		return
	}
	g := &c.guests
	g.forget()
	if _, ok := g.by[visitor]; !ok && len(g.by) >= maxVisitorVotes {
		return
	}
	g.by[visitor] = word{time: now, at: time.Now()}
	c.hearVisitors()
}

// forget drops what was said too long ago.
func (g *guestBook) forget() {
	for visitor, w := range g.by {
		if time.Since(w.at) > visitorGoodFor {
			delete(g.by, visitor)
		}
	}
}

// hearVisitors moves a guess where most visitors agree for long enough; the caller
// holds mu.
func (c *clock) hearVisitors() {
	w, g := c.best(), &c.guests
	if w.source != replica.ClockGuess {
		clear(g.by)
		g.since = time.Time{}
		return
	}
	g.forget()
	times := make([]time.Time, 0, len(g.by))
	for _, said := range g.by {
		times = append(times, said.now())
	}
	t, count := closest(times)
	if count < clockVisitors || 2*count <= len(times) || t.Sub(w.time).Abs() <= clockAgree {
		g.since = time.Time{}
		return
	}
	if g.since.IsZero() || t.Sub(g.hope.Add(time.Since(g.since))).Abs() > clockAgree {
		g.hope, g.since = t, time.Now()
	}
	if time.Since(g.since) < c.stands || !g.set.IsZero() && time.Since(g.set) < visitorsEvery {
		return
	}
	g.set, g.since, g.undone = time.Now(), time.Time{}, true
	c.set(word{time: t})
}
