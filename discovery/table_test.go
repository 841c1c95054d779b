package discovery

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// bench is a table with a clock of its own.
type bench struct {
	*table
	ears    *ears
	refused map[string]int
	asked   map[string]int
	now     time.Time
}

func newBench(t *testing.T) *bench {
	b := &bench{ears: newEars(t), refused: map[string]int{}, asked: map[string]int{}, now: time.Now()}
	b.table = newTable("self", b.ears, b.now)
	b.table.refused = func(why string) { b.refused[why]++ }
	b.table.ask = func(p *peer, _ int) { b.asked[p.id]++ }
	b.table.jitter = func(time.Duration) time.Duration { return 0 }
	return b
}

func testLink(index int) *iface {
	return &iface{index: index, addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
}

func source(n int) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 10<<24|uint32(n+1))))
}

// beacon lets the table hear the nth node, slowly enough to be taken in.
func (b *bench) beacon(n, from, link int) {
	b.now = b.now.Add(time.Second / freshRate)
	b.heard(claim{id: fmt.Sprint("peer", n), instance: "1", port: 1},
		arrival{from: netip.AddrPortFrom(source(from), 1), index: link}, testLink(link), beaconSlowest, b.now)
}

func TestTableLimits(t *testing.T) {
	t.Run("of one sender", func(t *testing.T) {
		b := newBench(t)
		for n := range maxPeersPerSource {
			b.beacon(n, 1, 2)
		}
		if len(b.peers) != maxPeersPerSource || len(b.refused) != 0 {
			t.Fatalf("%d peers, refused %v", len(b.peers), b.refused)
		}
		b.now = b.now.Add(time.Minute)
		b.beacon(maxPeersPerSource, 1, 2)
		if len(b.peers) != maxPeersPerSource || b.refused["one sender claims to be too many peers"] != 1 {
			t.Errorf("%d peers, refused %v", len(b.peers), b.refused)
		}
	})
	t.Run("of one interface", func(t *testing.T) {
		b := newBench(t)
		b.beacon(9999, 9999, 3)
		for n := range maxPeersPerLink + 1 {
			b.beacon(n, n, 2)
		}
		if len(b.peers) != maxPeersPerLink+1 || b.peers["peer9999"] == nil || b.peers[fmt.Sprint("peer", maxPeersPerLink)] == nil {
			t.Errorf("%d peers; a full interface must make room for its own newcomers at its own cost", len(b.peers))
		}
	})
	t.Run("in all", func(t *testing.T) {
		b := newBench(t)
		for n := range MaxPeers + 1 {
			b.beacon(n, n, 2+n%2)
			b.ears.held[fmt.Sprint("peer", n)] = true
		}
		if len(b.peers) != MaxPeers || b.refused["table of peers is full"] != 1 {
			t.Errorf("%d peers, refused %v; peers that the transport holds stay", len(b.peers), b.refused)
		}
		for id := range b.ears.held {
			b.ears.held[id] = false
		}
		for _, p := range b.peers {
			p.confirmed = false
		}
		b.beacon(MaxPeers+1, MaxPeers+1, 2)
		if len(b.peers) != MaxPeers || b.peers[fmt.Sprint("peer", MaxPeers+1)] == nil {
			t.Errorf("%d peers; a newcomer takes the place of one that the transport never held", len(b.peers))
		}
	})
	t.Run("at once", func(t *testing.T) {
		b := newBench(t)
		for n := range 10 * freshBurst {
			b.now = b.now.Add(-time.Second / freshRate)
			b.beacon(n, n, 2)
		}
		if len(b.peers) != freshBurst || b.ears.count() != freshBurst {
			t.Errorf("%d peers, %d told, want %d", len(b.peers), b.ears.count(), freshBurst)
		}
	})
	t.Run("ourselves", func(t *testing.T) {
		b := newBench(t)
		b.heard(claim{id: "self", instance: "1", port: 1}, arrival{from: netip.AddrPortFrom(source(1), 1)}, testLink(2), 0, b.now)
		if len(b.peers) != 0 {
			t.Error("took in itself")
		}
	})
}

func TestAddressesAndNamesOfOnePeerAreLimited(t *testing.T) {
	b := newBench(t)
	for n := range 10 * maxAddrs {
		b.beacon(1, n, 2)
		if got, want := len(b.peers["peer1"].places), min(n+1, maxAddrs); got != want {
			t.Fatalf("%d addresses after %d, want %d", got, n+1, want)
		}
	}
	for n := range 10 * maxLabels {
		b.heard(claim{label: fmt.Sprint(n), id: "peer1", instance: "1", port: 1},
			arrival{from: netip.AddrPortFrom(source(1), mdnsPort), index: 2}, testLink(2), 0, b.now)
		if got, want := len(b.peers["peer1"].labels), min(n+1, maxLabels); got != want || len(b.labels) != want {
			t.Fatalf("%d names after %d, want %d", got, n+1, want)
		}
	}
	many := make([]netip.Addr, 10*maxAddrs)
	for n := range many {
		many[n] = source(1000 + n)
	}
	b.peers["peer1"].list(many, 2, 1, b.now)
	if n := len(b.peers["peer1"].places); n > maxAddrs {
		t.Errorf("%d addresses after a long list", n)
	}
}

