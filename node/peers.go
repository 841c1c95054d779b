package node

import (
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
	tries     int       // since it was last announced or connected
	fails     int       // since it was last connected
	next      time.Time // of the next dial
}

// met is what others may know of a neighbour.
type met struct {
	key       record.Key
	name      string
	addrs     []string
	connected bool
	lastSeen  time.Time
}

// peers keeps a connection to every box that discovery finds, and tells sync
// and transfer who is there. It implements discovery.Listener.
type peers struct {
	host    host.Host
	self    record.Key
	up      func(record.Key)
	down    func(record.Key)
	changed *broadcast
	log     *slog.Logger

	mu   sync.Mutex // guards all
	all  map[record.Key]*neighbour
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
		n.announced = true
		n.lastSeen = now
		n.tries = 0
		n.next = now.Add(p.polite(key))
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
	if ok {
		n.announced = false
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

// list returns the boxes met, connected first, then by when they were last seen.
func (p *peers) list() []met {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]met, 0, len(p.all))
	now := time.Now()
	for key, n := range p.all {
		m := met{key: key, name: n.name, connected: n.connected, lastSeen: n.lastSeen}
		if n.connected {
			m.lastSeen = now
		}
		for _, a := range n.addrs {
			m.addrs = append(m.addrs, netip.AddrPortFrom(namedZone(a.Addr()), a.Port()).String())
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b met) int {
		if a.connected != b.connected {
			if a.connected {
				return -1
			}
			return 1
		}
		if !a.connected {
			if c := b.lastSeen.Compare(a.lastSeen); c != 0 {
				return c
			}
		}
		return strings.Compare(a.name+a.key.String(), b.name+b.key.String())
	})
	return out
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

// seen reports whether a box is connected, and how long ago it was seen last.
func (p *peers) seen(key record.Key) (connected bool, ago time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, ok := p.all[key]
	if !ok || !n.connected && n.lastSeen.IsZero() {
		return false, 0, false
	}
	return n.connected, time.Since(n.lastSeen), true
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
