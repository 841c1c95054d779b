//go:build !race

package node

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"
	ma "github.com/multiformats/go-multiaddr"

	"boucan/discovery"
	"boucan/record"
	"boucan/replica"
	"boucan/replica/testdata/memlog"
)

// The race detector of Go 1.26 falls over thousands of goroutines in bubbles (in its own
// slots, or with a fault in the runtime), so tests of crowds are not built with it. The
// same code runs under it between real boxes.

// How many nodes the tests of crowds have.
const (
	crowded  = 24 // where there are to be more than connect with all
	growFrom = 20 // among so many, and among
	growTo   = 40 // so many, housekeeping is to cost the same
	crowds   = 4  // tried where one alone tells by chance
)

// crowd is many nodes in one process under virtual time: the real parts that keep
// records alike (peers, gossip, replica) over libp2p's mocknet, which has neither
// encryption nor keep-alives. Discovery is a word in each one's ear.
type crowd struct {
	t     *testing.T
	net   mocknet.Mocknet
	nodes []*crowdNode
	stop  func()
	all   sync.WaitGroup

	syncBytes, pushBytes, writes, dials atomic.Int64
}

type crowdNode struct {
	host.Host // counts what its streams carry
	crowd     *crowd
	n         int
	private   ed25519.PrivateKey
	key       record.Key
	peers     *peers
	set       *replica.Set
	syncer    *replica.Syncer
	running   gate
	gossip    *gossip
}

// inCrowd runs test in a bubble with n nodes, none of which knows another.
func inCrowd(t *testing.T, n int, test func(c *crowd)) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, net: mocknet.New()}
		c.net.SetLinkDefaults(mocknet.LinkOptions{Latency: 2 * time.Millisecond})
		for i := range n {
			seed := sha256.Sum256(fmt.Append(nil, "crowd ", i))
			key := ed25519.NewKeyFromSeed(seed[:])
			private, err := crypto.UnmarshalEd25519PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			h, err := c.net.AddPeer(private, ma.StringCast(fmt.Sprintf("/ip4/%s/tcp/9472", crowdAddr(i))))
			if err != nil {
				t.Fatal(err)
			}
			h.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, conn network.Conn) {
				if conn.Stat().Direction == network.DirOutbound {
					c.dials.Add(1)
				}
			}})
			c.nodes = append(c.nodes, &crowdNode{Host: h, crowd: c, n: i, private: key, key: record.Key(key.Public().(ed25519.PublicKey))})
		}
		ctx, stop := context.WithCancel(context.Background())
		for _, n := range c.nodes {
			n.start(ctx)
		}
		test(c)
		stop()
		for _, n := range c.nodes {
			n.running.shut()
		}
		c.all.Wait()
		if err := c.net.Close(); err != nil {
			t.Error(err)
		}
	})
}

func crowdAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(1 + i%250)})
}

func addrPorts(a netip.Addr) []netip.AddrPort { return []netip.AddrPort{netip.AddrPortFrom(a, 9472)} }

