package node

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"boucan/record"
)

// Up to allNear boxes a node is connected with each that discovery finds. Among
// more, each makes and keeps a few connections at random, and others make theirs
// with it: what a node does then does not depend on how many there are
// (docs/decisions/0013-scale.md).
const (
	allNear = 16
	// keepBegun is how many connections a node among many makes and keeps. About
	// as many come from the others.
	keepBegun = allNear / 2
	// greeters is about how many of those who find a new box connect with it
	// whatever they have, so that the halves of a network that meet are joined at
	// once, and so is a box that cannot reach others by itself.
	greeters = 2
	// changeEvery is about how often a node among many tries another box than
	// those it has. Whoever was alone with liars meets somebody else.
	changeEvery = 5 * time.Minute
	// stayLeast is how long a connection stays that is one too many, and seekStay
	// the same where it was made to ask for one blob.
	stayLeast = 30 * time.Second
	seekStay  = 4 * time.Second
	// seekAtOnce is how many boxes are asked at a time for a blob that no
	// connected one has, and seekMost how many connections may be too many
	// meanwhile.
	seekAtOnce = 4
	seekMost   = 16
	// lookLeast is how often it is seen who is to be dialled where nothing calls
	// for it.
	lookLeast = 5 * time.Second
	// slowDial is how long a dial may take until another one is begun beside it.
	slowDial = time.Second
	// callTries is how often a box that was called is dialled in vain.
	callTries = 3
)

// call is why a box is dialled though there are connections enough.
type call uint8

const (
	notCalled call = iota
	greeted        // it is new, or it is time for another one
	sought         // it may have a blob that somebody waits for
)

// many reports whether more boxes are near than a node connects with; the caller
// holds mu.
func (p *peers) many() bool { return p.near > allNear }

// greet decides whether a box that has just been found is connected with in any
// case; the caller holds mu.
func (p *peers) greet(n *neighbour) {
	if p.many() && rand.IntN(p.near) < greeters {
		n.called = greeted
	}
}

// choose returns whom to dial of those whose time has come, the best first, and how
// long to wait for the next; the caller holds mu.
func (p *peers) choose(now time.Time) (chosen []target, wait time.Duration) {
	need, room, wait := keepBegun, dialsAtOnce, lookLeast
	later := func(at time.Time) { wait = min(wait, max(at.Sub(now), 0)) }
	for _, n := range p.all {
		switch {
		case n.dialing:
			room--
			if n.called != notCalled {
				break
			}
			if slow := n.dialed.Add(slowDial); now.Before(slow) {
				need-- // most likely
				later(slow)
			}
		case n.connected && n.begun:
			need--
		}
	}
	many := p.many()
	for key, n := range p.all {
		switch {
		case n.connected || n.dialing || !n.announced || many && n.called == notCalled && need <= 0:
		case n.next.After(now):
			later(n.next)
		default:
			chosen = append(chosen, target{key: key, n: n})
		}
	}
	if len(chosen) == 0 || room <= 0 {
		return nil, wait
	}
	if many {
		chosen = p.pick(chosen, need)
	} else {
		slices.SortFunc(chosen, func(a, b target) int {
			return cmp.Or(cmp.Compare(a.n.fails, b.n.fails), a.n.next.Compare(b.n.next))
		})
	}
	return chosen[:min(len(chosen), room)], wait
}

// pick keeps those that were called, and at most need others: first those that
// failed least, so that a crowd of boxes that do not answer does not keep one that
// does waiting; then those that share no address with others, so that one machine
// cannot be all that a node sees; then by chance. The caller holds mu.
func (p *peers) pick(from []target, need int) []target {
	crowd := make(map[netip.Addr]int) // connections with each address
	for _, n := range p.all {
		if n.connected || n.dialing {
			n.count(crowd)
		}
	}
	for i, t := range from {
		from[i].crowd, from[i].luck = t.n.crowdedness(crowd), rand.Uint64()
	}
	slices.SortFunc(from, func(a, b target) int {
		return cmp.Or(-cmp.Compare(a.n.called, b.n.called), cmp.Compare(a.n.fails, b.n.fails),
			cmp.Compare(a.crowd, b.crowd), cmp.Compare(a.luck, b.luck))
	})
	called := 0
	for called < len(from) && from[called].n.called != notCalled {
		called++
	}
	return from[:min(len(from), called+max(need, 0))]
}

// target is a box that may be dialled.
type target struct {
	key   record.Key
	n     *neighbour
	crowd int
	luck  uint64
}

func (n *neighbour) count(crowd map[netip.Addr]int) {
	for _, a := range n.addrs {
		crowd[a.Addr()]++
	}
}

