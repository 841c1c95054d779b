package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lan is one bridge with a receiver and the senders on it, each in a network
// namespace of its own (ip-netns(8)): nothing else is in reach of them, and what
// passes the receiver's cable can be counted.
type lan struct {
	prefix string
	hosts  []*host // the receiver, then the senders
}

// host is one namespace with one cable to the bridge.
type host struct {
	ns   string
	addr netip.Addr
}

// newLan makes a bridge and n hosts. close takes all of it away.
func newLan(ctx context.Context, n int) (*lan, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("this needs root: it makes network namespaces, in which nothing but the contestants is in reach")
	}
	l := &lan{prefix: fmt.Sprintf("bench-%d-", os.Getpid())}
	br := l.prefix + "br"
	steps := []string{
		"netns add " + br,
		"-n " + br + " link set lo up",
		"-n " + br + " link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
		"-n " + br + " link set br0 up",
	}
	for i := range n {
		h := &host{ns: l.prefix + strconv.Itoa(i), addr: netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)})}
		l.hosts = append(l.hosts, h)
		port := "p" + strconv.Itoa(i)
		steps = append(steps,
			"netns add "+h.ns,
			"-n "+h.ns+" link set lo up",
			"-n "+h.ns+" link add eth0 type veth peer name "+port+" netns "+br,
			"-n "+br+" link set "+port+" master br0 up",
			"-n "+h.ns+" link set eth0 up",
			"-n "+h.ns+" addr add "+h.addr.String()+"/24 broadcast + dev eth0",
		)
	}
	for _, step := range steps {
		if out, err := exec.CommandContext(ctx, "ip", strings.Fields(step)...).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("ip %s: %w: %s", step, err, out), l.close())
		}
	}
	return l, nil
}

// close ends what still runs in the namespaces and deletes them.
func (l *lan) close() error {
	var errs []error
	for _, ns := range append([]string{l.prefix + "br"}, l.namespaces()...) {
		pids, err := exec.Command("ip", "netns", "pids", ns).Output()
		if err != nil {
			continue // it was never made
		}
		for pid := range strings.FieldsSeq(string(pids)) {
			if n, err := strconv.Atoi(pid); err == nil && n != os.Getpid() {
				_ = unix.Kill(n, unix.SIGKILL)
			}
		}
		if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("delete namespace %s: %w: %s", ns, err, out))
		}
	}
	return errors.Join(errs...)
}

func (l *lan) namespaces() []string {
	var all []string
	for _, h := range l.hosts {
		all = append(all, h.ns)
	}
	return all
}

// do runs f on a thread that is in the host's namespace: what f starts stays there.
func (h *host) do(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + h.ns)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", h.ns, err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // the thread stays locked and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// start starts a command on the host, in a process group of its own so that a
// Ctrl-C is ours to pass on.
func (h *host) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return h.do(cmd.Start)
}

// passed is how many bytes have come and gone by the host's cable, as its
// interface counts them: frames as the kernel hands them over, up to 64 KiB long,
// each with one set of headers (proc(5), net/dev).
func (h *host) passed() (bytes int64, err error) {
	var text []byte
	err = h.do(func() error {
		text, err = os.ReadFile("/proc/thread-self/net/dev")
		return err
	})
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "eth0:")
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) < 9 {
			break
		}
		in, err1 := strconv.ParseInt(fields[0], 10, 64)
		out, err2 := strconv.ParseInt(fields[8], 10, 64)
		return in + out, errors.Join(err1, err2)
	}
	return 0, fmt.Errorf("no counters of eth0 in namespace %s", h.ns)
}
