package discovery

import (
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// peer is what the table knows of one node. It belongs to Run's goroutine.
type peer struct {
	id, instance, name string

	former      string    // the instance before this one
	formerUntil time.Time // until when its late packets are passed over

	places map[place]*stay
	labels map[string]*labelHeard // mDNS names, in lower case
	source netip.Addr             // where the packet that made it known came from
	link   int                    // by which interface

	talk      arrival       // where its last beacon came from
	talks     bool          // whether there is one
	silentAt  time.Time     // when the time without a sign of life is too long
	next      time.Duration // it means to be heard again within this
	asks      int           // looks since it fell silent
	askedFor  time.Time     // last heard that another node looks for it
	checkAt   time.Time     // when silence or goodbye is next looked into
	bye       time.Time     // when it said goodbye, or zero
	confirmed bool          // the transport held it at some time

	told   *Peer // as the listener knows it
	dirty  bool  // told may be out of date
	tellAt time.Time
}

// place is one address of a peer as seen from one interface.
type place struct {
	addr  netip.Addr // without a zone
	index int        // of the interface
}

// stay says how long an address holds.
type stay struct {
	port   uint16
	listed bool      // by mDNS, which need not repeat it
	until  time.Time // when it goes; zero for one that is listed for good
}

// labelHeard is a name that a peer has on one interface's mDNS.
type labelHeard struct {
	index int
	at    time.Time
}

// flushAfter is how long a record lives on that a newer set lacks (RFC 6762,
// section 10.2).
const flushAfter = time.Second

// seenIntervals is for how many of a peer's beacons an address may be missed
// that only beacons came from.
const seenIntervals = 6

// seen notes an address from which the peer was heard.
func (p *peer) seen(a netip.Addr, index int, port uint16, now time.Time) {
	if s := p.stay(place{a, index}, port); s != nil && !s.listed {
		s.until = now.Add(seenIntervals * p.next)
	}
}

// list takes the addresses that the peer announces on one interface. What was
// listed before and is not now goes at once where others of its family are
// listed, else with its TTL: there are responders that announce one family to
// each.
func (p *peer) list(addrs []netip.Addr, index int, port uint16, now time.Time) {
	for at, s := range p.places {
		if at.index != index || !s.listed || slices.Contains(addrs, at.addr) {
			continue
		}
		until := now.Add(hostTTL * time.Second)
		if slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Is6() == at.addr.Is6() }) {
			s.listed, until = false, now.Add(flushAfter)
		}
		if s.until.IsZero() || until.Before(s.until) {
			s.until = until
		}
	}
	for _, a := range addrs {
		if s := p.stay(place{a, index}, port); s != nil {
			s.listed, s.until = true, time.Time{}
		}
	}
}

// stay finds or makes the entry of a place. Where the peer has too many, the
// one that goes next makes room; one that is listed does not.
func (p *peer) stay(at place, port uint16) *stay {
	s := p.places[at]
	if s == nil {
		if len(p.places) >= maxAddrs && !p.dropPlace() {
			return nil
		}
		s = &stay{}
		p.places[at] = s
		p.dirty = true
	}
	if s.port != port {
		s.port, p.dirty = port, true
	}
	return s
}

func (p *peer) dropPlace() bool {
	var oldest place
	var until time.Time
	for at, s := range p.places {
		if !s.until.IsZero() && (until.IsZero() || s.until.Before(until)) {
			oldest, until = at, s.until
		}
	}
	if until.IsZero() {
		return false
	}
	delete(p.places, oldest)
	p.dirty = true
	return true
}

// forget drops the places for which gone reports true.
func (p *peer) forget(gone func(place, *stay) bool) {
	for at, s := range p.places {
		if gone(at, s) {
			delete(p.places, at)
			p.dirty = true
		}
	}
}

// restart makes the peer another instance of itself.
func (p *peer) restart(instance string, now time.Time) {
	p.former, p.formerUntil = p.instance, now.Add(formerPatience)
	p.instance, p.dirty = instance, true
	p.talks = false
	clear(p.places)
}

// snapshot is the peer as the listener is to know it.
func (p *peer) snapshot() *Peer {
	out := &Peer{ID: p.id, Instance: p.instance, Name: p.name}
	for at, s := range p.places {
		a := at.addr
		if a.Is6() && a.IsLinkLocalUnicast() {
			a = a.WithZone(strconv.Itoa(at.index))
		}
		out.Addrs = append(out.Addrs, netip.AddrPortFrom(a, s.port))
	}
	slices.SortFunc(out.Addrs, netip.AddrPort.Compare)
	out.Addrs = slices.Compact(out.Addrs)
	return out
}

func (p *Peer) equal(o *Peer) bool {
	return o != nil && p.Instance == o.Instance && p.Name == o.Name && slices.Equal(p.Addrs, o.Addrs)
}
