//go:build lab

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Avahi is one avahi-daemon on a host, with a D-Bus and a /run of its own.
type Avahi struct {
	pid int
}

// StartAvahi runs the daemon on h until the test ends.
func StartAvahi(t testing.TB, h *Host) *Avahi {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "avahi.conf")
	text := fmt.Sprintf(`[server]
host-name=host%d
allow-interfaces=eth0
enable-dbus=yes
disallow-other-stacks=no
ratelimit-interval-usec=1000000
ratelimit-burst=1000
[wide-area]
enable-wide-area=no
[publish]
publish-hinfo=no
publish-workstation=no
[reflector]
[rlimits]
`, h.N)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "avahi.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.Command(t.Context(), "unshare", "--mount", "--propagation", "private", "sh", "-c", `set -e
mount -t tmpfs t /run
mkdir -p /run/dbus /run/avahi-daemon
chown avahi:avahi /run/avahi-daemon
mount -t tmpfs t /etc/avahi/services
dbus-daemon --system --fork --nopidfile
exec avahi-daemon -f "$0" --no-rlimits --no-drop-root --no-chroot`, conf)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("avahi on host %d:\n%s", h.N, said)
		}
		_ = log.Close()
	})
	return &Avahi{pid: cmd.Process.Pid}
}

// Browse lists what avahi has resolved of a service type: for each instance the
// line that avahi-browse prints for programs.
func (a *Avahi) Browse(service string) ([]string, error) {
	out, err := exec.Command("nsenter", "--target", strconv.Itoa(a.pid), "--mount", "--net",
		"avahi-browse", "--resolve", "--parsable", "--no-db-lookup", "--terminate", service).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("avahi-browse: %w: %s", err, out)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "=;") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found, nil
}
