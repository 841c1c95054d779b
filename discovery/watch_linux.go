package discovery

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// Parts of linux/if_link.h, if_addr.h and rtnetlink.h that the syscall package
// lacks.
const (
	iflaLinkInfo      = 18
	iflaInfoSlaveKind = 4
	ifaFlags          = 8
	ifaOptimistic     = 0x04
	ifaDADFailed      = 0x08
	ifaDeprecated     = 0x20
	ifaTentative      = 0x40
	rtmgrpLink        = 0x1
	rtmgrpIPv4Address = 0x10
	rtmgrpIPv6Address = 0x100
	attrTypeMask      = 0x3fff
	attrAlign         = 4
)

// interfaces asks the kernel for links and addresses, two questions in all. It
// learns more than the net package tells: which addresses may be used yet, and
// which interfaces are ports of another.
func (system) interfaces() ([]iface, error) {
	found := map[int]*iface{}
	err := netlinkDump(syscall.RTM_GETLINK, func(m *syscall.NetlinkMessage, attrs []syscall.NetlinkRouteAttr) {
		if m.Header.Type == syscall.RTM_NEWLINK && len(m.Data) >= syscall.SizeofIfInfomsg {
			if i := readLink((*syscall.IfInfomsg)(unsafe.Pointer(&m.Data[0])), attrs); i != nil {
				found[i.index] = i
			}
		}
	})
	if err != nil {
		return nil, err
	}
	err = netlinkDump(syscall.RTM_GETADDR, func(m *syscall.NetlinkMessage, attrs []syscall.NetlinkRouteAttr) {
		if m.Header.Type == syscall.RTM_NEWADDR && len(m.Data) >= syscall.SizeofIfAddrmsg {
			a := (*syscall.IfAddrmsg)(unsafe.Pointer(&m.Data[0]))
			if i := found[int(a.Index)]; i != nil {
				if p := readAddr(a, attrs); p.IsValid() && !slices.Contains(i.addrs, p) {
					i.addrs = append(i.addrs, p)
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	var out []iface
	for _, i := range found {
		if len(i.addrs) > 0 {
			slices.SortFunc(i.addrs, netip.Prefix.Compare)
			out = append(out, *i)
		}
	}
	slices.SortFunc(out, func(a, b iface) int { return cmp.Compare(a.index, b.index) })
	return out, nil
}

func netlinkDump(what int, each func(*syscall.NetlinkMessage, []syscall.NetlinkRouteAttr)) error {
	tab, err := syscall.NetlinkRIB(what, syscall.AF_UNSPEC)
	if err != nil {
		return fmt.Errorf("ask the kernel for interfaces: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(tab)
	if err != nil {
		return fmt.Errorf("read the kernel's interfaces: %w", err)
	}
	for n := range messages {
		m := &messages[n]
		if m.Header.Type != syscall.RTM_NEWLINK && m.Header.Type != syscall.RTM_NEWADDR {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return fmt.Errorf("read the kernel's interfaces: %w", err)
		}
		each(m, attrs)
	}
	return nil
}

// readLink returns nil for an interface that is not to be used.
func readLink(info *syscall.IfInfomsg, attrs []syscall.NetlinkRouteAttr) *iface {
	const needed = syscall.IFF_UP | syscall.IFF_RUNNING
	if info.Flags&needed != needed || info.Flags&syscall.IFF_POINTOPOINT != 0 {
		return nil
	}
	i := &iface{
		index:     int(info.Index),
		loopback:  info.Flags&syscall.IFF_LOOPBACK != 0,
		multicast: info.Flags&syscall.IFF_MULTICAST != 0,
		broadcast: info.Flags&syscall.IFF_BROADCAST != 0,
	}
	if !i.loopback && !i.multicast && !i.broadcast {
		return nil
	}
	for _, a := range attrs {
		switch a.Attr.Type & attrTypeMask {
		case syscall.IFLA_IFNAME:
			i.name = strings.TrimRight(string(a.Value), "\x00")
		case syscall.IFLA_MTU:
			if len(a.Value) >= 4 {
				i.mtu = int(binary.NativeEndian.Uint32(a.Value))
			}
		case iflaLinkInfo:
			switch slaveKind(a.Value) {
			case "bridge", "bond", "team":
				return nil // the interface above speaks for it
			}
		}
	}
	return i
}

// slaveKind finds one string among nested attributes.
func slaveKind(b []byte) string {
	for len(b) >= syscall.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < syscall.SizeofRtAttr || size > len(b) {
			return ""
		}
		if binary.NativeEndian.Uint16(b[2:])&attrTypeMask == iflaInfoSlaveKind {
			return strings.TrimRight(string(b[syscall.SizeofRtAttr:size]), "\x00")
		}
		b = b[min(len(b), (size+attrAlign-1)&^(attrAlign-1)):]
	}
	return ""
}

// readAddr returns the zero Prefix for an address that cannot be spoken from:
// one still being checked for duplicates, or one about to go.
func readAddr(m *syscall.IfAddrmsg, attrs []syscall.NetlinkRouteAttr) netip.Prefix {
	flags := uint32(m.Flags)
	var addr, own []byte
	for _, a := range attrs {
		switch a.Attr.Type & attrTypeMask {
		case syscall.IFA_ADDRESS:
			addr = a.Value
		case syscall.IFA_LOCAL:
			own = a.Value
		case ifaFlags:
			if len(a.Value) >= 4 {
				flags = binary.NativeEndian.Uint32(a.Value)
			}
		}
	}
	if own == nil {
		own = addr
	}
	waiting := flags&ifaTentative != 0 && flags&ifaOptimistic == 0
	if waiting || flags&(ifaDADFailed|ifaDeprecated) != 0 {
		return netip.Prefix{}
	}
	a, ok := netip.AddrFromSlice(own)
	if !ok {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, int(m.Prefixlen))
}

// watch subscribes to the kernel's changes of links and addresses. Where that
// fails (an emulated processor), a regular look has to do.
func (system) watch(ctx context.Context) (<-chan struct{}, <-chan struct{}) {
	f, err := subscribe()
	if err != nil {
		return tickWatch(ctx)
	}
	changed, done := make(chan struct{}, 1), make(chan struct{})
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	go func() {
		defer close(done)
		defer stop()
		b := make([]byte, os.Getpagesize())
		for ctx.Err() == nil {
			if _, err := f.Read(b); err != nil && !isOverrun(err) {
				_ = f.Close()
				return
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	return changed, done
}

func subscribe() (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	err = syscall.Bind(fd, &syscall.SockaddrNetlink{
		Family: syscall.AF_NETLINK, Groups: rtmgrpLink | rtmgrpIPv4Address | rtmgrpIPv6Address,
	})
	if err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// isOverrun reports that changes came faster than they were read, which is a
// change too.
func isOverrun(err error) bool { return errors.Is(err, syscall.ENOBUFS) }
