package discovery

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// idle is an engine whose loop does not run.
func (h *machine) idle(t *testing.T, o Options) *engine {
	t.Helper()
	e := newEngine(newService(testSelf(1), newEars(t), o, h))
	now := time.Now()
	e.look(t.Context(), now)
	for _, l := range e.links {
		l.open(t.Context(), now)
	}
	t.Cleanup(func() {
		close(e.done)
		e.close()
		e.readers.Wait()
	})
	return e
}

func TestInterfacesAreLimited(t *testing.T) {
	for more := range 2 {
		h := newAir().host()
		for n := range maxLinks - 1 + more { // and the loopback one
			h.plug(2+n, "lan", v4(n))
		}
		if e := h.idle(t, Options{}); len(e.links) != maxLinks {
			t.Errorf("%d interfaces in use, want %d", len(e.links), maxLinks)
		}
	}
}

func TestAnswersThatAreOwedAreLimited(t *testing.T) {
	e := newAir().host().plug(2, "lan", v4(1)).idle(t, Options{})
	l := e.links[2]
	now := time.Now()
	for n := range maxAnswers {
		for range 2 { // who asks twice is answered once
			l.owe(arrival{from: netip.AddrPortFrom(source(n), 1)}, false, now)
		}
	}
	if len(l.answers) != maxAnswers || !l.aloudAt.IsZero() {
		t.Errorf("%d answers are owed", len(l.answers))
	}
	l.owe(arrival{from: netip.AddrPortFrom(source(maxAnswers), 1)}, false, now)
	if len(l.answers) != maxAnswers || l.aloudAt.IsZero() {
		t.Errorf("%d answers are owed, and one to all at %v", len(l.answers), l.aloudAt)
	}
}

func TestNamesThatAreAskedForAreLimited(t *testing.T) {
	e := newAir().host().plug(2, "lan", v4(1)).idle(t, Options{})
	s := e.links[2].speakers[0]
	now := time.Now()
	for n := range 2 * maxFollowed {
		e.asking.level.tokens = 1
		e.follow(fmt.Sprint(n), s, now)
		if len(e.followed) != min(n+1, maxFollowed) {
			t.Fatalf("%d names after %d", len(e.followed), n+1)
		}
	}
	e.follow("later", s, now.Add(followGap+time.Nanosecond))
	if len(e.followed) != 1 {
		t.Errorf("%d names are remembered for ever", len(e.followed))
	}
}

// TestLogHasNoAddresses has a packet to a visitor fail.
func TestLogHasNoAddresses(t *testing.T) {
	var log bytes.Buffer
	e := newAir().host().plug(2, "lan", v4(1)).idle(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	e.complainSend("mDNS packet was not sent", "eth0", &net.OpError{
		Op: "write", Net: "udp4", Addr: &net.UDPAddr{IP: net.IPv4(192, 168, 4, 23)}, Err: syscall.EPERM,
	})
	if text := log.String(); strings.Contains(text, "192.168") || !strings.Contains(text, "not permitted") {
		t.Errorf("logged %s", text)
	}
}

func TestSilentWhereAnInterfaceJustWent(t *testing.T) {
	l := newLogs()
	e := newAir().host().plug(2, "lan", v4(1)).idle(t, Options{Logger: slog.New(l)})
	e.complainSend("beacon was not sent", "eth0", &net.OpError{Op: "write", Err: syscall.ENODEV})
	if l.of("beacon was not sent") != 0 {
		t.Error("complained about an interface that went")
	}
}

// TestDirectPacketsFromElsewhere has a far machine write to a node by its
// address, past all routers.
func TestDirectPacketsFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		h := w.host().plug(2, "lan", v4(1))
		a := h.run(t, testSelf(1), Options{})
		time.Sleep(5 * time.Second)
		far := arrival{from: netip.MustParseAddrPort("8.8.8.8:5353"), index: 2, direct: true}
		z := newZone(&Self{ID: "far", Instance: "1", Port: 1}, conflicts{}, nil)
		p, err := message{response: true, answers: z.announced(false)}.encode(maxPacket)
		if err != nil {
			t.Fatal(err)
		}
		h.inject(mdnsPort, p, far)
		ask, err := message{questions: []question{{name: nodeType, kind: dnsmessage.TypePTR}}}.encode(maxPacket)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		before := w.sent()
		h.inject(mdnsPort, ask, far)
		b := beacon{flags: beaconAsk, port: 1, next: beaconFastest, id: "far", instance: "1"}
		h.inject(BeaconPort, b.encode(), far)
		time.Sleep(time.Second)
		if a.ears.count() != 0 {
			t.Error("believed a machine that is not near")
		}
		if after := w.sent(); after[mdnsPort] != before[mdnsPort] {
			t.Error("answered a machine that is not near")
		}
	})
}

// TestSocketThatFailsIsOpenedAnew has the system take a socket away.
func TestSocketThatFailsIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		h := w.host().plug(2, "lan", v4(1))
		a := h.run(t, testSelf(1), Options{})
		time.Sleep(time.Second)
		h.air.mu.Lock()
		for _, c := range h.conns {
			close(c.broken)
		}
		h.air.mu.Unlock()
		time.Sleep(retryAfter + time.Second)
		b := w.host().plug(2, "lan", v4(2)).run(t, testSelf(2), Options{})
		a.finds(t, 3*time.Second, b.self)
		b.finds(t, 3*time.Second, a.self)
	})
}

func TestUnusableAddressIsNoClaim(t *testing.T) {
	i := &iface{index: 2, addrs: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("fe80::1/64")}}
	for addr, want := range map[string]bool{
		"10.1.9.9": true, "10.2.0.1": false, "169.254.1.1": true, "127.0.0.1": false, "0.0.0.0": false, "224.0.0.1": false,
		"255.255.255.255": false, "fe80::9": true, "ff02::1": false, "::": false, "::1": false, "2001:db8::1": false,
	} {
		got := reachable([]netip.Addr{netip.MustParseAddr(addr)}, i)
		if (len(got) == 1) != want {
			t.Errorf("%s: reachable %v, want %v", addr, got, want)
		}
	}
}
