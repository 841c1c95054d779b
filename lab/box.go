//go:build lab

package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// port is where boxes serve their page.
const port = "8080"

// stopLimit is how long a box may take to stop after SIGTERM.
const stopLimit = 10 * time.Second

// Box is one boucan on a host: its data folder, and its process while it runs.
type Box struct {
	*Host
	Name string
	Dir  string // data folder
	Args []string

	t    testing.TB
	home string
	log  *os.File
	cmd  *exec.Cmd
	done chan error // the process's end, once
}

// NewBox prepares a box on h and does not start it. When the test ends it is
// stopped the orderly way, and its log is shown where the test failed.
func NewBox(t testing.TB, h *Host, name string) *Box {
	t.Helper()
	home := t.TempDir()
	return newBoxIn(t, h, name, home, filepath.Join(home, "data"))
}

func newBoxIn(t testing.TB, h *Host, name, home, dir string) *Box {
	t.Helper()
	log, err := os.Create(filepath.Join(home, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	b := &Box{Host: h, Name: name, Dir: dir, t: t, home: home, log: log}
	t.Cleanup(func() {
		b.Stop()
		if t.Failed() {
			b.showLog()
		}
		_ = log.Close()
	})
	return b
}

// StartBox is NewBox and Start.
func StartBox(t testing.TB, h *Host, name string) *Box {
	t.Helper()
	b := NewBox(t, h, name)
	b.Start()
	return b
}

// Start runs the box and returns when its page answers.
func (b *Box) Start() {
	b.t.Helper()
	b.Launch()
	b.WaitForPage()
}

// Launch runs the box and returns at once.
func (b *Box) Launch() {
	b.t.Helper()
	if b.cmd != nil {
		b.t.Fatalf("box %s runs already", b.Name)
	}
	// Not the test's context: that ends before the orderly stop.
	args := append([]string{program, "--data", b.Dir, "--http", ":" + port, "--name", b.Name, "serve"}, b.Args...)
	b.cmd = b.Command(context.Background(), args...)
	b.cmd.Env = b.env()
	b.cmd.Stdout, b.cmd.Stderr = b.log, b.log
	if err := b.cmd.Start(); err != nil {
		b.t.Fatalf("start box %s: %v", b.Name, err)
	}
	cmd, done := b.cmd, make(chan error, 1)
	b.done = done
	go func() { done <- cmd.Wait() }()
}

// WaitForPage returns when the box's page answers on its own host.
func (b *Box) WaitForPage() {
	b.t.Helper()
	eventually(b.t, 15*time.Second, "the page of box "+b.Name, func() error {
		select {
		case err := <-b.done:
			b.done <- err
			b.t.Fatalf("box %s ended: %v", b.Name, err)
		default:
		}
		_, err := b.Self().Get("/")
		return err
	})
}

// Stop ends the box the orderly way; the test fails where that takes longer
// than stopLimit or the exit code is not 0.
func (b *Box) Stop() {
	b.t.Helper()
	if b.cmd == nil {
		return
	}
	cmd, done := b.cmd, b.done
	b.cmd = nil
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-done:
		if err != nil {
			b.t.Errorf("box %s ended badly: %v", b.Name, err)
		}
	case <-time.After(stopLimit):
		b.t.Errorf("box %s did not stop within %v of SIGTERM", b.Name, stopLimit)
		_ = cmd.Process.Signal(syscall.SIGQUIT) // shows what every goroutine waits for
		select {
		case <-done:
		case <-time.After(stopLimit):
			_ = cmd.Process.Kill()
			<-done
		}
	}
}

// Kill ends the box as a pulled plug ends a process.
func (b *Box) Kill() {
	b.t.Helper()
	if b.cmd == nil {
		b.t.Fatalf("box %s does not run", b.Name)
	}
	_ = b.cmd.Process.Kill()
	<-b.done
	b.cmd = nil
}

// Resident is how many bytes of memory the box holds (proc(5), VmRSS), and how
// many of them are its own rather than pages of files (RssAnon).
func (b *Box) Resident() (all, own int64) {
	b.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		b.t.Fatal(err)
	}
	read := func(field string) int64 {
		_, rest, _ := strings.Cut(string(text), field+":")
		var kb int64
		if _, err := fmt.Sscan(rest, &kb); err != nil {
			b.t.Fatalf("memory of box %s: %v", b.Name, err)
		}
		return kb << 10
	}
	return read("VmRSS"), read("RssAnon")
}

// Self is a browser on the box's own machine.
func (b *Box) Self() *Visitor { return NewVisitor(b.Host, "127.0.0.1:"+port) }

// CLI runs one of the program's other commands and returns what it printed.
func (b *Box) CLI(args ...string) ([]byte, error) { return b.Tell("", args...) }

