//go:build lab

package lab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestTheLabItself: cables carry what they should and nothing else.
func TestTheLabItself(t *testing.T) {
	for _, f := range []Family{Both, V4Only, V6Only} {
		t.Run(f.String(), func(t *testing.T) {
			l := NewLan(t, "lan", 3, f)
			for _, h := range l.Hosts {
				h.listen(t)
			}
			a, b, d := l.Hosts[0], l.Hosts[1], l.Hosts[2]
			l.expect(t, "all plugged in", func(_, _ *Host) bool { return true })
			d.Cut()
			l.expect(t, "one cut off", func(x, y *Host) bool { return x != d && y != d })
			d.Heal()
			l.expect(t, "healed", func(_, _ *Host) bool { return true })
			l.Isolate(a, d)
			l.expect(t, "ends of a chain", func(x, y *Host) bool { return x == b || y == b })
			b.RemoveCable()
			b.AddCable()
			l.expect(t, "with a new cable", func(x, y *Host) bool { return x == b || y == b })
		})
	}
}

const echoPort = 7

// listen accepts connections on the host until the test ends.
func (h *Host) listen(t *testing.T) {
	t.Helper()
	var ln net.Listener
	err := h.Do(func() (err error) {
		ln, err = net.ListenTCP("tcp", &net.TCPAddr{Port: echoPort})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
}

// expect tries every pair, in every family the LAN speaks.
func (l *Lan) expect(t *testing.T, when string, reach func(x, y *Host) bool) {
	t.Helper()
	for _, x := range l.Hosts {
		for _, y := range l.Hosts {
			if x == y {
				continue
			}
			for _, to := range y.addrs() {
				if want := reach(x, y); want != x.reaches(t, to, want) {
					t.Errorf("%s: host %d reaches %v: %v, want %v", when, x.N, to, !want, want)
				}
			}
		}
	}
}

func (h *Host) addrs() []netip.Addr {
	switch h.lan.family {
	case V4Only:
		return []netip.Addr{h.V4()}
	case V6Only:
		return []netip.Addr{h.V6()}
	}
	return []netip.Addr{h.V4(), h.V6()}
}

// reaches connects once. What should not work is not waited for long.
func (h *Host) reaches(t *testing.T, to netip.Addr, hopeful bool) bool {
	t.Helper()
	limit := 200 * time.Millisecond
	if hopeful {
		limit = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, err := h.Dial(ctx, "tcp", netip.AddrPortFrom(to, echoPort).String())
	if err == nil {
		_ = c.Close()
	} else if _, isNet := errors.AsType[*net.OpError](err); !isNet {
		t.Fatal(err)
	}
	return err == nil
}
