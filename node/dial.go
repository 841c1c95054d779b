package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"boucan/record"
)

const (
	// dialsAtOnce bounds the connections being made at one time.
	dialsAtOnce = 16
	// redialFirst and redialLast bound the wait before another try, doubling.
	redialFirst = time.Second
	redialLast  = 30 * time.Second
	// politeWait is how long the box with the greater key lets the other dial
	// first, so that most pairs make one connection, not two.
	politeWait = 400 * time.Millisecond
	// dialLook is how often it is seen who is to be dialled.
	dialLook = 200 * time.Millisecond
)

// run dials and follows connections until ctx ends.
func (p *peers) run(ctx context.Context) error {
	sub, err := p.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.BufSize(maxKnownPeers))
	if err != nil {
		return fmt.Errorf("follow connections: %w", err)
	}
	defer sub.Close()
	// Whoever came before is not told of any more.
	for _, id := range p.host.Network().Peers() {
		p.connectedness(id, p.host.Network().Connectedness(id))
	}
	var dials sync.WaitGroup
	defer dials.Wait()
	tick := time.NewTicker(dialLook)
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
	now := time.Now()
	p.mu.Lock()
	n, ok := p.get(key)
	was := ok && n.connected
	if ok {
		n.connected = is
		n.lastSeen = now
		if is {
			n.tries, n.fails = 0, 0
		} else {
			n.next = now.Add(redialFirst + p.polite(key))
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

// polite is how long to let the other box dial first.
func (p *peers) polite(key record.Key) time.Duration {
	if slices.Compare(p.self[:], key[:]) > 0 {
		return politeWait
	}
	return 0
}

// dialDue starts a dial to near boxes that are not connected and whose time has
// come: first those that failed least, so that a crowd of boxes that do not
// answer does not keep one that does waiting.
func (p *peers) dialDue(ctx context.Context, wg *sync.WaitGroup) {
	type target struct {
		key record.Key
		n   *neighbour
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var due []target
	room := dialsAtOnce
	for key, n := range p.all {
		switch {
		case n.dialing:
			room--
		case n.announced && !n.connected && !n.next.After(now):
			due = append(due, target{key, n})
		}
	}
	slices.SortFunc(due, func(a, b target) int {
		return cmp.Or(cmp.Compare(a.n.fails, b.n.fails), a.n.next.Compare(b.n.next))
	})
	for _, t := range due[:min(len(due), max(room, 0))] {
		t.n.dialing = true
		addrs := found{addrs: slices.Clone(t.n.addrs)}
		wg.Go(func() { p.dial(ctx, t.key, addrs) })
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
		n.next = time.Now().Add(redialFirst)
		if err != nil {
			n.next = time.Now().Add(min(redialFirst<<min(n.tries, 8), redialLast))
			n.tries++
			n.fails++
		}
	}
	p.mu.Unlock()
	p.poke() // there is room for another
	if err != nil && ctx.Err() == nil {
		p.log.Debug("reaching a box failed", "peer", key.String(), "error", err)
	}
}
