package node

import (
	"net/netip"

	"github.com/libp2p/go-libp2p/core/host"
	manet "github.com/multiformats/go-multiaddr/net"

	"boucan/record"
	"boucan/replica"
)

// hello is what this node says when it meets a peer.
func (n *Node) hello() replica.Hello {
	now, source, hops := n.clock.said()
	h := replica.Hello{Clock: now.UnixMilli(), Source: source, Hops: hops, Software: "boucan " + version}
	if r := n.card.Load(); r != nil {
		h.Card = r.Encode()
	}
	return h
}

// heard takes what a peer says when it meets this node.
func (n *Node) heard(k record.Key, h replica.Hello) {
	if addr, ok := addrOf(n.host, k); ok {
		n.clock.heard(k, addr, h)
	}
}

// addrOf is the address of a connected peer, without zone.
func addrOf(h host.Host, k record.Key) (netip.Addr, bool) {
	id, err := peerID(k)
	if err != nil {
		return netip.Addr{}, false
	}
	for _, c := range h.Network().ConnsToPeer(id) {
		if ip, err := manet.ToIP(c.RemoteMultiaddr()); err == nil {
			addr, ok := netip.AddrFromSlice(ip)
			return realAddr(addr.Unmap()).WithZone(""), ok
		}
	}
	return netip.Addr{}, false
}
