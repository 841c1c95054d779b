//go:build !linux

package discovery

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// interfaces asks the net package.
func (system) interfaces() ([]iface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []iface
	for _, n := range all {
		const needed = net.FlagUp | net.FlagRunning
		if n.Flags&needed != needed || n.Flags&net.FlagPointToPoint != 0 {
			continue
		}
		i := iface{
			index: n.Index, name: n.Name, mtu: n.MTU,
			loopback:  n.Flags&net.FlagLoopback != 0,
			multicast: n.Flags&net.FlagMulticast != 0,
			broadcast: n.Flags&net.FlagBroadcast != 0,
		}
		addrs, err := n.Addrs()
		if err != nil {
			continue // it went meanwhile
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && !slices.Contains(i.addrs, p) {
				i.addrs = append(i.addrs, p)
			}
		}
		if len(i.addrs) > 0 && (i.loopback || i.multicast || i.broadcast) {
			slices.SortFunc(i.addrs, netip.Prefix.Compare)
			out = append(out, i)
		}
	}
	return out, nil
}

// watch makes the interfaces be looked at regularly.
func (system) watch(ctx context.Context) (<-chan struct{}, <-chan struct{}) { return tickWatch(ctx) }
