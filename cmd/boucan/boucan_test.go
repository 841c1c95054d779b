package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"boucan/lab/alone"
)

// The tests run the program itself: this test binary, told by the environment
// to be boucan.
func TestMain(m *testing.M) {
	if os.Getenv("BOUCAN_TEST_BE") == "boucan" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(alone.Run(m))
}

// box is a running boucan with a data folder of its own.
type box struct {
	t    *testing.T
	dir  string
	http string
	cmd  *exec.Cmd
	done chan error
}

// command prepares one run of the program on a data folder.
func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"--data", dir}, args...)...)
	cmd.Env = append(os.Environ(), "BOUCAN_TEST_BE=boucan", "HOME="+dir)
	return cmd
}

// freePort asks the system for a TCP port nobody uses.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// start runs a box and waits until it says that it is on the air.
func start(t *testing.T, dir, name string) *box {
	t.Helper()
	b := &box{t: t, dir: dir, http: freePort(t), done: make(chan error, 1)}
	b.cmd = command(t, dir, "--http", b.http, "--port", "0", "--name", name, "serve")
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	b.cmd.Stderr = &log
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "Press Ctrl-C") {
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		b.done <- b.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		<-b.done
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, log.String())
		}
	})
	return b
}

// stop ends the box as an operator would and returns its exit code.
func (b *box) stop() int {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatal(err)
	}
	err := <-b.done
	b.done <- err
	return exitOf(b.t, err)
}

// kill ends it as a pulled plug would.
func (b *box) kill() {
	b.t.Helper()
	if err := b.cmd.Process.Kill(); err != nil {
		b.t.Fatal(err)
	}
	err := <-b.done
	b.done <- err
}

func exitOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	ee, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(err)
	}
	return ee.ExitCode()
}

// do runs a command against the box and returns what it printed and its exit code.
func do(t *testing.T, dir string, args ...string) (out, errOut string, code int) {
	t.Helper()
	cmd := command(t, dir, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	code = exitOf(t, cmd.Run())
	return o.String(), e.String(), code
}

// mustDo is do for commands that must succeed.
func (b *box) mustDo(args ...string) string {
	b.t.Helper()
	out, errOut, code := do(b.t, b.dir, args...)
	if code != 0 {
		b.t.Fatalf("boucan %s: exit %d: %s", strings.Join(args, " "), code, errOut)
	}
	return out
}

// line is what ls --json prints for one file.
type line struct {
	Name, CID, From string
	Size            int64
	Here            bool
}

func (b *box) ls() []line {
	b.t.Helper()
	var all []line
	dec := json.NewDecoder(strings.NewReader(b.mustDo("ls", "--json")))
	for {
		var l line
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, l)
	}
}

// eventually waits until ok holds; how long that may take is no promise of the
// product, only the point at which a test gives up.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// drop sends files through the page's form, as a browser without JavaScript does.
func (b *box) drop(files map[string]string) {
	b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, content := range files {
		w, err := form.CreateFormFile("file", name)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.Post("http://"+b.http+"/", form.FormDataContentType(), &body)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK { // after the redirect to what happened
		text, _ := io.ReadAll(resp.Body)
		b.t.Fatalf("drop: %s: %s", resp.Status, text)
	}
}

func TestTwoBoxesShareAndTalk(t *testing.T) {
	a, b := start(t, t.TempDir(), "Alpha"), start(t, t.TempDir(), "Beta")
	a.drop(map[string]string{"photo.jpg": "from alpha", "notes.txt": "words"})
	b.drop(map[string]string{"photo.jpg": "from beta"})
	names := func(x *box) (all []string) {
		for _, l := range x.ls() {
			if l.Here {
				all = append(all, l.Name+" "+l.CID)
			}
		}
		slices.Sort(all)
		return all
	}
	eventually(t, "both boxes hold all three files under the same names", func() bool {
		return len(names(a)) == 3 && slices.Equal(names(a), names(b))
	})

	other := filepath.Join(t.TempDir(), "got")
	for _, l := range b.ls() {
		if l.From == "Alpha" && l.Size == int64(len("from alpha")) {
			b.mustDo("get", l.CID, "--out", other)
		}
	}
	if got, err := os.ReadFile(other); err != nil || string(got) != "from alpha" {
		t.Errorf("got %q, %v", got, err)
	}

	a.mustDo("chat", "--nick", "Ada", "salut", "Beta")
	eventually(t, "the message is on the other box", func() bool {
		return strings.Contains(b.mustDo("chat", "--no-wait"), "Ada (Alpha): salut Beta")
	})
	if out := a.mustDo("peers", "--json"); !strings.Contains(out, `"name":"Beta"`) || !strings.Contains(out, `"connected":true`) {
		t.Errorf("peers: %s", out)
	}
	if code := a.stop(); code != 0 {
		t.Errorf("stopped with exit code %d", code)
	}
	eventually(t, "the other box notices the goodbye", func() bool {
		return strings.Contains(b.mustDo("peers", "--json"), `"connected":false`)
	})
}

func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	a := start(t, dir, "Alpha")
	want := map[string]string{}
	for i := range 20 {
		want[fmt.Sprintf("file %d.txt", i)] = strings.Repeat("x", i*1000)
	}
	a.drop(want)
	a.mustDo("chat", "before the plug was pulled")
	a.kill()
	a = start(t, dir, "Alpha")
	if got := len(a.ls()); got != len(want) {
		t.Errorf("%d files after the restart, want %d", got, len(want))
	}
	for name, content := range want {
		out := a.mustDo("get", name, "--out", "-")
		if out != content {
			t.Errorf("%s: %d bytes, want %d", name, len(out), len(content))
		}
	}
	if out := a.mustDo("chat", "--no-wait"); !strings.Contains(out, "before the plug was pulled") {
		t.Errorf("chat after the restart: %q", out)
	}
}

