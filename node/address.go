package node

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"boucan/discovery"
)

// addresses is this machine's own, remembered for a moment: every page shows
// one, and the system takes a while to tell.
type addresses struct {
	mu   sync.Mutex // guards what follows
	list []netip.Addr
	name string // the machine's
	at   time.Time
}

// addressesFor is how long they are believed.
const addressesFor = 3 * time.Second

// get returns the addresses on live interfaces without loopback, IPv4 first,
// link-local last, and the machine's name in lower case. The caller must not
// change the list.
func (a *addresses) get() ([]netip.Addr, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); a.at.IsZero() || now.Sub(a.at) > addressesFor {
		a.list, a.name, a.at = interfaceAddrs(), "", now
		if name, err := os.Hostname(); err == nil {
			a.name = strings.ToLower(name)
		}
	}
	return a.list, a.name
}

// ownHost reports whether a Host header names this box: any IP address, which
// no page elsewhere can be served under, or one of the box's names.
func (n *Node) ownHost(name string) bool {
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	own := []string{"localhost", "boucan.lan", n.hostName()}
	if _, machine := n.addresses.get(); machine != "" {
		own = append(own, machine, machine+".local")
	}
	return slices.Contains(own, strings.TrimSuffix(strings.ToLower(name), "."))
}

// hostName is what mDNS resolves to this box.
func (n *Node) hostName() string { return discovery.HostName(n.key.Key().String()) }

// httpPort is the TCP port of the page.
func (n *Node) httpPort() int { return n.web.Addr().(*net.TCPAddr).Port }

// announcedPort is the page's port for others to be told, 0 where the page is
// for this machine alone.
func (n *Node) announcedPort() int {
	if n.web.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return 0
	}
	return n.httpPort()
}

// urls lists where the page is found, the address that most visitors can use
// first.
func (n *Node) urls() []string {
	at := n.web.Addr().(*net.TCPAddr)
	if !at.IP.IsUnspecified() {
		return []string{pageURL(at.IP.String(), at.Port)}
	}
	var urls []string
	list, _ := n.addresses.get()
	for _, a := range list {
		// Browsers cannot follow an address with a zone.
		if a.Zone() == "" && (a.Is4() || at.IP.To4() == nil) {
			urls = append(urls, pageURL(a.String(), at.Port))
		}
	}
	if len(urls) > 0 && n.circle == nil { // mDNS says nothing of a circle's box
		urls = append(urls, pageURL(n.hostName(), at.Port))
	}
	return append(urls, pageURL("localhost", at.Port))
}

func pageURL(host string, port int) string {
	switch {
	case port != 80:
		host = net.JoinHostPort(host, strconv.Itoa(port))
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return "http://" + host + "/"
}

// interfaceAddrs lists this machine's addresses on live interfaces without
// loopback: IPv4 first, link-local last.
func interfaceAddrs() []netip.Addr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			addr := p.Addr()
			if addr.Is6() && addr.IsLinkLocalUnicast() {
				addr = addr.WithZone(i.Name)
			}
			out = append(out, addr)
		}
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return addrRank(a) - addrRank(b) })
	return out
}

func addrRank(a netip.Addr) int {
	r := 0
	if a.IsLinkLocalUnicast() {
		r += 2
	}
	if a.Is6() {
		r++
	}
	return r
}

// newInstance names this run of the process.
func newInstance() (string, error) {
	b := make([]byte, 8)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make instance id: %w", err)
	}
	return hex.EncodeToString(b), nil
}
