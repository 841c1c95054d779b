package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/gologshim"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sys/cpu"

	"boucan/record"
)

const (
	// dialTimeout bounds one attempt to reach a peer, which is at most a few
	// radio hops away.
	dialTimeout = 5 * time.Second
	// keepAlive is how often an idle connection proves that the other side is
	// there; with keepAliveWait it bounds how long a vanished peer is believed
	// in: under the 20 s that discovery promises.
	keepAlive     = 5 * time.Second
	keepAliveWait = 5 * time.Second
	// maxMessage is the largest yamux frame: larger frames than its default of
	// 64 KiB move bulk data 10 to 15 % faster.
	maxMessage = 256 << 10
)

// newHost builds a libp2p host by hand. Importing libp2p's own constructor
// links every transport it knows, 24 MB where this needs 12
// (docs/decisions/0005-dependencies.md). The host listens on port over TCP,
// IPv4 and IPv6, and speaks TLS and Noise, the first of them preferred. Where it
// fails nothing of it is left.
//
// With a pre-shared key it speaks to those who have the same and to nobody else:
// everything on the wire, from the first byte on, is random to all others
// (libp2p's specification of private networks). The key is 32 bytes; nil for the
// open mesh.
func newHost(key ed25519.PrivateKey, port int, p Profile, shared pnet.PSK, log *slog.Logger) (_ host.Host, err error) {
	// libp2p writes to standard error by itself, with addresses in it.
	gologshim.SetDefaultHandler(slog.DiscardHandler)
	private, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("identity key: %w", err)
	}
	bus := eventbus.NewBus()
	network, err := newSwarm(private, bus, p)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, network.Close(), network.ResourceManager().Close(), network.Peerstore().Close())
		}
	}()
	transport, err := newTransport(private, network.ResourceManager(), shared)
	if err != nil {
		return nil, err
	}
	if err := network.AddTransport(transport); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	if err := listen(network, port, log); err != nil {
		return nil, err
	}
	h, err := basichost.NewHost(network, &basichost.HostOpts{
		EventBus: bus,
		// Addresses are told by discovery, per interface; a peer needs no others.
		DisableSignedPeerRecord: true,
		AddrsFactory:            func([]ma.Multiaddr) []ma.Multiaddr { return nil },
		NegotiationTimeout:      dialTimeout,
		UserAgent:               "boucan",
	})
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	h.Start()
	return h, nil
}

// newSwarm makes the network of a host, without a transport yet.
func newSwarm(private crypto.PrivKey, bus event.Bus, p Profile) (_ *swarm.Swarm, err error) {
	id, err := peer.IDFromPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("identity key: %w", err)
	}
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, fmt.Errorf("peer store: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	if err := store.AddPrivKey(id, private); err != nil {
		return nil, fmt.Errorf("peer store: %w", err)
	}
	if err := store.AddPubKey(id, private.GetPublic()); err != nil {
		return nil, fmt.Errorf("peer store: %w", err)
	}
	limits, err := newResourceManager(p)
	if err != nil {
		return nil, err
	}
	s, err := swarm.NewSwarm(id, store, bus,
		swarm.WithResourceManager(limits),
		swarm.WithDialTimeout(dialTimeout), swarm.WithDialTimeoutLocal(dialTimeout),
		// There is no Internet to find out about: addresses on the link are
		// always worth a try.
		swarm.WithUDPBlackHoleSuccessCounter(nil), swarm.WithIPv6BlackHoleSuccessCounter(nil))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("network: %w", err), limits.Close())
	}
	return s, nil
}

// listen opens port on both families. A port that is taken is no reason not to
// serve: any other will do, since discovery tells it. A family that the machine
// does not have is done without.
func listen(s *swarm.Swarm, port int, log *slog.Logger) error {
	const tries = 5 // for a port that is free on both
	var err error
	for i := range tries {
		if i > 0 {
			port = 0
		}
		if err = listenBoth(s, port); err == nil {
			return nil
		}
		log.Debug("TCP port for other boxes cannot be used", "port", port, "error", err)
	}
	return fmt.Errorf("cannot listen for other boxes on any TCP port: %w", plainNetError(err))
}

// listenBoth opens one port on both families, or on one where the machine lacks
// the other, or nothing.
func listenBoth(s *swarm.Swarm, port int) error {
	var errs []error
	for _, ip := range []string{"/ip4/0.0.0.0", "/ip6/::"} {
		if port == 0 {
			port = listenPort(s) // as IPv4 was given, or 0 still
		}
		addr, err := ma.NewMultiaddr(fmt.Sprintf("%s/tcp/%d", ip, port))
		if err != nil {
			return fmt.Errorf("TCP port %d: %w", port, err)
		}
		if err := s.AddListenAddr(addr); err != nil {
			errs = append(errs, err)
		}
	}
	err := errors.Join(errs...)
	if len(errs) == 2 || errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) {
		s.ListenClose(s.ListenAddresses()...)
		return err
	}
	return nil
}

// listenPort is the TCP port this host answers on, 0 where there is none.
func listenPort(n network.Network) int {
	for _, a := range n.ListenAddresses() {
		if v, err := a.ValueForProtocol(ma.P_TCP); err == nil {
			var p int
			if _, err := fmt.Sscanf(v, "%d", &p); err == nil {
				return p
			}
		}
	}
	return 0
}

func newTransport(key crypto.PrivKey, limits network.ResourceManager, shared pnet.PSK) (*tcp.TcpTransport, error) {
	mux := *yamux.DefaultTransport
	mux.KeepAliveInterval = keepAlive
	mux.ConnectionWriteTimeout = keepAliveWait
	mux.MaxMessageSize = maxMessage
	mux.MaxIncomingStreams = streamsEach // what is more is refused; by the resource manager, the connection would go
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: &mux}}
	viaTLS, err := libp2ptls.New(libp2ptls.ID, key, muxers)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	viaNoise, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return nil, fmt.Errorf("Noise: %w", err)
	}
	security := []sec.SecureTransport{viaNoise, viaTLS}
	if hasAES() {
		security = []sec.SecureTransport{viaTLS, viaNoise}
	}
	up, err := upgrader.New(security, muxers, shared, limits, newDoor())
	if err != nil {
		return nil, fmt.Errorf("upgrader: %w", err)
	}
	t, err := tcp.NewTCPTransport(up, limits, nil, tcp.DisableReuseport(),
		tcp.WithConnectionTimeout(dialTimeout), tcp.WithDialerForAddr(dialerFor))
	if err != nil {
		return nil, fmt.Errorf("TCP: %w", err)
	}
	return t, nil
}

// hasAES reports whether the processor encrypts AES in hardware, where TLS
// moves about twice Noise's bytes a second.
func hasAES() bool {
	return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL ||
		cpu.S390X.HasAES && cpu.S390X.HasGHASH
}

// peerID is key as libp2p writes it.
func peerID(key record.Key) (peer.ID, error) { return peer.Decode(key.String()) }

// peerKey is the key that a peer ID of this program's kind contains.
func peerKey(id peer.ID) (record.Key, error) { return record.ParseKey(id.String()) }
