package node

import (
	"net/netip"
	"slices"
	"time"

	"boucan/record"
	"boucan/replica"
)

// What peers may do to a clock. Votes are counted by address, not by key, since
// keys are free. Of n boxes, this one among them, f = (n-1)/3 may lie: three of ten.
const (
	// clockAgree is how close clocks must be to one another to agree. While no
	// more than f lie, some honest clock is among those that agree, so peers move
	// a clock by no more than this from an honest one that knows better.
	clockAgree = 2 * time.Minute
	// clockHops is how many boxes may stand between this one and one that knows
	// the time by itself. Each adds clockAgree to what liars may do, which so is
	// clockBound at most: under record.MaxSkew, that honest records pass.
	clockHops  = 3
	clockBound = clockHops * clockAgree
	// clockVoices is the fewest addresses that agree, however few there are.
	clockVoices = 3
	// clockStands is how long they must agree before they are believed: whoever
	// is quickest to connect is not to decide before the others are heard.
	clockStands = 30 * time.Second
	// clockLend is by how much single peers may move a clock forward in all, from
	// one time it was known to the next, while it is only guessed: two boxes that
	// were switched on some hours apart are to understand one another.
	clockLend = day
	// clockSlack is a difference that is not worth a correction.
	clockSlack = 10 * time.Second
	// maxVotes bounds the peers whose clocks are remembered.
	maxVotes = 1024
)

// vote is what one peer said of the time.
type vote struct {
	word
	key  record.Key
	addr netip.Addr
	nth  uint64 // the order in which peers were first heard
}

// ballot is what connected peers say of the time.
type ballot struct {
	by   map[record.Key]vote
	next uint64
	// hope is what they agree on, since when.
	hope  word
	since time.Time
}

func newBallot() ballot { return ballot{by: make(map[record.Key]vote)} }

// heard takes what a connected peer says of the time.
func (c *clock) heard(key record.Key, addr netip.Addr, h replica.Hello) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.votes.by[key]
	if !ok {
		if len(c.votes.by) >= maxVotes {
			return
		}
		c.votes.next++
		v = vote{key: key, nth: c.votes.next}
	}
	v.addr = addr
	v.word = word{time: timeOf(h.Clock), at: time.Now(), source: h.Source, hops: h.Hops}
	if v.source == replica.ClockPeers {
		v.hops = max(v.hops, 1)
	} else {
		v.hops = 0
	}
	c.votes.by[key] = v
	c.hearPeers()
}

// gone forgets a peer that is not connected any more: it cannot come back under
// another address and vote twice.
func (c *clock) gone(key record.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.votes.by, key)
	c.hearPeers()
}

// list returns one vote an address, that of the key heard first. Programs on
// this very machine are told apart by key: whoever runs those needs no lies.
func (b *ballot) list() []vote {
	all := make([]vote, 0, len(b.by))
	for _, v := range b.by {
		all = append(all, v)
	}
	slices.SortFunc(all, func(x, y vote) int { return int(x.nth) - int(y.nth) })
	seen := make(map[netip.Addr]bool)
	return slices.DeleteFunc(all, func(v vote) bool {
		again := seen[v.addr]
		seen[v.addr] = !v.addr.IsLoopback()
		return again
	})
}

// agree returns what most of those say who know the time, where enough of all
// agree. Those that know at first hand are heard first, then those that heard it
// from them, and so on: nobody hears back what he has said himself.
func agree(votes []vote, worse word) (word, bool) {
	need := max(clockVoices, len(votes)/3+1)
	most := clockHops - 1
	if worse.source == replica.ClockPeers {
		most = min(most, worse.hops-1)
	}
	for hops := range most + 1 {
		var times []time.Time
		for _, v := range votes {
			if firstHand(v.source) || v.source == replica.ClockPeers && v.hops <= hops {
				times = append(times, v.now())
			}
		}
		if t, count := closest(times); count >= need && 2*count > len(times) {
			return word{time: t, source: replica.ClockPeers, hops: hops + 1}, true
		}
	}
	return word{}, false
}

// closest returns the middle one of the most times that lie within clockAgree of
// each other, and how many these are.
func closest(times []time.Time) (middle time.Time, count int) {
	slices.SortFunc(times, time.Time.Compare)
	first := 0
	for last, t := range times {
		for t.Sub(times[first]) > clockAgree {
			first++
		}
		if n := last - first + 1; n > count {
			middle, count = times[first+(n-1)/2], n
		}
	}
	return middle, count
}

// hearPeers moves the clock where peers may; the caller holds mu.
func (c *clock) hearPeers() {
	w, b := c.best(), &c.votes
	if w.source > replica.ClockPeers {
		b.since = time.Time{}
		return
	}
	votes := b.list()
	t, ok := agree(votes, w)
	if !ok || t.time.Before(latest(c.build, c.least)) {
		b.since = time.Time{}
		if w.source == replica.ClockGuess {
			c.borrow(votes, w)
		}
		return
	}
	t.at = time.Now()
	if b.since.IsZero() || t.time.Sub(b.hope.now()).Abs() > clockAgree {
		b.hope, b.since = t, t.at
	}
	if time.Since(b.since) < c.stands {
		return
	}
	if w.source == replica.ClockPeers && w.hops == t.hops && t.time.Sub(w.time).Abs() <= clockSlack {
		t.time = w.time // near enough; that it is confirmed is what counts
	}
	c.set(t)
}

// borrow goes forward with the peer that is ahead, by no more than is left of
// clockLend; the caller holds mu.
func (c *clock) borrow(votes []vote, w word) {
	var ahead time.Duration
	for _, v := range votes {
		ahead = max(ahead, v.now().Sub(w.time))
	}
	if ahead = min(ahead, clockLend-c.lent); ahead <= clockSlack {
		return
	}
	lent := c.lent + ahead
	c.set(word{time: w.time.Add(ahead)})
	c.lent = lent
}
