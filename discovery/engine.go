package discovery

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	settle      = 100 * time.Millisecond // between a change of interfaces and the look at them
	lookAnyway  = 10 * time.Second       // between looks without any sign of change
	maxReminded = 128                    // own packets that are remembered
	maxFollowed = 64                     // names that were asked for because they came bare
	followGap   = 2 * time.Second        // between questions for one of them

	complainGap    = time.Minute
	complainRarest = time.Hour
)

// packet is one thing that a reader hands to the loop.
type packet struct {
	arrival
	speaker *speaker // of mDNS
	message *message
	sum     uint64
	beacon  *beacon
	sealed  *sealed // where the beacon was
	closed  conn    // set alone: this socket failed
	reason  string  // set alone: a constant complaint
	err     error
}

// engine is one run of a Service: all its state, which belongs to one goroutine,
// and the readers that feed it.
type engine struct {
	self   Self
	sealer Sealer // nil in the open mesh
	fresh  *freshness
	use    func(string) bool
	net    network
	log    *slog.Logger

	packets chan packet   // unbuffered: what waits, waits in the kernel, which drops what is too much
	done    chan struct{} // closed when readers shall go
	readers sync.WaitGroup
	seed    maphash.Seed

	table   *table
	links   map[int]*link // by index
	talk    [2]conn       // beacons are sent from here and answered to here; nil where there is none
	shared  [2]conn       // hears beacons to all
	reopen  time.Time     // when missing beacon sockets are tried again, or zero
	lookAt  time.Time     // when interfaces are looked at again
	taken   conflicts
	quarrel bucket // of conflicts
	direct  bucket // of packets to single askers
	asking  bucket // of questions for peers that may be nobody

	reminded   [maxReminded]uint64 // sums of packets of our own
	remindedAt int
	followed   map[string]time.Time // bare names asked for, at most maxFollowed
	complained map[string]complaint // by message, all constant
}

func newEngine(s *Service) *engine {
	now := time.Now()
	e := &engine{
		self: s.self, sealer: s.options.Sealer, fresh: newFreshness(&s.self, s.options.Clock), use: s.options.Use, net: s.net, log: s.log,
		packets: make(chan packet), done: make(chan struct{}), seed: maphash.MakeSeed(),
		table: newTable(s.self.ID, s.listener, now), links: map[int]*link{},
		quarrel:  newBucket(rate{1 / quarrelWait.Seconds(), quarrelBurst}, now),
		direct:   newBucket(rate{directRate, directBurst}, now),
		asking:   newBucket(rate{askRate, askBurst}, now),
		followed: map[string]time.Time{}, complained: map[string]complaint{},
	}
	e.table.ask, e.table.jitter = e.ask, random
	e.table.refused = func(reason string) { e.complain("peer was not taken in", "reason", reason) }
	return e
}

func (e *engine) run(ctx context.Context, rename <-chan string) {
	watching, stop := context.WithCancel(ctx)
	changed, watched := e.net.watch(watching)
	e.look(ctx, time.Now())
	timer := time.NewTimer(0)
	for ctx.Err() == nil {
		now := time.Now()
		e.tick(ctx, now)
		timer.Reset(e.nextTick().Sub(now))
		select {
		case <-ctx.Done():
		case p := <-e.packets:
			e.handle(p, time.Now())
		case <-changed:
			e.lookAt = earlier(e.lookAt, time.Now().Add(settle))
		case name := <-rename:
			e.setName(name, time.Now())
		case <-timer.C:
		}
	}
	timer.Stop()
	close(e.done)
	e.farewell()
	e.close()
	stop()
	<-watched
	e.readers.Wait()
}

func (e *engine) nextTick() time.Time {
	next := earlier(earlier(e.lookAt, e.reopen), e.table.sweepAt)
	for _, l := range e.links {
		next = earlier(next, l.nextTick())
	}
	return next
}

func (e *engine) tick(ctx context.Context, now time.Time) {
	if due(e.lookAt, now) {
		e.look(ctx, now)
	}
	if due(e.reopen, now) {
		e.openBeacons(ctx, now)
	}
	for _, l := range e.links {
		l.tick(ctx, now)
	}
	if due(e.table.sweepAt, now) {
		e.table.sweep(now)
	}
}

// look follows the interfaces.
func (e *engine) look(ctx context.Context, now time.Time) {
	e.lookAt = now.Add(lookAnyway)
	seen, err := e.net.interfaces()
	if err != nil {
		e.complain("interfaces cannot be listed", "err", err)
		return
	}
	if e.use != nil {
		seen = slices.DeleteFunc(seen, func(i iface) bool { return !e.use(i.name) })
	}
	if len(seen) > maxLinks {
		e.complain("too many interfaces, some stay silent", "limit", maxLinks)
		seen = seen[:maxLinks]
	}
	for index, l := range e.links {
		if !slices.ContainsFunc(seen, func(i iface) bool { return i.index == index }) {
			e.log.Info("interface is no longer used", "interface", l.name)
			l.close()
			delete(e.links, index)
			e.table.linkGone(index, now)
		}
	}
	for _, i := range seen {
		if l := e.links[i.index]; l != nil {
			l.update(i, now)
			continue
		}
		e.log.Info("interface is used", "interface", i.name)
		e.links[i.index] = newLink(e, i, now)
	}
	if len(e.links) > 0 && e.reopen.IsZero() {
		e.openBeacons(ctx, now)
	}
}

