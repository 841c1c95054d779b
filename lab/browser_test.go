//go:build lab

package lab

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestBrowser runs the page's own browser tests against a real box from
// another machine, and then two boxes in two windows.
func TestBrowser(t *testing.T) {
	l := NewLan(t, "browser", 3, V4Only)
	a, b := StartBox(t, l.Hosts[0], "fenêtre"), StartBox(t, l.Hosts[1], "miroir")
	eventually(t, 10*time.Second, "the boxes meet", func() error { return b.ReachesAll(a) })
	laptop := l.Hosts[2]
	t.Run("one box", func(t *testing.T) { browse(t, laptop, "webui/browser/run.mjs", a, b) })
	t.Run("two boxes", func(t *testing.T) { browse(t, laptop, "lab/twoboxes.mjs", a, b) })
	eventually(t, 30*time.Second, "all that the browser dropped is on both boxes", func() error {
		dropped := &ledger{}
		all, err := a.Ls()
		for _, f := range all {
			dropped.add(Item{Name: f.Name})
		}
		if err != nil {
			return err
		}
		return holds(b, dropped, nil)
	})
	for _, box := range []*Box{a, b} {
		box.Stop()
		noTraceOf(t, box, laptop)
	}
}

var allPassed = regexp.MustCompile(`(?m)^(\d+) passed, 0 failed$`)

// browse runs one script of browser tests on a host, against a box that another
// is or was connected with. BOUCAN_SHOTS names a folder for pictures.
func browse(t *testing.T, from *Host, script string, box, other *Box, args ...string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	url := func(b *Box) string { return "http://" + net.JoinHostPort(b.Addr().String(), port) }
	cmd := from.Command(t.Context(), append([]string{"node", filepath.Join(root, script)}, args...)...)
	home := t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home,
		"LANG=C.UTF-8", // or a browser gives no file a name beyond ASCII
		"BOUCAN_URL=" + url(box), "BOUCAN_OTHER=" + url(other), "BOUCAN_SHOTS=" + os.Getenv("BOUCAN_SHOTS")}
	out, err := cmd.CombinedOutput()
	passed := allPassed.FindSubmatch(out)
	if err != nil || passed == nil || string(passed[1]) == "0" {
		t.Errorf("%s: %v\n%s", script, err, out)
		return
	}
	t.Logf("%s: %s", script, strings.TrimSpace(string(out)))
}
