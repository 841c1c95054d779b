package node

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"boucan/control"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "64000": 64000, "10GB": 10e9, "10 gb": 10e9, "1.5 GiB": 3 << 29, "64MiB": 64 << 20, "2T": 2e12, " 5k ": 5000, "1b": 1, "0.5Ki": 512,
	} {
		if n, err := ParseSize(text); err != nil || n != want {
			t.Errorf("%q: %d, %v; want %d", text, n, err, want)
		}
	}
	for _, text := range []string{"", "GB", "-1", "1e3", "0x10", "NaN", "Inf", "10 XB", "10GBs", "1 0", "2000000TiB", "1_000", "+5"} {
		if n, err := ParseSize(text); err == nil {
			t.Errorf("%q is taken for %d", text, n)
		}
	}
}

func TestParseMirror(t *testing.T) {
	for text, want := range map[string]Mirror{"": MirrorAll, "all": MirrorAll, "None": MirrorNone, "10GB": 10e9} {
		if m, err := ParseMirror(text); err != nil || m != want {
			t.Errorf("%q: %d, %v", text, m, err)
		}
	}
	for _, text := range []string{"0", "some", "-1"} {
		if m, err := ParseMirror(text); err == nil {
			t.Errorf("%q is taken for %d", text, m)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern  string
		yes, not []string
	}{
		{"*.mp4", []string{"a.mp4", "films/a.MP4", "a.mp4/b.txt"}, []string{"a.mp4.txt", "mp4"}},
		{"films", []string{"films", "films/a", "old/films/a", "FILMS/x/y"}, []string{"films.txt", "my films/a"}},
		{"films/", []string{"old/films/a"}, []string{"films.txt"}},
		{"/films", []string{"films/a", "films"}, []string{"old/films/a"}},
		{"films/*.mp4", []string{"films/a.mp4", "films/a.mp4/b"}, []string{"films/x/a.mp4", "old/films/a.mp4", "a.mp4"}},
		{"films/**/*.mp4", []string{"films/a.mp4", "films/x/y/a.mp4"}, []string{"films/x/a.txt", "a.mp4"}},
		{"**/a.txt", []string{"a.txt", "x/a.txt", "x/y/a.txt"}, []string{"b.txt"}},
		{"films/**", []string{"films/a", "films/x/y"}, []string{"film/a"}},
		{"**", []string{"a", "x/y"}, nil},
		{"?.[a-c]", []string{"x.a", "y/x.C"}, []string{"xx.a", "x.d"}},
		{`\*`, []string{"*"}, []string{"a"}},
		{"E\u0301t\u00e9*", []string{"\u00e9te\u0301.jpg"}, []string{"ete.jpg"}},
	} {
		ps, err := compile([]string{c.pattern})
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		for _, name := range c.yes {
			if !ps.match(name) {
				t.Errorf("%q does not match %q", c.pattern, name)
			}
		}
		for _, name := range c.not {
			if ps.match(name) {
				t.Errorf("%q matches %q", c.pattern, name)
			}
		}
	}
	for _, bad := range []string{"", "/", "a//b", "[", "[]a]", `a\`, "\xff", strings.Repeat("x", maxPattern+1)} {
		if _, err := compile([]string{bad}); err == nil {
			t.Errorf("%q is taken for a pattern", bad)
		}
	}
	if _, err := compile(slices.Repeat([]string{"x"}, maxPatterns)); err != nil {
		t.Error(err)
	}
	if _, err := compile(slices.Repeat([]string{"x"}, maxPatterns+1)); err == nil {
		t.Error("there is no limit on patterns")
	}
}

// No name and no pattern makes matching go back and forth.
func FuzzPatterns(f *testing.F) {
	f.Add("**/a*a*a*a*a*b", strings.Repeat("a/", 400)+strings.Repeat("a", 200))
	f.Add("films/**/*.mp4", "films/x/y.mp4")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		ps, err := compile([]string{pattern})
		if err != nil {
			return
		}
		if all, _ := compile([]string{"**"}); !all.match(name) {
			t.Errorf("** does not match %q", name)
		}
		if ps.match(name) && !ps.match(name+"/below") {
			t.Errorf("%q matches %q and not what is in it", pattern, name)
		}
	})
}

func TestRulesPrecedence(t *testing.T) {
	r, err := Policy{Include: []string{"music", "*.txt"}, Exclude: []string{"*.flac", "music/bad"}}.rules()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"music/a.mp3": true, "music/a.flac": false, "music/bad/a.mp3": false, "notes.txt": true, "a.jpg": false, "a.flac": false,
	} {
		if r.copies(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	if _, err := (Policy{Quota: -1}).rules(); err == nil {
		t.Error("a negative quota is taken")
	}
}

// newKeeper starts a box with a policy.
func newKeeper(t *testing.T, dir string, p Policy) *testBox {
	t.Helper()
	log := &testLog{}
	c := config(dir, log)
	c.Policy = p
	b := startWith(t, c)
	b.log = log
	return b
}

func TestOnlyWhatTheOperatorWantsIsCopied(t *testing.T) {
	a := newBox(t, "a")
	for _, name := range []string{"music/a.mp3", "music/b.flac", "notes.txt", "photo.jpg"} {
		a.put(name, "content of "+name)
	}
	dir := t.TempDir()
	b := newKeeper(t, dir+"/b", Policy{Include: []string{"music", "*.txt"}, Exclude: []string{"*.flac"}})
	c := newKeeper(t, dir+"/c", Policy{Mirror: MirrorNone})
	all := []string{"music/a.mp3", "music/b.flac", "notes.txt", "photo.jpg"}
	eventually(t, "b has what it may", func() bool { return b.has("music/a.mp3", "notes.txt") && b.lists(all...) })
	eventually(t, "c lists all and has nothing", func() bool { return c.lists(all...) && c.has() })
	if got := b.get("photo.jpg"); got != "content of photo.jpg" {
		t.Errorf("on demand came %q", got)
	}
	if got := c.get("notes.txt"); got != "content of notes.txt" {
		t.Errorf("on demand came %q", got)
	}
	eventually(t, "what somebody opened is kept and counted", func() bool {
		return b.has("music/a.mp3", "notes.txt", "photo.jpg") && b.policy().Copies.Files == 3 && c.policy().Copies.Files == 1
	})
	b.stop()
	b = newKeeper(t, dir+"/b", Policy{Include: []string{"music"}})
	eventually(t, "b wants more now", func() bool { return b.has("music/a.mp3", "music/b.flac", "notes.txt", "photo.jpg") })
}

func (b *testBox) policy() control.Policy {
	b.t.Helper()
	p, err := b.Policy(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// kept is what lies in the folder, in bytes.
func (b *testBox) kept() (sum int64) {
	b.t.Helper()
	for _, content := range b.folder() {
		sum += int64(len(content))
	}
	return sum
}

func TestCopiesKeepToTheMirrorsSize(t *testing.T) {
	a := newBox(t, "a")
	const size = 100_000
	for i := range 20 {
		a.put(fmt.Sprintf("%02d.bin", i), randomText(byte(i), size))
	}
	eventually(t, "a offers them", func() bool { return len(a.here()) == 20 })
	dir := t.TempDir() + "/b"
	b := newKeeper(t, dir, Policy{Mirror: 12 * size})
	// One author gets three quarters of it.
	eventually(t, "b has what it may", func() bool { return b.policy().Copies.Bytes == 9*size && len(b.ls()) == 20 })
	b.put("own.bin", randomText(99, 5*size)) // is no copy
	eventually(t, "its own file is there", func() bool { return b.policy().Own.Files == 1 })
	if p := b.policy(); p.Copies.Bytes != 9*size || p.Own.Bytes != 5*size || p.Coming != 0 {
		t.Errorf("%+v", p)
	}
	other := newBox(t, "c")
	for i := range 10 {
		other.put(fmt.Sprintf("other %02d.bin", i), randomText(byte(100+i), size))
	}
	eventually(t, "another author finds room all the same", func() bool { return b.policy().Copies.Bytes == 11*size })
	b.stop()
	b = newKeeper(t, dir, Policy{})
	eventually(t, "all comes when it may", func() bool { return len(b.here()) == 31 })
}

func TestQuotaHoldsForDropsAndCopies(t *testing.T) {
	a := newBox(t, "a")
	const size = 1_600_000
	for i := range 8 {
		a.put(fmt.Sprintf("%02d.bin", i), randomText(byte(i), size/4))
	}
	eventually(t, "a offers them", func() bool { return len(a.here()) == 8 })
	b := newKeeper(t, t.TempDir()+"/b", Policy{Quota: size})
	b.put("own.bin", randomText(99, 2*size)) // does not count
	eventually(t, "copies came", func() bool { p := b.policy(); return p.Copies.Files == 2 && p.Own.Files == 1 })
	a.stop() // so that the copies are the last
	eventually(t, "b is alone", func() bool { return b.node.peers.connected() == 0 })
	b.drop("fits.bin", randomText(50, size/4))
	if status := b.tryDrop("large.bin", randomText(51, size/2)); status != http.StatusInsufficientStorage {
		t.Errorf("a drop over the quota is answered with %d", status)
	}
	if got := b.folder(); len(got) != 4 || b.kept() != 2*size+3*size/4 {
		t.Errorf("%d files, %d bytes", len(got), b.kept())
	}
	b.drop("fits too.bin", randomText(52, size/4))
	if p := b.policy(); p.Room != 0 || p.Full != "quota" || p.Drops.Files != 2 || p.Drops.Bytes+p.Copies.Bytes != size {
		t.Errorf("%+v", p)
	}
	if status := b.tryDrop("a byte.bin", "x"); status != http.StatusInsufficientStorage {
		t.Errorf("one byte over the quota is answered with %d", status)
	}
	b.rm("fits.bin")
	eventually(t, "room is found again", func() bool { return b.policy().Room == size/4 })
	b.drop("again.bin", randomText(53, size/4))
	b.stop()
	b = newKeeper(t, b.dir, Policy{Quota: size})
	if status := b.tryDrop("at once.bin", "x"); status != http.StatusInsufficientStorage {
		t.Errorf("a drop before all is counted is answered with %d", status)
	}
	eventually(t, "all of it counts after a restart", func() bool {
		p := b.policy()
		return p.Drops.Files == 2 && p.Copies.Files == 2 && p.Room == 0
	})
}

// tryDrop drops a file through the interface for programs, which says its length
// first, and returns the answer's status.
func (b *testBox) tryDrop(name, content string) int {
	b.t.Helper()
	resp, err := http.Post(b.url+"/api/v1/files?name="+url.QueryEscape(name), "application/octet-stream", strings.NewReader(content))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// A disk that others fill is said, and nothing is copied until there is room.
func TestFullDiskIsSaid(t *testing.T) {
	a := newBox(t, "a")
	a.put("a.txt", "a")
	dir := t.TempDir() + "/b"
	b := newKeeper(t, dir, Policy{Reserve: 1 << 60})
	eventually(t, "b says that its disk is full", func() bool {
		_, page := get(t, b.url+"/?lang=en")
		return b.lists("a.txt") && b.has() && b.policy().Full == "disk" && strings.Contains(page, "nearly full")
	})
	if status := b.tryDrop("x", "x"); status != http.StatusInsufficientStorage {
		t.Errorf("a drop is answered with %d", status)
	}
	b.stop()
	b = newKeeper(t, dir, Policy{})
	eventually(t, "it comes where there is room", func() bool { return b.has("a.txt") && b.policy().Full == "" })
}

// The list says why a file is not here.
func TestTheListSaysWhy(t *testing.T) {
	a := newBox(t, "a")
	const size = 100_000
	a.put("excluded.iso", "x")
	a.put("huge.bin", randomText(1, 40*size))
	a.put("removed.txt", "removed")
	eventually(t, "a offers them", func() bool { return len(a.here()) == 3 })
	b := newKeeper(t, t.TempDir()+"/b", Policy{Exclude: []string{"*.iso"}, Quota: 16 * size})
	eventually(t, "b has what it may", func() bool { return b.has("removed.txt") && len(b.ls()) == 3 })
	b.rm("removed.txt")
	why := func(name, want string) {
		t.Helper()
		eventually(t, "it is said why "+name+" is not here", func() bool { return b.ls()[name].Why == want && !b.ls()[name].Here })
	}
	why("removed.txt", "removed by hand")
	why("excluded.iso", "excluded")
	why("huge.bin", "too large")
	a.offerMany(0, 12, size)
	eventually(t, "b has its share", func() bool { return b.policy().Copies.Files == 11 })
	for name, f := range b.ls() {
		if strings.HasSuffix(name, ".bin") && name != "huge.bin" && !f.Here && f.Why != string(refusedShare) {
			t.Errorf("%s: %q", name, f.Why)
		}
	}
	b.drop("drop.bin", randomText(2, 4*size))
	c := newKeeper(t, t.TempDir()+"/c", Policy{Mirror: MirrorNone})
	eventually(t, "c lists all", func() bool { return len(c.ls()) == 16 })
	if got := c.ls()["000.bin"].Why; got != "not mirrored" {
		t.Errorf("c says %q", got)
	}
	c.stop()
	a.stop()
	eventually(t, "b is alone", func() bool { return b.node.peers.connected() == 0 })
	if _, err := b.Pin(t.Context(), "excluded.iso"); err != nil {
		t.Fatal(err)
	}
	why("excluded.iso", "nobody near has it")
}
