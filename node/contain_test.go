package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	libp2pcrypto "github.com/libp2p/go-libp2p/core/crypto"

	"boucan/record"
)

// stranger is a peer that keeps to no limit.
type stranger struct {
	host.Host
	t      *testing.T
	key    ed25519.PrivateKey
	target peer.ID
	dialer transport.Transport
	at     peer.AddrInfo // of the target
}

// newStranger connects a stranger to a box.
func newStranger(t *testing.T, to *testBox) *stranger {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := libp2pcrypto.UnmarshalEd25519PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.AddPrivKey(id, key); err != nil {
		t.Fatal(err)
	}
	bus, none := eventbus.NewBus(), &network.NullResourceManager{}
	s, err := swarm.NewSwarm(id, store, bus, swarm.WithResourceManager(none))
	if err != nil {
		t.Fatal(err)
	}
	dialer, err := newTransport(key, none, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddTransport(dialer); err != nil {
		t.Fatal(err)
	}
	h, err := basichost.NewHost(s, &basichost.HostOpts{EventBus: bus})
	if err != nil {
		t.Fatal(err)
	}
	h.Start()
	t.Cleanup(func() { h.Close() })
	out := &stranger{Host: h, t: t, key: private, target: to.node.host.ID(), dialer: dialer}
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(listenPort(to.node.host.Network())))
	out.at = addrInfo(out.target, found{addrs: []netip.AddrPort{at}})
	if err := h.Connect(t.Context(), out.at); err != nil {
		t.Fatal(err)
	}
	return out
}

// honestPair is two boxes of the smallest profile that are connected.
func honestPair(t *testing.T) (a, b *testBox) {
	t.Helper()
	small := func(name string) *testBox {
		log := &testLog{}
		c := config(filepath.Join(t.TempDir(), name), log)
		c.Profile = profiles[0]
		c.Profile.Soft = 0 // the limit of the whole test program
		box := startWith(t, c)
		box.log = log
		return box
	}
	a, b = small("a"), small("b")
	a.add("before.txt", "before")
	eventually(t, "the two are connected", func() bool { return b.has("before.txt") })
	return a, b
}

// exchanges has a pair exchange files of some size both ways.
func exchanges(t *testing.T, a, b *testBox) {
	t.Helper()
	a.add("from a.bin", randomText(1, 3<<20))
	b.add("from b.bin", randomText(2, 3<<20))
	eventually(t, "both have both", func() bool {
		return a.has("before.txt", "from a.bin", "from b.bin") && b.has("before.txt", "from a.bin", "from b.bin")
	})
}

// inUse is the memory that the program holds after a collection, in bytes.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// mostSwollen is by how much an attack may swell a program of two small boxes and
// the attacker, in bytes.
const mostSwollen = 64 << 20

func TestAThousandStreams(t *testing.T) {
	a, b := honestPair(t)
	before := inUse()
	s := newStranger(t, b)
	ctx, stop := context.WithCancel(t.Context())
	var openers sync.WaitGroup
	t.Cleanup(func() { stop(); openers.Wait() })
	var mu sync.Mutex
	opened := 0
	for i := range 1000 {
		openers.Go(func() {
			var st network.Stream
			var err error
			switch i % 3 {
			case 0:
				st, err = s.NewStream(ctx, s.target, syncProtocol)
			case 1:
				st, err = s.NewStream(ctx, s.target, blobProtocol)
			default: // says nothing
				st, err = s.Network().NewStream(ctx, s.target)
			}
			if err != nil {
				return
			}
			defer st.Reset()
			mu.Lock()
			opened++
			mu.Unlock()
			_, _ = st.Write(make([]byte, 64)) // nonsense, and nothing is read
			<-ctx.Done()
		})
	}
	eventually(t, "some get through", func() bool { mu.Lock(); defer mu.Unlock(); return opened > 0 })
	exchanges(t, a, b)
	held := 0
	for _, c := range b.node.host.Network().ConnsToPeer(s.ID()) {
		held += len(c.GetStreams())
	}
	if held > 2*streamsEach {
		t.Errorf("the box holds %d streams of the stranger", held)
	}
	if swollen := inUse() - before; swollen > mostSwollen {
		t.Errorf("%d MiB more are in use", swollen>>20)
	}
}

// TestAPeerThatNeverReads and one that begins and says no more.
func TestAPeerThatNeverReads(t *testing.T) {
	a, b := honestPair(t)
	before := inUse()
	for range 6 {
		s := newStranger(t, b)
		for _, protocol := range []func() (network.Stream, error){
			func() (network.Stream, error) { return s.NewStream(t.Context(), s.target, syncProtocol) },
			func() (network.Stream, error) { return s.NewStream(t.Context(), s.target, blobProtocol) },
		} {
			st, err := protocol()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = st.Reset() })
			// A hello that is announced and does not come; an ask likewise.
			if _, err := st.Write([]byte{0x80, 0x01, 1, 0xa3}); err != nil {
				t.Fatal(err)
			}
		}
	}
	exchanges(t, a, b)
	if swollen := inUse() - before; swollen > mostSwollen {
		t.Errorf("%d MiB more are in use", swollen>>20)
	}
}

// TestAFloodOfPushes by one author.
func TestAFloodOfPushes(t *testing.T) {
	a, b := honestPair(t)
	s := newStranger(t, b)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	g, err := newGossip(ctx, s.Host, &gate{}, func(context.Context, []byte) (bool, error) { return false, nil })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stranger is in the mesh", func() bool { return g.audience() > 0 })
	const flood = 3000
	var pusher sync.WaitGroup
	pusher.Go(func() {
		for i := range flood {
			r, err := record.Sign(s.key, record.Draft{
				Created: time.Now(), Life: time.Hour, Body: record.Message{Room: "flood", Text: fmt.Sprint(i)},
			})
			if err != nil || g.Push(ctx, r.Encode()) != nil {
				return
			}
		}
	})
	exchanges(t, a, b)
	pusher.Wait()
	exchangesMessage(t, a, b)
	for _, box := range []*testBox{a, b} {
		ids, err := box.node.records.IDsBy(record.Key(s.key.Public().(ed25519.PublicKey)), record.KindMessage, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) > flood/3 {
			t.Errorf("%d of %d pushes were taken in", len(ids), flood)
		}
	}
}

// exchangesMessage has a say something that b hears.
func exchangesMessage(t *testing.T, a, b *testBox) {
	t.Helper()
	if _, err := a.Say(t.Context(), "lobby", "eve", "still here"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message is heard", func() bool {
		said, err := b.History(t.Context(), "lobby", 5)
		return err == nil && len(said) == 1
	})
}

// TestAThousandConnections that say nothing, and some that come with keys.
func TestAThousandConnections(t *testing.T) {
	a, b := honestPair(t)
	before := inUse()
	at := fmt.Sprintf("127.0.0.1:%d", listenPort(b.node.host.Network()))
	var mu sync.Mutex
	var conns []net.Conn
	var dials sync.WaitGroup
	for range 1000 {
		dials.Go(func() {
			c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", at)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, c)
		})
	}
	dials.Wait()
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	exchanges(t, a, b)
	exchangesMessage(t, a, b)
	if swollen := inUse() - before; swollen > mostSwollen {
		t.Errorf("%d MiB more are in use", swollen>>20)
	}
}
