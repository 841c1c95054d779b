package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boucan/control"
)

// memoryNode is a node that keeps everything in memory.
type memoryNode struct {
	control.Moderator

	mu       sync.Mutex
	files    map[string][]byte
	messages []control.Message
	said     chan control.Message

	confirmed bool
	set       time.Time
	scrub     string // the last order
	circle    string
}

func newMemoryNode() *memoryNode {
	return &memoryNode{files: map[string][]byte{}, said: make(chan control.Message, 8)}
}

func (n *memoryNode) Identity() control.Identity {
	return control.Identity{ID: "12D3KooWtest", Name: "Test Box", URLs: []string{"http://localhost:8080/"}}
}

func (n *memoryNode) Files(_ context.Context, query string, each func(control.File) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, b := range n.files {
		if strings.Contains(name, query) {
			if err := each(control.File{Name: name, Size: uint64(len(b)), Here: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *memoryNode) Peers() []control.Peer {
	return []control.Peer{{ID: "12D3KooWother", Name: "Other"}}
}

func (n *memoryNode) Add(_ context.Context, name string, modified time.Time, r io.Reader) (control.Added, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return control.Added{}, err
	}
	if name == "full" {
		return control.Added{}, errors.New("there is no room left: free some space")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.files[name] = b
	return control.Added{Name: name, CID: "bafk" + modified.UTC().Format("20060102"), Size: uint64(len(b))}, nil
}

func (n *memoryNode) Lookup(ref string) (control.File, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	b, ok := n.files[ref]
	if !ok {
		return control.File{}, fmt.Errorf("%w: nothing is called %q", control.ErrNotFound, ref)
	}
	return control.File{Name: ref, Size: uint64(len(b)), Here: true}, nil
}

func (n *memoryNode) Get(_ context.Context, ref string) (control.File, io.ReadCloser, error) {
	f, err := n.Lookup(ref)
	if err != nil {
		return f, nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.files[ref]
	if ref == "broken" {
		return f, io.NopCloser(io.MultiReader(bytes.NewReader(b[:len(b)/2]), brokenReader{})), nil
	}
	return f, io.NopCloser(bytes.NewReader(b)), nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("disk gone") }

func (n *memoryNode) History(_ context.Context, _ string, limit int) ([]control.Message, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.messages[max(0, len(n.messages)-limit):], nil
}

func (n *memoryNode) Clock() control.Clock {
	n.mu.Lock()
	defer n.mu.Unlock()
	return control.Clock{Time: n.set, Source: "operator"}
}

func (n *memoryNode) SetClock(_ context.Context, now time.Time) error {
	if now.Year() < 2000 {
		return errors.New("that is before this program was made")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.set = now
	return nil
}

func (n *memoryNode) Policy() control.Policy {
	return control.Policy{Mirror: "1000", Exclude: []string{"*.iso"}, Copies: control.Kept{Files: 2, Bytes: 900}, Full: "mirror"}
}

func (n *memoryNode) Pin(_ context.Context, ref string) (control.File, error) {
	f, err := n.Lookup(ref)
	f.Pinned = true
	return f, err
}

func (n *memoryNode) Unpin(_ context.Context, ref string) (control.File, error) { return n.Lookup(ref) }

func (n *memoryNode) Confirm(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.confirmed = true
	return nil
}

func (n *memoryNode) Scrub(order string) (control.Scrub, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if order == "sing" {
		return control.Scrub{}, errors.New("a scrub cannot sing")
	}
	n.scrub = order
	return control.Scrub{State: "running", List: []control.Damaged{{Path: "a b\x1b", Chunks: 2}}}, nil
}

func (n *memoryNode) JoinCircle(text string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.circle = "in " + text
	return nil
}

func (n *memoryNode) LeaveCircle(forget bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.circle == "" {
		return errors.New("in no circle")
	}
	n.circle = fmt.Sprint("left, forgets: ", forget)
	return nil
}

func (n *memoryNode) Say(_ context.Context, room, nick, text string) (control.Message, error) {
	m := control.Message{Room: room, Nick: nick, Text: text, Box: "Test Box"}
	n.mu.Lock()
	n.messages = append(n.messages, m)
	n.mu.Unlock()
	n.said <- m
	return m, nil
}

func (n *memoryNode) Follow(ctx context.Context, _ string, last int, each func(control.Message) error) error {
	n.mu.Lock()
	earlier := slices.Clone(n.messages[max(0, len(n.messages)-last):])
	n.mu.Unlock()
	for _, m := range earlier {
		if err := each(m); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-n.said:
			if err := each(m); err != nil {
				return err
			}
		}
	}
}

// serve runs a server over a fresh folder and returns a client for it. The
// server is stopped, and waited for, when the test ends.
func serve(t *testing.T, dir string, node control.Node) (c *control.Client, stop func()) {
	t.Helper()
	s, err := control.NewServer(dir, node, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, t.Context()) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	if c, err = control.Dial(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return c, stop
}

func list(t *testing.T, c *control.Client, query string) (all []control.File, err error) {
	t.Helper()
	err = c.Files(t.Context(), query, func(f control.File) error {
		all = append(all, f)
		return nil
	})
	return all, err
}

func TestAddListGet(t *testing.T) {
	c, _ := serve(t, t.TempDir(), newMemoryNode())
	content := bytes.Repeat([]byte("boucan"), 300_000)
	added, err := c.Add(t.Context(), "naïve Ωmega/日本 &?#.txt", time.UnixMilli(1_700_000_000_000), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if added.CID != "bafk20231114" || added.Size != uint64(len(content)) {
		t.Errorf("added %+v", added)
	}
	files, err := list(t, c, "")
	if err != nil || len(files) != 1 || files[0].Name != "naïve Ωmega/日本 &?#.txt" {
		t.Fatalf("files %+v, %v", files, err)
	}
	body, err := c.Get(t.Context(), files[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(content))
	}
}

func TestErrorsReachTheClientAsSentences(t *testing.T) {
	c, _ := serve(t, t.TempDir(), newMemoryNode())
	if _, err := c.Lookup(t.Context(), "absent"); !errors.Is(err, control.ErrNotFound) || !strings.Contains(err.Error(), `nothing is called "absent"`) {
		t.Errorf("Lookup: %v", err)
	}
	if _, err := c.Get(t.Context(), "absent"); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	_, err := c.Add(t.Context(), "full", time.Time{}, strings.NewReader("x"))
	if err == nil || err.Error() != "there is no room left: free some space" {
		t.Errorf("Add: %v", err)
	}
	if _, err := list(t, c, strings.Repeat("x", control.MaxQuery+1)); err == nil {
		t.Error("a query one past the limit was taken")
	}
	if _, err := list(t, c, strings.Repeat("x", control.MaxQuery)); err != nil {
		t.Errorf("a query at the limit was refused: %v", err)
	}
	if _, err := c.Say(t.Context(), "lobby", "", strings.Repeat("x", control.MaxChatBody)); err == nil {
		t.Error("a chat body past the limit was taken")
	}
}

func TestABrokenDownloadIsNoWholeFile(t *testing.T) {
	n := newMemoryNode()
	n.files["broken"] = bytes.Repeat([]byte("x"), 1<<20)
	c, _ := serve(t, t.TempDir(), n)
	body, err := c.Get(t.Context(), "broken")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err == nil {
		t.Errorf("read %d bytes of a file that broke off, without an error", len(got))
	}
}

func TestChat(t *testing.T) {
	c, stop := serve(t, t.TempDir(), newMemoryNode())
	heard := make(chan control.Message, 1)
	followed := make(chan error, 1)
	go func() {
		followed <- c.Follow(context.Background(), "lobby", 0, func(m control.Message) error { heard <- m; return nil })
	}()
	if _, err := c.Say(t.Context(), "lobby", "Ada", "salut"); err != nil {
		t.Fatal(err)
	}
	if m := <-heard; m.Text != "salut" || m.Nick != "Ada" {
		t.Errorf("heard %+v", m)
	}
	list, err := c.History(t.Context(), "lobby", 5)
	if err != nil || len(list) != 1 {
		t.Errorf("history %v, %v", list, err)
	}
	if _, err := c.History(t.Context(), "lobby", control.MaxHistory+1); err == nil {
		t.Error("a history past the limit was given")
	}
	stop()
	if err := <-followed; !errors.Is(err, control.ErrStopped) {
		t.Errorf("following ended with %v when the node stopped, want ErrStopped", err)
	}
}

func TestNotRunning(t *testing.T) {
	dir := t.TempDir()
	if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("without a socket: %v", err)
	}
	_, stop := serve(t, dir, newMemoryNode())
	stop()
	if _, err := control.Dial(t.Context(), dir); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("after the node stopped: %v", err)
	}
	if _, err := control.Dial(t.Context(), filepath.Join(dir, "no", "such")); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("without a folder: %v", err)
	}
	serve(t, dir, newMemoryNode()) // a socket left behind is replaced
}

func TestSocketIsPrivateAndWorksInALongFolder(t *testing.T) {
	dir := t.TempDir()
	for range 5 {
		dir = filepath.Join(dir, strings.Repeat("d", 60))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c, _ := serve(t, dir, newMemoryNode())
	if _, err := c.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, control.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode %o, want 600", info.Mode().Perm())
	}
}

func TestScrubReachesTheNode(t *testing.T) {
	n := newMemoryNode()
	c, _ := serve(t, t.TempDir(), n)
	for _, order := range []string{control.ScrubStart, control.ScrubPause, control.ScrubResume, ""} {
		s, err := c.Scrub(t.Context(), order)
		if err != nil || s.State != "running" || len(s.List) != 1 || s.List[0].Path != "a b\x1b" {
			t.Errorf("%q: %+v, %v", order, s, err)
		}
		if n.scrub != order {
			t.Errorf("the node heard %q, not %q", n.scrub, order)
		}
	}
	if _, err := c.Scrub(t.Context(), "sing"); err == nil || err.Error() != "a scrub cannot sing" {
		t.Errorf("a wrong order: %v", err)
	}
}

func TestPolicyIsShown(t *testing.T) {
	n := newMemoryNode()
	c, _ := serve(t, t.TempDir(), n)
	if p, err := c.Policy(t.Context()); err != nil || !reflect.DeepEqual(p, n.Policy()) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestConfirmReachesTheNode(t *testing.T) {
	n := newMemoryNode()
	c, _ := serve(t, t.TempDir(), n)
	if err := c.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.confirmed {
		t.Error("the node heard nothing")
	}
}

func TestCircleReachesTheNode(t *testing.T) {
	n := newMemoryNode()
	c, _ := serve(t, t.TempDir(), n)
	said := func() string {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.circle
	}
	if err := c.LeaveCircle(t.Context(), false); err == nil || err.Error() != "in no circle" {
		t.Errorf("leave: %v", err)
	}
	text := strings.Repeat("k", control.MaxKey)
	if err := c.JoinCircle(t.Context(), text); err != nil || said() != "in "+text {
		t.Errorf("join: %v, the node was told %q", err, said())
	}
	if err := c.JoinCircle(t.Context(), text+"k"); err == nil || !strings.Contains(err.Error(), "1024 bytes") {
		t.Errorf("join with a text too long: %v", err)
	}
	for _, forget := range []bool{true, false} {
		if err := c.LeaveCircle(t.Context(), forget); err != nil || said() != fmt.Sprint("left, forgets: ", forget) {
			t.Errorf("leave: %v, the node was told %q", err, said())
		}
	}
}

func TestTheClockIsSet(t *testing.T) {
	n := newMemoryNode()
	c, _ := serve(t, t.TempDir(), n)
	now := time.Date(2030, 1, 2, 3, 4, 5, 6e6, time.UTC)
	got, err := c.SetClock(t.Context(), now)
	if err != nil || !got.Time.Equal(now) {
		t.Errorf("set to %v, %v", got.Time, err)
	}
	if _, err := c.SetClock(t.Context(), time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "before this program") {
		t.Errorf("1970: %v", err)
	}
	if got, err = c.Clock(t.Context()); err != nil || !got.Time.Equal(now) || got.Source != "operator" {
		t.Errorf("clock %+v, %v", got, err)
	}
}
