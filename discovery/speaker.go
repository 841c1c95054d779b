package discovery

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Timing of mDNS (RFC 6762).
const (
	mdnsPort       = 5353
	probeWait      = 250 * time.Millisecond // section 8.1, before and between probes
	probeCount     = 3
	loserWait      = time.Second     // section 8.2, of a probe that lost against another
	quarrelWait    = 5 * time.Second // section 8.1, after too many conflicts
	quarrelBurst   = 15
	announceCount  = 3                // section 8.3, at 0 s, 1 s and 3 s
	queryFirst     = time.Second      // section 5.2, doubled after each query
	querySlowest   = 60 * time.Second // far below the section's hour: links heal unseen
	queryShareFrom = 8 * time.Second  // from this interval on, another's query counts as ours (section 7.3)
	recordGap      = time.Second      // section 6, between two multicasts of one record
	defenceGap     = 250 * time.Millisecond
	sharedWait     = 20 * time.Millisecond // section 6, before an answer that others may give too
	sharedSpread   = 100 * time.Millisecond
	truncatedWait  = 400 * time.Millisecond // section 7.2, for the rest of the known answers
	maxQueryParts  = 4                      // packets of known answers of one query
	packetOverhead = 48                     // bytes of IPv6 and UDP header
	minMTU         = 1280                   // of IPv6; less would be cut to pieces
	maxMTU         = 1500
)

var (
	mdnsGroup4 = netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 0, 251}), mdnsPort)
	mdnsGroup6 = netip.AddrPortFrom(netip.MustParseAddr("ff02::fb"), mdnsPort)
)

// said is what a speaker remembers of one record of its zone.
type said struct {
	at      time.Time      // last multicast
	due     time.Time      // to be multicast then, or zero
	waiting netip.AddrPort // who asked and may still send known answers
}

// speaker is mDNS on one interface and one family: querier and responder. It
// belongs to Run's goroutine.
type speaker struct {
	engine *engine
	link   *link
	v6     bool
	conn   conn
	zone   *zone
	said   []said // parallel to zone.records

	probes    int       // sent so far
	owned     bool      // the names are ours
	announces int       // sent since the zone last changed
	stepAt    time.Time // next probe or announcement, or zero
	rescueAt  time.Time // not before: answer to another's goodbye for us
	queryAt   time.Time
	queryWait time.Duration
}

func newSpeaker(e *engine, l *link, v6 bool, c conn, now time.Time) *speaker {
	s := &speaker{engine: e, link: l, v6: v6, conn: c, queryWait: queryFirst}
	s.queryAt = now.Add(sharedWait + random(sharedSpread))
	s.setZone(now)
	s.probeAfter(random(probeWait), now)
	return s
}

func random(d time.Duration) time.Duration { return rand.N(max(d, 1)) }

func (s *speaker) group() netip.AddrPort {
	if s.v6 {
		return mdnsGroup6
	}
	return mdnsGroup4
}

// limit is the largest DNS message that this interface carries in one packet.
func (s *speaker) limit() int { return min(max(s.link.mtu, minMTU), maxMTU) - packetOverhead }

// setZone rebuilds what is said here. Names that are owned stay owned.
func (s *speaker) setZone(now time.Time) {
	s.zone = newZone(&s.engine.self, s.engine.taken, s.link.addrs)
	s.said = make([]said, len(s.zone.records))
	if s.owned {
		s.announces, s.stepAt = 0, now
	}
}

// probeAfter begins to probe for the names of the zone (RFC 6762, section 8.1).
func (s *speaker) probeAfter(d time.Duration, now time.Time) {
	s.owned, s.probes, s.stepAt = false, 0, now.Add(d)
	clear(s.said)
}

// nextTick is when tick has something to do.
func (s *speaker) nextTick() time.Time {
	next := earlier(s.stepAt, s.queryAt)
	for _, r := range s.said {
		next = earlier(next, r.due)
	}
	return next
}

// earlier is the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