func (n *crowdNode) start(ctx context.Context) {
	t := n.crowd.t
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if n.set, err = replica.Open(memlog.New(), replica.Options{Pusher: n}); err != nil {
		t.Fatal(err)
	}
	if n.gossip, err = newGossip(ctx, n, &n.running, n.set.Receive); err != nil {
		t.Fatal(err)
	}
	n.syncer = replica.NewSyncer(n.set, syncStreams{streams{n, syncProtocol}}, replica.SyncOptions{Self: n.key})
	n.peers = newPeers(n, n.key, newBroadcast(), quiet)
	n.peers.up, n.peers.down = n.syncer.PeerUp, n.syncer.PeerDown
	for _, f := range []func(context.Context) error{n.set.Run, n.syncer.Run, n.gossip.run, n.peers.run} {
		n.crowd.all.Go(func() {
			if err := f(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	(&Node{host: n, log: quiet}).serve(ctx, syncProtocol, func(ctx context.Context, k record.Key, s stream) error {
		return n.syncer.Serve(ctx, k, s)
	})
}

// Push implements replica.Pusher as the node's own pusher does.
func (n *crowdNode) Push(ctx context.Context, raw []byte) error {
	if err := n.gossip.Push(ctx, raw); err != nil {
		return err
	}
	if n.gossip.audience() < n.peers.connected() {
		return errDeaf
	}
	return nil
}

// hears has discovery tell the node of others, one after the other within a second.
func (n *crowdNode) hears(others ...*crowdNode) {
	for _, i := range rand.Perm(len(others)) {
		o := others[i]
		time.AfterFunc(rand.N(time.Second), func() {
			n.peers.Found(discovery.Peer{ID: o.key.String(), Name: "box", Addrs: addrPorts(crowdAddr(o.n))})
		})
	}
}

// meet lays links between all of one side and all of the other, and has each told of
// the others.
func (c *crowd) meet(some, others []*crowdNode) {
	for _, a := range some {
		for _, b := range others {
			if a.n < b.n || !slices.Contains(some, b) {
				if _, err := c.net.LinkPeers(a.ID(), b.ID()); err != nil {
					c.t.Fatal(err)
				}
			}
		}
	}
	tell := func(a *crowdNode, others []*crowdNode) {
		a.hears(slices.DeleteFunc(slices.Clone(others), func(o *crowdNode) bool { return o == a })...)
	}
	for _, a := range some {
		tell(a, others)
	}
	if &some[0] == &others[0] {
		return
	}
	for _, b := range others {
		tell(b, some)
	}
}

// publish has a node say something, and returns it.
func (n *crowdNode) publish(count int) {
	var recs []*record.Record
	for i := range count {
		r, err := record.Sign(n.private, record.Draft{
			Created: time.Now(), Life: 24 * time.Hour, Body: record.Message{Room: "lobby", Text: fmt.Sprint("node ", n.n, " says ", i, rand.Int64())},
		})
		if err != nil {
			n.crowd.t.Fatal(err)
		}
		recs = append(recs, r)
	}
	if err := n.set.Publish(context.Background(), recs...); err != nil {
		n.crowd.t.Fatal(err)
	}
}

// untilAll waits until every node holds so many records, and says how long that took.
func (c *crowd) untilAll(records int) time.Duration {
	const limit = 10 * time.Minute
	began := time.Now()
	for {
		lacking := 0
		for _, n := range c.nodes {
			if n.set.Len() != records {
				lacking++
			}
		}
		if lacking == 0 {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			c.t.Fatalf("%d of %d nodes do not hold all %d records after %v", lacking, len(c.nodes), records, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// traffic is what all nodes together sent.
type traffic struct{ syncBytes, pushBytes, writes, dials int64 }

func (c *crowd) traffic() traffic {
	return traffic{c.syncBytes.Load(), c.pushBytes.Load(), c.writes.Load(), c.dials.Load()}
}

func (t traffic) since(before traffic) traffic {
	return traffic{t.syncBytes - before.syncBytes, t.pushBytes - before.pushBytes, t.writes - before.writes, t.dials - before.dials}
}

func (t traffic) bytes() int64 { return t.syncBytes + t.pushBytes }

// NewStream and SetStreamHandler implement host.Host.
func (n *crowdNode) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	s, err := n.Host.NewStream(ctx, p, ids...)
	if err != nil {
		return nil, err
	}
	return countedStream{s, n.crowd}, nil
}

func (n *crowdNode) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	n.Host.SetStreamHandler(id, func(s network.Stream) { handle(countedStream{s, n.crowd}) })
}

type countedStream struct {
	network.Stream
	crowd *crowd
}

func (s countedStream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	s.crowd.writes.Add(1)
	if s.Protocol() == syncProtocol {
		s.crowd.syncBytes.Add(int64(n))
	} else {
		s.crowd.pushBytes.Add(int64(n))
	}
	return n, err
}
