//go:build lab

package discovery_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"boucan/discovery"
)

// lan is one bridge in a namespace of its own, and hosts with nothing but
// link-local addresses:
//
//	disc7h1 eth0 ─ p1 ┐
//	disc7h2 eth0 ─ p2 ┼ br0 (disc7br)
//	disc7h3 eth0 ─ p3 ┘
//
// Each test has its own, so that those that wait most of the time wait together.
type lan struct {
	t      *testing.T
	prefix string
	bridge string // the namespace's name
}

var lans atomic.Int64

// host is the name of host i's namespace.
func (l *lan) host(i int) string { return fmt.Sprint(l.prefix, "h", i) }

func sh(t *testing.T, format string, args ...any) string {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	out, err := exec.Command("sh", "-ec", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// newLAN makes a bridge and n hosts. mode is "ll4", "ll6" or "both".
func newLAN(t *testing.T, n int, mode string) *lan {
	t.Helper()
	l := &lan{t: t, prefix: fmt.Sprint("disc", lans.Add(1))}
	l.bridge = l.prefix + "br"
	l.down()
	t.Cleanup(l.down)
	sh(t, `ip netns add %[1]s; ip -n %[1]s link set lo up
		ip -n %[1]s link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
		ip -n %[1]s link set br0 up`, l.bridge)
	for i := 1; i <= n; i++ {
		sh(t, `ip netns add %[1]s; ip -n %[1]s link set lo up`, l.host(i))
		l.plug(i, mode)
	}
	return l
}

// plug gives host i an interface, as a stick that is plugged in.
func (l *lan) plug(i int, mode string) {
	l.t.Helper()
	sh(l.t, `ip -n %[1]s link add eth0 address 02:00:00:00:77:%02[2]x type veth peer name p%[2]d netns %[3]s
		ip -n %[3]s link set p%[2]d master br0 up
		ip netns exec %[1]s sysctl -qw net.ipv6.conf.eth0.accept_dad=0`, l.host(i), i, l.bridge)
	if mode == "ll4" {
		sh(l.t, `ip netns exec %s sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1`, l.host(i))
	}
	sh(l.t, `ip -n %s link set eth0 up`, l.host(i))
	if mode != "ll6" {
		sh(l.t, `ip -n %s addr add 169.254.77.%d/16 dev eth0 scope link`, l.host(i), i)
	}
}

func (l *lan) unplug(i int) {
	l.t.Helper()
	sh(l.t, `ip -n %s link del eth0`, l.host(i))
}

func (l *lan) down() {
	l.t.Helper()
	sh(l.t, `for ns in $(ip netns list | awk '{print $1}' | grep -E '^%s(br|h[0-9]+)$'); do
		ip netns pids $ns | xargs -r kill -9 2>/dev/null || true
		ip netns del $ns
	done`, l.prefix)
}

// filter loads an nft ruleset into a host: lines of one input chain.
func (l *lan) filter(i int, rules ...string) {
	l.t.Helper()
	file := l.t.TempDir() + "/rules"
	text := "flush ruleset\ntable inet lab {\nchain in {\ntype filter hook input priority 0;\n" +
		strings.Join(rules, "\n") + "\n}\n}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	sh(l.t, "ip netns exec %s nft -f %s", l.host(i), file)
}

// node is a running node in a namespace.
type node struct {
	t      *testing.T
	i      int
	id     string
	cmd    *exec.Cmd
	in     io.WriteCloser
	events chan event
	past   []event
	mark   int // events before it have been dealt with
	up     time.Time
}

func selfOf(i int) discovery.Self {
	return discovery.Self{
		ID:       fmt.Sprintf("12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc%05d", i),
		Instance: fmt.Sprintf("INSTANCE%018d", time.Now().UnixNano()%1e18),
		Name:     fmt.Sprintf("Box %d", i), Port: uint16(4000 + i), HTTPPort: 8080, Protocol: "boucan/1",
	}
}

// role starts this test binary in host i under another part.
func (l *lan) role(i int, part string, args ...string) *exec.Cmd {
	l.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command("ip", append([]string{"netns", "exec", l.host(i), exe}, args...)...)
	cmd.Env = append(os.Environ(), roleVariable+"="+part)
	cmd.Stderr = os.Stderr
	return cmd
}

func (l *lan) start(i int, self discovery.Self) *node {
	l.t.Helper()
	arg, err := json.Marshal(self)
	if err != nil {
		l.t.Fatal(err)
	}
	n := &node{t: l.t, i: i, id: self.ID, cmd: l.role(i, "node", string(arg)), events: make(chan event, 10000)}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		l.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(n.kill)
	go func() { // ends when the process does
		defer close(n.events)
		for in := bufio.NewScanner(out); in.Scan(); {
			var e event
			if json.Unmarshal(in.Bytes(), &e) == nil {
				n.events <- e
			}
		}
	}()
	n.up = n.wait(5*time.Second, "up", func(e event) bool { return e.What == "up" }).At
	return n
}

// kill pulls the plug.
func (n *node) kill() {
	if n.cmd.ProcessState == nil {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
	}
}

// stop ends the node as an operator would, and returns when it was told.
func (n *node) stop() time.Time {
	n.t.Helper()
	at := time.Now()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	for range n.events {
	}
	if err := n.cmd.Wait(); err != nil {
		n.t.Fatal(err)
	}
	return at
}

func (n *node) tell(line string) {
	n.t.Helper()
	if _, err := fmt.Fprintln(n.in, line); err != nil {
		n.t.Fatal(err)
	}
}

// wait returns the first event that is wanted and was not dealt with before.
func (n *node) wait(within time.Duration, what string, wanted func(event) bool) event {
	n.t.Helper()
	late := time.After(within)
	for i := n.mark; ; i++ {
		if i == len(n.past) {
			select {
			case e, ok := <-n.events:
				if !ok {
					n.t.Fatalf("node %d ended while waiting for %s", n.i, what)
				}
				n.past = append(n.past, e)
			case <-late:
				for _, e := range n.past {
					n.t.Logf("node %d: %s %s %v %s", n.i, e.At.Format("05.000"), e.What, e.Peer, e.Text)
				}
				n.t.Fatalf("node %d: no %s within %v", n.i, what, within)
			}
		}
		if wanted(n.past[i]) {
			return n.past[i]
		}
	}
}

// watch takes in the events of the next while and leaves them to be dealt with.
func (n *node) watch(d time.Duration) {
	n.t.Helper()
	n.never(d, "", func(event) bool { return false })
}

// settle deals with all events of the next while.
func (n *node) settle(d time.Duration) {
	n.t.Helper()
	n.watch(d)
	n.mark = len(n.past)
}

// until asks again and again whether ok holds, and gives up after a while.
func until(within time.Duration, ok func() bool) bool {
	late := time.After(within)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			return false
		}
	}
	return true
}

// finds waits for a peer that was announced by self.
func (n *node) finds(within time.Duration, self discovery.Self) event {
	n.t.Helper()
	return n.wait(within, "contact with "+self.ID, func(e event) bool {
		return e.What == "found" && e.Peer.ID == self.ID && e.Peer.Instance == self.Instance
	})
}

func (n *node) loses(within time.Duration, id string) event {
	n.t.Helper()
	e := n.wait(within, "loss of "+id, func(e event) bool { return e.What == "gone" && e.Peer.ID == id })
	for n.past[n.mark].What != "gone" || n.past[n.mark].Peer.ID != id {
		n.mark++
	}
	n.mark++
	return e
}

// never fails if an event comes within the time.
func (n *node) never(within time.Duration, what string, unwanted func(event) bool) {
	n.t.Helper()
	late := time.After(within)
	for {
		select {
		case e := <-n.events:
			n.past = append(n.past, e)
			if unwanted(e) {
				n.t.Fatalf("node %d: %s: %+v", n.i, what, e)
			}
		case <-late:
			return
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
