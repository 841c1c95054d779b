package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"boucan/circle"
)

// newKeyText makes a circle's key.
func newKeyText(t *testing.T) string {
	t.Helper()
	text, err := NewCircle()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// newMember starts a box of a name in a circle, in the open mesh where key is
// empty.
func newMember(t *testing.T, name, key string) *testBox {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if key != "" {
		if err := JoinCircle(dir, key); err != nil {
			t.Fatal(err)
		}
	}
	return startBox(t, dir, nil)
}

// startsAnew waits until the box ended for another mesh and starts it again.
func (b *testBox) startsAnew() *testBox {
	b.t.Helper()
	if err := <-b.done; !errors.Is(err, ErrRestart) {
		b.t.Fatalf("it ended with: %v", err)
	}
	b.done <- nil
	return b.again()
}

// onLoopback is where a host of this machine is reached.
func onLoopback(t testing.TB, h host.Host) peer.AddrInfo {
	t.Helper()
	at, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", listenPort(h.Network())))
	if err != nil {
		t.Fatal(err)
	}
	return peer.AddrInfo{ID: h.ID(), Addrs: []ma.Multiaddr{at}}
}

// knowsOnly reports whether these boxes are connected, and no other was met.
func (b *testBox) knowsOnly(names ...string) bool {
	b.t.Helper()
	list, err := b.Peers(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	met := map[string]bool{}
	for _, p := range list {
		met[p.Name] = p.Connected
	}
	for _, name := range names {
		if !met[name] {
			return false
		}
	}
	return len(met) == len(names)
}

// TestCircleKeepsToItself: two boxes of a circle, one of another and two of the
// open mesh, in one network. Each mesh is whole and learns nothing of the others.
func TestCircleKeepsToItself(t *testing.T) {
	key := newKeyText(t)
	a, b := newMember(t, "a", key), newMember(t, "b", key)
	other := newMember(t, "other", newKeyText(t))
	o, p := newMember(t, "o", ""), newMember(t, "p", "")
	a.add("secret.txt", "of the circle")
	if _, err := a.Say(t.Context(), "lobby", "", "said in the circle"); err != nil {
		t.Fatal(err)
	}
	other.add("other.txt", "of the other circle")
	o.add("open.txt", "for all")
	eventually(t, "the circle is whole", func() bool { return a.knowsOnly("b") && b.knowsOnly("a") && b.has("secret.txt") })
	eventually(t, "the open mesh is whole", func() bool { return o.knowsOnly("p") && p.knowsOnly("o") && p.has("open.txt") })
	if got := b.get("secret.txt"); got != "of the circle" {
		t.Errorf("it came as %q", got)
	}
	eventually(t, "what was said is heard", func() bool {
		heard, err := b.History(t.Context(), "lobby", 10)
		return err == nil && len(heard) == 1 && heard[0].Text == "said in the circle"
	})

	if !other.knowsOnly() || !other.lists("other.txt") || !o.knowsOnly("p") || !o.lists("open.txt") ||
		!a.knowsOnly("b") || !a.lists("secret.txt") {
		t.Errorf("a mesh learnt of another: %v, %v, %v", other.ls(), o.ls(), a.ls())
	}

	// Whoever knows where they are gets no further.
	stranger := newMeeting(t)
	for _, try := range []struct {
		from host.Host
		to   *testBox
		in   bool
	}{{stranger.host, o, true}, {stranger.host, a, false}, {stranger.host, b, false}, {a.node.host, o, false}, {a.node.host, other, false}} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := try.from.Connect(ctx, onLoopback(t, try.to.node.host)); (err == nil) != try.in {
			t.Errorf("a connection to %s: %v, to be let in: %v", try.to.node.name, err, try.in)
		}
		cancel()
	}
}

// TestJoiningAndLeavingKeepApart: what was held in one mesh is not in another,
// and is there again when the box is back.
func TestJoiningAndLeavingKeepApart(t *testing.T) {
	key := newKeyText(t)
	a, b, o := newMember(t, "a", ""), newMember(t, "b", key), newMember(t, "o", "")
	a.add("open.txt", "for all")
	a.put("by hand.txt", "for all, by hand")
	eventually(t, "the open mesh has it", func() bool { return o.has("by hand.txt", "open.txt") })
	before, err := a.Identity(t.Context())
	if err != nil || before.Circle != "" {
		t.Fatalf("in circle %q, %v", before.Circle, err)
	}

	if err := a.JoinCircle(t.Context(), strings.ToLower(key)); err != nil {
		t.Fatal(err)
	}
	a = a.startsAnew()
	within, err := a.Identity(t.Context())
	if want, _ := CheckCircle(key); err != nil || within.Circle != want || within.ID == before.ID || within.Folder == before.Folder {
		t.Errorf("in the circle: %+v, %v, before %+v", within, err, before)
	}
	a.add("secret.txt", "of the circle")
	eventually(t, "the circle has it", func() bool { return b.has("secret.txt") })
	if !a.lists("secret.txt") || !b.lists("secret.txt") {
		t.Errorf("what was open is in the circle: %v, %v", a.ls(), b.ls())
	}
	eventually(t, "the open mesh misses it", func() bool {
		list, err := o.Peers(t.Context())
		return err == nil && len(list) == 1 && !list[0].Connected
	})

	if err := a.LeaveCircle(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	a = a.startsAnew()
	eventually(t, "it is back in the open mesh", func() bool { return o.knowsOnly("a") })
	a.add("later.txt", "for all, later")
	eventually(t, "the open mesh has the new", func() bool { return o.has("by hand.txt", "later.txt", "open.txt") })
	if !a.lists("by hand.txt", "later.txt", "open.txt") {
		t.Errorf("back in the open mesh: %v", a.ls())
	}
	if after, err := a.Identity(t.Context()); err != nil || after.Circle != "" || after.ID != before.ID {
		t.Errorf("back in the open mesh: %+v, %v", after, err)
	}

	if err := a.JoinCircle(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	a = a.startsAnew()
	eventually(t, "what the circle had is there again", func() bool { return a.has("secret.txt") && a.knowsOnly("b") })
	folder := within.Folder
	if err := a.LeaveCircle(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	a = a.startsAnew()
	if _, err := os.Stat(filepath.Dir(folder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was to be forgotten is there: %v", err)
	}
	if list, err := os.ReadDir(filepath.Join(a.dir, circlesDir)); err != nil || len(list) != 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
	if !a.lists("by hand.txt", "later.txt", "open.txt") || !b.has("secret.txt") {
		t.Errorf("forgetting took more: %v, %v", a.ls(), b.ls())
	}
}

func TestOneCircleAtATime(t *testing.T) {
	a := newBox(t, "a")
	for _, wrong := range []string{"", "nonsense", strings.Repeat("0", 2000)} {
		if err := a.JoinCircle(t.Context(), wrong); err == nil {
			t.Errorf("joined %.20q", wrong)
		}
	}
	if err := a.LeaveCircle(t.Context(), false); err == nil || !strings.Contains(err.Error(), "in no circle") {
		t.Errorf("left no circle: %v", err)
	}
	key := newKeyText(t)
	if err := a.JoinCircle(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	a = a.startsAnew()
	if err := a.JoinCircle(t.Context(), key); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := a.JoinCircle(t.Context(), newKeyText(t)); err == nil || !strings.Contains(err.Error(), "circle leave") {
		t.Errorf("joined another: %v", err)
	}
	if _, err := a.Identity(t.Context()); err != nil {
		t.Errorf("it does not run on: %v", err)
	}
	if err := JoinCircle(a.dir, key); !errors.Is(err, ErrRunning) {
		t.Errorf("behind a running box's back: %v", err)
	}
	if strings.Contains(a.log.String(), key[:9]) || strings.Contains(a.log.String(), "secret") {
		t.Errorf("the key is in the log:\n%s", a.log)
	}
}

// TestDamagedKeyIsNotTheOpenMesh: the box must not speak there by mistake.
func TestDamagedKeyIsNotTheOpenMesh(t *testing.T) {
	dir := t.TempDir()
	key := newKeyText(t)
	if err := JoinCircle(dir, key); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, circleFile)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("key file: %v, %v", info, err)
	}
	for _, spoiled := range []string{"", key[:len(key)-1], strings.Repeat("x", 2*circle.MaxText)} {
		if err := os.WriteFile(path, []byte(spoiled), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := Open(config(dir, &testLog{}))
		if err == nil {
			n.close()
			t.Fatalf("it opened with the key %.20q", spoiled)
		}
		if !strings.Contains(err.Error(), "circle leave") || strings.Contains(err.Error(), key[:18]) {
			t.Errorf("it says: %v", err)
		}
	}
	if err := LeaveCircle(dir, true); err == nil {
		t.Error("forgot a circle that nobody can name")
	}
	if err := LeaveCircle(dir, false); err != nil {
		t.Error(err)
	}
	n, err := Open(config(dir, &testLog{}))
	if err != nil {
		t.Fatal(err)
	}
	n.close()
}

// TestForgettingIsFinished: the plug was pulled at each moment of it.
func TestForgettingIsFinished(t *testing.T) {
	dir := t.TempDir()
	key := newKeyText(t)
	name, err := CheckCircle(key)
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(dir, circlesDir, name, "kept")
	mark := filepath.Join(dir, circlesDir, name+forgetSuffix)
	for _, when := range []struct {
		what string
		in   bool // the key is there still
		gone bool // what was held shall go
	}{{"before the key was removed", true, false}, {"after", false, true}} {
		if err := errors.Join(os.MkdirAll(kept, 0o700), os.WriteFile(mark, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if when.in {
			if err := os.WriteFile(filepath.Join(dir, circleFile), []byte(key), 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Remove(filepath.Join(dir, circleFile)); err != nil {
			t.Fatal(err)
		}
		n, err := Open(config(dir, &testLog{}))
		if err != nil {
			t.Fatal(err)
		}
		n.close()
		if _, err := os.Stat(kept); errors.Is(err, os.ErrNotExist) != when.gone {
			t.Errorf("%s: %v", when.what, err)
		}
		if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the mark is there still: %v", when.what, err)
		}
	}
	// What is to be forgotten goes before the circle is entered again.
	if err := errors.Join(os.MkdirAll(kept, 0o700), os.WriteFile(mark, nil, 0o600), JoinCircle(dir, key)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there again: %v", err)
	}
}

// TestPageInACircleIsForThisMachine: whoever opens the page reads what the
// circle holds.
func TestPageInACircleIsForThisMachine(t *testing.T) {
	for _, c := range []struct {
		http   string
		circle *circle.Key
		want   string
	}{
		{"", nil, ":8080"}, {"", &circle.Key{}, "127.0.0.1:8080"}, {":80", nil, ":80"}, {":80", &circle.Key{}, ":80"},
	} {
		n := &Node{config: Config{HTTP: c.http}, circle: c.circle}
		if got := n.httpAddr(); got != c.want {
			t.Errorf("--http %q, circle %v: %s, want %s", c.http, c.circle != nil, got, c.want)
		}
	}
	a := newMember(t, "a", newKeyText(t))
	resp, err := http.Get(a.url)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("no page: %v", err)
	}
	resp.Body.Close()
}
