package dropdir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func openDir(t *testing.T) *Dir {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "files"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if _, err := d.Claim(""); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *Dir) put(t *testing.T, path, content string) {
	t.Helper()
	at := filepath.Join(d.path, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (d *Dir) walked(t *testing.T, path string) (paths []string) {
	t.Helper()
	err := d.Walk(t.Context(), path, func(e Entry) error {
		paths = append(paths, e.Path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestClaim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a/b/files")
	d, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Present() || d.Look() {
		t.Error("present before Claim")
	}
	if list, _ := os.ReadDir(path); len(list) != 0 {
		t.Errorf("Open wrote %v", list)
	}
	if _, err := d.Incoming(); !errors.Is(err, ErrAway) {
		t.Errorf("before Claim: %v", err)
	}
	mark, err := d.Claim("")
	if err != nil || mark == "" || !d.Present() || !d.Look() {
		t.Fatalf("%q %v", mark, err)
	}
	d.Close()

	for known, want := range map[string]error{"": nil, mark: nil, "another": ErrAway} {
		d, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Claim(known)
		if !errors.Is(err, want) || want == nil && got != mark || d.Present() != (want == nil) {
			t.Errorf("known %q: %q %v", known, got, err)
		}
		if want != nil {
			if got, err := d.Adopt(); err != nil || got != mark || !d.Look() {
				t.Errorf("adopted: %q %v", got, err)
			}
		}
		d.Close()
	}
}

func TestMarkerThatIsDamaged(t *testing.T) {
	for _, content := range []string{"", "boucan folder", "boucan folder\n\n", "else\nX\n", strings.Repeat("x", 1000)} {
		d := openDir(t)
		mark := d.mark
		d.put(t, ".boucan/marker", content)
		d.Close()
		again, err := Open(d.path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Claim(mark); !errors.Is(err, ErrAway) {
			t.Errorf("marker %q: %v", content, err)
		}
		if got, err := again.Adopt(); err != nil || got == "" || got == mark {
			t.Errorf("adopted: %q %v", got, err)
		}
		again.Close()
	}
}

func TestAwayAndBack(t *testing.T) {
	d := openDir(t)
	d.put(t, "x", "x")
	gone := d.replaced()
	if err := os.Rename(d.path, d.path+".pulled"); err != nil {
		t.Fatal(err)
	}
	if d.Look() || d.Present() {
		t.Error("present without its folder")
	}
	if err := d.Walk(t.Context(), "", func(Entry) error { return nil }); !errors.Is(err, ErrAway) {
		t.Errorf("walk: %v", err)
	}
	if _, err := d.Space(); !errors.Is(err, ErrAway) {
		t.Errorf("space: %v", err)
	}
	other := openDir(t) // another stick in its place
	if err := os.Rename(other.path, d.path); err != nil {
		t.Fatal(err)
	}
	if d.Look() {
		t.Error("another stick is taken for ours")
	}
	if err := os.Rename(d.path, other.path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(d.path+".pulled", d.path); err != nil {
		t.Fatal(err)
	}
	if !d.Look() || !slices.Equal(d.walked(t, ""), []string{"x"}) {
		t.Error("not back")
	}
	select {
	case <-gone:
	default:
		t.Error("nobody is told that the folder was opened anew")
	}
}

func TestWalk(t *testing.T) {
	d := openDir(t)
	want := []string{"a", "a b/x", "a-b", "a.txt", "a1/deep/er/x", "ab", "b/1", "b/2", "b-", "b.d/x", "\xff", "é"}
	slices.Sort(want) // the order of whole paths
	for _, p := range want {
		d.put(t, p, "content of "+p)
	}
	for _, p := range []string{".h", ".d/x", "b/.h", "lost+found/x", ".boucan/incoming/x"} {
		d.put(t, p, "hidden")
	}
	d.put(t, strings.Repeat("d/", MaxDepth-1)+"f", "deep")
	d.put(t, strings.Repeat("d/", MaxDepth)+"f", "too deep")
	want = append(want, strings.Repeat("d/", MaxDepth-1)+"f")
	slices.Sort(want)
	for link, to := range map[string]string{"link": "a", "loop": ".", "out": "/etc"} {
		if err := os.Symlink(to, filepath.Join(d.path, link)); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.walked(t, ""); !slices.Equal(got, want) {
		t.Errorf("walked %q\nwant %q", got, want)
	}
	for at, want := range map[string][]string{
		"a": {"a"}, "b": {"b/1", "b/2"}, "a1": {"a1/deep/er/x"}, "none": nil, "a/none": nil, "link": nil,
		"loop": nil, "out": nil, ".boucan": nil, ".d/x": nil, "b/1": {"b/1"},
	} {
		if got := d.walked(t, at); !slices.Equal(got, want) {
			t.Errorf("at %q walked %q", at, got)
		}
	}
	stop := errors.New("stop")
	if err := d.Walk(t.Context(), "", func(Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Walk(ctx, "", func(Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A folder with more names than are held at once is read in turns.
func TestWalkInTurns(t *testing.T) {
	d := openDir(t)
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("%02d", i), fmt.Sprintf("%02d.d/x", i))
	}
	for _, p := range want {
		d.put(t, p, p)
	}
	slices.Sort(want)
	h, err := d.handle()
	if err != nil {
		t.Fatal(err)
	}
	for _, atOnce := range []int{1, 7, 99, 100, 101} {
		var got []string
		w := walker{ctx: t.Context(), h: h, atOnce: atOnce, yield: func(e Entry) error {
			got = append(got, e.Path)
			return nil
		}}
		if err := w.folder(h.root, "", 1); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d at once: %d paths, %v", atOnce, len(got), err)
		}
	}
}

func TestOpenAndStat(t *testing.T) {
	d := openDir(t)
	d.put(t, "dir/x", "content")
	if err := os.Symlink("dir/x", filepath.Join(d.path, "link")); err != nil {
		t.Fatal(err)
	}
	f, e, err := d.Open("dir/x")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if string(content) != "content" || e.Size != 7 || e.Path != "dir/x" {
		t.Errorf("%q %+v %v", content, e, err)
	}
	if s, err := d.Stat("dir/x"); err != nil || !s.Same(e) {
		t.Errorf("%+v %v", s, err)
	}
	for _, p := range []string{"link", "dir", "none", "dir/x/y", "../files/dir/x", ".boucan/marker"} {
		if _, err := d.Stat(p); err == nil {
			t.Errorf("stat of %q", p)
		}
		if p == ".boucan/marker" {
			continue // ours, and nobody else's to know of
		}
		if f, _, err := d.Open(p); err == nil {
			f.Close()
			t.Errorf("opened %q", p)
		}
	}
	for _, p := range []string{"link", "dir", "none", "dir/x/y"} {
		if _, _, err := d.Open(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open of %q: %v", p, err)
		}
	}
	d.put(t, "dir/x", "other content")
	if s, err := d.Stat("dir/x"); err != nil || s.Same(e) {
		t.Errorf("%+v %v", s, err)
	}
}

func TestSettled(t *testing.T) {
	d := openDir(t)
	d.put(t, "x", "x")
	look := func(now time.Time, unchanged time.Duration) bool {
		t.Helper()
		f, e, err := d.Open("x")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return d.Settled(f, e, now, unchanged)
	}
	h, err := d.handle()
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	h.traits.leases = false
	if !look(later, 0) || look(time.Now(), 0) || !look(time.Now(), quietTime) || look(time.Now(), quietTime-1) {
		t.Error("without leases the quiet time counts")
	}
	if past := time.Now().Add(-time.Hour); look(past, 0) || !look(past, quietTime) {
		t.Error("a file from the future needs patience")
	}
}

func TestAside(t *testing.T) {
	d := openDir(t)
	a, err := d.Incoming()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(a, "content")
	if size, err := a.Size(); size != 7 || err != nil {
		t.Errorf("%d %v", size, err)
	}
	if err := errors.Join(a.Sync(), a.Discard()); err != nil {
		t.Error(err)
	}
	p, err := d.Partial("name")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.WriteAt([]byte("x"), 10); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	p, err = d.Partial("name")
	if err != nil {
		t.Fatal(err)
	}
	if size, _ := p.Size(); size != 11 {
		t.Errorf("size %d", size)
	}
	if names, err := d.Partials(); err != nil || !slices.Equal(names, []string{"name"}) {
		t.Errorf("%q %v", names, err)
	}
	if err := errors.Join(p.Close(), d.RemovePartial("name"), d.RemovePartial("name")); err != nil {
		t.Error(err)
	}
	if got := d.walked(t, ""); len(got) != 0 {
		t.Errorf("walked %q", got)
	}
}

func TestWriteAll(t *testing.T) {
	for _, n := range []int{0, 1, 10, 100} {
		d := openDir(t)
		var contents [][]byte
		for i := range n {
			contents = append(contents, bytes.Repeat([]byte{byte(i)}, i))
		}
		files, err := d.WriteAll(t.Context(), contents)
		if err != nil || len(files) != n {
			t.Fatalf("%d of %d: %v", len(files), n, err)
		}
		for i, a := range files {
			got, err := os.ReadFile(filepath.Join(d.path, a.in.path, a.name))
			if err != nil || !bytes.Equal(got, contents[i]) {
				t.Errorf("%d: %v", i, err)
			}
			if err := a.Discard(); err != nil {
				t.Error(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.WriteAll(ctx, contents); n > 0 && !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if names, err := os.ReadDir(filepath.Join(d.path, incomingName)); err != nil || len(names) != 0 {
			t.Errorf("left: %v %v", names, err)
		}
	}
}

func TestSyncByHand(t *testing.T) {
	d := openDir(t)
	h, err := d.handle()
	if err != nil {
		t.Fatal(err)
	}
	var files []Entry
	for i := range 300 {
		d.put(t, fmt.Sprint(i), "x")
		e, err := d.Stat(fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, e)
	}
	files = append(files, Entry{Path: "none", Changed: time.Now()})
	now := time.Now()
	h.traits.wholeSync = true
	if err := d.SyncByHand(files[:together-1], now); err != nil || h.syncedAt.Load() == 0 {
		t.Errorf("few: %v, synced at %d", err, h.syncedAt.Load())
	}
	h.syncedAt.Store(0)
	h.avoidWhole.Store(now.Add(time.Hour).UnixNano())
	if err := d.SyncByHand(files[:together-1], now); err != nil || h.syncedAt.Load() != 0 {
		t.Errorf("few, one by one: %v, synced at %d", err, h.syncedAt.Load())
	}
	// Old files are durable already.
	if err := d.SyncByHand(files, now.Add(time.Hour)); err != nil || h.syncedAt.Load() != 0 {
		t.Errorf("old: %v, synced at %d", err, h.syncedAt.Load())
	}
	if err := d.SyncByHand(files, now); err != nil || h.syncedAt.Load() == 0 {
		t.Errorf("many: %v, synced at %d", err, h.syncedAt.Load())
	}
	// So are those that were there when all was synced.
	h.syncedAt.Store(now.Add(time.Minute).UnixNano())
	at := h.syncedAt.Load()
	if err := d.SyncByHand(files, now.Add(time.Minute+time.Second)); err != nil || h.syncedAt.Load() != at {
		t.Errorf("synced before: %v, synced at %d", err, h.syncedAt.Load())
	}
	// Unless the clock was set back since.
	if got := h.synced(now); !got.IsZero() {
		t.Errorf("synced before %v", got)
	}
	h.traits.wholeSync = false
	h.syncedAt.Store(0)
	if err := errors.Join(d.SyncByHand(files, now), d.SyncByHand(nil, now)); err != nil {
		t.Error(err)
	}
}

func FuzzNextName(f *testing.F) {
	entry := func(length byte, name string) []byte {
		return append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, length, 0, 8}, name...)
	}
	f.Add(entry(24, "name\x00"))
	f.Add(entry(19, ""))
	f.Add(entry(200, "name\x00"))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		name, _, rest, err := nextName(b)
		if err == nil && (len(rest) >= len(b) || len(name) > len(b) || strings.Contains(name, "\x00")) {
			t.Errorf("%x reads as %q, %d left", b, name, len(rest))
		}
	})
}
