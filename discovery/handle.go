package discovery

import (
	"errors"
	"net"
	"slices"
	"syscall"
	"time"

	"boucan/record"
)

// handle takes in what a reader handed over.
func (e *engine) handle(p packet, now time.Time) {
	switch {
	case p.closed != nil:
		e.lost(p.closed, p.err, now)
	case p.reason != "":
		e.complain(p.reason)
	case p.beacon != nil:
		if p.sealed == nil || e.isOwn(p.beacon) || e.fresh.believes(p.sealed, now) {
			e.handleBeacon(p.beacon, p.arrival, now)
		}
	case p.speaker != p.speaker.link.speakers[familyOf(p.speaker.v6)]:
		// It came by a socket that has been closed since.
	case !slices.Contains(e.reminded[:], p.sum):
		p.speaker.handle(p.message, p.arrival, now)
	}
}

func familyOf(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// lost closes a socket that failed and has it opened anew later.
func (e *engine) lost(c conn, err error, now time.Time) {
	e.complain("socket failed", "err", err)
	for _, l := range e.links {
		for n, s := range l.speakers {
			if s != nil && s.conn == c {
				l.closeSpeaker(n)
				l.retryAt = now.Add(retryAfter)
			}
		}
	}
	for _, set := range []*[2]conn{&e.talk, &e.shared} {
		for n := range set {
			if set[n] == c {
				e.closeConn(c)
				set[n] = nil
				e.reopen = now.Add(retryAfter)
			}
		}
	}
}

// linkOf is the interface that a beacon came by. What one node of a machine
// sends to another by an address of its own comes by the loopback interface.
func (e *engine) linkOf(a arrival) *link {
	from := a.from.Addr()
	l := e.links[a.index]
	if l != nil && (!l.loopback || from.IsLoopback()) {
		return l
	}
	for _, l := range e.links {
		for _, p := range l.addrs {
			if p.Addr() == from || (a.index == 0 && l.onLink(from)) {
				return l
			}
		}
	}
	return nil
}

func (e *engine) handleBeacon(b *beacon, a arrival, now time.Time) {
	l := e.linkOf(a)
	if l == nil || (a.direct && !l.onLink(a.from.Addr())) {
		return
	}
	a.index = l.index
	if b.id == e.self.ID {
		e.namesake(b.instance, b.flags&beaconBye != 0)
		return
	}
	if b.flags&beaconBye != 0 {
		if p := e.table.peers[b.id]; p != nil && p.instance == b.instance {
			e.table.goodbye(p, b.instance, now)
		}
		return
	}
	c := claim{id: b.id, instance: b.instance, name: record.CleanLine(b.name, maxName), port: b.port}
	e.table.heard(c, a, &l.iface, b.next, now)
	switch {
	case b.flags&beaconAsk == 0:
	case b.wanted == "" || b.wanted == e.self.ID:
		l.owe(a, b.flags&beaconAloud != 0, now)
	default:
		if p := e.table.peers[b.wanted]; p != nil && !a.direct {
			p.askedFor = now
		}
	}
}

// isOwn is true for what this start of this node said.
func (e *engine) isOwn(b *beacon) bool { return b.id == e.self.ID && b.instance == e.self.Instance }

// namesake notices another node with our id: a copied data folder.
func (e *engine) namesake(instance string, bye bool) {
	if instance != e.self.Instance && !bye {
		e.complain("another node announces the id of this one: was its data folder copied?")
	}
}

// hear takes in what an mDNS response says of nodes.
func (e *engine) hear(m *message, a arrival, s *speaker, now time.Time) {
	h := hear(m)
	for _, c := range h.claims {
		if c.id == e.self.ID {
			e.namesake(c.instance, false)
			continue
		}
		e.table.heard(c, a, &s.link.iface, 0, now)
	}
	for _, c := range h.gone {
		e.table.goodbye(e.table.labels[c.label], c.instance, now)
	}
	for _, label := range h.bare {
		if p := e.table.labels[label]; p != nil {
			e.table.lives(p, now)
		} else if !sameName(label, s.zone.node) {
			e.follow(label, s, now)
		}
	}
}

// follow asks for the rest of what came without it.
func (e *engine) follow(label string, s *speaker, now time.Time) {
	for l, at := range e.followed {
		if now.Sub(at) > followGap {
			delete(e.followed, l)
		}
	}
	if _, ok := e.followed[label]; ok || len(e.followed) >= maxFollowed || !e.asking.take(now) {
		return
	}
	e.followed[label] = now
	s.askFor(label)
}

// lookedFor notes which peers another asks for by name.
func (e *engine) lookedFor(m *message, now time.Time) {
	for _, q := range m.questions {
		if p := e.table.labels[lower(q.name)]; p != nil {
			p.askedFor = now
		}
	}
}

// Looks for a silent peer: the first ones are for its ears alone, then all may
// hear, unless another has just asked the same.
const (
	aloudFrom = 2
	askedGap  = time.Second
)

func (e *engine) ask(p *peer, n int) {
	now := time.Now()
	if !p.confirmed && !e.asking.take(now) {
		return
	}
	near := e.links[p.talk.index]
	if n <= aloudFrom && p.talks && near != nil {
		near.beaconTo(p.talk.from, beaconAsk, p.id)
	}
	if n < aloudFrom-1 || now.Sub(p.askedFor) < askedGap {
		return
	}
	if n >= aloudFrom && p.talks && near != nil {
		near.beaconAll(beaconAsk|beaconAloud, p.id)
	}
	if n%2 == 0 {
		return
	}
	for label, h := range p.labels {
		if l := e.links[h.index]; l != nil {
			l.askFor(label)
		}
	}
}

// conflict gives up a name that another owns (RFC 6762, section 9) for the next
// candidate, on all interfaces. s is where it showed.
func (e *engine) conflict(s *speaker, web bool, now time.Time) {
	if !e.quarrel.take(now) {
		e.complain("mDNS names are disputed without end")
		s.probeAfter(quarrelWait, now)
		return
	}
	if web {
		e.taken.web++
	} else {
		e.taken.own++
	}
	e.log.Info("mDNS name is taken, using another", "web", web)
	e.rezone(now)
}

// rezone probes for changed names on all interfaces.
func (e *engine) rezone(now time.Time) {
	for _, l := range e.links {
		for _, s := range l.speakers {
			if s != nil {
				s.setZone(now)
				s.probeAfter(random(probeWait), now)
			}
		}
	}
}

func (e *engine) setName(name string, now time.Time) {
	if name == e.self.Name {
		return
	}
	for _, l := range e.links {
		for _, s := range l.speakers {
			if s != nil {
				s.goodbyeWeb()
			}
		}
	}
	e.self.Name, e.taken.web = name, 0
	e.rezone(now)
	for _, l := range e.links {
		l.beaconAt = now
	}
}

// interval is the time between our beacons.
func (e *engine) interval() time.Duration { return beaconInterval(len(e.table.peers)) }

// beacon is what we say of ourselves.
func (e *engine) beacon(flags byte, wanted string) *beacon {
	return &beacon{
		flags: flags, port: e.self.Port, next: promise(e.interval()),
		id: e.self.ID, instance: e.self.Instance, name: record.CleanLine(e.self.Name, maxName), wanted: wanted,
	}
}

// complainSend logs that a packet was not sent, unless the interface is just
// going away. The address it was for stays out of the log: it may be a visitor's.
func (e *engine) complainSend(message, name string, err error) {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENETDOWN) {
		return
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	e.complain(message, "interface", name, "err", err)
}
