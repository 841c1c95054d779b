package node

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"boucan/discovery"
	"boucan/record"
)

// maxKnownPeers bounds the boxes remembered since the start. Discovery tells of
// at most half as many at a time.
const maxKnownPeers = 1024

// found is what discovery says of a peer.
type found struct {
	name  string
	addrs []netip.AddrPort
}

// neighbour is a box that was met since the start.
type neighbour struct {
	found
	announced bool // discovery holds it to be near
	connected bool
	lastSeen  time.Time
	dialing   bool
	dialed    time.Time // when the dial began
	tries     int       // since it was last announced or connected
	fails     int       // since it was last connected
	next      time.Time // of the next dial

	called  call
	begun   bool      // this node made the connection
	stay    time.Time // until when it does not part from it
	parting bool
	met     time.Time // when the last connection ended
}

// met is what others may know of a neighbour.
type met struct {
	key       record.Key
	name      string
	addrs     []string
	connected bool
	near      bool // connected, or one of more than a node connects with
	lastSeen  time.Time
}

// peers keeps connections with boxes that discovery finds, with all of them or, where
// they are many, with some (see overlay.go), and tells sync and transfer who is
// there. It implements discovery.Listener.
type peers struct {
	host    host.Host
	self    record.Key
	up      func(record.Key)
	down    func(record.Key)
	changed *broadcast
	log     *slog.Logger

	mu         sync.Mutex // guards what follows
	all        map[record.Key]*neighbour
	near       int // how many of all are announced
	nextChange time.Time

	wake chan struct{} // holds one token when there may be somebody to dial
}

func newPeers(h host.Host, self record.Key, changed *broadcast, log *slog.Logger) *peers {
	return &peers{
		host: h, self: self, changed: changed, log: log,
		all: make(map[record.Key]*neighbour), wake: make(chan struct{}, 1),
	}
}

// Found implements discovery.Listener.
func (p *peers) Found(d discovery.Peer) {
	key, err := record.ParseKey(d.ID)
	if err != nil || key == p.self {
		return
	}
	p.mu.Lock()
	n, ok := p.get(key)
	if ok {
		now := time.Now()
		n.name = record.CleanLine(d.Name, record.MaxNodeName)
		n.addrs = slices.Clone(d.Addrs)
		fresh := !n.announced
		if fresh {
			n.announced = true
			p.near++
		}
		n.lastSeen = now
		n.tries = 0
		n.next = now.Add(p.polite(key))
		if fresh && !n.connected {
			p.greet(n)
		}
	}
	p.mu.Unlock()
	if ok {
		p.log.Debug("box found", "peer", d.ID, "name", d.Name)
		p.poke()
		p.changed.tell()
	}
}

// Gone implements discovery.Listener. A connection that came just now stays: a
// goodbye is hearsay, and a box that is gone has closed its side.
func (p *peers) Gone(id string) {
	key, err := record.ParseKey(id)
	if err != nil {
		return
	}
	p.mu.Lock()
	n, ok := p.all[key]
	if ok && n.announced {
		n.announced, n.called = false, notCalled
		p.near--
	}
	p.mu.Unlock()
	if !ok {
		return
	}
	p.log.Debug("box gone", "peer", id)
	p.changed.tell()
}

// Alive implements discovery.Listener.
func (p *peers) Alive(id string) bool {
	pid, err := peer.Decode(id)
	return err == nil && p.host.Network().Connectedness(pid) == network.Connected
}

// get finds or makes the neighbour of this key; the caller holds mu. It fails
// where too many are known and all of them are near.
func (p *peers) get(key record.Key) (*neighbour, bool) {
	if n, ok := p.all[key]; ok {
		return n, true
	}
	if len(p.all) >= maxKnownPeers {
		var oldest record.Key
		var old *neighbour
		for k, n := range p.all {
			if !n.announced && !n.connected && (old == nil || n.lastSeen.Before(old.lastSeen)) {
				oldest, old = k, n
			}
		}
		if old == nil {
			return nil, false
		}
		delete(p.all, oldest)
	}
	n := &neighbour{}
	p.all[key] = n
	return n, true
}

func (p *peers) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// isNear reports whether n is in reach: connected, or announced and left alone
// because there are many. The caller holds mu and says whether there are.
func (n *neighbour) isNear(many bool) bool {
	return n.connected || many && n.announced && n.fails == 0
}

// list returns the boxes met: those connected, the others in reach, the rest by
// when they were last seen.
func (p *peers) list() []met {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]met, 0, len(p.all))
	now, many := time.Now(), p.many()
	for key, n := range p.all {
		m := met{key: key, name: n.name, connected: n.connected, near: n.isNear(many), lastSeen: n.lastSeen}
		if m.near {
			m.lastSeen = now
		}
		for _, a := range n.addrs {
			m.addrs = append(m.addrs, netip.AddrPortFrom(namedZone(a.Addr()), a.Port()).String())
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b met) int {
		if c := cmp.Or(trueFirst(a.connected, b.connected), trueFirst(a.near, b.near)); c != 0 {
			return c
		}
		if !a.near {
			if c := b.lastSeen.Compare(a.lastSeen); c != 0 {
				return c
			}
		}
		return strings.Compare(a.name+a.key.String(), b.name+b.key.String())
	})
	return out
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// name is what discovery calls a box, empty where it was not met.
func (p *peers) name(key record.Key) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.all[key]; ok {
		return n.name
	}
	return ""
}

// seen reports whether a box is in reach, and how long ago it was seen last.
func (p *peers) seen(key record.Key) (near bool, ago time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, ok := p.all[key]
	if !ok || !n.connected && n.lastSeen.IsZero() {
		return false, 0, false
	}
	return n.isNear(p.many()), time.Since(n.lastSeen), true
}

// connected counts the boxes connected now.
func (p *peers) connected() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := 0
	for _, n := range p.all {
		if n.connected {
			count++
		}
	}
	return count
}
