package share_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"boucan/record"
	"boucan/share"
)

// network connects boxes and hostile peers by pipes, or by loopback TCP.
type network struct {
	t       testing.TB
	tcp     bool
	mu      sync.Mutex
	nodes   map[record.Key]serve
	links   map[link]bool
	streams map[*tap]struct{}
	wires   []*tap // all that ever were
	serving sync.WaitGroup
	tap     func(*tap) // looks at every stream before it is used
}

// serve answers a stream as some node does.
type serve func(ctx context.Context, peer record.Key, s share.Stream) error

type link struct{ a, b record.Key }

func newNetwork(t testing.TB) *network {
	n := &network{t: t, nodes: map[record.Key]serve{}, links: map[link]bool{}, streams: map[*tap]struct{}{}}
	t.Cleanup(n.close)
	return n
}

func (n *network) close() {
	n.mu.Lock()
	for s := range n.streams {
		s.cut()
	}
	n.mu.Unlock()
	n.serving.Wait()
}

// tap is one stream, as the side that opened it holds it. It counts, and may
// break or change what passes.
type tap struct {
	net.Conn // of the opening side
	far      net.Conn
	from, to record.Key
	sent     atomic.Int64 // bytes of the opening side
	got      atomic.Int64 // bytes it received
	breakAt  int64        // bytes received after which the stream breaks, 0 for never
	bend     func(at int64, p []byte)
	done     func()
}

func (s *tap) cut() {
	s.Conn.Close()
	s.far.Close()
}

func (s *tap) Read(p []byte) (int, error) {
	if s.breakAt > 0 {
		left := s.breakAt - s.got.Load()
		if left <= 0 {
			s.cut()
			return 0, io.ErrClosedPipe
		}
		p = p[:min(int64(len(p)), left)]
	}
	n, err := s.Conn.Read(p)
	if s.bend != nil {
		s.bend(s.got.Load(), p[:n])
	}
	s.got.Add(int64(n))
	return n, err
}

func (s *tap) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	s.sent.Add(int64(n))
	return n, err
}

func (s *tap) Close() error {
	defer s.done()
	return s.Conn.Close()
}

// view is the network as one node sees it: a share.Streams.
type view struct {
	n    *network
	self record.Key
}

func (v view) Peers() []record.Key {
	v.n.mu.Lock()
	defer v.n.mu.Unlock()
	var keys []record.Key
	for l := range v.n.links {
		if l.a == v.self {
			keys = append(keys, l.b)
		}
	}
	return keys
}

func (v view) Open(ctx context.Context, peer record.Key) (share.Stream, error) {
	n := v.n
	n.mu.Lock()
	defer n.mu.Unlock()
	answer := n.nodes[peer]
	if !n.links[link{v.self, peer}] || answer == nil {
		return nil, fmt.Errorf("no link to %v", peer.Short())
	}
	near, far, err := n.pair()
	if err != nil {
		return nil, err
	}
	s := &tap{Conn: near, far: far, from: v.self, to: peer}
	s.done = sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.streams, s)
	})
	if n.tap != nil {
		n.tap(s)
	}
	n.streams[s] = struct{}{}
	n.wires = append(n.wires, s)
	n.serving.Go(func() {
		defer far.Close()
		_ = answer(context.Background(), v.self, far) // how streams end is seen at the other side
	})
	return s, nil
}

// pair is a new connection.
func (n *network) pair() (near, far net.Conn, err error) {
	if !n.tcp {
		near, far = net.Pipe()
		return near, far, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	far, err = l.Accept()
	return near, far, err
}

// received is how many bytes have come to a node, and how many it sent, over
// the streams that it opened.
func (n *network) received(by record.Key) (got, sent int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.wires {
		if s.from == by {
			got, sent = got+s.got.Load(), sent+s.sent.Load()
		}
	}
	return got, sent
}

// opened is how many streams went from one node to another.
func (n *network) opened(from, to record.Key) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, s := range n.wires {
		if s.from == from && s.to == to {
			count++
		}
	}
	return count
}

func (n *network) setLink(a, b record.Key, up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if up {
		n.links[link{a, b}], n.links[link{b, a}] = true, true
		return
	}
	delete(n.links, link{a, b})
	delete(n.links, link{b, a})
	for s := range n.streams {
		if (s.from == a && s.to == b) || (s.from == b && s.to == a) {
			s.cut()
		}
	}
}

// connect makes boxes meet.
func (n *network) connect(a, b *box) {
	n.setLink(a.key, b.key, true)
	a.blobs.PeerUp(b.key)
	b.blobs.PeerUp(a.key)
}

// part takes boxes apart.
func (n *network) part(a, b *box) {
	n.setLink(a.key, b.key, false)
	a.blobs.PeerDown(b.key)
	b.blobs.PeerDown(a.key)
}

// hostile adds a peer that answers as it likes, connected to a box.
func (n *network) hostile(b *box, answer serve) record.Key {
	key := newKey()
	n.mu.Lock()
	n.nodes[key] = answer
	n.mu.Unlock()
	n.setLink(b.key, key, true)
	b.blobs.PeerUp(key)
	return key
}

// ask opens a stream to a box as a peer of that key would.
func (n *network) ask(from record.Key, b *box) share.Stream {
	n.t.Helper()
	n.setLink(from, b.key, true)
	s, err := view{n, from}.Open(context.Background(), b.key)
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

var keys atomic.Uint32

func newKey() (k record.Key) {
	k[0], k[1] = byte(keys.Add(1)), byte(keys.Load()>>8)
	return k
}
