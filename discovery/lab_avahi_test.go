//go:build lab

package discovery_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"boucan/discovery"
)

// avahi is an avahi-daemon in one namespace, with a D-Bus and a /run of its own.
type avahi struct {
	t   *testing.T
	pid string
}

const avahiConfig = `[server]
host-name=%s
use-ipv4=yes
use-ipv6=yes
allow-interfaces=eth0
enable-dbus=yes
disallow-other-stacks=no
[wide-area]
enable-wide-area=no
[publish]
publish-hinfo=no
publish-workstation=yes
`

const avahiScript = `mount -t tmpfs t /run; mkdir -p /run/dbus /run/avahi-daemon; chown avahi:avahi /run/avahi-daemon
mount -t tmpfs t /etc/avahi/services
dbus-daemon --system --fork --nopidfile
echo $$ >%[1]s.pid
exec avahi-daemon -f %[1]s --no-rlimits --no-drop-root --no-chroot
`

func (l *lan) startAvahi(i int) *avahi {
	t := l.t
	t.Helper()
	config := filepath.Join(t.TempDir(), "avahi.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, avahiConfig, l.host(i)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", l.host(i), "unshare", "-m", "-u", "--propagation", "private",
		"sh", "-ec", fmt.Sprintf(avahiScript, config))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sh(t, "ip netns pids %s | xargs -r kill -9 2>/dev/null || true", l.host(i)) // the D-Bus daemon too
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	a := &avahi{t: t}
	if !until(10*time.Second, func() bool {
		pid, err := os.ReadFile(config + ".pid")
		a.pid = strings.TrimSpace(string(pid))
		return err == nil && a.pid != "" && a.run("avahi-browse", "-at") == nil
	}) {
		t.Fatal("avahi-daemon does not start")
	}
	return a
}

func (a *avahi) command(args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"-t", a.pid, "-m", "-n"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (a *avahi) run(args ...string) error { return a.command(args...).Run() }

func (a *avahi) output(args ...string) string {
	a.t.Helper()
	out, err := a.command(append([]string{"timeout", "10"}, args...)...).CombinedOutput()
	if err != nil {
		a.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// browses waits until avahi resolves a service on both families.
func (a *avahi) browses(kind string, within time.Duration, want ...string) {
	a.t.Helper()
	began := time.Now()
	var out string
	seen := func() bool {
		out = a.output("avahi-browse", "-rpt", kind)
		for _, family := range []string{"IPv4", "IPv6"} {
			for _, w := range want {
				found := false
				for line := range strings.Lines(out) {
					found = found || strings.HasPrefix(line, "=;eth0;"+family) && strings.Contains(line, w)
				}
				if !found {
					return false
				}
			}
		}
		return true
	}
	if !until(within, seen) {
		a.t.Fatalf("avahi-browse %s within %v shows only\n%s", kind, within, out)
	}
	a.t.Logf("%s seen and resolved after %v", kind, time.Since(began).Round(time.Millisecond))
}

func (a *avahi) seesBoth(selves ...discovery.Self) {
	a.t.Helper()
	for _, s := range selves {
		name := discovery.HostName(s.ID)
		a.browses("_boucan._tcp", 5*time.Second, fmt.Sprintf(";%s;", name), fmt.Sprintf(";%d;", s.Port), s.Instance, s.ID)
		a.browses("_http._tcp", 5*time.Second, fmt.Sprintf(";%s;", name), fmt.Sprintf(";%d;", s.HTTPPort), "path=/")
		for _, family := range []string{"-4", "-6"} {
			out := a.output("avahi-resolve", family, "-n", name)
			if !strings.Contains(out, "169.254.77.") && !strings.Contains(out, "fe80::") {
				a.t.Errorf("avahi-resolve %s %s: %s", family, name, out)
			}
		}
	}
}

func TestBesideAvahi(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"avahi", "node"} {
		t.Run(first+" first", func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, 2, "both")
			selves := []discovery.Self{selfOf(1), selfOf(2)}
			var beside *avahi
			if first == "avahi" {
				beside = l.startAvahi(1)
			}
			nodes := []*node{l.start(1, selves[0])}
			if first == "node" {
				nodes[0].settle(3 * time.Second)
				beside = l.startAvahi(1)
			}
			nodes = append(nodes, l.start(2, selves[1]))
			contact(t, nodes, selves)
			beside.seesBoth(selves...)
			l.startAvahi(2).seesBoth(selves...)
			nodes[0].stop()
			var out string
			if !until(5*time.Second, func() bool {
				out = beside.output("avahi-browse", "-rpt", "_boucan._tcp")
				return !strings.Contains(out, selves[0].ID)
			}) {
				t.Errorf("avahi still lists a box that said goodbye:\n%s", out)
			}
			for _, n := range nodes {
				for _, e := range n.past {
					if strings.Contains(e.Text, "level=WARN") {
						t.Errorf("node %d: %s", n.i, e.Text)
					}
				}
			}
		})
	}
}

// TestContactByMDNSAloneBesideAvahi shows that the two share the port and not
// only the machine.
func TestContactByMDNSAloneBesideAvahi(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2, "both")
	for i := 1; i <= 2; i++ {
		l.filter(i, "udp dport 5353 accept\nmeta l4proto udp drop")
	}
	l.startAvahi(1)
	selves := []discovery.Self{selfOf(1), selfOf(2)}
	nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
	l.startAvahi(2)
	contact(t, nodes, selves)
	nodes[0].never(25*time.Second, "a peer that is there was lost", func(e event) bool { return e.What == "gone" })
}

func TestBoxesOfOneNameAreListedApart(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 3, "both")
	selves := []discovery.Self{selfOf(1), selfOf(2)}
	selves[0].Name, selves[1].Name = "Boucan", "Boucan"
	for i, s := range selves {
		l.start(i+1, s)
	}
	a := l.startAvahi(3)
	a.seesBoth(selves...)
	out := a.output("avahi-browse", "-pt", "_http._tcp")
	for _, family := range []string{"IPv4", "IPv6"} {
		names := map[string]bool{}
		for line := range strings.Lines(out) {
			if f := strings.Split(line, ";"); len(f) > 3 && f[2] == family {
				names[f[3]] = true
			}
		}
		if len(names) != 2 || !names["Boucan"] {
			t.Errorf("over %s the boxes are listed as %v, want Boucan and another", family, names)
		}
	}
	t.Logf("listed as\n%s", out)
}

// TestServiceTypesAreListed browses without knowing what for (RFC 6763, section
// 9).
func TestServiceTypesAreListed(t *testing.T) {
	t.Parallel()
	l := newLAN(t, 2, "both")
	l.start(1, selfOf(1))
	a := l.startAvahi(2)
	out := a.output("avahi-browse", "-at")
	for _, kind := range []string{"_boucan._tcp", "Web Site"} {
		if !strings.Contains(out, kind) {
			t.Errorf("avahi-browse --all does not list %s:\n%s", kind, out)
		}
	}
}
