package node

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"boucan/replica"
)

// newResourceManager sets libp2p's limits from the profile. Its defaults grow
// with memory and know nothing of how many connections a small machine stands,
// and they count connections per /56 of IPv6, where every neighbour on a link is
// in fe80::/64.
func newResourceManager(p Profile) (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	scaled := scaling.Scale(p.NetworkMemory, p.Connections)
	protocols := make(map[protocol.ID]rcmgr.ResourceLimits)
	for _, id := range slices.Concat(pubsub.GossipSubDefaultProtocols, []protocol.ID{syncProtocol}) {
		protocols[id] = each(2) // one, and another while the first ends
	}
	protocols[identify.ID], protocols[identify.IDPush] = each(connsEach), each(connsEach)
	protocols[blobProtocol] = each(blobStreamsEach)
	own := rcmgr.PartialLimitConfig{
		// What one peer may have: it is not to take what the others need, and no
		// honest one needs more.
		PeerDefault: rcmgr.ResourceLimits{
			Conns: connsEach, ConnsInbound: connsEach, ConnsOutbound: connsEach,
			Streams: 2 * streamsEach, StreamsInbound: streamsEach, StreamsOutbound: streamsEach,
			Memory: rcmgr.LimitVal64(p.peerMemory()),
		},
		ProtocolPeer:        protocols,
		ProtocolPeerDefault: each(2),
		System: rcmgr.ResourceLimits{
			// What peers begin leaves room for what this node begins.
			Conns: rcmgr.LimitVal(p.Connections), ConnsInbound: rcmgr.LimitVal(p.Connections * 3 / 4),
			ConnsOutbound: rcmgr.LimitVal(p.Connections), FD: rcmgr.LimitVal(p.Connections + dialsAtOnce),
			Memory: rcmgr.LimitVal64(p.NetworkMemory),
		},
	}
	perHost := []rcmgr.ConnLimitPerSubnet{{ConnCount: perAddress, PrefixLength: 32}}
	perHost6 := []rcmgr.ConnLimitPerSubnet{{ConnCount: perAddress, PrefixLength: 128}}
	m, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(own.Build(scaled)), rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(perHost, perHost6),
		rcmgr.WithConnRateLimiters(&rate.Limiter{})) // see door
	if err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	return m, nil
}

const (
	// connsEach is how many connections one peer may have: both sides may have
	// dialled at once, over two kinds of addresses.
	connsEach = 4
	// streamsEach is how many streams one peer may have open, of all protocols
	// and either way.
	streamsEach = 12
	// blobStreamsEach is the same of blob streams: as many as share serves a peer,
	// and some that are just ending.
	blobStreamsEach = 6
)

// each allows so many streams either way.
func each(n int) rcmgr.ResourceLimits {
	v := rcmgr.LimitVal(n)
	return rcmgr.ResourceLimits{Streams: 2 * v, StreamsInbound: v, StreamsOutbound: v}
}

// peerMemory is how much of the network's memory one peer may take, in bytes: a
// quarter of a megabyte for each stream that may be open, and on larger machines
// windows that grow.
func (p Profile) peerMemory() int64 {
	const window = 256 << 10 // yamux reserves this for each stream
	return max(p.NetworkMemory/8, 2*streamsEach*window)
}

// perAddress is how many connections with one address there are at once, those
// being made included.
const perAddress = 2 * dialsAtOnce

// door lets strangers in at a limited rate for each address. What this node
// begins is not limited: libp2p's own limiter counts that too, and whoever
// announced many boxes at another's address would keep us from that one.
type door struct{ arrivals rate.Limiter }

func newDoor() *door {
	each := rate.Limit{RPS: 1, Burst: 32}
	return &door{arrivals: rate.Limiter{SubnetRateLimiter: rate.SubnetLimiter{
		IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: each}},
		IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 128, Limit: each}},
		GracePeriod:      time.Minute,
	}}}
}

// InterceptAccept implements connmgr.ConnectionGater, as do the following.
func (d *door) InterceptAccept(c network.ConnMultiaddrs) bool {
	ip, err := manet.ToIP(c.RemoteMultiaddr())
	if err != nil {
		return false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return ok && d.arrivals.Allow(addr.Unmap())
}

func (d *door) InterceptPeerDial(peer.ID) bool                                           { return true }
func (d *door) InterceptAddrDial(peer.ID, ma.Multiaddr) bool                             { return true }
func (d *door) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool { return true }
func (d *door) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason)          { return true, 0 }

// recordLimits is how much the set of records may hold. A file's record takes
// some 700 bytes of memory here, in the set and in the catalogue. One author has
// room for the 20,000 files of a good collection.
func (p Profile) recordLimits() replica.Limits {
	const leastAuthor = 30_000
	author := max(p.Records/5, leastAuthor)
	return replica.Limits{
		Records: p.Records, Bytes: int64(p.Records) << 10,
		AuthorRecords: author, AuthorBytes: int64(author) << 10, AuthorTakedowns: author / 2,
	}
}
