package discovery

import (
	"context"
	"hash/maphash"
	"net/netip"
	"slices"
	"time"
)

// iface is one network interface as it was when it was looked at: up, with
// carrier, not point-to-point, not a port of a bridge or bond.
type iface struct {
	index     int
	name      string
	mtu       int  // bytes of an IP packet
	loopback  bool // beacons only
	multicast bool
	broadcast bool
	addrs     []netip.Prefix // sorted, without zones; duplicates of duplicate address detection are absent
}

// has reports whether the interface can speak the family at all.
func (i *iface) has(v6 bool) bool {
	return slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr().Is6() == v6 })
}

// onLink reports whether a is an address that this interface reaches without a
// router: in one of its networks, or link-local.
func (i *iface) onLink(a netip.Addr) bool {
	a = a.WithZone("")
	if i.loopback {
		return a.IsLoopback()
	}
	if a.IsLinkLocalUnicast() {
		return i.has(a.Is6())
	}
	return slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (i *iface) equal(o *iface) bool {
	return i.index == o.index && i.name == o.name && i.mtu == o.mtu && i.loopback == o.loopback &&
		i.multicast == o.multicast && i.broadcast == o.broadcast && slices.Equal(i.addrs, o.addrs)
}

// network is all that this package wants of the machine. The system's own
// stands in socket.go; tests have a twin made of channels.
type network interface {
	// interfaces lists the usable interfaces, in order of index. It is called
	// from one goroutine.
	interfaces() ([]iface, error)
	// watch sends whenever interfaces may answer differently, until ctx ends. It
	// may send too often, and the receiver may be late: one pending signal is
	// enough. The caller waits for done to close before it goes.
	watch(ctx context.Context) (changed <-chan struct{}, done <-chan struct{})
	// openMDNS opens a socket on the mDNS port that hears and speaks on this one
	// interface only.
	openMDNS(ctx context.Context, i iface, v6 bool) (conn, error)
	// openBeacon opens a socket that hears and speaks on every interface. Port 0
	// takes any; others are shared with further sockets.
	openBeacon(ctx context.Context, port uint16, v6 bool) (conn, error)
}

// lookEvery is the time between looks at the interfaces on a machine that does
// not tell of changes.
const lookEvery = 2 * time.Second

// tickWatch is a watch for such machines.
func tickWatch(ctx context.Context) (<-chan struct{}, <-chan struct{}) {
	changed, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(lookEvery)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	return changed, done
}

// conn is one socket. One goroutine reads and another writes.
type conn interface {
	// read waits for one packet and puts it into b. A packet larger than b is cut.
	read(b []byte) (n int, a arrival, err error)
	// write sends b to one address by the interface of that index.
	write(b []byte, to netip.AddrPort, index int) error
	// close makes read return an error.
	close() error
}

// arrival says how a packet came.
type arrival struct {
	from   netip.AddrPort // without a zone; index takes its place
	index  int            // interface it came by; 0 where the system does not tell
	direct bool           // sent to this machine alone, not to a group or to all
}

// Rates by which whoever is in range is kept from costing much.
const (
	maxPacketRate   = 1000 // packets a second that one socket takes in
	maxSenderRate   = 30   // of them by each of a sender's two buckets
	maxPacketBurst  = 2 * maxPacketRate
	maxSenderBurst  = 2 * maxSenderRate
	freshRate       = 10   // new peers a second
	freshBurst      = 128  // new peers at once
	senderFreshRate = 0.25 // of them by each of a sender's two buckets
	directRate      = 20   // packets a second sent because a single sender asked
	directBurst     = 50
	askRate         = 10 // questions a second for peers that the transport never held
	askBurst        = 50
)

// sieveSenders is the number of buckets that all senders share, by chance.
const sieveSenders = 256

// sieve lets so many things a second pass from any one sender, and so many in
// all. Its memory does not grow with the number of senders: each has two buckets,
// by chance, so that hardly anyone shares both with one who floods.
type sieve struct {
	seed   maphash.Seed
	began  time.Time
	all    bucket
	each   rate
	levels [sieveSenders]level
}

func newSieve(all, each rate, now time.Time) *sieve {
	s := &sieve{seed: maphash.MakeSeed(), began: now, all: newBucket(all, now), each: each}
	for i := range s.levels {
		s.levels[i].tokens = each.burst
	}
	return s
}

// pass reports whether one more thing of this sender may pass.
func (s *sieve) pass(from netip.Addr, now time.Time) bool {
	h, at := maphash.Comparable(s.seed, from), now.Sub(s.began)
	one, other := &s.levels[h%sieveSenders], &s.levels[h/sieveSenders%sieveSenders]
	return (one.take(s.each, at) || other.take(s.each, at)) && s.all.take(now)
}

// rate is what a token bucket allows.
type rate struct{ perSecond, burst float64 }

// level is how full a bucket was at some time after it was made.
type level struct {
	tokens float64
	at     time.Duration
}

func (l *level) take(r rate, at time.Duration) bool {
	l.tokens = min(r.burst, l.tokens+r.perSecond*max(0, at-l.at).Seconds())
	l.at = at
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

// bucket is a token bucket.
type bucket struct {
	rate  rate
	level level
	began time.Time
}

func newBucket(r rate, now time.Time) bucket {
	return bucket{rate: r, level: level{tokens: r.burst}, began: now}
}

func (b *bucket) take(now time.Time) bool { return b.level.take(b.rate, now.Sub(b.began)) }
