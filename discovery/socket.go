package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// system is the machine's own network.
type system struct{}

const linkLimit = 255 // TTL and hop limit of mDNS (RFC 6762, section 11)

func (system) openMDNS(ctx context.Context, i iface, v6 bool) (conn, error) {
	c, err := listen(ctx, mdnsPort, v6)
	if err != nil {
		return nil, err
	}
	if v6 {
		err = joinMDNS6(c, &net.Interface{Index: i.index, Name: i.name})
	} else {
		err = joinMDNS4(c, &net.Interface{Index: i.index, Name: i.name})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("join the mDNS group: %w", err), c.Close())
	}
	return newUDP(c, v6), nil
}

func joinMDNS4(c *net.UDPConn, i *net.Interface) error {
	p := ipv4.NewPacketConn(c)
	if err := p.JoinGroup(i, &net.UDPAddr{IP: mdnsGroup4.Addr().AsSlice()}); err != nil {
		return err
	}
	ownGroupsOnly(c, false)
	return errors.Join(p.SetMulticastInterface(i), p.SetMulticastLoopback(true), p.SetMulticastTTL(linkLimit), p.SetTTL(linkLimit))
}

func joinMDNS6(c *net.UDPConn, i *net.Interface) error {
	p := ipv6.NewPacketConn(c)
	if err := p.JoinGroup(i, &net.UDPAddr{IP: mdnsGroup6.Addr().AsSlice()}); err != nil {
		return err
	}
	ownGroupsOnly(c, true)
	return errors.Join(p.SetMulticastInterface(i), p.SetMulticastLoopback(true), p.SetMulticastHopLimit(linkLimit), p.SetHopLimit(linkLimit))
}

func (system) openBeacon(ctx context.Context, port uint16, v6 bool) (conn, error) {
	c, err := listen(ctx, port, v6)
	if err != nil {
		return nil, err
	}
	return newUDP(c, v6), nil
}

// listen binds a port on all addresses, shared with other programs that share
// it too.
func listen(ctx context.Context, port uint16, v6 bool) (*net.UDPConn, error) {
	kind := "udp4"
	if v6 {
		kind = "udp6"
	}
	var config net.ListenConfig
	if port != 0 {
		config.Control = func(_, _ string, raw syscall.RawConn) error {
			var shareErr error
			err := raw.Control(func(fd uintptr) { shareErr = sharePort(fd) })
			return errors.Join(err, shareErr)
		}
	}
	c, err := config.ListenPacket(ctx, kind, ":"+strconv.Itoa(int(port)))
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// udp is a socket that knows by which interface a packet comes.
type udp struct {
	c    *net.UDPConn
	v6   bool
	oob  []byte // of read
	in4  ipv4.ControlMessage
	in6  ipv6.ControlMessage
	out4 ipv4.ControlMessage // of write
	out6 ipv6.ControlMessage
}

func newUDP(c *net.UDPConn, v6 bool) *udp {
	u := &udp{c: c, v6: v6}
	// Where the system cannot tell (not on Linux), arrival.index stays 0.
	if v6 {
		u.oob = ipv6.NewControlMessage(ipv6.FlagInterface | ipv6.FlagDst)
		_ = ipv6.NewPacketConn(c).SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true)
	} else {
		u.oob = ipv4.NewControlMessage(ipv4.FlagInterface | ipv4.FlagDst)
		_ = ipv4.NewPacketConn(c).SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true)
	}
	return u
}

func (u *udp) read(b []byte) (int, arrival, error) {
	n, oobn, _, from, err := u.c.ReadMsgUDPAddrPort(b, u.oob)
	if err != nil {
		return 0, arrival{}, err
	}
	a := arrival{from: netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())}
	var to netip.Addr
	if u.v6 {
		if u.in6.Parse(u.oob[:oobn]) == nil {
			a.index = u.in6.IfIndex
			to, _ = netip.AddrFromSlice(u.in6.Dst)
		}
	} else if u.in4.Parse(u.oob[:oobn]) == nil {
		a.index = u.in4.IfIndex
		to, _ = netip.AddrFromSlice(u.in4.Dst)
	}
	a.direct = to.IsValid() && !to.IsMulticast() && !isBroadcast(to)
	return n, a, nil
}

// isBroadcast knows the addresses that beacons to all are sent to.
func isBroadcast(a netip.Addr) bool {
	return a == broadcastAll.Addr() || a == broadcastLoopback.Addr()
}

func (u *udp) write(b []byte, to netip.AddrPort, index int) error {
	if !u.v6 {
		u.out4.IfIndex = index
		_, _, err := u.c.WriteMsgUDPAddrPort(b, u.out4.Marshal(), to)
		return err
	}
	u.out6.IfIndex = index
	if a := to.Addr(); a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() {
		// A name would be looked up in a table that may be a minute old.
		to = netip.AddrPortFrom(a.WithZone(strconv.Itoa(index)), to.Port())
	}
	_, _, err := u.c.WriteMsgUDPAddrPort(b, u.out6.Marshal(), to)
	return err
}

func (u *udp) close() error { return u.c.Close() }
