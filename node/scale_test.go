package node

import (
	"slices"
	"testing"
	"time"
)

// measured is what one crowd was seen to do. Bytes and writes are those of one node,
// sent, on average.
type measured struct {
	nodes        int
	met          time.Duration // until all hold what each brought along
	metBytes     int64
	said         time.Duration // until all hold one message more
	saidBytes    int64         // until half a minute later
	saidWrites   int64
	idleBytes    int64 // an hour, while nothing is new
	idleWrites   int64
	idleDials    float64
	healed       time.Duration // until two halves that lived apart hold alike
	most, fewest int           // connections of one node
	connections  float64       // on average
}

// brought is how many records there are when a crowd meets, of all its nodes together.
const brought = 200

func measure(t *testing.T, nodes int, quiet time.Duration) (m measured) {
	m.nodes = nodes
	inCrowd(t, nodes, func(c *crowd) {
		each := func(n int64) int64 { return n / int64(nodes) }
		records := 0
		for i, n := range c.nodes {
			share := brought*(i+1)/nodes - brought*i/nodes
			n.publish(share)
			records += share
		}
		before := c.traffic()
		c.meet(c.nodes, c.nodes)
		m.met = c.untilAll(records)
		m.metBytes = each(c.traffic().since(before).bytes())
		time.Sleep(3 * time.Minute) // gossip and connections settle

		before = c.traffic()
		c.nodes[0].publish(1)
		records++
		m.said = c.untilAll(records)
		time.Sleep(30*time.Second - m.said)
		spent := c.traffic().since(before)
		m.saidBytes, m.saidWrites = each(spent.bytes()), each(spent.writes)

		before = c.traffic()
		time.Sleep(quiet)
		spent = c.traffic().since(before)
		hour := func(n int64) float64 { return float64(n) / float64(nodes) * float64(time.Hour) / float64(quiet) }
		m.idleBytes, m.idleWrites, m.idleDials = int64(hour(spent.bytes())), int64(hour(spent.writes)), hour(spent.dials)
		var all []int
		for _, n := range c.nodes {
			all = append(all, n.peers.connected())
			m.connections += float64(all[len(all)-1]) / float64(nodes)
		}
		m.fewest, m.most = slices.Min(all), slices.Max(all)
	})
	return m
}

// TestHousekeepingDoesNotGrow: what a node sends while nothing is new, and what one
// message costs it, follows the number of its connections, and that is bounded.
func TestHousekeepingDoesNotGrow(t *testing.T) {
	few, some, more := measure(t, 2, settled), measure(t, 20, 10*time.Minute), measure(t, 40, 10*time.Minute)
	if few.idleBytes == 0 || few.connections != 1 {
		t.Errorf("two nodes: %+v", few)
	}
	if more.idleBytes > some.idleBytes*5/4 {
		t.Errorf("an idle hour costs %d bytes among 40, %d among 20", more.idleBytes, some.idleBytes)
	}
	if more.saidBytes > some.saidBytes*3/2 {
		t.Errorf("a message costs %d bytes among 40, %d among 20", more.saidBytes, some.saidBytes)
	}
	if more.connections > allNear+1 {
		t.Errorf("%.1f connections a node among 40", more.connections)
	}
	for _, m := range []measured{few, some, more} {
		if m.met > 10*time.Second || m.said > 2*time.Second {
			t.Errorf("%d nodes met in %v, a message took %v", m.nodes, m.met, m.said)
		}
	}
}
