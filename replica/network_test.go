package replica_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/replica/testdata/memlog"
)

// network is nodes and the links between them, all in memory.
type network struct {
	t     *testing.T
	nodes []*node

	mu    sync.Mutex
	links map[[2]int]*link
	// bytes counts what went over all links.
	bytes atomic.Int64
}

// link is a connection of two nodes.
type link struct {
	pipes []net.Conn
}

// node is one node: its disk outlives it.
type node struct {
	network *network
	n       int
	log     replica.Log
	options replica.Options
	sync    replica.SyncOptions

	mu     sync.Mutex
	set    *replica.Set
	syncer *replica.Syncer
	ctx    context.Context // of what is served; tests end it to stop the node
	stop   func()
	served sync.WaitGroup
}

func newNetwork(t *testing.T, nodes int) *network {
	w := &network{t: t, links: make(map[[2]int]*link)}
	for i := range nodes {
		w.nodes = append(w.nodes, &node{network: w, n: i, log: memlog.New()})
	}
	return w
}

// start opens every node's set and runs it.
func (w *network) start() *network {
	for _, n := range w.nodes {
		n.start()
	}
	return w
}

// stop ends every node and waits for all that runs.
func (w *network) stop() {
	for i := range w.nodes {
		for j := range i {
			w.cut(i, j)
		}
	}
	for _, n := range w.nodes {
		n.halt()
	}
}

func (n *node) start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.set = open(n.network.t, n.log, n.options)
	o := n.sync
	o.Self = public(n.n)
	n.syncer = replica.NewSyncer(n.set, n, o)
	ctx, cancel := context.WithCancel(n.network.t.Context())
	n.ctx = ctx
	stopSet, stopSync := run(n.network.t, n.set.Run), run(n.network.t, n.syncer.Run)
	n.stop = func() {
		cancel()
		stopSync()
		n.served.Wait()
		stopSet()
	}
}

// halt stops a node as if it were switched off. Its links must be cut before.
func (n *node) halt() {
	if n.stop == nil {
		return
	}
	n.stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stop, n.set, n.syncer = nil, nil, nil
}

func pairOf(i, j int) [2]int { return [2]int{min(i, j), max(i, j)} }

// join lays a link between two nodes and reports whether there was none.
func (w *network) join(i, j int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, joined := w.links[pairOf(i, j)]
	if !joined {
		w.links[pairOf(i, j)] = &link{}
	}
	return !joined
}

// connect joins two nodes and tells both.
func (w *network) connect(i, j int) {
	if w.join(i, j) {
		w.nodes[i].syncer.PeerUp(public(j))
		w.nodes[j].syncer.PeerUp(public(i))
	}
}

// cut breaks a link and every stream on it.
func (w *network) cut(i, j int) {
	w.mu.Lock()
	l, joined := w.links[pairOf(i, j)]
	delete(w.links, pairOf(i, j))
	w.mu.Unlock()
	if !joined {
		return
	}
	for _, p := range l.pipes {
		_ = p.Close()
	}
	w.nodes[i].syncer.PeerDown(public(j))
	w.nodes[j].syncer.PeerDown(public(i))
}

func (n *node) Peers() []record.Key {
	n.network.mu.Lock()
	defer n.network.mu.Unlock()
	var keys []record.Key
	for p := range n.network.links {
		if p[0] == n.n {
			keys = append(keys, public(p[1]))
		} else if p[1] == n.n {
			keys = append(keys, public(p[0]))
		}
	}
	return keys
}

func (n *node) Open(_ context.Context, k record.Key) (replica.Stream, error) {
	w := n.network
	at := slices.IndexFunc(w.nodes, func(other *node) bool { return public(other.n) == k })
	if at < 0 {
		return nil, errors.New("no such node")
	}
	here, there := net.Pipe()
	w.mu.Lock()
	l, joined := w.links[pairOf(n.n, at)]
	if joined {
		l.pipes = append(l.pipes, here, there)
	}
	w.mu.Unlock()
	if !joined {
		return nil, errors.New("no link")
	}
	other := w.nodes[at]
	other.mu.Lock()
	defer other.mu.Unlock()
	if other.syncer == nil {
		return nil, errors.New("node is off")
	}
	y, ctx := other.syncer, other.ctx
	other.served.Go(func() { _ = y.Serve(ctx, public(n.n), counted{there, &w.bytes}) })
	return counted{here, &w.bytes}, nil
}

// counted counts what is written.
type counted struct {
	net.Conn
	bytes *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.bytes.Add(int64(n))
	return n, err
}

// holdings lists every record of a node.
func (n *node) holdings() map[record.ID]bool {
	held := make(map[record.ID]bool)
	for _, kind := range []record.Kind{record.KindFile, record.KindMessage, record.KindPost, record.KindTakedown, record.KindCard} {
		for cursor := (replica.Cursor{}); ; {
			page, err := n.set.Newest(kind, cursor, 500)
			if err != nil {
				n.network.t.Fatal(err)
			}
			for _, r := range page {
				held[r.ID()] = true
			}
			if len(page) < 500 {
				break
			}
			cursor = replica.CursorOf(page[len(page)-1])
		}
	}
	if len(held) != n.set.Len() {
		n.network.t.Errorf("node %d: %d records by kind, %d in all", n.n, len(held), n.set.Len())
	}
	return held
}

// alike fails unless all nodes hold the same, and returns it.
func (w *network) alike() map[record.ID]bool {
	w.t.Helper()
	first := w.nodes[0].holdings()
	for _, n := range w.nodes[1:] {
		if held := n.holdings(); !maps.Equal(held, first) {
			w.t.Errorf("node %d holds %d records, node 0 %d", n.n, len(held), len(first))
		}
	}
	return first
}

func messages(t testing.TB, author, from, n int) []*record.Record {
	t.Helper()
	var recs []*record.Record
	for i := range n {
		at := time.Now().Add(-time.Duration(from+i) * time.Second)
		recs = append(recs, message(t, author, at, "r", fmt.Sprint(author, " ", from+i)))
	}
	return recs
}

func TestTwoNodesBecomeAlike(t *testing.T) {
	for _, c := range []struct{ here, there, both int }{
		{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {700, 0, 0}, {0, 700, 0}, {30, 40, 500}, {5, 0, 1000}, {0, 5, 1000}, {2100, 10, 50}, {10, 2100, 50},
	} {
		t.Run(fmt.Sprintf("%d here, %d there, %d both", c.here, c.there, c.both), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork(t, 2).start()
				defer w.stop()
				both := messages(t, 9, 0, c.both)
				add(t, w.nodes[0].set, nil, append(messages(t, 0, 3, c.here), both...)...)
				add(t, w.nodes[1].set, nil, append(messages(t, 1, 0, c.there), both...)...)
				w.connect(0, 1)
				pass(time.Second)
				if held := w.alike(); len(held) != c.here+c.there+c.both {
					t.Errorf("%d records", len(held))
				}
			})
		})
	}
}
