package discovery

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func v4(n int) string { return fmt.Sprintf("169.254.77.%d/16", n) }
func v6(n int) string { return fmt.Sprintf("fe80::%d/64", n) }

// onlyPort loses all that goes to ports other than this one; answers to single
// askers count as beacons.
func onlyPort(port uint16) func(*machine, uint16) bool {
	return func(_ *machine, to uint16) bool { return (to == mdnsPort) != (port == mdnsPort) }
}

func TestContactAndGoodbye(t *testing.T) {
	for name, lost := range map[string]func(*machine, uint16) bool{
		"both paths": nil, "mDNS alone": onlyPort(mdnsPort), "beacons alone": onlyPort(BeaconPort),
	} {
		for _, addrs := range [][]string{{"v4"}, {"v6"}, {"v4", "v6"}} {
			t.Run(name+strings.Join(addrs, ""), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newAir()
					w.lost = lost
					var nodes []*running
					for i := 1; i <= 3; i++ {
						h := w.host()
						var own []string
						if slices.Contains(addrs, "v4") {
							own = append(own, v4(i))
						}
						if slices.Contains(addrs, "v6") {
							own = append(own, v6(i))
						}
						nodes = append(nodes, h.plug(2, "lan", own...).run(t, testSelf(i), Options{}))
						time.Sleep(time.Duration(i*i) * time.Second)
					}
					for i, n := range nodes {
						for j, m := range nodes {
							if i != j {
								n.finds(t, 3*time.Second, m.self)
							}
						}
					}
					time.Sleep(2 * time.Minute)
					for _, n := range nodes {
						if n.ears.count() != 2 || len(n.ears.gone) != 0 {
							t.Errorf("after two minutes %d peers, lost in between %v", n.ears.count(), n.ears.gone)
						}
					}
					go nodes[2].stop()
					for _, n := range nodes[:2] {
						n.loses(t, 2*time.Second, nodes[2].self)
					}
				})
			})
		}
	}
}

func TestPeerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		a := w.host().plug(7, "lan", v4(1), v6(1)).run(t, testSelf(1), Options{})
		self := testSelf(2)
		self.Name = "Kiste\u202e \x07zwei\n"
		b := w.host().plug(2, "lan", v4(2), v6(2), "10.1.1.2/24").run(t, self, Options{})
		time.Sleep(5 * time.Second)
		got, _ := a.ears.peer(self.ID)
		want := Peer{ID: self.ID, Instance: self.Instance, Name: "Kiste zwei", Addrs: []netip.AddrPort{
			netip.MustParseAddrPort("169.254.77.2:4002"), netip.MustParseAddrPort("[fe80::2%7]:4002"),
		}}
		if !got.equal(&want) || got.ID != want.ID {
			// 10.1.1.2 is no address that a node of 169.254.77.1 could reach, but
			// it is the lowest one of its interface and so the one spoken from.
			want.Addrs = append([]netip.AddrPort{netip.MustParseAddrPort("10.1.1.2:4002")}, want.Addrs...)
			if !got.equal(&want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		b.SetName("Neu")
		within(t, 3*time.Second, "new name", func() bool { p, _ := a.ears.peer(self.ID); return p.Name == "Neu" })
	})
}

func TestSilence(t *testing.T) {
	for name, lost := range map[string]func(*machine, uint16) bool{
		"both paths": nil, "mDNS alone": onlyPort(mdnsPort), "beacons alone": onlyPort(BeaconPort),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newAir()
				w.lost = lost
				a := w.host().plug(2, "lan", v4(1), v6(1)).run(t, testSelf(1), Options{})
				h := w.host().plug(2, "lan", v4(2), v6(2))
				b := h.run(t, testSelf(2), Options{})
				a.finds(t, 3*time.Second, b.self)
				time.Sleep(time.Minute)
				h.move(2, "elsewhere")
				took := a.loses(t, 20*time.Second, b.self)
				b.loses(t, 20*time.Second, a.self)
				if took < 5*time.Second {
					t.Errorf("gave up after %v", took)
				}
				h.move(2, "lan")
				a.finds(t, 70*time.Second, b.self) // mDNS alone asks once a minute by now
				b.finds(t, 70*time.Second, a.self)
			})
		})
	}
}

func TestPeerThatTheTransportHoldsIsNotGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		a := w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{})
		h := w.host().plug(2, "lan", v4(2))
		b := h.run(t, testSelf(2), Options{})
		a.finds(t, 3*time.Second, b.self)
		a.ears.hold(b.self.ID, true)
		h.move(2, "elsewhere")
		time.Sleep(10 * time.Minute)
		if n := a.ears.goneCount(b.self.ID); n != 0 {
			t.Fatalf("gone %d times while it was held", n)
		}
		a.ears.hold(b.self.ID, false)
		a.loses(t, 20*time.Second, b.self)
	})
}

func TestRestartIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		a := w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{})
		h := w.host().plug(2, "lan", v4(2))
		b := h.run(t, testSelf(2), Options{})
		a.finds(t, 3*time.Second, b.self)
		h.kill(b)
		h.plug(2, "lan", v4(2))
		again := testSelf(2)
		again.Instance, again.Port = "second", 5555
		h.run(t, again, Options{})
		a.finds(t, 3*time.Second, again)
		p, _ := a.ears.peer(again.ID)
		if len(p.Addrs) != 1 || p.Addrs[0].Port() != 5555 {
			t.Errorf("the new instance is at %v", p.Addrs)
		}
		if n := a.ears.goneCount(again.ID); n != 0 {
			t.Errorf("was gone %d times in between", n)
		}
	})
}

func TestInterfacesAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		h := w.host()
		a := h.run(t, testSelf(1), Options{})
		b := w.host().plug(2, "lan", v4(2), v6(2)).run(t, testSelf(2), Options{})
		time.Sleep(time.Minute)
		h.plug(2, "lan", v4(1), v6(1)) // comes late
		a.finds(t, 3*time.Second, b.self)
		b.finds(t, 3*time.Second, a.self)
		time.Sleep(5 * time.Second)
		h.plug(2, "lan", "169.254.88.1/16", v6(1)) // changes its address
		within(t, 4*time.Second, "new address alone", func() bool {
			p, _ := b.ears.peer(a.self.ID)
			return len(p.Addrs) == 2 && p.Addrs[0] == netip.MustParseAddrPort("169.254.88.1:4001")
		})
		h.unplug(2)
		a.loses(t, 20*time.Second, b.self)
		b.loses(t, 20*time.Second, a.self)
		h.plug(9, "lan", v4(1), v6(1)) // made anew, with another index
		a.finds(t, 3*time.Second, b.self)
		b.finds(t, 3*time.Second, a.self)
		within(t, 4*time.Second, "address by the new interface", func() bool {
			p, _ := a.ears.peer(b.self.ID)
			return slices.Contains(p.Addrs, netip.MustParseAddrPort("[fe80::2%9]:4002"))
		})
		h.plug(5, "other", v4(3)) // a second one
		c := w.host().plug(2, "other", v4(4)).run(t, testSelf(3), Options{})
		a.finds(t, 3*time.Second, c.self)
		if n := b.ears.count(); n != 1 {
			t.Errorf("the box in the middle made %d peers known, want 1", n)
		}
	})
}

func TestUnwantedInterfacesStaySilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		use := func(name string) bool { return name != "eth0" }
		a := w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{Use: use})
		b := w.host().plug(2, "lan", v4(2)).run(t, testSelf(2), Options{})
		time.Sleep(time.Minute)
		if a.ears.count()+b.ears.count() != 0 {
			t.Error("nodes met by an interface that is not to be used")
		}
	})
}

func TestTwoNodesOfOneMachine(t *testing.T) {
	for _, plugged := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newAir().host()
			if plugged {
				h.plug(2, "lan", v4(1), v6(1))
			}
			a, b := h.run(t, testSelf(1), Options{}), h.run(t, testSelf(2), Options{})
			a.finds(t, 3*time.Second, b.self)
			b.finds(t, 3*time.Second, a.self)
			time.Sleep(time.Minute)
			p, _ := a.ears.peer(b.self.ID)
			if !slices.Contains(p.Addrs, netip.MustParseAddrPort("127.0.0.1:4002")) {
				t.Errorf("addresses %v, want the loopback one too", p.Addrs)
			}
			go b.stop()
			a.loses(t, 2*time.Second, b.self)
		})
	}
}

func TestHalfOfThePacketsLost(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newAir()
			w.lost = func(*machine, uint16) bool { return rand.IntN(2) == 0 }
			a := w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{})
			b := w.host().plug(2, "lan", v4(2)).run(t, testSelf(2), Options{})
			a.finds(t, 30*time.Second, b.self)
			b.finds(t, 30*time.Second, a.self)
		})
	}
}