func (s *speaker) tick(now time.Time) {
	if due(s.stepAt, now) {
		s.step(now)
	}
	s.speak(now)
	if due(s.queryAt, now) {
		s.query(now)
	}
}

// step sends the next probe or announcement.
func (s *speaker) step(now time.Time) {
	if !s.owned {
		if s.probes < probeCount {
			s.probes++
			s.stepAt = now.Add(probeWait)
			s.send(s.zone.probe())
			return
		}
		s.owned, s.announces = true, 0
	}
	s.stepAt = now.Add(recordGap << s.announces)
	if s.announces++; s.announces == announceCount {
		s.stepAt = time.Time{}
	}
	for i, r := range s.zone.records {
		if r.kind != typeNSEC {
			s.said[i] = said{at: now}
		}
	}
	s.send(message{response: true, answers: s.zone.announced(false)})
}

// speak multicasts the answers that are due, in one packet.
func (s *speaker) speak(now time.Time) {
	var answers []int
	for i := range s.said {
		if due(s.said[i].due, now) {
			answers = append(answers, i)
			s.said[i] = said{at: now}
		}
	}
	if len(answers) > 0 {
		s.send(message{response: true, answers: s.zone.pick(answers), additional: s.zone.pick(s.zone.extra(answers))})
	}
}

// query asks for boxes and says which ones are known, in as many packets as
// that takes (RFC 6762, sections 5.2, 7.1 and 7.2). Our own name is always
// among them: it keeps us from answering ourselves, and no two nodes' queries
// are the same bytes.
func (s *speaker) query(now time.Time) {
	s.queryAt = now.Add(s.queryWait - random(s.queryWait/8))
	s.queryWait = min(2*s.queryWait, querySlowest)
	known := s.engine.known(s.link.index, now)
	known = slices.Insert(known, 0, resource{name: nodeType, kind: dnsmessage.TypePTR, ttl: otherTTL, target: s.zone.node})
	m := message{questions: []question{{name: nodeType, kind: dnsmessage.TypePTR}}}
	for part := 1; ; part++ {
		n := fitting(known, s.limit())
		m.answers, known = known[:n], known[n:]
		m.truncated = len(known) > 0 && part < maxQueryParts
		s.send(m)
		if !m.truncated {
			return
		}
		m.questions = nil
	}
}

// fitting is how many PTR records surely fit into a packet with one question.
func fitting(rs []resource, limit int) int {
	size := 12 + len(nodeType) + 2 + 4
	for n, r := range rs {
		const fixed = 2 + 2 + 2 + 4 + 2 + 2 // compressed name, type, class, TTL, length, compressed rest of the target
		if size += fixed + len(r.target) - len(nodeType); size > limit {
			return n
		}
	}
	return len(rs)
}

// askFor asks for all that is known of one name.
func (s *speaker) askFor(name string) {
	s.send(message{questions: []question{{name: name, kind: dnsmessage.TypeALL}}})
}

// goodbye takes back what was announced (RFC 6762, section 10.1).
func (s *speaker) goodbye() {
	if s.owned {
		s.send(message{response: true, answers: s.zone.announced(true)})
	}
}

// goodbyeWeb takes back the web page's name, which is about to change.
func (s *speaker) goodbyeWeb() {
	if !s.owned || s.zone.web == "" {
		return
	}
	var rs []resource
	for _, r := range s.zone.announced(true) {
		if sameName(r.name, s.zone.web) || sameName(r.target, s.zone.web) {
			rs = append(rs, r)
		}
	}
	s.send(message{response: true, answers: rs})
}

func (s *speaker) send(m message) { s.sendTo(m, s.group()) }

func (s *speaker) sendTo(m message, to netip.AddrPort) {
	p, err := m.encode(s.limit())
	if err != nil {
		s.engine.complain("mDNS packet could not be made", "err", err)
		return
	}
	s.engine.remember(p)
	if err := s.conn.write(p, to, s.link.index); err != nil {
		s.engine.complainSend("mDNS packet was not sent", s.link.name, err)
	}
}
