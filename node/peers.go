package node

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"boucan/discovery"
	"boucan/record"
)

const (
	// maxKnownPeers bounds the boxes remembered since the start.
	maxKnownPeers = 1024
	// dialsAtOnce bounds the connections being made at one time.
	dialsAtOnce = 16
	// redialFirst and redialLast bound the wait before another try, doubling.
	redialFirst = time.Second
	redialLast  = 30 * time.Second
	// politeWait is how long the box with the greater key lets the other dial
	// first, so that most pairs make one connection, not two.
	politeWait = 400 * time.Millisecond
)

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
	tries     int
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
		n.next = now
		if slices.Compare(p.self[:], key[:]) > 0 {
			n.next = now.Add(politeWait)
		}
	}
	p.mu.Unlock()
	if ok {
		p.log.Debug("box found", "peer", d.ID, "name", d.Name)
		p.poke()
		p.changed.tell()
	}
}

// Gone implements discovery.Listener.
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
	if pid, err := peerID(key); err == nil {
		_ = p.host.Network().ClosePeer(pid) // it said goodbye, or the transport has given it up
	}
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

// run dials and follows connections until ctx ends.
func (p *peers) run(ctx context.Context) error {
	sub, err := p.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.BufSize(maxKnownPeers))
	if err != nil {
		return err
	}
	defer sub.Close()
	var dials sync.WaitGroup
	defer dials.Wait()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-sub.Out():
			if e, ok := e.(event.EvtPeerConnectednessChanged); ok {
				p.connectedness(e.Peer, e.Connectedness)
			}
		case <-p.wake:
			p.dialDue(ctx, &dials)
		case <-tick.C:
			p.dialDue(ctx, &dials)
		}
	}
}

// connectedness hears that the first connection to a peer came or the last went.
func (p *peers) connectedness(id peer.ID, c network.Connectedness) {
	key, err := peerKey(id)
	if err != nil {
		return
	}
	is := c == network.Connected
	p.mu.Lock()
	n, ok := p.get(key)
	was := ok && n.connected
	if ok {
		n.connected = is
		n.lastSeen = time.Now()
		if is {
			n.tries = 0
		} else {
			n.next = time.Now().Add(redialFirst)
		}
	}
	p.mu.Unlock()
	if !ok || was == is {
		return
	}
	if is {
		p.up(key)
	} else {
		p.down(key)
	}
	p.changed.tell()
}

// dialDue starts a dial to every near box that is not connected and whose time
// has come.
func (p *peers) dialDue(ctx context.Context, wg *sync.WaitGroup) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	dialing := 0
	for _, n := range p.all {
		if n.dialing {
			dialing++
		}
	}
	for key, n := range p.all {
		if dialing >= dialsAtOnce {
			return
		}
		if !n.announced || n.connected || n.dialing || n.next.After(now) {
			continue
		}
		n.dialing = true
		dialing++
		f := found{addrs: slices.Clone(n.addrs)}
		wg.Go(func() { p.dial(ctx, key, f) })
	}
}

func (p *peers) dial(ctx context.Context, key record.Key, f found) {
	id, err := peerID(key)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
		// A failed dial must not stand in the way of the next, to an address
		// that may have just come.
		err = p.host.Connect(network.WithForceDirectDial(ctx, "neighbour"), addrInfo(id, f))
		cancel()
	}
	p.mu.Lock()
	if n, ok := p.all[key]; ok {
		n.dialing = false
		if err != nil {
			n.next = time.Now().Add(min(redialFirst<<min(n.tries, 8), redialLast))
			n.tries++
		}
	}
	p.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		p.log.Debug("reaching a box failed", "peer", key.String(), "error", err)
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
