//go:build lab

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Family chooses the addresses hosts have. There is never anything but
// link-local ones.
type Family int

// The families a LAN may speak.
const (
	Both   Family = iota
	V4Only        // 169.254.77.N, IPv6 switched off
	V6Only        // fe80:: only
)

func (f Family) String() string { return [...]string{"v4 and v6", "v4 only", "v6 only"}[f] }

// Lan is one bridge and the hosts on it.
type Lan struct {
	t      testing.TB
	prefix string
	family Family
	Hosts  []*Host
}

// Host is one network namespace with one cable to the bridge.
type Host struct {
	NS  string // name for ip netns
	N   int    // 1 for the first
	lan *Lan
}

// NewLan makes a bridge and n hosts, and takes all of it away when the test
// ends, with every process in it.
func NewLan(t testing.TB, name string, n int, family Family) *Lan {
	t.Helper()
	l := &Lan{t: t, prefix: fmt.Sprintf("bcn-%s-%d-", name, os.Getpid()), family: family}
	br := l.prefix + "br"
	t.Cleanup(func() { removeNamespace(t, br) })
	run(t, "ip", "netns", "add", br)
	run(t, "ip", "-n", br, "link", "set", "lo", "up")
	run(t, "ip", "-n", br, "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
	run(t, "ip", "-n", br, "link", "set", "br0", "up")
	for i := 1; i <= n; i++ {
		h := &Host{NS: l.prefix + strconv.Itoa(i), N: i, lan: l}
		t.Cleanup(func() { removeNamespace(t, h.NS) })
		run(t, "ip", "netns", "add", h.NS)
		run(t, "ip", "-n", h.NS, "link", "set", "lo", "up")
		h.AddCable()
		l.Hosts = append(l.Hosts, h)
	}
	return l
}

// AddCable gives the host its interface, up and with its addresses.
func (h *Host) AddCable() {
	h.lan.t.Helper()
	t, br := h.lan.t, h.lan.prefix+"br"
	run(t, "ip", "-n", h.NS, "link", "add", "eth0", "address", fmt.Sprintf("02:00:00:00:77:%02x", h.N),
		"type", "veth", "peer", "name", h.port(), "netns", br)
	run(t, "ip", "-n", br, "link", "set", h.port(), "master", "br0", "up")
	run(t, "ip", "netns", "exec", h.NS, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0")
	if h.lan.family == V4Only {
		run(t, "ip", "netns", "exec", h.NS, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
	}
	run(t, "ip", "-n", h.NS, "link", "set", "eth0", "up")
	if h.lan.family != V6Only {
		run(t, "ip", "-n", h.NS, "addr", "add", h.V4().String()+"/16", "dev", "eth0", "scope", "link")
	}
}

// RemoveCable deletes the host's interface, as when a Wi-Fi stick is pulled.
func (h *Host) RemoveCable() {
	h.lan.t.Helper()
	run(h.lan.t, "ip", "-n", h.NS, "link", "del", "eth0")
}

// Cut takes the host's port off the bridge. Its own side stays up and notices
// nothing.
func (h *Host) Cut() {
	h.lan.t.Helper()
	run(h.lan.t, "ip", "-n", h.lan.prefix+"br", "link", "set", h.port(), "nomaster")
}

// Heal puts the host's port back on the bridge, after Cut or Split.
func (h *Host) Heal() {
	h.lan.t.Helper()
	run(h.lan.t, "ip", "-n", h.lan.prefix+"br", "link", "set", h.port(), "master", "br0")
}

// Isolate keeps the given hosts from each other; all others still reach them.
func (l *Lan) Isolate(hosts ...*Host) {
	l.t.Helper()
	for _, h := range hosts {
		run(l.t, "ip", "netns", "exec", l.prefix+"br", "bridge", "link", "set", "dev", h.port(), "isolated", "on")
	}
}

// Split puts hosts on a second bridge: they reach one another and nobody else,
// until Heal.
func (l *Lan) Split(hosts ...*Host) {
	l.t.Helper()
	br := l.prefix + "br"
	run(l.t, "ip", "-n", br, "link", "add", "br1", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
	run(l.t, "ip", "-n", br, "link", "set", "br1", "up")
	for _, h := range hosts {
		run(l.t, "ip", "-n", br, "link", "set", h.port(), "master", "br1")
	}
}

// Slow caps what each host may send (tc-tbf(8)), as "200mbit".
func (l *Lan) Slow(rate string) {
	l.t.Helper()
	for _, h := range l.Hosts {
		run(l.t, "tc", "-n", h.NS, "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "256kb", "latency", "200ms")
	}
}

// Fast takes the caps away.
func (l *Lan) Fast() {
	l.t.Helper()
	for _, h := range l.Hosts {
		run(l.t, "tc", "-n", h.NS, "qdisc", "del", "dev", "eth0", "root")
	}
}

// Lossy drops so many of a hundred frames at random, both ways, on the bridge
// (nft(8)); 0 ends it.
func (l *Lan) Lossy(percent int) {
	l.t.Helper()
	br := l.prefix + "br"
	if percent == 0 {
		run(l.t, "ip", "netns", "exec", br, "nft", "delete", "table", "bridge", "loss")
		return
	}
	rules := filepath.Join(l.t.TempDir(), "loss.nft")
	text := fmt.Sprintf("table bridge loss {\n chain pass {\n  type filter hook forward priority 0\n  numgen random mod 100 < %d drop\n }\n}\n", percent)
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	run(l.t, "ip", "netns", "exec", br, "nft", "-f", rules)
}

// Sent is how many bytes have left the host by its cable (sysfs, statistics/tx_bytes).
func (h *Host) Sent() int64 {
	h.lan.t.Helper()
	text, err := exec.Command("ip", "netns", "exec", h.NS, "cat", "/sys/class/net/eth0/statistics/tx_bytes").Output()
	if err != nil {
		h.lan.t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		h.lan.t.Fatal(err)
	}
	return n
}

func (h *Host) port() string { return "p" + strconv.Itoa(h.N) }

// V4 is the host's IPv4 link-local address (RFC 3927).
func (h *Host) V4() netip.Addr { return netip.AddrFrom4([4]byte{169, 254, 77, byte(h.N)}) }

// V6 is the address the kernel makes from the host's MAC (RFC 4291, appendix
// A), without a zone.
func (h *Host) V6() netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 11: 0xff, 12: 0xfe, 14: 0x77, 15: byte(h.N)})
}

// Addr is the address others reach the host by: IPv4 where there is any.
func (h *Host) Addr() netip.Addr {
	if h.lan.family == V6Only {
		return h.V6()
	}
	return h.V4()
}

// Command prepares a program that runs on this host, with a host name of its
// own. Its process ID is the program's.
func (h *Host) Command(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"netns", "exec", h.NS, "unshare", "--uts", "sh", "-c", `hostname "$0" && exec "$@"`,
		fmt.Sprintf("host%d", h.N)}, args...)
	return exec.CommandContext(ctx, "ip", args...)
}

