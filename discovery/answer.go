package discovery

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// handle takes in one mDNS packet that is not our own.
func (s *speaker) handle(m *message, a arrival, now time.Time) {
	if a.direct && !s.link.onLink(a.from.Addr()) { // RFC 6762, section 11
		return
	}
	switch {
	case !m.response:
		s.contest(m, now)
		s.lessen(m, a.from)
		s.share(m, a, now)
		if s.owned {
			s.answer(m, a, now)
		}
		s.engine.lookedFor(m, now)
	case a.from.Port() == mdnsPort: // RFC 6762, section 6
		s.suppress(m)
		s.defend(m, now)
		s.engine.hear(m, a, s, now)
	}
}

// answer schedules or sends what the questions of m ask for.
func (s *speaker) answer(m *message, a arrival, now time.Time) {
	legacy := a.from.Port() != mdnsPort
	wait := random(sharedSpread) // one for all, so that they share a packet
	var direct []int
	for _, q := range m.questions {
		for _, i := range s.zone.answers(q) {
			r := s.zone.records[i]
			switch {
			case isKnown(r, m.answers):
			case slices.Contains(direct, i):
			case legacy, a.direct, q.unicast && s.fresh(i, now):
				direct = append(direct, i)
			default:
				s.schedule(i, m, a.from, wait, now)
			}
		}
	}
	if len(direct) > 0 && s.engine.direct.take(now) {
		s.reply(m, direct, legacy, a.from)
	}
}

// isKnown reports whether the asker already has r for at least half of its life
// (RFC 6762, section 7.1).
func isKnown(r resource, known []resource) bool {
	return slices.ContainsFunc(known, func(k resource) bool { return k.ttl >= r.ttl/2 && k.same(r) })
}

// fresh reports whether all of the link heard the record within a quarter of
// its life, so that one asker alone may be answered (RFC 6762, section 5.4).
func (s *speaker) fresh(i int, now time.Time) bool {
	life := time.Duration(s.zone.records[i].ttl) * time.Second
	return !s.said[i].at.IsZero() && now.Sub(s.said[i].at) < life/4
}

// schedule sets the time of a multicast answer (RFC 6762, sections 6 and 7.2);
// wait is by chance, to keep many from answering at once.
func (s *speaker) schedule(i int, m *message, from netip.AddrPort, wait time.Duration, now time.Time) {
	at := now
	switch {
	case m.truncated:
		at = at.Add(truncatedWait + wait)
	case s.zone.records[i].kind == dnsmessage.TypePTR:
		at = at.Add(sharedWait + wait)
	}
	gap := recordGap
	if len(m.authority) > 0 { // a probe: whoever owns the name must say so in time
		gap = defenceGap
	}
	if before := s.said[i].at; !before.IsZero() && at.Before(before.Add(gap)) {
		at = before.Add(gap)
	}
	if s.said[i].due.IsZero() || at.Before(s.said[i].due) {
		s.said[i].due, s.said[i].waiting = at, netip.AddrPort{}
		if m.truncated {
			s.said[i].waiting = from
		}
	} else if s.said[i].waiting != from {
		s.said[i].waiting = netip.AddrPort{} // another wants it too
	}
}

// reply answers one asker alone. A legacy resolver gets its question back and
// short lives (RFC 6762, section 6.7).
func (s *speaker) reply(q *message, answers []int, legacy bool, to netip.AddrPort) {
	m := message{
		response: true, answers: s.zone.pick(answers), additional: s.zone.pick(s.zone.extra(answers)),
	}
	if legacy {
		m.id, m.questions = q.id, q.questions
		for _, rs := range [][]resource{m.answers, m.additional} {
			for i := range rs {
				rs[i].flush, rs[i].ttl = false, min(rs[i].ttl, legacyTTL)
			}
		}
	}
	s.sendTo(m, to)
}

// lessen takes back answers to an asker whose further packets show that it
// knows them (RFC 6762, section 7.2).
func (s *speaker) lessen(m *message, from netip.AddrPort) {
	for i := range s.said {
		if s.said[i].waiting == from && !s.said[i].due.IsZero() && isKnown(s.zone.records[i], m.answers) {
			s.said[i].due = time.Time{}
		}
	}
}

// suppress takes back answers that another has just given (RFC 6762, section
// 7.4).
func (s *speaker) suppress(m *message) {
	for i := range s.said {
		r := s.zone.records[i]
		if !s.said[i].due.IsZero() && !r.flush &&
			slices.ContainsFunc(m.answers, func(o resource) bool { return o.ttl >= r.ttl && o.same(r) }) {
			s.said[i].due = time.Time{}
		}
	}
}

// share counts another's query for boxes as ours where it will bring up all
// that ours would (RFC 6762, section 7.3). Of a query in several packets the
// first decides: a crowd could not share otherwise.
func (s *speaker) share(m *message, a arrival, now time.Time) {
	if s.queryWait < queryShareFrom || a.direct || a.from.Port() != mdnsPort ||
		!slices.ContainsFunc(m.questions, func(q question) bool {
			return !q.unicast && q.kind == dnsmessage.TypePTR && sameName(q.name, nodeType)
		}) {
		return
	}
	for _, r := range m.answers {
		if r.kind == dnsmessage.TypePTR && sameName(r.name, nodeType) &&
			!sameName(r.target, s.zone.node) && !s.engine.knows(r.target) {
			return
		}
	}
	s.queryAt = now.Add(s.queryWait - random(s.queryWait/8))
}

// contest settles who may have a name that two probe for at the same time
// (RFC 6762, section 8.2).
func (s *speaker) contest(m *message, now time.Time) {
	if s.owned || len(m.authority) == 0 {
		return
	}
	for _, name := range []string{s.zone.node, s.zone.web, s.zone.host} {
		var theirs []resource
		for _, r := range m.authority {
			if name != "" && sameName(r.name, name) {
				theirs = append(theirs, r)
			}
		}
		if len(theirs) > 0 && compareRecords(s.zone.unique(name), theirs) < 0 {
			s.probeAfter(loserWait, now)
			return
		}
	}
}

// defend looks for records that contradict ours. While we probe, the name is
// another's and we take the next; once we own it, we probe again (RFC 6762,
// sections 8.1 and 9). A goodbye for what is ours is answered with the truth.
func (s *speaker) defend(m *message, now time.Time) {
	for _, rs := range [][]resource{m.answers, m.authority, m.additional} {
		for _, r := range rs {
			switch {
			case r.ttl == 0:
				if s.owned && s.isOurs(r) && !now.Before(s.rescueAt) {
					s.rescueAt = now.Add(recordGap)
					s.announces, s.stepAt = announceCount-1, now
				}
			case !s.zone.disputes(r) || s.engine.isOurAddress(r.addr):
			case s.owned:
				s.probeAfter(random(probeWait), now)
				return
			default:
				s.engine.conflict(s, sameName(r.name, s.zone.web), now)
				return
			}
		}
	}
}

func (s *speaker) isOurs(r resource) bool {
	return slices.ContainsFunc(s.zone.records, func(o resource) bool { return o.same(r) })
}