func TestFolderIsFollowed(t *testing.T) {
	a := start(t, t.TempDir(), "Alpha")
	path := filepath.Join(a.dir, "files", "by hand.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cid := func() string {
		for _, l := range a.ls() {
			if l.Name == "by hand.txt" && l.Here {
				return l.CID
			}
		}
		return ""
	}
	write("first")
	eventually(t, "the file is listed", func() bool { return cid() != "" })
	first := cid()
	write("second version")
	eventually(t, "the edited file is a new version", func() bool { return cid() != "" && cid() != first && len(a.ls()) == 1 })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed file is no longer offered", func() bool { return len(a.ls()) == 0 })
}

// TestMassRemovalWaitsForTheOperator: what an accident may have done is not
// passed on to other boxes before somebody says so.
func TestMassRemovalWaitsForTheOperator(t *testing.T) {
	const files = 20
	a := start(t, t.TempDir(), "Alpha")
	folder := filepath.Join(a.dir, "files", "album")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(i, ".txt")), fmt.Append(nil, "number ", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all files are listed", func() bool { return len(a.ls()) == files })
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the box says that files are missing", func() bool {
		return strings.Contains(a.mustDo("id"), "20 files; put them back") && strings.Contains(a.mustDo("id", "--json"), `"missing":20`)
	})
	if got := len(a.ls()); got != files {
		t.Errorf("%d files are still listed before the operator's word, want %d", got, files)
	}
	a.mustDo("confirm")
	eventually(t, "the files are withdrawn", func() bool { return len(a.ls()) == 0 })
	if out := a.mustDo("id"); strings.Contains(out, "Missing") {
		t.Errorf("id still speaks of missing files: %s", out)
	}
}

