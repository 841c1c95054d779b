package discovery

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// Timing of beacons (spec/discovery.md, section 5).
const (
	beaconFirst   = 100 * time.Millisecond // at most, after an interface came
	beaconBurst   = 3                      // beacons at first that ask who is there, at 0 s, 1 s and 3 s
	beaconGap     = time.Second            // between two to all on one interface
	answerSpread  = 100 * time.Millisecond // of an answer to one asker
	aloudSpread   = 10 * time.Millisecond  // of an answer to all, for each peer
	maxAnswers    = 3                      // askers that get an answer each; more get one together
	retryAfter    = 5 * time.Second        // with a socket that failed
	farewells     = 3                      // goodbyes on each path
	farewellGap   = 80 * time.Millisecond  // between them
	maxAloudDelay = time.Second
)

var (
	broadcastAll      = netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), BeaconPort)
	broadcastLoopback = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 255, 255, 255}), BeaconPort)
	broadcastNodes6   = netip.AddrPortFrom(netip.MustParseAddr("ff02::1"), BeaconPort)
)

// link is an interface that is spoken on. It belongs to Run's goroutine.
type link struct {
	iface
	engine   *engine
	speakers [2]*speaker // mDNS over IPv4 and IPv6, nil where there is none
	retryAt  time.Time   // when a missing speaker is tried again, or zero

	burst    int       // beacons of the first ones that were sent
	beaconAt time.Time // next beacon to all
	aloudAt  time.Time // an answer to all is due, or zero
	spokeAt  time.Time // last beacon to all
	answers  []beaconAnswer
}

// beaconAnswer is owed to one asker.
type beaconAnswer struct {
	to netip.AddrPort
	at time.Time
}

func newLink(e *engine, i iface, now time.Time) *link {
	return &link{iface: i, engine: e, beaconAt: now.Add(random(beaconFirst)), retryAt: now}
}

// update takes over what changed of the interface.
func (l *link) update(i iface, now time.Time) {
	if l.iface.equal(&i) {
		return
	}
	l.iface, l.retryAt = i, now
	for n, s := range l.speakers {
		switch {
		case s == nil:
		case !l.has(s.v6):
			l.closeSpeaker(n)
		default:
			s.setZone(now)
		}
	}
	l.burst, l.beaconAt = 0, now.Add(random(beaconFirst))
}

// open opens the speakers that are missing.
func (l *link) open(ctx context.Context, now time.Time) {
	l.retryAt = time.Time{}
	if l.loopback || !l.multicast || l.engine.sealer != nil {
		return
	}
	for n := range l.speakers {
		v6 := n == 1
		if l.speakers[n] != nil || !l.has(v6) {
			continue
		}
		c, err := l.engine.net.openMDNS(ctx, l.iface, v6)
		if err != nil {
			l.engine.complain("mDNS does not work on an interface", "interface", l.name, "ipv6", v6, "err", err)
			l.retryAt = now.Add(retryAfter)
			continue
		}
		s := newSpeaker(l.engine, l, v6, c, now)
		l.speakers[n] = s
		l.engine.read(c, s.receive(l.engine))
	}
}

func (l *link) closeSpeaker(n int) {
	if s := l.speakers[n]; s != nil {
		l.engine.closeConn(s.conn)
		l.speakers[n] = nil
	}
}

func (l *link) close() {
	for n := range l.speakers {
		l.closeSpeaker(n)
	}
}

func (l *link) nextTick() time.Time {
	next := earlier(earlier(l.retryAt, l.beaconAt), l.aloudAt)
	for _, a := range l.answers {
		next = earlier(next, a.at)
	}
	for _, s := range l.speakers {
		if s != nil {
			next = earlier(next, s.nextTick())
		}
	}
	return next
}

