package replica

import (
	"errors"
	"math/rand/v2"
	"time"

	"boucan/record"
)

// peer is what is known of one peer.
type peer struct {
	up    bool
	since time.Time // when it came up
	// compared is when a session with it last ended well, since then.
	compared time.Time
	busy     bool      // a session is under way
	due      time.Time // of the next session that this node begins; zero for none
	fails    int       // sessions in a row that ended badly
	turned   int       // sessions in a row that the peer was too busy for
	rest     time.Time // until when this node begins no session
	banned   time.Time // until when the peer is not spoken to at all
	// missing is what the peer named and did not deliver, until when.
	missing map[record.ID]time.Time
}

// plan makes a session due after wait, unless one is due earlier.
func (y *Syncer) plan(p *peer, wait time.Duration) {
	due := time.Now().Add(wait)
	for _, least := range []time.Time{p.rest, p.banned} {
		if due.Before(least) {
			due = least
		}
	}
	if p.due.IsZero() || due.Before(p.due) {
		p.due = due
		select {
		case y.wake <- struct{}{}:
		default:
		}
	}
}

func (y *Syncer) peer(k record.Key) *peer {
	p, ok := y.peers[k]
	if !ok {
		p = &peer{}
		y.peers[k] = p
	}
	return p
}

// forget drops what need not be kept of a peer that is not connected.
func (y *Syncer) forget(k record.Key, p *peer) {
	if p.up || p.busy {
		return
	}
	if !time.Now().Before(p.banned) {
		delete(y.peers, k)
		return
	}
	bans := 0
	for _, other := range y.peers {
		if !other.up && !other.busy {
			bans++
		}
	}
	if bans > maxBans {
		delete(y.peers, k)
	}
}

// lesser reports whether this node's key is the lesser of the two.
func (y *Syncer) lesser(k record.Key) bool { return string(y.self[:]) < string(k[:]) }

// jitter is a random part of d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// pace is how often one peer is compared with where nothing is new. With many
// peers it is less often, so that there are about maxPartners sessions in the
// usual interval.
func (y *Syncer) pace() time.Duration {
	up := 0
	for _, p := range y.peers {
		if p.up {
			up++
		}
	}
	return y.interval * time.Duration(max(up, maxPartners)) / maxPartners
}

// schedule plans the next session with a peer after one has ended.
func (y *Syncer) schedule(k record.Key, p *peer, t tally, err error) {
	interval := y.pace()
	wait := interval + jitter(interval/4)
	if !y.lesser(k) {
		wait += interval / 4 // so that the two do not begin at the same time
	}
	switch {
	case errors.Is(err, errBusy):
		wait = spreadSoon << min(p.turned, 5)
		wait = jitter(wait)
		if !y.lesser(k) {
			wait += time.Second
		}
		p.turned++
		p.rest = time.Now().Add(wait)
	case errors.Is(err, errMisbehaved):
		p.banned = time.Now().Add(banTime)
	case err != nil:
		wait = min(leastBackoff<<min(p.fails, 16), mostBackoff)
		wait += jitter(wait / 2)
		p.fails++
		p.rest = time.Now().Add(wait)
	case t.later:
		wait = time.Second + jitter(time.Second)
		fallthrough
	default:
		p.fails, p.turned, p.rest = 0, 0, time.Time{}
	}
	if p.due.Before(p.rest) || p.due.Before(p.banned) {
		p.due = time.Time{}
	}
	if p.up {
		y.plan(p, wait)
	}
}

// miss keeps in mind that a peer named a record and did not deliver it.
func (y *Syncer) miss(k record.Key, id record.ID) {
	y.mu.Lock()
	defer y.mu.Unlock()
	p := y.peer(k)
	if p.missing == nil {
		p.missing = make(map[record.ID]time.Time)
	}
	if len(p.missing) >= maxMissing {
		clear(p.missing)
	}
	p.missing[id] = time.Now().Add(missingAgain)
}

func (y *Syncer) isMissing(k record.Key, id record.ID) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	p, ok := y.peers[k]
	if !ok {
		return false
	}
	until, ok := p.missing[id]
	return ok && time.Now().Before(until)
}