// TestDamageIsFoundAndSaid: bits that a disk lost are found by a scrub, and every
// command that speaks of files says so.
func TestDamageIsFoundAndSaid(t *testing.T) {
	a := start(t, t.TempDir(), "Alpha")
	for _, name := range []string{"bad.txt", "good.txt"} {
		if err := os.WriteFile(filepath.Join(a.dir, "files", name), []byte("the bytes of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both files are listed", func() bool { return len(a.ls()) == 2 })
	if out := a.mustDo("scrub"); !strings.Contains(out, "resting") || !strings.Contains(out, "never") {
		t.Errorf("before any scrub: %s", out)
	}
	path := filepath.Join(a.dir, "files", "bad.txt")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("x"), 4)
	if err := errors.Join(err, f.Close(), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	a.mustDo("scrub", "start")
	eventually(t, "the scrub finds it", func() bool { return strings.Contains(a.mustDo("scrub"), "2 files, 1 of them damaged") })
	for _, c := range [][2]string{{"scrub", "1 MiB"}, {"scrub", "bad.txt"}, {"id", "1 file"}, {"ls", "damaged"}} {
		if out := a.mustDo(c[0]); !strings.Contains(out, c[1]) {
			t.Errorf("%s does not say %q: %s", c[0], c[1], out)
		}
	}
	if out := a.mustDo("scrub", "--json"); !strings.Contains(out, `"damaged":1`) || !strings.Contains(out, `"path":"bad.txt"`) {
		t.Errorf("--json: %s", out)
	}
	if _, out, code := do(t, a.dir, "scrub", "resume"); code != exitFailed || !strings.Contains(out, "not paused") {
		t.Errorf("resuming what is not paused: %d, %s", code, out)
	}
	if _, _, code := do(t, a.dir, "scrub", "polish"); code != exitUsage {
		t.Errorf("an unknown order: %d", code)
	}
	if out := a.mustDo("scrub", "pause"); !strings.Contains(out, "paused") {
		t.Errorf("paused: %s", out)
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]rate{"auto": 0, "off": -1, "OFF": -1, "1": 1, "500k": 500 << 10, "4M": 4 << 20, "1G": 1 << 30} {
		var r rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%q is %d, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "M", "4T", "1.5M", "99999999999G"} {
		if r := rate(7); r.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is taken for %d", text, r)
		}
	}
}

func TestAdd(t *testing.T) {
	a := start(t, t.TempDir(), "Alpha")
	src := t.TempDir()
	for name, text := range map[string]string{"one.txt": "1", "sub/two.txt": "22", "empty": "", ".hidden": "no"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(src, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cids := strings.Fields(a.mustDo("add", src))
	if len(cids) != 3 {
		t.Errorf("add printed %q, want 3 CIDs", cids)
	}
	var listed []string
	for _, l := range a.ls() {
		listed = append(listed, l.Name)
		if !slices.Contains(cids, l.CID) {
			t.Errorf("%s is listed as %s, which add did not print", l.Name, l.CID)
		}
	}
	slices.Sort(listed)
	base := filepath.Base(src)
	if want := []string{base + "/empty", base + "/one.txt", base + "/sub/two.txt"}; !slices.Equal(listed, want) {
		t.Errorf("listed %q, want %q", listed, want)
	}
	out, errOut, code := do(t, a.dir, "add", filepath.Join(src, "one.txt"), filepath.Join(src, "absent"))
	if code != exitPartly || !strings.Contains(errOut, "absent") || len(strings.Fields(out)) != 1 {
		t.Errorf("one good, one absent: exit %d, %q, %q", code, out, errOut)
	}
	if out := a.mustDo("search", "TWO", "sub"); !strings.Contains(out, "two.txt") || strings.Contains(out, "one.txt") {
		t.Errorf("search: %s", out)
	}
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	if _, errOut, code := do(t, dir, "ls"); code != exitNotRunning || !strings.Contains(errOut, "no boucan is running") {
		t.Errorf("nothing runs: exit %d, %q", code, errOut)
	}
	if _, errOut, code := do(t, dir, "frobnicate"); code != exitUsage || errOut == "" {
		t.Errorf("unknown command: exit %d, %q", code, errOut)
	}
	if out, _, code := do(t, dir, "--help"); code != 0 || !strings.Contains(out, "Exit codes") {
		t.Errorf("help: exit %d, %q", code, out)
	}
	a := start(t, dir, "Alpha")
	if _, errOut, code := do(t, dir, "--http", freePort(t), "serve"); code != exitRunning || !strings.Contains(errOut, "already running") {
		t.Errorf("second start: exit %d, %q", code, errOut)
	}
	if _, errOut, code := do(t, t.TempDir(), "--http", a.http, "serve"); code != exitFailed || !strings.Contains(errOut, "--http") {
		t.Errorf("page's port in use: exit %d, %q", code, errOut)
	}
	if _, errOut, code := do(t, dir, "get", "absent"); code != exitNotFound || !strings.Contains(errOut, "absent") {
		t.Errorf("get of nothing: exit %d, %q", code, errOut)
	}
	if out := a.mustDo("id"); !strings.Contains(out, "12D3KooW") || !strings.Contains(out, "Alpha") {
		t.Errorf("id: %s", out)
	}
	if out := a.mustDo("version"); !strings.HasPrefix(out, "boucan ") {
		t.Errorf("version: %s", out)
	}
}

func TestQRCode(t *testing.T) {
	var b bytes.Buffer
	if err := printQR(&b, "http://100.64.0.1/"); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	const modules = 25 // version 2 holds 18 bytes at level M
	if want := (modules + 2*4 + 1) / 2; len(lines) != want {
		t.Errorf("%d lines, want %d", len(lines), want)
	}
}
