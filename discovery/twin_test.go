package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// air is a twin of the world's networks, made of channels: what one host sends
// on a segment, all hosts with an interface there hear, the sender too.
type air struct {
	mu      sync.Mutex
	hosts   []*machine
	lost    func(to *machine, port uint16) bool           // nil loses nothing
	frames  map[uint16]int                                // sent on other than loopback interfaces, by destination port
	largest int                                           // payload, in bytes
	tap     func(from *wire, b []byte, to netip.AddrPort) // hears what is sent on other than loopback interfaces; may be nil
}

func newAir() *air { return &air{frames: map[uint16]int{}} }

// sent counts the frames so far by destination port.
func (w *air) sent() map[uint16]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.frames)
}

// machine is a host with interfaces; several nodes may run on it.
type machine struct {
	air      *air
	links    []iface
	segments map[int]string // by interface index
	conns    []*wire
	watchers []chan struct{}
	nextPort uint16
	deaf     bool // multicast cannot be joined
}

// wire is one socket of a machine.
type wire struct {
	host   *machine
	port   uint16
	v6     bool
	index  int // of an mDNS socket, else 0
	in     chan datagram
	done   chan struct{}
	broken chan struct{} // closed when the system fails it
}

type datagram struct {
	b []byte
	a arrival
}

// host adds a machine with nothing but a loopback interface.
func (w *air) host() *machine {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := &machine{air: w, segments: map[int]string{}, nextPort: 40000}
	h.links = []iface{{
		index: 1, name: "lo", mtu: 65536, loopback: true, addrs: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")},
	}}
	h.segments[1] = fmt.Sprint("lo of ", len(w.hosts))
	w.hosts = append(w.hosts, h)
	return h
}

// plug gives the machine an interface on a segment. It replaces one of that
// index.
func (h *machine) plug(index int, segment string, addrs ...string) *machine {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	i := iface{index: index, name: fmt.Sprint("eth", index-2), mtu: 1500, multicast: true, broadcast: true}
	for _, a := range addrs {
		i.addrs = append(i.addrs, netip.MustParsePrefix(a))
	}
	slices.SortFunc(i.addrs, netip.Prefix.Compare)
	h.links = slices.DeleteFunc(h.links, func(o iface) bool { return o.index == index })
	h.links = append(h.links, i)
	h.segments[index] = segment
	h.changed()
	return h
}

func (h *machine) unplug(index int) {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	h.links = slices.DeleteFunc(h.links, func(o iface) bool { return o.index == index })
	delete(h.segments, index)
	h.changed()
}

// move puts an interface on another segment without the machine noticing.
func (h *machine) move(index int, segment string) {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	h.segments[index] = segment
}

