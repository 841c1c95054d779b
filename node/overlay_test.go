//go:build !race

package node

import (
	"testing"
	"time"

	"boucan/discovery"
	"boucan/record"
)

// settled is how long a crowd takes until each node has the connections it keeps.
const settled = 3 * time.Minute

func TestFewConnectWithAll(t *testing.T) {
	inCrowd(t, allNear+1, func(c *crowd) {
		c.meet(c.nodes, c.nodes)
		time.Sleep(10 * time.Minute)
		for _, n := range c.nodes {
			if got := n.peers.connected(); got != allNear {
				t.Errorf("node %d is connected with %d of %d", n.n, got, allNear)
			}
		}
		if dials := c.dials.Load(); dials > int64(2*len(c.nodes)*allNear) {
			t.Errorf("%d connections were made", dials)
		}
	})
}

func TestManyKeepAFewConnectionsEach(t *testing.T) {
	inCrowd(t, crowded, func(c *crowd) {
		c.meet(c.nodes, c.nodes)
		time.Sleep(settled)
		before := c.dials.Load()
		for range 15 {
			time.Sleep(time.Minute)
			for _, n := range c.nodes {
				begun, near := n.begun()
				// Whom all the others reached first has nobody left to reach.
				if few := begun < keepBegun-1; few && n.peers.connected() < crowded-1 || begun > keepBegun+2 {
					t.Errorf("node %d keeps %d connections, want %d", n.n, begun, keepBegun)
				}
				if near != crowded-1 {
					t.Errorf("node %d shows %d boxes in reach, want %d", n.n, near, crowded-1)
				}
			}
		}
		each := float64(c.dials.Load()-before) / crowded
		if usual := float64(15*time.Minute) / float64(changeEvery); each < usual/2 || each > 2*usual {
			t.Errorf("each made %.1f connections in a quarter of an hour, want about %.0f", each, usual)
		}
	})
}

// begun is how many connections the node made that stand, and how many boxes it shows
// in reach.
func (n *crowdNode) begun() (begun, near int) {
	for _, m := range n.peers.list() {
		if m.near {
			near++
		}
	}
	n.peers.mu.Lock()
	defer n.peers.mu.Unlock()
	for _, o := range n.peers.all {
		if o.connected && o.begun {
			begun++
		}
	}
	return begun, near
}

// Who walks in is reconciled with at once, and what they bring is soon everywhere.
func TestACarrierMeetsACrowd(t *testing.T) {
	inCrowd(t, crowded, func(c *crowd) {
		crowd, carrier := c.nodes[1:], c.nodes[0]
		crowd[0].publish(20)
		c.meet(crowd, crowd)
		time.Sleep(settled)
		carrier.publish(100) // more than is pushed one by one
		c.meet(crowd, []*crowdNode{carrier})
		if took := c.untilAll(120); took > 5*time.Second {
			t.Errorf("all held alike after %v", took)
		}
		time.Sleep(time.Minute)
		if all := carrier.peers.connected(); all < keepBegun || all > 2*keepBegun {
			t.Errorf("the carrier is connected with %d", all)
		}
	})
}

// A box that cannot reach others by itself is reached by some, though they have
// connections enough.
func TestWhoOnlyAnnouncesIsMet(t *testing.T) {
	met := 0
	for range crowds {
		inCrowd(t, crowded, func(c *crowd) {
			crowd, mute := c.nodes[1:], c.nodes[0]
			c.meet(crowd, crowd)
			time.Sleep(settled)
			before := c.dials.Load()
			mute.publish(1)
			for _, n := range crowd {
				if _, err := c.net.LinkPeers(n.ID(), mute.ID()); err != nil {
					t.Fatal(err)
				}
				n.hears(mute)
			}
			time.Sleep(10 * time.Second)
			if mute.peers.connected() > 0 {
				met++
			}
			if dials := c.dials.Load() - before; dials > 5*greeters {
				t.Errorf("%d connected with it at once", dials)
			}
			c.untilAll(1)
		})
	}
	if met == 0 {
		t.Errorf("in none of %d times was it met soon", crowds)
	}
}

// Two halves of a network, each with connections enough, are joined when they hear of
// each other.
func TestHalvesOfACrowdMeet(t *testing.T) {
	inCrowd(t, crowded*7/4, func(c *crowd) {
		left, right := c.nodes[:crowded*7/8], c.nodes[crowded*7/8:]
		c.meet(left, left)
		c.meet(right, right)
		left[0].publish(100)
		right[0].publish(100)
		time.Sleep(settled)
		c.meet(left, right)
		if took := c.untilAll(200); took > 10*time.Second {
			t.Errorf("all held alike after %v", took)
		}
	})
}