// openBeacons opens the beacon sockets that are missing.
func (e *engine) openBeacons(ctx context.Context, now time.Time) {
	e.reopen = time.Time{}
	for n := range e.talk {
		v6 := n == 1
		if !e.speaks(v6) {
			continue
		}
		for _, s := range []struct {
			c    *conn
			port uint16
		}{{&e.talk[n], 0}, {&e.shared[n], BeaconPort}} {
			if *s.c != nil {
				continue
			}
			c, err := e.net.openBeacon(ctx, s.port, v6)
			if err != nil {
				e.complain("beacons do not work", "ipv6", v6, "err", err)
				e.reopen = now.Add(retryAfter)
				continue
			}
			*s.c = c
			e.read(c, e.receiveBeacon)
		}
	}
}

// speaks reports whether any interface has addresses of the family.
func (e *engine) speaks(v6 bool) bool {
	for _, l := range e.links {
		if l.has(v6) {
			return true
		}
	}
	return false
}

// read starts the goroutine that reads one socket until it is closed.
func (e *engine) read(c conn, parse func([]byte, arrival) (packet, error)) {
	e.readers.Go(func() {
		b := make([]byte, maxPacket)
		passing := newSieve(rate{maxPacketRate, maxPacketBurst}, rate{maxSenderRate, maxSenderBurst}, time.Now())
		for {
			n, a, err := c.read(b)
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil:
				e.hand(packet{closed: c, err: err})
				return
			case !passing.pass(a.from.Addr(), time.Now()):
				continue
			}
			p, err := parse(b[:n], a)
			switch {
			case err == nil:
			case errors.Is(err, errSkip):
				continue
			default:
				p = packet{reason: "packet is malformed"}
			}
			if !e.hand(p) {
				return
			}
		}
	})
}

// hand gives p to the loop and reports whether there still is one.
func (e *engine) hand(p packet) bool {
	select {
	case e.packets <- p:
		return true
	case <-e.done:
		return false
	}
}

func (e *engine) closeConn(c conn) {
	if err := c.close(); err != nil {
		e.complain("socket did not close", "err", err)
	}
}

func (e *engine) close() {
	for _, l := range e.links {
		l.close()
	}
	for _, c := range slices.Concat(e.talk[:], e.shared[:]) {
		if c != nil {
			e.closeConn(c)
		}
	}
}

// farewell says goodbye on all paths, a few times in case packets get lost.
func (e *engine) farewell() {
	for n := range farewells {
		if n > 0 {
			time.Sleep(farewellGap)
		}
		for _, l := range e.links {
			l.farewell()
		}
	}
}

func (e *engine) sum(p []byte) uint64 { return maphash.Bytes(e.seed, p) }

// remember notes a packet of our own, which comes back by the same interface
// and by others of the same network, and must not be taken for another's.
func (e *engine) remember(p []byte) {
	e.reminded[e.remindedAt] = e.sum(p)
	e.remindedAt = (e.remindedAt + 1) % maxReminded
}

// complaint is when one kind of trouble was logged, and how long not again.
type complaint struct {
	at   time.Time
	wait time.Duration
}

// complain logs one kind of trouble at most once a minute, and what goes on ever
// more rarely.
func (e *engine) complain(message string, attrs ...any) {
	now := time.Now()
	c, ok := e.complained[message]
	if ok && now.Sub(c.at) < c.wait {
		return
	}
	e.complained[message] = complaint{at: now, wait: min(max(2*c.wait, complainGap), complainRarest)}
	e.log.Warn(message, attrs...)
}

// known lists the boxes that mDNS on one interface needs not name again
// (RFC 6762, section 7.1).
func (e *engine) known(index int, now time.Time) []resource {
	var rs []resource
	for _, p := range e.table.peers {
		for label, h := range p.labels {
			age := now.Sub(h.at)
			if h.index == index && age < otherTTL*time.Second/2 {
				rs = append(rs, resource{
					name: nodeType, kind: dnsmessage.TypePTR, ttl: otherTTL - uint32(age/time.Second), target: label,
				})
			}
		}
	}
	return rs
}

func (e *engine) knows(label string) bool { return e.table.labels[lower(label)] != nil }

func (e *engine) isOurAddress(a netip.Addr) bool {
	for _, l := range e.links {
		if slices.ContainsFunc(l.addrs, func(p netip.Prefix) bool { return p.Addr() == a.Unmap() }) {
			return true
		}
	}
	return false
}