// TestCrowd holds the promise that boxes do not choke the air they share.
func TestCrowd(t *testing.T) {
	const boxes = 100
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		var nodes []*running
		for i := 1; i <= boxes; i++ {
			nodes = append(nodes, w.host().plug(2, "lan", v4(i)).run(t, testSelf(i), Options{}))
		}
		for _, n := range nodes {
			within(t, 3*time.Second, "contact of all with all", func() bool { return n.ears.count() == boxes-1 })
		}
		const start, settled = 15, 45 // seconds
		time.Sleep(start * time.Second)
		before := w.sent()
		t.Logf("first %d s: %v frames by port", start, before)
		time.Sleep(settled * time.Second)
		perSecond := 0.0
		for port, n := range w.sent() {
			each := float64(n-before[port]) / settled
			t.Logf("settled, port %d: %.1f frames a second", port, each)
			perSecond += each
		}
		if perSecond > 10 {
			t.Errorf("%.1f frames a second", perSecond)
		}
		if w.largest > maxMTU-packetOverhead {
			t.Errorf("a payload of %d bytes", w.largest)
		}
		for _, n := range nodes {
			if n.ears.count() != boxes-1 || len(n.ears.gone) > 0 {
				t.Errorf("%d peers, lost in between %v", n.ears.count(), n.ears.gone)
			}
		}
		go nodes[0].stop()
		for _, n := range nodes[1:] {
			n.loses(t, 2*time.Second, nodes[0].self)
		}
	})
}

func TestOneMachineTwiceOnOneNetworkIsNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		l := newLogs()
		w.host().plug(2, "lan", v4(1), v6(1)).plug(3, "lan", v4(2), v6(2)).
			run(t, testSelf(1), Options{Logger: slog.New(l)})
		b := w.host().plug(2, "lan", v4(3), v6(3)).run(t, testSelf(2), Options{})
		time.Sleep(time.Minute)
		if n := l.of("mDNS name is taken, using another"); n != 0 {
			t.Errorf("quarrelled with itself %d times", n)
		}
		p, _ := b.ears.peer(testSelf(1).ID)
		if len(p.Addrs) != 4 {
			t.Errorf("addresses %v, want all four", p.Addrs)
		}
	})
}

func TestDeafMachineUsesBeacons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		l := newLogs()
		h := w.host().plug(2, "lan", v4(1))
		h.deaf = true
		a := h.run(t, testSelf(1), Options{Logger: slog.New(l)})
		b := w.host().plug(2, "lan", v4(2)).run(t, testSelf(2), Options{})
		a.finds(t, 3*time.Second, b.self)
		b.finds(t, 3*time.Second, a.self)
		time.Sleep(10*time.Minute + time.Second)
		if n := l.of("mDNS does not work on an interface"); n != 4 {
			t.Errorf("complained %d times in ten minutes, want 4: at once and after 1, 3 and 7 minutes", n)
		}
	})
}

func TestCopiedDataFolderIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		l := newLogs()
		w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{Logger: slog.New(l)})
		twin := testSelf(1)
		twin.Instance = "copy"
		w.host().plug(2, "lan", v4(2)).run(t, twin, Options{})
		c := w.host().plug(2, "lan", v4(3)).run(t, testSelf(3), Options{})
		time.Sleep(time.Minute + time.Second)
		if n := l.of("another node announces the id of this one: was its data folder copied?"); n != 1 && n != 2 {
			t.Errorf("warned %d times in a minute", n)
		}
		c.ears.mu.Lock()
		defer c.ears.mu.Unlock()
		if n := c.ears.found[twin.ID]; n > 20 {
			t.Errorf("two nodes of one id made %d events in a minute", n)
		}
	})
}

func TestSelfBreaksALimit(t *testing.T) {
	long := strings.Repeat("a", MaxID+1)
	for name, change := range map[string]func(*Self){
		"no id":             func(s *Self) { s.ID = "" },
		"long id":           func(s *Self) { s.ID = long },
		"id with a dot":     func(s *Self) { s.ID = "a.b" },
		"no instance":       func(s *Self) { s.Instance = "" },
		"long instance":     func(s *Self) { s.Instance = long[:MaxInstance+1] },
		"no port":           func(s *Self) { s.Port = 0 },
		"long protocol":     func(s *Self) { s.Protocol = long[:maxProtocol+1] },
		"two-line protocol": func(s *Self) { s.Protocol = "a\nb" },
	} {
		self := testSelf(1)
		change(&self)
		if err := newService(self, newEars(t), Options{}, newAir().host()).Run(t.Context()); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}
