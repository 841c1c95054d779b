// Package discovery owns the question who is near: it announces this node on
// every interface and tells a [Listener] which others it hears, at which
// addresses, and which are gone.
//
// It speaks on two paths. The first is multicast DNS (RFC 6762) with service
// discovery (RFC 6763): a small responder and querier of its own that shares
// port 5353 with whatever else the machine runs, so that any Bonjour browser
// lists the box and its web page. The second is a UDP beacon to the local
// broadcast address and to ff02::1, for networks that swallow mDNS; it also
// carries the heartbeat by which a peer's silence is noticed. The wire format is
// described in spec/discovery.md. A node of a circle uses the second path alone,
// and seals what it says there.
//
// The package knows no libp2p, no keys and no records: an id is a string, and
// whoever dials must prove who answers. Everything it hears is hearsay from
// whoever is in range.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"boucan/record"
)

// Limits of what is announced and of what is remembered.
const (
	MaxID       = 64                 // bytes of an id, of [0-9A-Za-z_-]
	MaxInstance = 32                 // bytes of an instance, of the same characters
	maxName     = record.MaxNodeName // bytes of a name
	maxProtocol = 32                 // bytes of a protocol name

	// MaxPeers is how many peers are tracked. Beyond it, newcomers take the
	// places of peers that the transport never held.
	MaxPeers          = 512
	maxPeersPerLink   = 384 // of them heard by one interface
	maxPeersPerSource = 16  // of them heard from one address
	maxAddrs          = 16  // addresses of one peer
	maxLabels         = 4   // mDNS names of one peer
	maxLinks          = 32  // interfaces spoken on
)

// Self is what a node says of itself.
type Self struct {
	// ID names the node: 1 to MaxID characters of [0-9A-Za-z_-].
	ID string
	// Instance is fresh at each start, by which peers see a restart: 1 to
	// MaxInstance characters of the same set.
	Instance string
	// Name is for people and may be empty; what is too long or not fit to be
	// shown is cut away.
	Name string
	// Port is the TCP port of the transport.
	Port uint16
	// HTTPPort is the TCP port of the web page, 0 where none is to be listed.
	HTTPPort uint16
	// Protocol names the transport's protocol and may be empty: at most 32
	// characters of printable ASCII.
	Protocol string
}

func (s *Self) check() error {
	switch {
	case !validToken(s.ID, MaxID):
		return errors.New("id is empty, too long or has other characters than [0-9A-Za-z_-]")
	case !validToken(s.Instance, MaxInstance):
		return errors.New("instance is empty, too long or has other characters than [0-9A-Za-z_-]")
	case s.Port == 0:
		return errors.New("transport has no port")
	case len(s.Protocol) > maxProtocol || record.CleanLine(s.Protocol, maxProtocol) != s.Protocol:
		return errors.New("protocol is too long or not one line")
	}
	return nil
}

// Peer is another node as it is heard. Nothing of it is proven.
type Peer struct {
	ID       string // 1 to MaxID characters of [0-9A-Za-z_-]
	Instance string // another one means that the node was started anew
	Name     string // one clean line for people, may be empty
	// Addrs are the addresses of its transport, at least one, sorted. Those of
	// IPv6 link-local carry the index of the interface as their zone, in
	// decimal: a name would be looked up in a table that the standard library
	// keeps for a minute, and an interface that was plugged in anew would not be
	// reached for that long.
	Addrs []netip.AddrPort
}

// Listener is told who is near. Its methods are called from Run's goroutine
// only, one at a time and in order, and must return soon: while one runs,
// nothing is announced and nothing heard.
type Listener interface {
	// Found is called for a peer that was not known, and again when its
	// instance, name or addresses change; at most once a second for one peer.
	// The Peer is the callee's own.
	Found(Peer)
	// Gone is called once for a peer that said goodbye or fell silent. Found
	// may follow again.
	Gone(id string)
	// Alive reports whether the transport still holds the peer. While it does,
	// the peer is not gone.
	Alive(id string) bool
}

// Options change how a Service works. The zero value suits a box.
type Options struct {
	Logger *slog.Logger // nil discards
	// Sealer makes the node one of a circle: it announces itself to those who have
	// the same sealer, and nothing to anybody else. mDNS is neither spoken nor
	// heard then. Nil for the open mesh.
	Sealer Sealer
	// Clock is the time by which sealed announcements are told from recordings of
	// them; nil for the system's. A wrong one delays contact by seconds. It is
	// called from Run's goroutine.
	Clock func() time.Time
	// Use says which interfaces to speak on, by name; nil means all. It is
	// called from Run's goroutine.
	Use func(name string) bool
}

// Service announces one node and listens for others.
type Service struct {
	self     Self
	listener Listener
	options  Options
	net      network
	log      *slog.Logger
	rename   chan string // holds the newest name not yet announced
}

// New prepares a Service. Run makes it work.
func New(self Self, l Listener, o Options) *Service {
	return newService(self, l, o, system{})
}

func newService(self Self, l Listener, o Options, n network) *Service {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Service{self: self, listener: l, options: o, net: n, log: o.Logger, rename: make(chan string, 1)}
}

// SetName changes the name that is announced. It may be called from any
// goroutine, before or while Run works, and does not wait.
func (s *Service) SetName(name string) {
	for {
		select {
		case s.rename <- name:
			return
		default:
		}
		select {
		case <-s.rename: // an older name that nobody heard
		default:
		}
	}
}

// Run announces and listens until ctx ends, then says goodbye, which takes less
// than half a second, and returns nil. It fails at once where Self breaks a
// limit. What the machine refuses it (a socket, a multicast group) is logged,
// done without and tried again. It is called once.
func (s *Service) Run(ctx context.Context) error {
	if err := s.self.check(); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	newEngine(s).run(ctx, s.rename)
	return nil
}
