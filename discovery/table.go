package discovery

import (
	"net/netip"
	"slices"
	"time"
)

// Patience with peers (spec/discovery.md, section 6).
const (
	byePatience    = time.Second            // between a goodbye and its effect (RFC 6762, section 10.1)
	byeCheck       = 250 * time.Millisecond // between questions whether the transport still holds it
	byeForgotten   = 10 * time.Second       // a goodbye of a peer that the transport holds so long was none
	aliveCheck     = 2 * time.Second        // between questions about a silent peer
	formerPatience = 10 * time.Second       // with packets of an instance that was replaced
	tellGap        = time.Second            // between two calls of Found for one peer
	sweepSlow      = time.Second
	sweepFast      = 250 * time.Millisecond
	maxEvictTries  = 4
)

// askGaps are the times to wait after each look for a silent peer; after the
// last it is gone.
var askGaps = [...]time.Duration{
	400 * time.Millisecond, 400 * time.Millisecond,
	800 * time.Millisecond, 800 * time.Millisecond, 800 * time.Millisecond, 800 * time.Millisecond,
}

// table holds the peers and tells the listener about them. It belongs to Run's
// goroutine.
type table struct {
	self     string // our own id, which is no peer
	listener Listener
	ask      func(p *peer, n int) // looks for a silent peer, for the nth time from 0
	refused  func(reason string)  // a peer was not taken in; reason is constant
	peers    map[string]*peer     // at most MaxPeers
	labels   map[string]*peer     // by mDNS name, at most MaxPeers*maxLabels
	fresh    *sieve               // of new peers
	events   bucket               // of calls of Found
	sweepAt  time.Time            // zero while there are no peers
	jitter   func(d time.Duration) time.Duration
}

func newTable(self string, l Listener, now time.Time) *table {
	return &table{
		self: self, listener: l, peers: map[string]*peer{}, labels: map[string]*peer{},
		fresh:  newSieve(rate{freshRate, freshBurst}, rate{senderFreshRate, maxPeersPerSource}, now),
		events: newBucket(rate{5 * freshRate, 2 * freshBurst}, now),
	}
}

// heard takes in a claim that came by the interface i. A beacon says with next
// when to expect another; mDNS, where next is 0, lists addresses.
func (t *table) heard(c claim, a arrival, i *iface, next time.Duration, now time.Time) {
	p := t.peers[c.id]
	if p == nil {
		if p = t.admit(c, a, i, now); p == nil {
			return
		}
	}
	switch {
	case p.instance == c.instance:
	case p.former == c.instance && now.Before(p.formerUntil):
		return
	default:
		p.restart(c.instance, now)
	}
	if p.name != c.name {
		p.name, p.dirty = c.name, true
	}
	p.bye, p.link = time.Time{}, i.index
	switch {
	case next > 0:
		p.next = min(max(next, beaconFastest), beaconSlowest)
		p.talk, p.talks = a, true
	default:
		if !p.talks {
			p.next = beaconInterval(len(t.peers)) // what it would promise
		}
		t.named(p, c.label, i.index, now)
		p.list(reachable(c.addrs, i), i.index, c.port, now)
	}
	p.seen(a.from.Addr(), i.index, c.port, now)
	t.lives(p, now)
	t.tell(p, now)
	if p.dirty || t.sweepAt.IsZero() {
		t.wake(now)
	}
}

// lives notes a sign of life. Silence is noticed after one to two missed
// beacons, by each node at another moment, so that few need to ask.
func (t *table) lives(p *peer, now time.Time) {
	p.asks, p.silentAt = 0, now.Add(2*p.next-t.jitter(p.next/2))
}

// reachable keeps the addresses that a peer may well have on this interface, so
// that nobody can make us dial a stranger elsewhere.
func reachable(addrs []netip.Addr, i *iface) []netip.Addr {
	var ok []netip.Addr
	for _, a := range addrs {
		if a.IsGlobalUnicast() || a.IsLinkLocalUnicast() {
			if i.onLink(a) && !slices.Contains(ok, a) && len(ok) < 2*maxZoneFamily {
				ok = append(ok, a)
			}
		}
	}
	return ok
}

func (t *table) named(p *peer, label string, index int, now time.Time) {
	if h := p.labels[label]; h != nil {
		h.index, h.at = index, now
		return
	}
	if len(p.labels) >= maxLabels {
		return
	}
	if before := t.labels[label]; before != nil {
		delete(before.labels, label)
	}
	p.labels[label] = &labelHeard{index: index, at: now}
	t.labels[label] = p
}

