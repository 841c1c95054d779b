//go:build lab

package discovery_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"boucan/discovery"
)

// What the project promises its users.
const (
	contactWithin = 3 * time.Second
	goodbyeWithin = 2 * time.Second
	silenceWithin = 20 * time.Second
)

// contact waits until all nodes have found one another and logs how long after
// both were up that was.
func contact(t *testing.T, nodes []*node, selves []discovery.Self) {
	t.Helper()
	for i, n := range nodes {
		for j, m := range nodes {
			if i == j {
				continue
			}
			e := n.finds(contactWithin, selves[j])
			took := e.At.Sub(later(n.up, m.up))
			t.Logf("contact %d→%d after %v by %v", n.i, m.i, took.Round(time.Millisecond), e.Peer.Addrs)
			if took > contactWithin {
				t.Errorf("contact took %v", took)
			}
		}
	}
}

func TestContactOnLinkLocalOnly(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"ll4", "ll6", "both"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, 3, mode)
			var nodes []*node
			var selves []discovery.Self
			for i := 1; i <= 3; i++ {
				selves = append(selves, selfOf(i))
				nodes = append(nodes, l.start(i, selves[i-1]))
			}
			contact(t, nodes, selves)
			for _, e := range nodes[0].past {
				for _, a := range e.Peer.Addrs {
					checkAddr(t, mode, a)
				}
			}
		})
	}
}

func checkAddr(t *testing.T, mode string, a netip.AddrPort) {
	t.Helper()
	if !a.Addr().IsLinkLocalUnicast() || (a.Addr().Is6() && a.Addr().Zone() == "") ||
		(mode == "ll4" && a.Addr().Is6()) || (mode == "ll6" && a.Addr().Is4()) {
		t.Errorf("address %v is not of mode %s", a, mode)
	}
}

func TestContactInAnyOrder(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 3, "both")
	var nodes []*node
	var selves []discovery.Self
	for _, i := range []int{3, 1, 2} {
		selves = append(selves, selfOf(i))
		nodes = append(nodes, l.start(i, selves[len(selves)-1]))
		nodes[len(nodes)-1].watch(2500 * time.Millisecond) // so that it is quite settled before the next
	}
	contact(t, nodes, selves)
}

func TestContactByOnePathAlone(t *testing.T) {
	t.Parallel()
	for path, rule := range map[string]string{
		"mDNS":    "udp dport 5353 accept\nmeta l4proto udp drop",
		"beacons": "udp dport 5353 drop",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, 2, "both")
			l.filter(1, rule)
			l.filter(2, rule)
			selves := []discovery.Self{selfOf(1), selfOf(2)}
			nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
			contact(t, nodes, selves)
			gone := func(e event) bool { return e.What == "gone" }
			nodes[0].never(25*time.Second, "a peer that is there was lost", gone)
			told := nodes[1].stop()
			t.Logf("goodbye after %v", nodes[0].loses(goodbyeWithin, selves[1].ID).At.Sub(told).Round(time.Millisecond))
		})
	}
}

func TestGoodbye(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 3, "both")
	var nodes []*node
	var selves []discovery.Self
	for i := 1; i <= 3; i++ {
		selves = append(selves, selfOf(i))
		nodes = append(nodes, l.start(i, selves[i-1]))
	}
	contact(t, nodes, selves)
	told := nodes[2].stop()
	for _, n := range nodes[:2] {
		took := n.loses(goodbyeWithin, selves[2].ID).At.Sub(told)
		t.Logf("goodbye after %v", took.Round(time.Millisecond))
		if took > goodbyeWithin {
			t.Errorf("goodbye took %v", took)
		}
	}
}

func TestVanishedPeer(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2, "both")
	selves := []discovery.Self{selfOf(1), selfOf(2)}
	nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
	contact(t, nodes, selves)
	gone := func(e event) bool { return e.What == "gone" }
	nodes[0].never(30*time.Second, "a peer that is there was lost", gone)
	sh(t, "ip -n %s link set p2 nomaster", l.bridge)
	cut := time.Now()
	for i, n := range nodes {
		t.Logf("silence after %v", n.loses(silenceWithin, selves[1-i].ID).At.Sub(cut).Round(time.Millisecond))
	}
	sh(t, "ip -n %s link set p2 master br0", l.bridge)
	healed := time.Now()
	for i, n := range nodes {
		t.Logf("found again after %v", n.finds(8*time.Second, selves[1-i]).At.Sub(healed).Round(time.Millisecond))
	}
}

func TestVanishedPeerThatTheTransportHolds(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2, "both")
	selves := []discovery.Self{selfOf(1), selfOf(2)}
	nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
	contact(t, nodes, selves)
	nodes[0].tell("hold " + selves[1].ID)
	nodes[1].kill()
	nodes[0].never(25*time.Second, "a peer that the transport holds was lost",
		func(e event) bool { return e.What == "gone" })
	released := time.Now()
	nodes[0].tell("release " + selves[1].ID)
	t.Logf("gone %v after the transport let go", nodes[0].loses(silenceWithin, selves[1].ID).At.Sub(released).Round(time.Millisecond))
}

func TestRestart(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2, "both")
	selves := []discovery.Self{selfOf(1), selfOf(2)}
	nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
	contact(t, nodes, selves)
	nodes[1].kill()
	again := selfOf(2)
	again.Port++
	second := l.start(2, again)
	e := nodes[0].finds(contactWithin, again)
	t.Logf("restart seen after %v", e.At.Sub(second.up).Round(time.Millisecond))
	if p := e.Peer.Addrs[0].Port(); p != again.Port {
		t.Errorf("the new instance is at port %d, want %d", p, again.Port)
	}
}