// TestListedAddresses follows what mDNS says of a peer's addresses.
func TestListedAddresses(t *testing.T) {
	const link = 2
	a, c, d, six := source(1), source(2), source(3), netip.MustParseAddr("fe80::1")
	p := &peer{id: "p", next: beaconFastest, places: map[place]*stay{}}
	now := time.Now()
	at := func(when time.Time) []netip.Addr {
		p.forget(func(_ place, s *stay) bool { return !s.until.IsZero() && !when.Before(s.until) })
		var got []netip.Addr
		for k := range p.places {
			got = append(got, k.addr)
		}
		slices.SortFunc(got, netip.Addr.Compare)
		return got
	}
	check := func(what string, got []netip.Addr, want ...netip.Addr) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	p.list([]netip.Addr{a, c, six}, link, 1, now)
	p.seen(d, link, 1, now)
	check("at first", at(now), a, c, d, six)
	p.list([]netip.Addr{a}, link, 1, now)
	check("a list of one family leaves the other", at(now.Add(flushAfter)), a, d, six)
	check("what was only seen goes when it is seen no more", at(now.Add(seenIntervals*beaconFastest)), a, six)
	p.list([]netip.Addr{c}, link+1, 1, now)
	check("another interface has a list of its own", at(now.Add(time.Minute)), a, c, six)
	check("what was not listed again goes with its TTL", at(now.Add(hostTTL*time.Second)), a, c)
	p.list([]netip.Addr{a, six}, link, 1, now)
	check("what is listed again is back", at(now.Add(time.Hour)), a, c, six)
}

func TestOneEventASecondForOnePeer(t *testing.T) {
	b := newBench(t)
	for n := range 1000 {
		b.heard(claim{id: "p", instance: "1", name: fmt.Sprint("name ", n), port: 1},
			arrival{from: netip.AddrPortFrom(source(1), 1), index: 2}, testLink(2), beaconFastest, b.now)
		b.now = b.now.Add(10 * time.Millisecond)
		if !b.now.Before(b.sweepAt) {
			b.sweep(b.now)
		}
	}
	if n := b.ears.found["p"]; n < 9 || n > 11 {
		t.Errorf("%d events in ten seconds", n)
	}
	b.now = b.now.Add(tellGap)
	b.sweep(b.now)
	if got := b.ears.peers["p"].Name; got != "name 999" {
		t.Errorf("was left at %q", got)
	}
}

func TestGoodbyeOfAPeerThatTheTransportHolds(t *testing.T) {
	b := newBench(t)
	b.beacon(1, 1, 2)
	p := b.peers["peer1"]
	b.goodbye(p, "another instance", b.now)
	if !p.bye.IsZero() {
		t.Error("believed the goodbye of an instance that went before")
	}
	b.ears.hold("peer1", true)
	b.goodbye(p, "1", b.now)
	run := func(d time.Duration) {
		for end := b.now.Add(d); b.now.Before(end); b.now = b.now.Add(10 * time.Millisecond) {
			if due(b.sweepAt, b.now) {
				b.sweep(b.now)
			}
		}
	}
	run(5 * time.Second)
	if b.ears.goneCount("peer1") != 0 {
		t.Fatal("gone while the transport holds it")
	}
	b.ears.hold("peer1", false)
	run(600 * time.Millisecond)
	if b.ears.goneCount("peer1") != 1 {
		t.Error("not gone after the transport let go")
	}
	if !b.sweepAt.IsZero() || len(b.peers) != 0 {
		t.Error("the table looks after nobody")
	}
}

func TestLatePacketsOfAFormerInstance(t *testing.T) {
	b := newBench(t)
	say := func(instance string) {
		b.heard(claim{id: "p", instance: instance, port: 1}, arrival{from: netip.AddrPortFrom(source(1), 1), index: 2}, testLink(2), beaconFastest, b.now)
	}
	say("old")
	say("new")
	say("old")
	if got := b.peers["p"].instance; got != "new" {
		t.Errorf("went back to instance %q", got)
	}
	b.now = b.now.Add(formerPatience)
	say("old")
	if got := b.peers["p"].instance; got != "old" {
		t.Errorf("instance %q, want the one that insists", got)
	}
}

// inject puts a datagram into all sockets of a machine on that port.
func (h *machine) inject(port uint16, b []byte, a arrival) {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	for _, c := range h.conns {
		if c.port == port && !c.v6 {
			select {
			case c.in <- datagram{b, a}:
			default:
			}
		}
	}
}

