package node

import (
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
	// changeLook is how often it is seen whether it is time for another box.
	changeLook = time.Second
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
	due, change := time.NewTimer(0), time.NewTicker(changeLook)
	defer due.Stop()
	defer change.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-sub.Out():
			if e, ok := e.(event.EvtPeerConnectednessChanged); ok {
				p.connectedness(e.Peer, e.Connectedness)
			}
		case <-p.wake:
			due.Reset(p.dialDue(ctx, &dials))
		case <-due.C:
			due.Reset(p.dialDue(ctx, &dials))
		case now := <-change.C:
			p.change(now, &dials)
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
	begun := is && p.began(key)
	now := time.Now()
	p.mu.Lock()
	n, ok := p.get(key)
	was := ok && n.connected
	if ok {
		n.connected, n.begun = is, begun
		n.lastSeen = now
		if is {
			n.tries, n.fails = 0, 0
			n.stay = now.Add(stayLeast)
			if n.called == sought {
				n.stay = now.Add(seekStay)
			}
			n.called = notCalled
		} else {
			n.met = now
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
		p.poke()
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

// dialDue starts a dial to those that choose names, and says how long to wait for
// the next.
func (p *peers) dialDue(ctx context.Context, wg *sync.WaitGroup) time.Duration {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	chosen, wait := p.choose(now)
	for _, t := range chosen {
		t.n.dialing, t.n.dialed = true, now
		addrs := found{addrs: slices.Clone(t.n.addrs)}
		wg.Go(func() { p.dial(ctx, t.key, addrs) })
	}
	return wait
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
			if n.tries >= callTries {
				n.called = notCalled
			}
		} else {
			n.begun = n.connected && p.began(key) // also where both dialled
		}
	}
	p.mu.Unlock()
	p.poke() // there is room for another
	if err != nil && ctx.Err() == nil {
		p.log.Debug("reaching a box failed", "peer", key.String(), "error", err)
	}
}
