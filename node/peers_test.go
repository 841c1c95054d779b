package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"

	"boucan/discovery"
	"boucan/record"
)

// meeting is a host and its peers, and who they said came and went.
type meeting struct {
	*peers
	host host.Host
	key  record.Key

	mu sync.Mutex
	in []record.Key
	ou []record.Key
}

func newMeeting(t *testing.T) *meeting {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHost(private, 0, profiles[len(profiles)-1], nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	m := &meeting{host: h, key: record.Key(public)}
	m.peers = newPeers(h, m.key, newBroadcast(), slog.New(slog.DiscardHandler))
	m.peers.up = func(k record.Key) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.in = append(m.in, k)
	}
	m.peers.down = func(k record.Key) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ou = append(m.ou, k)
	}
	return m
}

func (m *meeting) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// came and went count what was told of a peer.
func (m *meeting) came(k record.Key) int { return m.told(&m.in, k) }
func (m *meeting) went(k record.Key) int { return m.told(&m.ou, k) }

func (m *meeting) told(list *[]record.Key, k record.Key) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := 0
	for _, x := range *list {
		if x == k {
			count++
		}
	}
	return count
}

// announced is what discovery says of a meeting's host.
func (m *meeting) announced() discovery.Peer {
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(listenPort(m.host.Network())))
	return discovery.Peer{ID: m.key.String(), Name: "box", Addrs: []netip.AddrPort{at}}
}

func TestPeersMeetPartAndMeetAgain(t *testing.T) {
	a, b := newMeeting(t), newMeeting(t)
	a.start(t)
	b.start(t)
	a.Found(b.announced())
	b.Found(a.announced())
	together := func(times int) func() bool {
		return func() bool {
			return a.came(b.key) == times && b.came(a.key) == times && a.connected() == 1 && b.connected() == 1
		}
	}
	eventually(t, "each is told of the other, once", together(1))
	a.Found(b.announced())
	if a.came(b.key) != 1 || len(a.list()) != 1 || !a.list()[0].connected {
		t.Errorf("told %d times; knows %v", a.came(b.key), a.list())
	}
	id, err := peerID(b.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.host.Network().ClosePeer(id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they meet again by themselves", together(2))
	if a.went(b.key) != 1 || b.went(a.key) != 1 {
		t.Errorf("parting was told of %d and %d times", a.went(b.key), b.went(a.key))
	}

	a.Gone(b.key.String()) // hearsay: the connection stands
	b.Gone(a.key.String())
	if !a.Alive(b.key.String()) || a.connected() != 1 {
		t.Error("a goodbye that somebody else said parted them")
	}
	if err := a.host.Network().ClosePeer(id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "each knows that the other is not there", func() bool { return a.connected() == 0 && b.connected() == 0 })
	if met := a.list(); len(met) != 1 || met[0].connected || met[0].lastSeen.IsZero() {
		t.Errorf("a remembers %v", met)
	}
	a.Found(b.announced())
	eventually(t, "one announcement is enough to meet again", func() bool { return a.connected() == 1 && b.connected() == 1 })
}

func TestWhoCameBeforeTheRunIsKnown(t *testing.T) {
	a, b := newMeeting(t), newMeeting(t)
	id, err := peerID(b.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.host.Connect(t.Context(), addrInfo(id, found{addrs: b.announced().Addrs})); err != nil {
		t.Fatal(err)
	}
	a.start(t)
	eventually(t, "it is told of", func() bool { return a.came(b.key) == 1 && a.connected() == 1 })
	if err := b.host.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "and its going", func() bool { return a.went(b.key) == 1 && a.connected() == 0 })
}

// TestACrowdThatDoesNotAnswer does not keep a box from being reached, nor grow
// beyond bounds.
func TestACrowdThatDoesNotAnswer(t *testing.T) {
	a, b := newMeeting(t), newMeeting(t)
	a.start(t)
	for i := range 2 * maxKnownPeers {
		key := record.Key{byte(i), byte(i >> 8), 1}
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1) // refuses
		a.Found(discovery.Peer{ID: key.String(), Name: "nobody", Addrs: []netip.AddrPort{at}})
		if i%3 == 0 {
			a.Gone(key.String())
		}
	}
	if known := len(a.list()); known != maxKnownPeers {
		t.Errorf("%d boxes are remembered, want %d", known, maxKnownPeers)
	}
	for _, m := range a.list() {
		a.Gone(m.key.String())
		a.Found(discovery.Peer{ID: m.key.String(), Name: "nobody", Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}})
	}
	first := a.list()[0].key
	a.Gone(first.String()) // makes room for one
	a.Found(b.announced())
	eventually(t, "the one that answers is reached", func() bool {
		dialing := 0
		a.peers.mu.Lock()
		for _, n := range a.all {
			if n.dialing {
				dialing++
			}
		}
		a.peers.mu.Unlock()
		if dialing > dialsAtOnce {
			t.Errorf("%d dials at once", dialing)
		}
		return a.came(b.key) == 1
	})
	if slices.ContainsFunc(a.list(), func(m met) bool { return m.key == first }) {
		t.Error("the one that went was not forgotten for it")
	}
}

func TestNamesFromTheNetAreCleaned(t *testing.T) {
	a := newMeeting(t)
	key := record.Key{1}
	a.Found(discovery.Peer{ID: key.String(), Name: "evil\x1b[2J\nname", Addrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}})
	a.Found(discovery.Peer{ID: a.key.String(), Name: "myself"})
	a.Found(discovery.Peer{ID: "not an id"})
	if met := a.list(); len(met) != 1 || met[0].name != "evil[2J name" {
		t.Errorf("knows %+v", met)
	}
}