func (n *neighbour) crowdedness(crowd map[netip.Addr]int) int {
	most := 0
	for _, a := range n.addrs {
		most = max(most, crowd[a.Addr()])
	}
	return most
}

// change calls another box now and then, and parts from one where there are more
// than enough. Each node parts only from those it called itself, so that nobody
// is left alone by others' choices.
func (p *peers) change(now time.Time, closing *sync.WaitGroup) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.many() {
		p.nextChange = time.Time{}
		return
	}
	switch {
	case p.nextChange.IsZero():
		p.nextChange = now.Add(rand.N(changeEvery))
	case now.After(p.nextChange):
		p.nextChange = now.Add(changeEvery*3/4 + rand.N(changeEvery/2))
		if n := p.another(func(*neighbour) bool { return true }); n != nil {
			n.called, n.next = greeted, now
			p.poke()
		}
	}
	p.part(now, closing)
}

// another is a near box without a connection, at random; nil where there is none.
// The caller holds mu.
func (p *peers) another(fit func(*neighbour) bool) *neighbour {
	var picked *neighbour
	seen := 0
	for _, n := range p.all {
		if n.announced && !n.connected && !n.dialing && n.called == notCalled && fit(n) {
			if seen++; rand.IntN(seen) == 0 {
				picked = n
			}
		}
	}
	return picked
}

// part closes one connection of those that are too many, where nothing goes on
// over it; the caller holds mu.
func (p *peers) part(now time.Time, closing *sync.WaitGroup) {
	begun := 0
	var may []record.Key
	for key, n := range p.all {
		if n.connected && n.begun {
			if begun++; now.After(n.stay) && !n.parting {
				may = append(may, key)
			}
		}
	}
	if begun <= keepBegun {
		return
	}
	rand.Shuffle(len(may), func(i, j int) { may[i], may[j] = may[j], may[i] })
	at := slices.IndexFunc(may, func(key record.Key) bool { return !p.works(key) })
	if at < 0 {
		return
	}
	leave, n := may[at], p.all[may[at]]
	n.parting = true
	closing.Go(func() {
		id, err := peerID(leave)
		if err == nil {
			err = p.host.Network().ClosePeer(id)
		}
		p.mu.Lock()
		n.parting = false
		p.mu.Unlock()
		if err != nil {
			p.log.Debug("parting from a box failed", "peer", leave.String(), "error", err)
		}
	})
}

// works reports whether records or blobs go over a connection now.
func (p *peers) works(key record.Key) bool {
	id, err := peerID(key)
	if err != nil {
		return false
	}
	for _, c := range p.host.Network().ConnsToPeer(id) {
		for _, s := range c.GetStreams() {
			if s.Protocol() == syncProtocol || s.Protocol() == blobProtocol {
				return true
			}
		}
	}
	return false
}

// began reports whether this node made a connection with the box.
func (p *peers) began(key record.Key) bool {
	id, err := peerID(key)
	return err == nil && slices.ContainsFunc(p.host.Network().ConnsToPeer(id), func(c network.Conn) bool {
		return c.Stat().Direction == network.DirOutbound
	})
}

// seek makes for boxes that may have a blob that no connected one has: the author
// of its record, and where somebody waits for it, others too, a few at a time and
// those first that were not met for longest. It reports whether there is anybody to
// hope for. It is called about once a second for as long as that is of use.
func (p *peers) seek(author record.Key, waited bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.many() {
		return false // each is connected, or dialled anyway
	}
	now := time.Now()
	hope := false
	call := func(n *neighbour) {
		if hope = true; n.called == notCalled && !n.dialing {
			n.called, n.next = sought, now
		}
	}
	if n, ok := p.all[author]; ok && n.announced && !n.connected && n.fails < callTries {
		call(n)
	}
	if waited && !hope {
		for _, n := range p.longUnmet() {
			call(n)
		}
	}
	if hope {
		p.poke()
	}
	return hope
}

// longUnmet is whom to ask next for what nobody connected has; the caller holds mu.
func (p *peers) longUnmet() []*neighbour {
	begun, under := 0, 0
	var unmet []*neighbour
	for _, n := range p.all {
		switch {
		case n.connected:
			if n.begun {
				begun++
			}
		case n.called == sought:
			under++
			unmet = append(unmet, n)
		case n.announced && !n.dialing && n.fails == 0:
			unmet = append(unmet, n)
		}
	}
	slices.SortFunc(unmet, func(a, b *neighbour) int {
		return cmp.Or(-cmp.Compare(a.called, b.called), a.met.Compare(b.met))
	})
	room := min(seekAtOnce, keepBegun+seekMost-begun-under)
	return unmet[:min(len(unmet), under+max(room, 0))]
}
