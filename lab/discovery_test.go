//go:build lab

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// What issue and specification promise (spec/discovery.md): how soon boxes know
// of each other's coming and going.
const (
	contactLimit = 3 * time.Second
	goodbyeLimit = 2 * time.Second
	silenceLimit = 20 * time.Second
)

// grain is what asking a box through a command adds to a measurement.
const grain = 500 * time.Millisecond

func TestFirstContact(t *testing.T) {
	for _, f := range []Family{Both, V4Only, V6Only} {
		t.Run(f.String(), func(t *testing.T) {
			l := NewLan(t, "contact", 2, f)
			a, b := StartBox(t, l.Hosts[0], "aube"), StartBox(t, l.Hosts[1], "brume")
			meet(t, "started one after the other", contactLimit, a, b)
			b.Stop()
			part(t, "after a goodbye", goodbyeLimit, a, b)
			b.Start()
			meet(t, "the second back", contactLimit, a, b)
			a.Kill()
			a.Start()
			meet(t, "the first back after a pulled plug", contactLimit, a, b)
		})
	}
}

// meet measures how long two boxes that are both up take to reach each other.
func meet(t *testing.T, when string, limit time.Duration, a, b *Box) {
	t.Helper()
	took := eventually(t, limit+grain, when, func() error { return errors.Join(a.ReachesAll(b), b.ReachesAll(a)) })
	t.Logf("%s: contact after %v", when, took.Round(time.Millisecond))
}

// part measures how long a takes to notice that b has gone.
func part(t *testing.T, when string, limit time.Duration, a, b *Box) {
	t.Helper()
	took := eventually(t, limit+grain, when, func() error {
		if a.ReachesAll(b) == nil {
			return fmt.Errorf("box %s still lists %s as connected", a.Name, b.Name)
		}
		return nil
	})
	t.Logf("%s: noticed after %v", when, took.Round(time.Millisecond))
}

// TestSilence: a peer whose cable is cut says no goodbye.
func TestSilence(t *testing.T) {
	l := NewLan(t, "silence", 2, Both)
	a, b := StartBox(t, l.Hosts[0], "calme"), StartBox(t, l.Hosts[1], "dune")
	meet(t, "at first", contactLimit, a, b)
	l.Hosts[1].Cut()
	part(t, "silence", silenceLimit, a, b)
	part(t, "silence, from the other side", silenceLimit, b, a)
	l.Hosts[1].Heal()
	meet(t, "the cable back", silenceLimit, a, b)
}

// TestInterfacesComeAndGo: a box that starts without a network, gets one, loses
// it and gets another is found each time.
func TestInterfacesComeAndGo(t *testing.T) {
	for _, f := range []Family{V4Only, V6Only} {
		t.Run(f.String(), func(t *testing.T) {
			l := NewLan(t, "ifaces", 2, f)
			late := l.Hosts[1]
			late.RemoveCable()
			a, b := StartBox(t, l.Hosts[0], "est"), StartBox(t, late, "fjord")
			late.AddCable()
			meet(t, "an interface that came late", contactLimit, a, b)
			late.RemoveCable()
			part(t, "the interface went", silenceLimit, a, b)
			late.AddCable()
			meet(t, "the interface came back as another", contactLimit, a, b)
		})
	}
}

// TestNewAddress: a box whose address changes is reached at the new one.
func TestNewAddress(t *testing.T) {
	l := NewLan(t, "address", 2, V4Only)
	a, b := StartBox(t, l.Hosts[0], "garrigue"), StartBox(t, l.Hosts[1], "herbe")
	meet(t, "at first", contactLimit, a, b)
	run(t, "ip", "-n", l.Hosts[1].NS, "addr", "flush", "dev", "eth0")
	run(t, "ip", "-n", l.Hosts[1].NS, "addr", "add", "169.254.99.9/16", "dev", "eth0", "scope", "link")
	took := eventually(t, silenceLimit, "contact at the new address", func() error {
		met, err := a.Reaches()
		if err != nil {
			return err
		}
		if addrs := met["herbe"].Addrs; !slices.ContainsFunc(addrs, func(s string) bool { return strings.Contains(s, "169.254.99.9") }) {
			return fmt.Errorf("reached at %v", addrs)
		}
		return nil
	})
	t.Logf("reached at the new address after %v", took.Round(time.Millisecond))
}

// TestAvahiBesides: a Bonjour browser on the same machine, started before or
// after the box, shares the port with it and sees every box by both services.
func TestAvahiBesides(t *testing.T) {
	for _, c := range []struct {
		first  string
		family Family
	}{{"avahi", Both}, {"boucan", Both}, {"avahi", V6Only}} {
		t.Run(fmt.Sprintf("%s first, %v", c.first, c.family), func(t *testing.T) {
			l := NewLan(t, "avahi", 2, c.family)
			var a *Box
			if c.first == "boucan" {
				a = StartBox(t, l.Hosts[0], "île")
			}
			avahi := StartAvahi(t, l.Hosts[0])
			if c.first == "avahi" {
				eventually(t, 10*time.Second, "avahi answers", func() error { _, err := avahi.Browse("_none._tcp"); return err })
				a = StartBox(t, l.Hosts[0], "île")
			}
			b := StartBox(t, l.Hosts[1], "jetée (2)")
			meet(t, "beside avahi", contactLimit, a, b)
			for _, service := range []string{"_boucan._tcp", "_http._tcp"} {
				eventually(t, 10*time.Second, "avahi resolves "+service, func() error { return sees(avahi, service, l.Hosts...) })
			}
		})
	}
}

// sees fails unless avahi resolves the service on each host, over each family
// that is spoken, to an address of that host.
func sees(a *Avahi, service string, hosts ...*Host) error {
	found, err := a.Browse(service)
	if err != nil {
		return err
	}
	for _, h := range hosts {
		for _, over := range h.addrs() {
			family := ";IPv4;"
			if over.Is6() {
				family = ";IPv6;"
			}
			if !slices.ContainsFunc(found, func(line string) bool {
				return strings.Contains(line, family) && slices.ContainsFunc(h.addrs(), func(at netip.Addr) bool {
					return strings.Contains(line, ";"+at.String()+";")
				})
			}) {
				return fmt.Errorf("host %d not seen over%s in:\n%s", h.N, family, strings.Join(found, "\n"))
			}
		}
	}
	return nil
}