// Where nobody said that the other half was gone, it is met in the course of changing.
func TestHalvesThatForgotNothingMeet(t *testing.T) {
	inCrowd(t, crowded, func(c *crowd) {
		left, right := c.nodes[:crowded/2], c.nodes[crowded/2:]
		c.meet(c.nodes, c.nodes)
		time.Sleep(settled)
		for _, a := range left {
			for _, b := range right {
				c.part(a, b)
			}
		}
		time.Sleep(settled)
		left[0].publish(100)
		right[0].publish(100)
		time.Sleep(time.Minute)
		for _, a := range left {
			for _, b := range right {
				if _, err := c.net.LinkPeers(a.ID(), b.ID()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if took := c.untilAll(200); took > time.Minute {
			t.Errorf("all held alike after %v", took)
		}
	})
}

func (c *crowd) part(a, b *crowdNode) {
	if err := c.net.UnlinkPeers(a.ID(), b.ID()); err != nil {
		c.t.Fatal(err)
	}
	if err := c.net.DisconnectPeers(a.ID(), b.ID()); err != nil {
		c.t.Fatal(err)
	}
}

func TestSeekingReachesTheAuthor(t *testing.T) {
	inCrowd(t, crowded, func(c *crowd) {
		c.meet(c.nodes, c.nodes)
		time.Sleep(settled)
		n := c.nodes[0]
		author := n.stranger(c)
		if !n.peers.seek(author.key, false) {
			t.Fatal("there is no hope")
		}
		time.Sleep(time.Second)
		if !n.peers.Alive(author.key.String()) {
			t.Error("the author is not connected")
		}
		if n.peers.seek(author.key, false) {
			t.Error("who is connected is hoped for still")
		}
		time.Sleep(stayLeast + time.Minute)
		if begun, _ := n.begun(); begun > keepBegun+1 {
			t.Errorf("%d connections are kept", begun)
		}
	})
}

// stranger is a node that n is not connected with.
func (n *crowdNode) stranger(c *crowd) *crowdNode {
	for _, o := range c.nodes {
		if o != n && !n.peers.Alive(o.key.String()) {
			return o
		}
	}
	c.t.Fatal("everybody is connected")
	return nil
}

// What somebody waits for may be with anybody: all are asked in turn, never many at a
// time.
func TestSeekingAsksEverybodyInTurn(t *testing.T) {
	inCrowd(t, crowded*7/4, func(c *crowd) {
		c.meet(c.nodes, c.nodes)
		time.Sleep(settled)
		n := c.nodes[0]
		met := make(map[record.Key]bool)
		for range 60 {
			n.peers.seek(record.Key{1}, true)
			time.Sleep(time.Second)
			for _, m := range n.peers.list() {
				met[m.key] = met[m.key] || m.connected
			}
			if begun, _ := n.begun(); begun > keepBegun+seekMost+2 {
				t.Errorf("%d connections at once", begun)
			}
		}
		for _, o := range c.nodes[1:] {
			if !met[o.key] {
				t.Errorf("node %d was not asked", o.n)
			}
		}
		time.Sleep(stayLeast + time.Minute)
		if begun, _ := n.begun(); begun > keepBegun+1 {
			t.Errorf("%d connections are kept", begun)
		}
	})
}

// A machine that announces many boxes does not become all that a node sees.
func TestOneAddressIsNotEverybody(t *testing.T) {
	inCrowd(t, crowded, func(c *crowd) {
		n, honest, liars := c.nodes[0], c.nodes[1:9], c.nodes[9:]
		for _, o := range c.nodes[1:] {
			if _, err := c.net.LinkPeers(n.ID(), o.ID()); err != nil {
				t.Fatal(err)
			}
		}
		for i, o := range append(append([]*crowdNode{}, liars...), honest...) {
			at := crowdAddr(i)
			if i < len(liars) {
				at = crowdAddr(200)
			}
			n.peers.Found(discovery.Peer{ID: o.key.String(), Name: "box", Addrs: addrPorts(at)})
		}
		time.Sleep(5 * time.Minute)
		reached := 0
		for _, o := range honest {
			if n.peers.Alive(o.key.String()) {
				reached++
			}
		}
		if reached == 0 {
			t.Error("only the liars are connected")
		}
	})
}