func (h *machine) changed() {
	for _, c := range h.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (h *machine) interfaces() ([]iface, error) {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	return slices.Clone(h.links), nil
}

func (h *machine) watch(context.Context) (<-chan struct{}, <-chan struct{}) {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	changed, done := make(chan struct{}, 1), make(chan struct{})
	close(done) // it has no goroutine
	h.watchers = append(h.watchers, changed)
	return changed, done
}

var errDeaf = errors.New("multicast is not there")

func (h *machine) openMDNS(_ context.Context, i iface, v6 bool) (conn, error) {
	if h.deaf {
		return nil, errDeaf
	}
	return h.open(mdnsPort, v6, i.index), nil
}

func (h *machine) openBeacon(_ context.Context, port uint16, v6 bool) (conn, error) {
	return h.open(port, v6, 0), nil
}

func (h *machine) open(port uint16, v6 bool, index int) *wire {
	h.air.mu.Lock()
	defer h.air.mu.Unlock()
	if port == 0 {
		port = h.nextPort
		h.nextPort++
	}
	c := &wire{host: h, port: port, v6: v6, index: index, in: make(chan datagram, 512), done: make(chan struct{}), broken: make(chan struct{})}
	h.conns = append(h.conns, c)
	return c
}

func (c *wire) read(b []byte) (int, arrival, error) {
	select {
	case d := <-c.in:
		return copy(b, d.b), d.a, nil
	case <-c.done:
		return 0, arrival{}, net.ErrClosed
	case <-c.broken:
		return 0, arrival{}, errBroken
	}
}

var errBroken = errors.New("socket is broken")

func (c *wire) close() error {
	c.host.air.mu.Lock()
	defer c.host.air.mu.Unlock()
	if i := slices.Index(c.host.conns, c); i >= 0 {
		c.host.conns = slices.Delete(c.host.conns, i, i+1)
		close(c.done)
	}
	return nil
}

func (c *wire) write(b []byte, to netip.AddrPort, index int) error {
	w := c.host.air
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(c.host.links, func(o iface) bool { return o.index == index })
	if i < 0 {
		return errors.New("no such interface")
	}
	from := netip.Addr{}
	for _, p := range c.host.links[i].addrs {
		if p.Addr().Is6() == c.v6 {
			from = p.Addr()
			break
		}
	}
	if !from.IsValid() {
		return errors.New("no address to speak from")
	}
	segment := c.host.segments[index]
	if !c.host.links[i].loopback {
		w.frames[to.Port()]++
		w.largest = max(w.largest, len(b))
		if w.tap != nil {
			w.tap(c, b, to)
		}
	}
	d := datagram{b: slices.Clone(b), a: arrival{from: netip.AddrPortFrom(from, c.port)}}
	for _, h := range w.hosts {
		for _, l := range h.links {
			if h.segments[l.index] == segment && (w.lost == nil || h == c.host || !w.lost(h, to.Port())) {
				h.deliver(d, to, l)
			}
		}
	}
	return nil
}

// deliver puts a datagram into the sockets of one interface that are to get it.
func (h *machine) deliver(d datagram, to netip.AddrPort, l iface) {
	all := to.Addr().IsMulticast() || isBroadcast(to.Addr())
	if !all && !slices.ContainsFunc(l.addrs, func(p netip.Prefix) bool { return p.Addr() == to.Addr() }) {
		return
	}
	d.a.index, d.a.direct = l.index, !all
	for _, c := range h.conns {
		if c.port != to.Port() || c.v6 != to.Addr().Is6() || (c.index != 0 && c.index != l.index) {
			continue
		}
		select {
		case c.in <- d:
		default: // as a kernel drops
		}
		if !all {
			return
		}
	}
}

// ears is a Listener that notes what it is told, and that it is told one thing
// at a time.
type ears struct {
	t     *testing.T
	began time.Time
	busy  atomic.Bool
	mu    sync.Mutex
	peers map[string]Peer
	found map[string]int
	gone  map[string]int
	at    map[string]time.Duration // of the last event of each peer
	held  map[string]bool
}

func newEars(t *testing.T) *ears {
	return &ears{
		t: t, began: time.Now(), peers: map[string]Peer{}, found: map[string]int{}, gone: map[string]int{},
		at: map[string]time.Duration{}, held: map[string]bool{},
	}
}

func (e *ears) alone() func() {
	if !e.busy.CompareAndSwap(false, true) {
		e.t.Error("Listener was called twice at a time")
	}
	e.mu.Lock()
	return func() { e.mu.Unlock(); e.busy.Store(false) }
}

func (e *ears) Found(p Peer) {
	defer e.alone()()
	if len(p.Addrs) == 0 {
		e.t.Errorf("peer %s was found nowhere", p.ID)
	}
	e.peers[p.ID] = p
	e.found[p.ID]++
	e.at[p.ID] = time.Since(e.began)
}

func (e *ears) Gone(id string) {
	defer e.alone()()
	if _, ok := e.peers[id]; !ok {
		e.t.Errorf("peer %s is gone and was not there", id)
	}
	delete(e.peers, id)
	e.gone[id]++
	e.at[id] = time.Since(e.began)
}

func (e *ears) Alive(id string) bool {
	defer e.alone()()
	return e.held[id]
}

func (e *ears) hold(id string, held bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held[id] = held
}

// peer is what is known of a peer now.
func (e *ears) peer(id string) (Peer, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.peers[id]
	return p, ok
}

func (e *ears) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.peers)
}

func (e *ears) goneCount(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gone[id]
}

// running is a node that runs in a bubble.
type running struct {
	*Service
	ears *ears
	self Self
	stop func() // and wait
}

func testSelf(n int) Self {
	return Self{
		ID: fmt.Sprintf("NODE%08d", n), Instance: fmt.Sprintf("first%d", n), Name: fmt.Sprintf("Box %d", n),
		Port: uint16(4000 + n%1000), HTTPPort: 8080, Protocol: "boucan/1",
	}
}

func (h *machine) run(t *testing.T, self Self, o Options) *running {
	t.Helper()
	r := &running{ears: newEars(t), self: self}
	r.Service = newService(self, r.ears, o, h)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	r.stop = func() { cancel(); <-done }
	t.Cleanup(r.stop)
	return r
}

// kill makes the machine mute and deaf, and only then ends the node.
func (h *machine) kill(r *running) {
	h.air.mu.Lock()
	h.segments, h.links = map[int]string{}, nil
	h.air.mu.Unlock()
	r.stop()
}

// within waits at most d of the bubble's time for something to become true and
// returns how long that took.
func within(t *testing.T, d time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		synctest.Wait()
		if took := time.Since(began); ok() {
			return took
		} else if took >= d {
			t.Fatalf("no %s within %v", what, d)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *running) finds(t *testing.T, d time.Duration, self Self) time.Duration {
	t.Helper()
	return within(t, d, "contact", func() bool {
		p, ok := r.ears.peer(self.ID)
		return ok && p.Instance == self.Instance
	})
}

func (r *running) loses(t *testing.T, d time.Duration, self Self) time.Duration {
	t.Helper()
	return within(t, d, "loss", func() bool { _, ok := r.ears.peer(self.ID); return !ok })
}

// logs collects log messages.
type logs struct {
	mu    sync.Mutex
	count map[string]int
}

func newLogs() *logs { return &logs{count: map[string]int{}} }

func (l *logs) Enabled(context.Context, slog.Level) bool { return true }
func (l *logs) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logs) WithGroup(string) slog.Handler            { return l }

func (l *logs) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count[r.Message]++
	return nil
}

func (l *logs) of(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count[message]
}
