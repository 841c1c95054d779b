package node

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"

	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// The swarm of libp2p v0.51 refuses to dial IPv6 link-local addresses
// (swarm_dial.go, filterKnownUndialables), and between boxes without a router
// these are often the only ones. So node gives it a stand-in of the form
//
//	fd62:6f75:ZZZZ:ZZZZ:IIII:IIII:IIII:IIII
//
// for fe80::IIII:IIII:IIII:IIII on the interface of index ZZZZZZZZ, and its
// dialer turns the stand-in back. Nothing of it reaches the wire. The prefix is
// of the private range (RFC 4193); that a real network chose the same 32 bits
// at random is one chance in 16 million.
var standInPrefix = netip.MustParsePrefix("fd62:6f75::/32")

// dialable is the multiaddr under which libp2p is asked to dial ap over TCP;
// false where ap cannot be dialled.
func dialable(ap netip.AddrPort) (ma.Multiaddr, bool) {
	addr := ap.Addr().Unmap()
	if addr.Is6() && addr.IsLinkLocalUnicast() {
		var ok bool
		if addr, ok = standIn(addr); !ok {
			return nil, false
		}
	}
	m, err := manet.FromNetAddr(&net.TCPAddr{IP: addr.AsSlice(), Port: int(ap.Port())})
	return m, err == nil
}

// standIn encodes a link-local address and its zone; false where the zone names
// no interface of this machine.
func standIn(addr netip.Addr) (netip.Addr, bool) {
	index, err := strconv.Atoi(addr.Zone())
	if err != nil {
		i, err := net.InterfaceByName(addr.Zone())
		if err != nil {
			return netip.Addr{}, false
		}
		index = i.Index
	}
	b := addr.As16()
	prefix := standInPrefix.Addr().As16()
	copy(b[:4], prefix[:4])
	binary.BigEndian.PutUint32(b[4:8], uint32(index))
	return netip.AddrFrom16(b), true
}

// realAddr turns a stand-in back; any other address is returned as it is.
func realAddr(addr netip.Addr) netip.Addr {
	if !standInPrefix.Contains(addr) {
		return addr
	}
	b := addr.As16()
	index := binary.BigEndian.Uint32(b[4:8])
	clear(b[:8])
	b[0], b[1] = 0xfe, 0x80
	return netip.AddrFrom16(b).WithZone(strconv.FormatUint(uint64(index), 10))
}

// standInDialer dials TCP, turning stand-ins back into link-local addresses.
type standInDialer struct{ net.Dialer }

func dialerFor(ma.Multiaddr) (tcp.ContextDialer, error) { return &standInDialer{}, nil }

func (d *standInDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if ap, err := netip.ParseAddrPort(address); err == nil {
		address = netip.AddrPortFrom(realAddr(ap.Addr()), ap.Port()).String()
	}
	return d.Dialer.DialContext(ctx, network, address)
}

// namedZone turns the zone of a link-local address from an index into the name
// of the interface, which is what people know it by.
func namedZone(addr netip.Addr) netip.Addr {
	index, err := strconv.Atoi(addr.Zone())
	if err != nil {
		return addr
	}
	if i, err := net.InterfaceByIndex(index); err == nil {
		return addr.WithZone(i.Name)
	}
	return addr
}