// flood sends fake nodes, malformed and huge packets to h, from so many senders,
// until it is stopped.
func (h *machine) flood(t *testing.T, senders int) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(4 * time.Millisecond):
			}
			fake := Self{ID: fmt.Sprintf("FAKE%d", n), Instance: "1", Name: "Fake", Port: 1, HTTPPort: 80}
			from := arrival{from: netip.AddrPortFrom(source(2+n%senders), 40000), index: 2}
			b := beacon{flags: beaconAsk, port: 1, next: beaconFastest, id: fake.ID, instance: "1"}
			h.inject(BeaconPort, b.encode(), from)
			from.from = netip.AddrPortFrom(from.from.Addr(), mdnsPort)
			z := newZone(&fake, conflicts{}, nil)
			p, err := message{response: true, answers: z.announced(n%2 == 1)}.encode(maxPacket)
			if err != nil {
				t.Error(err)
			}
			h.inject(mdnsPort, p, from)
			h.inject(mdnsPort, make([]byte, n%maxPacket), from)
			h.inject(BeaconPort, make([]byte, n%maxPacket), from)
		}
	}()
	return func() { close(done); <-stopped }
}

// TestFlood floods a node for minutes. Those who flood from one address do not
// keep others out; those who forge addresses do, as long as it lasts.
func TestFlood(t *testing.T) {
	for name, c := range map[string]struct {
		senders int
		during  bool
	}{"from one address": {1, true}, "from thousands": {4000, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newAir()
				l := newLogs()
				h := w.host().plug(2, "lan", "10.0.0.1/8")
				a := h.run(t, testSelf(1), Options{Logger: slog.New(l)})
				held := w.host().plug(2, "lan", "10.255.0.3/8").run(t, testSelf(3), Options{})
				a.finds(t, 3*time.Second, held.self)
				a.ears.hold(held.self.ID, true)
				stop := h.flood(t, c.senders)
				time.Sleep(30 * time.Second)
				b := w.host().plug(2, "lan", "10.255.0.2/8").run(t, testSelf(2), Options{})
				if c.during {
					t.Logf("in a flood, contact after %v", a.finds(t, 10*time.Second, b.self))
				}
				time.Sleep(time.Minute)
				if n := a.ears.count(); n > maxPeersPerLink {
					t.Errorf("%d peers by one interface", n)
				}
				if n := a.ears.goneCount(held.self.ID); n != 0 {
					t.Error("a flood drove out a peer that the transport holds")
				}
				stop()
				t.Logf("after the flood, contact after %v", a.finds(t, 30*time.Second, b.self))
				within(t, 2*time.Minute, "end of all fakes", func() bool { return a.ears.count() == 2 })
				a.bounded(t, l)
				frames := 0
				for _, n := range w.sent() {
					frames += n
				}
				if most := 2 * (askRate + directRate) * int(time.Since(a.ears.began).Seconds()); frames > most {
					t.Errorf("the flood made %v frames go out", w.sent())
				}
			})
		})
	}
}

// bounded checks that a flood made neither many events nor many log lines.
func (r *running) bounded(t *testing.T, l *logs) {
	t.Helper()
	r.ears.mu.Lock()
	defer r.ears.mu.Unlock()
	events := 0
	for _, n := range r.ears.found {
		events += n
	}
	seconds := int(time.Since(r.ears.began).Seconds())
	if most := 2 * (freshBurst + freshRate*seconds); events > most { // by two paths each
		t.Errorf("%d events, want at most %d", events, most)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for message, n := range l.count {
		if n > int(time.Since(r.ears.began)/complainGap)+2 {
			t.Errorf("%q was logged %d times", message, n)
		}
	}
}

func TestSieve(t *testing.T) {
	now := time.Now()
	s := newSieve(rate{maxPacketRate, maxPacketBurst}, rate{maxSenderRate, maxSenderBurst}, now)
	passed := func(sender, n int) (ok int) {
		for range n {
			if s.pass(source(sender), now) {
				ok++
			}
		}
		return ok
	}
	if got := passed(1, 10*maxSenderBurst); got != 2*maxSenderBurst && got != maxSenderBurst {
		t.Errorf("%d packets of one sender at once, want %d", got, 2*maxSenderBurst)
	}
	now = now.Add(time.Second)
	if got := passed(1, 10*maxSenderBurst); got != 2*maxSenderRate && got != maxSenderRate {
		t.Errorf("%d packets of one sender a second later, want %d", got, 2*maxSenderRate)
	}
	now = now.Add(time.Hour)
	all := 0
	for sender := range 20 * sieveSenders {
		all += passed(sender, maxSenderBurst)
	}
	if all != maxPacketBurst {
		t.Errorf("%d packets of all at once, want %d", all, maxPacketBurst)
	}
}
