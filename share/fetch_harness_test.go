package share_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boucan/record"
	"boucan/share"
	"boucan/share/dropdir"
	"boucan/store"
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

// box is one node's blobs on a disk of its own.
type box struct {
	t       testing.TB
	n       *network
	key     record.Key
	dir     string // holds store/ and files/
	reserve int64
	follow  bool // Run follows the folder too
	logs    *logbook
	blobs   *share.Blobs
	stop    func()

	mu      sync.Mutex
	arrived []record.CID
}

func newBox(n *network) *box {
	b := &box{t: n.t, n: n, key: newKey(), dir: n.t.TempDir(), logs: &logbook{}}
	b.start()
	n.t.Cleanup(func() { b.stop() })
	return b
}

// start opens the box and runs it until stop.
func (b *box) start() {
	b.t.Helper()
	db, err := store.Open(filepath.Join(b.dir, "store"), store.Options{CacheBytes: 8 << 20})
	if err != nil {
		b.t.Fatal(err)
	}
	dir, err := dropdir.Open(filepath.Join(b.dir, "files"), dropdir.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.blobs, err = share.Open(dir, db.Table(store.Blobs), view{b.n, b.key}, b, share.Options{
		Logger: slog.New(b.logs), Reserve: b.reserve,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.n.mu.Lock()
	b.n.nodes[b.key] = b.blobs.Serve
	b.n.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		run := b.blobs.RunFetching
		if b.follow {
			run = b.blobs.Run
		}
		if err := run(ctx); err != nil {
			b.t.Errorf("run: %v", err)
		}
	})
	b.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		b.n.mu.Lock()
		delete(b.n.nodes, b.key)
		for s := range b.n.streams {
			if s.to == b.key {
				s.cut()
			}
		}
		b.n.mu.Unlock()
		b.n.serving.Wait()
		if err := dir.Close(); err != nil {
			b.t.Error(err)
		}
		if err := db.Close(); err != nil {
			b.t.Error(err)
		}
	})
}

func (b *box) Appeared(context.Context, []share.File) error { return nil }
func (b *box) Vanished(context.Context, []share.File) error { return nil }
func (b *box) Arrived(_ context.Context, cids []record.CID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arrived = append(b.arrived, cids...)
	return nil
}

// drop puts bytes into a box as a visitor would, and returns what others want.
func (b *box) drop(name string, data []byte) share.Wanted {
	b.t.Helper()
	return b.dropReader(name, bytes.NewReader(data))
}

func (b *box) dropReader(name string, r io.Reader) share.Wanted {
	b.t.Helper()
	d, err := b.blobs.Drop(context.Background(), name, r)
	if err != nil {
		b.t.Errorf("drop %s: %v", name, err)
	}
	return share.Wanted{CID: d.CID, Size: d.Size, Name: d.Name, From: b.key}
}

// dropMany drops files 0 to n-1, many at a time so that they share syncs.
func (b *box) dropMany(n int, file func(i int) (name string, data []byte)) []share.Wanted {
	ws := make([]share.Wanted, n)
	var dropping sync.WaitGroup
	next := make(chan int)
	for range min(n, 128) {
		dropping.Go(func() {
			for i := range next {
				name, data := file(i)
				ws[i] = b.drop(name, data)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	dropping.Wait()
	return ws
}

// read returns the bytes of a blob at a box.
func (b *box) read(cid record.CID) []byte {
	b.t.Helper()
	f, _, err := b.blobs.Open(cid)
	if err != nil {
		b.t.Fatalf("open %v: %v", cid, err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

// has reports whether all of these are whole at the box and told of.
func (b *box) has(ws ...share.Wanted) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	told := make(map[record.CID]bool, len(b.arrived))
	for _, cid := range b.arrived {
		told[cid] = true
	}
	for _, w := range ws {
		if !told[w.CID] || !b.blobs.Has(w.CID) {
			return false
		}
	}
	return true
}

// wait waits until cond holds, in the time of the bubble, and says how long it
// took.
func wait(t testing.TB, most time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for step := time.Millisecond; !cond(); step = min(2*step, time.Second) {
		if time.Since(began) > most {
			t.Fatalf("waited %v in vain: %s", most, what)
		}
		time.Sleep(step)
	}
	return time.Since(began)
}

// corrupt changes one byte of a blob's file behind the box's back, as a bad disk
// would: size and times stay.
func (b *box) corrupt(cid record.CID, at int64) {
	b.t.Helper()
	path, ok := b.blobs.Path(cid)
	if !ok {
		b.t.Fatalf("%v is not here", cid)
	}
	path = filepath.Join(b.dir, "files", filepath.FromSlash(path))
	info, err := os.Stat(path)
	if err != nil {
		b.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	var one [1]byte
	if _, err := f.ReadAt(one[:], at); err != nil {
		b.t.Fatal(err)
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one[:], at); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		b.t.Fatal(err)
	}
}

// noise is size bytes that nothing else has.
func noise(seed uint64, size int) []byte {
	var key [32]byte
	key[0], key[1], key[2], key[3] = byte(seed), byte(seed>>8), byte(seed>>16), byte(size)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// manifestOf computes what a peer that has data would send.
func manifestOf(data []byte) share.Manifest {
	h := share.NewHasher()
	_, _ = h.Write(data) // never fails
	return h.Manifest()
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// logbook keeps the lines that an operator sees.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *logbook) WithGroup(string) slog.Handler                    { return l }
func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, r.Message)
	return nil
}

// count is how often a line with these words was written.
func (l *logbook) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.lines {
		if strings.Contains(line, words) {
			n++
		}
	}
	return n
}

func (l *logbook) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}
