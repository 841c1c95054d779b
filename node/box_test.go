package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boucan/control"
)

// testBox is a node that runs, and what its people can do with it.
type testBox struct {
	*control.Client
	t    *testing.T
	node *Node
	dir  string
	url  string
	soft context.CancelFunc
	hard context.CancelFunc
	done chan error
	log  *testLog

	published time.Time // when publish made its last record
}

// testLog keeps what a node logs, for when a test fails.
type testLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// config is the configuration of a test's node.
func config(dir string, log io.Writer) Config {
	return Config{
		Data: dir, HTTP: "127.0.0.1:0", Name: filepath.Base(dir), Profile: profiles[len(profiles)-1],
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// newBox starts a box of a name, with an empty folder.
func newBox(t *testing.T, name string) *testBox {
	t.Helper()
	return startBox(t, filepath.Join(t.TempDir(), name), nil)
}

// startBox starts a box on a folder. system is its clock, which something keeps
// right, nil for the real one.
func startBox(t *testing.T, dir string, system func() time.Time) *testBox {
	t.Helper()
	log := &testLog{}
	c := config(dir, log)
	c.system, c.kept = system, func() bool { return true }
	b := startWith(t, c)
	b.log = log
	return b
}

// startWith starts a box.
func startWith(t *testing.T, c Config) *testBox {
	t.Helper()
	b := &testBox{t: t, dir: c.Data, done: make(chan error, 1), log: &testLog{}}
	var err error
	if b.node, err = Open(c); err != nil {
		t.Fatal(err)
	}
	b.url = fmt.Sprintf("http://127.0.0.1:%d", b.node.httpPort())
	soft, hard := context.Background(), context.Background()
	soft, b.soft = context.WithCancel(soft)
	hard, b.hard = context.WithCancel(hard)
	go func() { b.done <- b.node.Run(soft, hard) }()
	t.Cleanup(func() {
		b.stop()
		if t.Failed() {
			t.Logf("log of %s:\n%s", filepath.Base(c.Data), b.log)
		}
	})
	if b.Client, err = control.Dial(t.Context(), c.Data); err != nil {
		t.Fatal(err)
	}
	return b
}

// stop ends the box as an operator would.
func (b *testBox) stop() {
	b.t.Helper()
	b.soft()
	err := <-b.done
	b.done <- nil
	if err != nil {
		b.t.Errorf("%s ended with: %v", filepath.Base(b.dir), err)
	}
	b.hard()
}

// again stops the box and starts it on the same folder.
func (b *testBox) again() *testBox {
	b.t.Helper()
	b.stop()
	return startBox(b.t, b.dir, nil)
}

// put writes a file into the folder by hand.
func (b *testBox) put(name, content string) {
	b.t.Helper()
	path := filepath.Join(b.dir, filesDir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// rm removes a file from the folder by hand.
func (b *testBox) rm(name string) {
	b.t.Helper()
	if err := os.Remove(filepath.Join(b.dir, filesDir, name)); err != nil {
		b.t.Fatal(err)
	}
}

// folder is what lies in the folder: content by path.
func (b *testBox) folder() map[string]string {
	b.t.Helper()
	found := make(map[string]string)
	root := filepath.Join(b.dir, filesDir)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			if d != nil && d.IsDir() && err == nil {
				return fs.SkipDir
			}
			return nil // it went while it was looked at
		}
		if rel, err := filepath.Rel(root, p); err == nil && !d.IsDir() {
			if content, err := os.ReadFile(p); err == nil {
				found[rel] = string(content)
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// drop drops a file as a visitor does.
func (b *testBox) drop(name, content string) {
	b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	w, err := form.CreateFormFile("file", name)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		b.t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.Post(b.url+"/", form.FormDataContentType(), &body)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK { // after the redirect to what happened
		text, _ := io.ReadAll(resp.Body)
		b.t.Fatalf("drop: %s: %s", resp.Status, text)
	}
}

// add shares a file by the command line.
func (b *testBox) add(name, content string) control.Added {
	b.t.Helper()
	added, err := b.Add(b.t.Context(), name, time.Now(), strings.NewReader(content))
	if err != nil {
		b.t.Fatal(err)
	}
	return added
}

// ls is what the box lists, by name.
func (b *testBox) ls() map[string]control.File {
	b.t.Helper()
	found := make(map[string]control.File)
	err := b.Files(b.t.Context(), "", func(f control.File) error {
		if _, twice := found[f.Name]; twice {
			b.t.Errorf("%s lists %q twice", filepath.Base(b.dir), f.Name)
		}
		found[f.Name] = f
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// here is the names of what the box lists and has.
func (b *testBox) here() []string {
	b.t.Helper()
	var names []string
	for name, f := range b.ls() {
		if f.Here {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (b *testBox) lists(names ...string) bool {
	b.t.Helper()
	return slices.Equal(slices.Sorted(maps.Keys(b.ls())), names)
}

func (b *testBox) has(names ...string) bool {
	b.t.Helper()
	return slices.Equal(b.here(), names)
}

// get fetches a file by name.
func (b *testBox) get(name string) string {
	b.t.Helper()
	body, err := b.Get(b.t.Context(), name)
	if err != nil {
		b.t.Fatalf("get %q: %v", name, err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		b.t.Fatalf("get %q: %v", name, err)
	}
	return string(content)
}

// eventually waits until ok holds; how long that may take is no promise of the
// product, only the point at which a test gives up.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}