func (l *link) tick(ctx context.Context, now time.Time) {
	if due(l.retryAt, now) {
		l.open(ctx, now)
	}
	for _, s := range l.speakers {
		if s != nil {
			s.tick(now)
		}
	}
	left := l.answers[:0]
	for _, a := range l.answers {
		if due(a.at, now) {
			l.beaconTo(a.to, 0, "")
		} else {
			left = append(left, a)
		}
	}
	l.answers = left
	if due(l.beaconAt, now) || due(l.aloudAt, now) {
		l.shine(now)
	}
}

// shine sends a beacon to all and sets the time of the next one. The first ones
// ask who is there.
func (l *link) shine(now time.Time) {
	flags := byte(0)
	if due(l.beaconAt, now) && l.burst < beaconBurst {
		flags = beaconAsk
		l.beaconAt = now.Add(beaconGap<<l.burst - random(beaconGap/8))
		l.burst++
	} else if l.burst == beaconBurst {
		interval := l.engine.interval()
		l.beaconAt = now.Add(interval - random(interval/8))
	}
	l.aloudAt, l.spokeAt = time.Time{}, now
	l.beaconAll(flags, "")
}

// beaconAll sends one beacon to all, by each family that the interface has.
func (l *link) beaconAll(flags byte, wanted string) {
	switch {
	case l.loopback:
		if l.has(false) {
			l.beaconTo(broadcastLoopback, flags, wanted)
		}
		return
	case l.broadcast && l.has(false):
		l.beaconTo(broadcastAll, flags, wanted)
	}
	if l.multicast && l.has(true) {
		l.beaconTo(broadcastNodes6, flags, wanted)
	}
}

func (l *link) beaconTo(to netip.AddrPort, flags byte, wanted string) {
	b := l.engine.beacon(flags, wanted)
	c := l.engine.talk[familyOf(to.Addr().Is6())]
	if c == nil {
		return
	}
	if err := c.write(l.engine.pack(b), to, l.index); err != nil {
		l.engine.complainSend("beacon was not sent", l.name, err)
	}
}

// owe answers an asker: alone and soon, or, where there are many or it asks for
// that, all at once and no more than once a second.
func (l *link) owe(a arrival, aloud bool, now time.Time) {
	if !aloud && slices.ContainsFunc(l.answers, func(o beaconAnswer) bool { return o.to == a.from }) {
		return
	}
	if !aloud && len(l.answers) < maxAnswers && l.engine.direct.take(now) {
		wait := time.Duration(0)
		if !a.direct {
			wait = random(answerSpread)
		}
		l.answers = append(l.answers, beaconAnswer{to: a.from, at: now.Add(wait)})
		return
	}
	at := now.Add(random(min(answerSpread+time.Duration(len(l.engine.table.peers))*aloudSpread, maxAloudDelay)))
	if soonest := l.spokeAt.Add(beaconGap); !l.spokeAt.IsZero() && at.Before(soonest) {
		at = soonest
	}
	l.aloudAt = earlier(l.aloudAt, at)
}

// askFor asks for all that mDNS knows of one name.
func (l *link) askFor(name string) {
	for _, s := range l.speakers {
		if s != nil {
			s.askFor(name)
		}
	}
}

// farewell says once, on all paths, that we go.
func (l *link) farewell() {
	for _, s := range l.speakers {
		if s != nil {
			s.goodbye()
		}
	}
	l.beaconAll(beaconBye, "")
}

// receive makes the function that turns what this speaker's socket reads into
// packets for the loop. It runs on the reader's goroutine.
func (s *speaker) receive(e *engine) func([]byte, arrival) (packet, error) {
	own := s.link.index
	return func(b []byte, a arrival) (packet, error) {
		if a.index != 0 && a.index != own {
			return packet{}, errSkip
		}
		a.index = own
		m, err := decode(b)
		if err != nil {
			return packet{}, err
		}
		if !concerns(&m) {
			return packet{}, errSkip
		}
		return packet{arrival: a, speaker: s, message: &m, sum: e.sum(b)}, nil
	}
}