func TestInterfaceThatComesLate(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2, "both")
	l.unplug(2)
	selves := []discovery.Self{selfOf(1), selfOf(2)}
	nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
	nodes[0].watch(time.Second)
	l.plug(2, "both")
	plugged := time.Now()
	for i, n := range nodes {
		t.Logf("contact %v after the interface came", n.finds(contactWithin, selves[1-i]).At.Sub(plugged).Round(time.Millisecond))
	}
}

func TestInterfaceThatIsMadeAnew(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"ll6", "both"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, 2, mode)
			selves := []discovery.Self{selfOf(1), selfOf(2)}
			nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
			contact(t, nodes, selves)
			l.unplug(2)
			cut := time.Now()
			t.Logf("silence %v after unplugging", nodes[1].loses(silenceWithin, selves[0].ID).At.Sub(cut).Round(time.Millisecond))
			nodes[0].loses(silenceWithin, selves[1].ID)
			l.plug(2, mode)
			plugged := time.Now()
			for i, n := range nodes {
				t.Logf("contact %v after plugging in", n.finds(contactWithin, selves[1-i]).At.Sub(plugged).Round(time.Millisecond))
			}
		})
	}
}

// TestAddressStillChecked has an address that may not be spoken from for the
// first second or two (RFC 4862, section 5.4).
func TestAddressStillChecked(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2, "ll6")
	l.unplug(2)
	selves := []discovery.Self{selfOf(1), selfOf(2)}
	nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
	sh(t, `ip netns exec %[1]s sysctl -qw net.ipv6.conf.default.accept_dad=1
		ip -n %[1]s link add eth0 type veth peer name p2 netns %[2]s
		ip -n %[2]s link set p2 master br0 up; ip -n %[1]s link set eth0 up`, l.host(2), l.bridge)
	plugged := time.Now()
	for i, n := range nodes {
		t.Logf("contact %v after plugging in", n.finds(2*contactWithin, selves[1-i]).At.Sub(plugged).Round(time.Millisecond))
	}
	for _, e := range nodes[1].past {
		if strings.Contains(e.Text, "level=WARN") {
			t.Error(e.Text)
		}
	}
}

func TestCableThatIsPulledAndPutBack(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2, "both")
	selves := []discovery.Self{selfOf(1), selfOf(2)}
	nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
	contact(t, nodes, selves)
	sh(t, "ip -n %s link set p2 down", l.bridge)
	for i, n := range nodes {
		n.loses(silenceWithin, selves[1-i].ID)
	}
	sh(t, "ip -n %s link set p2 up", l.bridge)
	back := time.Now()
	for i, n := range nodes {
		t.Logf("contact %v after the cable was back", n.finds(contactWithin, selves[1-i]).At.Sub(back).Round(time.Millisecond))
	}
}

func TestAddressChange(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2, "ll4")
	selves := []discovery.Self{selfOf(1), selfOf(2)}
	nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
	contact(t, nodes, selves)
	nodes[0].settle(2 * time.Second)
	sh(t, "ip -n %[1]s addr del 169.254.77.2/16 dev eth0; ip -n %[1]s addr add 169.254.88.2/16 dev eth0 scope link", l.host(2))
	changed := time.Now()
	e := nodes[0].wait(5*time.Second, "the new address alone", func(e event) bool {
		return e.What == "found" && len(e.Peer.Addrs) == 1 && e.Peer.Addrs[0].Addr() == netip.MustParseAddr("169.254.88.2")
	})
	t.Logf("new address after %v", e.At.Sub(changed).Round(time.Millisecond))
}

func TestTwoNodesOnOneMachine(t *testing.T) {
	t.Parallel()
	for _, plugged := range []bool{false, true} {
		t.Run(fmt.Sprint("plugged ", plugged), func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, 1, "both")
			if !plugged {
				l.unplug(1)
			}
			selves := []discovery.Self{selfOf(1), selfOf(2)}
			nodes := []*node{l.start(1, selves[0]), l.start(1, selves[1])}
			contact(t, nodes, selves)
			nodes[0].never(25*time.Second, "a peer that is there was lost", func(e event) bool { return e.What == "gone" })
			told := nodes[1].stop()
			t.Logf("goodbye after %v", nodes[0].loses(goodbyeWithin, selves[1].ID).At.Sub(told).Round(time.Millisecond))
		})
	}
}

func TestContactWithHalfOfThePacketsLost(t *testing.T) {
	t.Parallel()
	const within = 15 * time.Second
	l := newLAN(t, 3, "both")
	for i := 1; i <= 3; i++ {
		l.filter(i, "meta l4proto udp numgen random mod 100 < 50 drop")
	}
	for round := range 5 {
		var nodes []*node
		var selves []discovery.Self
		for i := 1; i <= 3; i++ {
			selves = append(selves, selfOf(i))
			nodes = append(nodes, l.start(i, selves[i-1]))
		}
		var worst time.Duration
		for i, n := range nodes {
			for j, m := range nodes {
				if i != j {
					worst = max(worst, n.finds(within, selves[j]).At.Sub(later(n.up, m.up)))
				}
			}
		}
		t.Logf("round %d: all found after %v", round, worst.Round(time.Millisecond))
		for _, n := range nodes {
			n.kill()
		}
	}
}