// Tell is CLI with something on standard input.
func (b *Box) Tell(input string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"--data", b.Dir}, args...)...)
	cmd.Env = b.env()
	var problems bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(input), &problems
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("boucan %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(problems.Bytes()))
	}
	return out, nil
}

// MustCLI is CLI for what has to succeed.
func (b *Box) MustCLI(args ...string) string {
	b.t.Helper()
	return b.MustTell("", args...)
}

// MustTell is Tell for what has to succeed.
func (b *Box) MustTell(input string, args ...string) string {
	b.t.Helper()
	out, err := b.Tell(input, args...)
	if err != nil {
		b.t.Fatalf("on box %s: %v", b.Name, err)
	}
	return string(out)
}

func (b *Box) env() []string {
	return []string{"HOME=" + b.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + b.home, "GOTRACEBACK=all"}
}

// Listed is one line of ls --json.
type Listed struct {
	Name string
	CID  string
	Size int64
	From string
	Here bool
	// Landed is how many bytes lie on the box that was asked.
	Landed int64
}

// Ls is what the box lists.
func (b *Box) Ls() ([]Listed, error) { return jsonLines[Listed](b.CLI("ls", "--json")) }

// Met is one line of peers --json.
type Met struct {
	ID        string
	Name      string
	Addrs     []string
	Connected bool
	Near      bool
}

// Reaches is the names of the boxes this one is connected with.
func (b *Box) Reaches() (map[string]Met, error) {
	all, err := jsonLines[Met](b.CLI("peers", "--json"))
	if err != nil {
		return nil, err
	}
	reached := make(map[string]Met)
	for _, m := range all {
		if m.Connected {
			reached[m.Name] = m
		}
	}
	return reached, nil
}

// Finds fails unless the box lists name; then it is that file.
func (b *Box) Finds(name string) (Listed, error) {
	all, err := b.Ls()
	if err != nil {
		return Listed{}, err
	}
	for _, l := range all {
		if l.Name == name {
			return l, nil
		}
	}
	return Listed{}, fmt.Errorf("box %s lists no %q among %d files", b.Name, name, len(all))
}

// Has fails unless all bytes of the listed file lie on the box.
func (b *Box) Has(name string) error {
	l, err := b.Finds(name)
	if err == nil && !l.Here {
		err = fmt.Errorf("box %s has %d of %d bytes of %q", b.Name, l.Landed, l.Size, name)
	}
	return err
}

// Heard fails unless the lobby's history on this box holds text.
func (b *Box) Heard(text string) error {
	said, err := jsonLines[struct{ Text string }](b.CLI("chat", "--no-wait", "--last", "200", "--json"))
	if err != nil {
		return err
	}
	for _, m := range said {
		if m.Text == text {
			return nil
		}
	}
	return fmt.Errorf("box %s has heard %d messages, none of them %q", b.Name, len(said), text)
}

// ReachesAll fails unless the box is connected with every other of the list.
func (b *Box) ReachesAll(boxes ...*Box) error {
	reached, err := b.Reaches()
	if err != nil {
		return err
	}
	for _, other := range boxes {
		if _, ok := reached[other.Name]; !ok && other != b {
			return fmt.Errorf("box %s does not reach %s", b.Name, other.Name)
		}
	}
	return nil
}

func jsonLines[T any](out []byte, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	var all []T
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var v T
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read %q: %w", out, err)
		}
		all = append(all, v)
	}
}

// FilesDir is the shared folder.
func (b *Box) FilesDir() string { return filepath.Join(b.Dir, "files") }

// OnDisk is the SHA-256 of each file in the shared folder, by its path there.
// Hidden files, which the box does not share, are left out.
func (b *Box) OnDisk() map[string][sha256.Size]byte {
	b.t.Helper()
	sums := make(map[string][sha256.Size]byte)
	err := filepath.WalkDir(b.FilesDir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); path != b.FilesDir() && strings.HasPrefix(name, ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		sum, err := sumFile(path)
		rel, _ := filepath.Rel(b.FilesDir(), path)
		sums[filepath.ToSlash(rel)] = sum
		return err
	})
	if err != nil {
		b.t.Fatalf("read the files of box %s: %v", b.Name, err)
	}
	return sums
}

func sumFile(path string) ([sha256.Size]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}

// Log is everything the box has printed.
func (b *Box) Log() string {
	text, err := os.ReadFile(b.log.Name())
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *Box) showLog() {
	const most = 60
	lines := strings.Split(strings.TrimSpace(b.Log()), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	b.t.Logf("the last lines of box %s:\n%s", b.Name, strings.Join(lines, "\n"))
}