// Dial connects from this host. address holds an IP; an IPv6 link-local one
// without a zone goes out of eth0.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	err = h.Do(func() error {
		if to.Addr().IsLinkLocalUnicast() && to.Addr().Is6() {
			i, err := interfaceIndex("eth0")
			if err != nil {
				return err
			}
			to = netip.AddrPortFrom(to.Addr().WithZone(strconv.Itoa(i)), to.Port())
		}
		d := net.Dialer{Timeout: 5 * time.Second}
		conn, err = d.DialContext(ctx, network, to.String())
		return err
	})
	return conn, err
}

// Do runs f in this host's namespace: the sockets that f itself opens belong
// there for good.
func (h *Host) Do(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := enter("/run/netns/" + h.NS); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // the thread stays locked and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// enter moves the calling thread into a namespace (setns(2)).
func enter(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", path, err)
	}
	return nil
}

// interfaceIndex asks the kernel, because package net remembers the interfaces
// of another namespace.
func interfaceIndex(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, fmt.Errorf("find %s: %w", name, err)
	}
	return int(req.Uint32()), nil
}

// removeNamespace ends what still runs in a namespace and deletes it.
func removeNamespace(t testing.TB, ns string) {
	out, err := exec.Command("ip", "netns", "pids", ns).Output()
	if err != nil {
		return // it was never made
	}
	for pid := range strings.FieldsSeq(string(out)) {
		if n, err := strconv.Atoi(pid); err == nil && n != os.Getpid() {
			_ = unix.Kill(n, unix.SIGKILL)
		}
	}
	if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
		t.Errorf("delete namespace %s: %v: %s", ns, err, out)
	}
}

// run is a command of the harness itself, which must not fail.
func run(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// eventually tries f until it succeeds, and fails the test when limit has
// passed without that. It returns how long it took.
func eventually(t testing.TB, limit time.Duration, what string, f func() error) time.Duration {
	t.Helper()
	start := time.Now()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := f()
		took := time.Since(start)
		if err == nil {
			return took
		}
		if took > limit {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		select {
		case <-again.C:
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}