// admit makes room for a new peer and notes it, or returns nil.
func (t *table) admit(c claim, a arrival, i *iface, now time.Time) *peer {
	if c.id == t.self {
		return nil
	}
	if !t.fresh.pass(a.from.Addr(), now) {
		t.refused("peers come too fast")
		return nil
	}
	onLink, fromSource := 0, 0
	for _, p := range t.peers {
		if p.link == i.index {
			onLink++
			if p.source == a.from.Addr() {
				fromSource++
			}
		}
	}
	if fromSource >= maxPeersPerSource {
		t.refused("one sender claims to be too many peers")
		return nil
	}
	may := func(p *peer) bool { return onLink < maxPeersPerLink || p.link == i.index }
	if (onLink >= maxPeersPerLink || len(t.peers) >= MaxPeers) && !t.evict(may) {
		t.refused("table of peers is full")
		return nil
	}
	p := &peer{
		id: c.id, instance: c.instance, dirty: true, source: a.from.Addr(), link: i.index,
		places: map[place]*stay{}, labels: map[string]*labelHeard{},
	}
	t.peers[c.id] = p
	return p
}

// evict drops any one peer of those that may be, if the transport never held
// it. Which one is left to the order of the map: chance gives an honest
// newcomer a fair share of the time.
func (t *table) evict(may func(*peer) bool) bool {
	tries := maxEvictTries
	for _, p := range t.peers {
		if p.confirmed || !may(p) {
			continue
		}
		if tries--; tries < 0 {
			return false
		}
		if p.confirmed = t.listener.Alive(p.id); !p.confirmed {
			t.drop(p)
			return true
		}
	}
	return false
}

func (t *table) drop(p *peer) {
	for label := range p.labels {
		delete(t.labels, label)
	}
	delete(t.peers, p.id)
	if p.told != nil {
		t.listener.Gone(p.id)
	}
}

// goodbye notes that a peer says it goes. An instance that is not the present
// one has gone before.
func (t *table) goodbye(p *peer, instance string, now time.Time) {
	if p == nil || (instance != "" && instance != p.instance) || !p.bye.IsZero() {
		return
	}
	p.bye, p.checkAt = now, now.Add(byePatience)
	t.wake(now)
}

// linkGone forgets what was heard by an interface that is no more.
func (t *table) linkGone(index int, now time.Time) {
	for _, p := range t.peers {
		p.forget(func(at place, _ *stay) bool { return at.index == index })
		for label, h := range p.labels {
			if h.index == index {
				delete(p.labels, label)
				delete(t.labels, label)
			}
		}
		if p.talks && p.talk.index == index {
			p.talks = false
		}
	}
	t.wake(now)
}

// tell reports a changed peer when it is its turn.
func (t *table) tell(p *peer, now time.Time) {
	if !p.dirty || len(p.places) == 0 || now.Before(p.tellAt) {
		return
	}
	s := p.snapshot()
	if s.equal(p.told) {
		p.dirty = false
		return
	}
	if !t.events.take(now) {
		return
	}
	p.told, p.dirty, p.tellAt = s, false, now.Add(tellGap)
	given := *s
	given.Addrs = slices.Clone(s.Addrs)
	t.listener.Found(given)
}

// wake makes the next sweep come soon.
func (t *table) wake(now time.Time) {
	if soon := now.Add(sweepFast); t.sweepAt.IsZero() || soon.Before(t.sweepAt) {
		t.sweepAt = soon
	}
}

// sweep looks after all peers and sets the time of the next sweep.
func (t *table) sweep(now time.Time) {
	busy := false
	for _, p := range t.peers {
		p.forget(func(_ place, s *stay) bool { return !s.until.IsZero() && !now.Before(s.until) })
		if t.look(p, now) {
			t.drop(p)
			continue
		}
		t.tell(p, now)
		busy = busy || p.dirty || p.asks > 0 || !p.bye.IsZero()
	}
	switch {
	case len(t.peers) == 0:
		t.sweepAt = time.Time{}
	case busy:
		t.sweepAt = now.Add(sweepFast)
	default:
		t.sweepAt = now.Add(sweepSlow)
	}
}

// look reports whether a peer is gone: after its goodbye, or after silence and
// looks that nobody answered, in both cases unless the transport holds it.
func (t *table) look(p *peer, now time.Time) bool {
	if p.bye.IsZero() && len(p.places) > 0 && now.Before(p.silentAt) {
		return false
	}
	if now.Before(p.checkAt) {
		return false
	}
	if t.listener.Alive(p.id) {
		p.confirmed, p.asks = true, 0
		p.checkAt = now.Add(aliveCheck)
		if !p.bye.IsZero() {
			p.checkAt = now.Add(byeCheck)
			if now.Sub(p.bye) > byeForgotten {
				p.bye = time.Time{}
			}
		}
		return false
	}
	if !p.bye.IsZero() || p.asks == len(askGaps) {
		return true
	}
	t.ask(p, p.asks)
	gap := askGaps[p.asks]
	p.asks++
	p.checkAt = now.Add(gap + t.jitter(gap/8))
	return false
}
