package share

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"boucan/record"
)

func TestFolderIsFollowed(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.put("before.txt", "was here before")
	b.put("photos/2020/a.jpg", "a")
	b.run()
	b.catalog.until(t, "both appear", func() bool { return len(b.catalog.appeared) == 2 })
	for path, content := range map[string]string{"before.txt": "was here before", "photos/2020/a.jpg": "a"} {
		if got := b.listed()[path]; got != cidOf(content) {
			t.Errorf("%s is %v", path, got)
		}
		if b.read(cidOf(content)) != content {
			t.Errorf("%s reads wrong", path)
		}
	}

	b.put("photos/new/b.jpg", "b")
	b.catalog.until(t, "added by hand", func() bool { return len(b.catalog.appeared) == 3 })

	b.put("before.txt", "edited")
	b.catalog.until(t, "edited by hand", func() bool { return len(b.catalog.vanished) == 1 })
	if b.Has(cidOf("was here before")) || b.read(cidOf("edited")) != "edited" {
		t.Error("the edit is not the version offered")
	}

	b.remove("photos")
	b.catalog.until(t, "removed by hand", func() bool { return len(b.catalog.vanished) == 3 })
	if got := b.paths(); !slices.Equal(got, []string{"before.txt"}) {
		t.Errorf("still listed: %q", got)
	}
	told := b.catalog.toldOf()
	if i, j := slices.Index(told[3:], "+before.txt"), slices.Index(told[3:], "-before.txt"); i > j || i < 0 {
		t.Errorf("the new version must come before the old one goes: %q", told)
	}
	if u := b.Usage(); u.Files != 1 || u.Bytes != 6 || u.Away {
		t.Errorf("usage %+v", u)
	}
}

func TestDropsAndRestartsAreNotReported(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.run()
	d := b.drop("a/song.mp3", "music")
	b.put("by hand.txt", "hand")
	b.catalog.until(t, "the one by hand", func() bool { return len(b.catalog.appeared) == 1 })
	b.halt()
	b.again()
	b.run()
	b.put("second.txt", "hand 2")
	b.catalog.until(t, "the second", func() bool { return len(b.catalog.appeared) == 2 })
	if told := b.catalog.toldOf(); !slices.Equal(told, []string{"+by hand.txt", "+second.txt"}) {
		t.Errorf("told of %q", told)
	}
	if b.read(d.CID) != "music" || d.Path != "a/song.mp3" || d.Name != "a/song.mp3" {
		t.Errorf("dropped %+v", d)
	}
}

// A writer that keeps the file open is waited for, however slow it is.
func TestHalfWrittenIsNotAnnounced(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.run()
	f, err := os.Create(b.at("slow.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		fmt.Fprintf(f, "part %d", i)
		name := fmt.Sprintf("other %d", i)
		b.put(name, name)
		b.catalog.until(t, "another file", func() bool { return len(b.catalog.appeared) == i+1 })
	}
	if slices.Contains(b.paths(), "slow.bin") {
		t.Fatal("announced while it was open for writing")
	}
	f.Close()
	b.catalog.until(t, "closed", func() bool { return len(b.catalog.appeared) == 5 })
	if b.listed()["slow.bin"] != cidOf("part 0part 1part 2part 3") {
		t.Error("not the whole file")
	}
}

func TestHostileNamesByHand(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	names := []string{
		"new\nline", "tab\t", "bell\a", "\xff\xfe", "a<b>.html", "CON", "nul.txt", "back\\slash",
		strings.Repeat("n", 251) + ".txt", strings.Repeat("é", 127), "e\u0301", "\u00e9", "case", "CASE",
		"\u202egpj.exe", " lead", "trail ", "dot.", "日本語.txt", "مرحبا", "😀.png", "?*|", "-rf",
	}
	for _, n := range names {
		b.put(n, "content of "+n)
	}
	for _, n := range []string{".hidden", "film.part", "film.crdownload", "x.tmp", "doc~", ".dir/in", "lost+found/x"} {
		b.put(n, n)
	}
	if err := os.Symlink("/etc/passwd", b.at("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..", b.at("up")); err != nil {
		t.Fatal(err)
	}
	if err := makePipe(b.at("pipe")); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.catalog.until(t, "all appear", func() bool { return len(b.catalog.appeared) >= len(names) })
	listed := b.listed()
	for _, n := range names {
		if listed[n] != cidOf("content of "+n) {
			t.Errorf("%q is not listed as it is on disk", n)
		}
		if name := (File{Path: n}).Name(); record.CheckName(name) != nil {
			t.Errorf("%q has the record name %q", n, name)
		}
	}
	if len(listed) != len(names) {
		t.Errorf("%d listed, not %d", len(listed), len(names))
	}
}

func TestTwoCopiesAreOneBlob(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.put("one", "same")
	b.put("two", "same")
	b.run()
	b.catalog.until(t, "both", func() bool { return len(b.catalog.appeared) == 2 })
	if d := b.drop("three", "same"); !d.Already || d.Name != "three" {
		t.Errorf("dropped again: %+v", d)
	}
	b.remove("one")
	b.catalog.until(t, "one is gone", func() bool { return len(b.catalog.vanished) == 1 })
	if b.read(cidOf("same")) != "same" {
		t.Error("the other copy is not offered")
	}
	b.remove("two")
	b.catalog.until(t, "two is gone", func() bool { return len(b.catalog.vanished) == 2 })
	if b.Has(cidOf("same")) {
		t.Error("still offered")
	}
	if got, _ := os.ReadDir(b.files()); len(got) != 1 {
		t.Errorf("the folder holds %v", got)
	}
}

// People move folders: the blobs stay, and large files are not read again.
func TestMoving(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	big := strings.Repeat("0123456789abcdef", movable/16+1)
	b.put("old/big.bin", big)
	b.put("old/small.txt", "small")
	b.run()
	b.catalog.until(t, "both", func() bool { return len(b.catalog.appeared) == 2 })
	if err := os.Rename(b.at("old"), b.at("new")); err != nil {
		t.Fatal(err)
	}
	b.catalog.until(t, "moved", func() bool { return len(b.catalog.vanished) == 2 })
	if got := b.paths(); !slices.Equal(got, []string{"new/big.bin", "new/small.txt"}) {
		t.Errorf("listed %q", got)
	}
	if b.read(cidOf(big)) != big {
		t.Error("big file is lost")
	}
	if m, ok, err := b.Manifest(cidOf(big)); err != nil || !ok || m.Verify() != nil {
		t.Errorf("manifest: %v %v", ok, err)
	}
}

func TestMassDisappearanceIsHeldBack(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for i := range 20 {
		b.put(fmt.Sprintf("f/%02d", i), fmt.Sprint("file ", i))
	}
	b.run()
	b.catalog.until(t, "all", func() bool { return len(b.catalog.appeared) == 20 })
	b.halt()
	if err := os.Rename(b.at("f"), b.at(".away")); err != nil {
		t.Fatal(err)
	}
	b.again()
	b.run()
	waitFor(t, "held back", func() bool { return b.Usage().Missing == 20 })
	if b.Has(cidOf("file 3")) || len(b.listed()) != 0 {
		t.Error("offered though it is gone")
	}
	if len(b.catalog.toldOf()) != 20 {
		t.Error("told of as vanished")
	}

	// They come back, but for one; another is edited meanwhile.
	os.Remove(b.at(".away/03"))
	os.WriteFile(b.at(".away/04"), []byte("edited"), 0o644)
	if err := os.Rename(b.at(".away"), b.at("f")); err != nil {
		t.Fatal(err)
	}
	b.catalog.until(t, "back", func() bool { return len(b.catalog.appeared) == 39 })
	b.catalog.until(t, "edited", func() bool { return len(b.catalog.vanished) == 1 })
	if u := b.Usage(); u.Missing != 1 || u.Files != 19 || b.read(cidOf("file 5")) != "file 5" {
		t.Errorf("usage %+v", u)
	}

	if err := b.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.catalog.until(t, "confirmed", func() bool { return len(b.catalog.vanished) == 2 })
	if u := b.Usage(); u.Missing != 0 || u.Files != 19 {
		t.Errorf("usage %+v", u)
	}
}

// A program that saves by removing and writing anew has not removed anything,
// and what goes slowly goes at once all the same.
func TestRemovalIsJudgedLater(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for i := range 20 {
		b.put(fmt.Sprint("f", i), fmt.Sprint("file ", i))
	}
	b.put("saved", "the same")
	b.run()
	b.catalog.until(t, "all", func() bool { return len(b.catalog.appeared) == 21 })
	// Each of these is looked at after what was done before it.
	looked := func(name string) {
		t.Helper()
		b.put(name, name)
		b.catalog.until(t, name, func() bool { return slices.Contains(b.catalog.told, "+"+name) })
	}
	b.remove("saved")
	looked("look 1")
	b.put("saved", "the same")
	for i := range 14 {
		b.remove(fmt.Sprint("f", i))
		if i%5 == 0 {
			looked(fmt.Sprint("look after ", i))
		}
	}
	waitFor(t, "held back", func() bool { return b.Usage().Missing == 14 })
	for _, told := range b.catalog.toldOf() {
		if strings.HasPrefix(told, "-") {
			t.Errorf("told of %q", told)
		}
	}
	if b.read(cidOf("the same")) != "the same" {
		t.Error("lost")
	}
	// What goes alone is gone.
	b.remove("f19")
	b.catalog.until(t, "one more", func() bool { return slices.Equal(b.catalog.told[len(b.catalog.told)-1:], []string{"-f19"}) })
}

func TestPulledStick(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.put("kept", "kept")
	b.run()
	b.catalog.until(t, "kept", func() bool { return len(b.catalog.appeared) == 1 })
	if err := os.Rename(b.files(), b.files()+".pulled"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(b.files(), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Drop(t.Context(), "x", strings.NewReader("x")); !errors.Is(err, ErrAway) {
		t.Errorf("drop on an empty mount point: %v", err)
	}
	if !b.Usage().Away || b.Has(cidOf("kept")) {
		t.Error("not away")
	}
	if _, _, err := b.Open(cidOf("kept")); !errors.Is(err, ErrNotHere) {
		t.Errorf("open: %v", err)
	}
	if got, _ := os.ReadDir(b.files()); len(got) != 0 {
		t.Errorf("something was written: %v", got)
	}
	b.again() // also across a restart
	if !b.Usage().Away {
		t.Error("not away after a restart")
	}
	b.run()
	if err := os.Remove(b.files()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(b.files()+".pulled", b.files()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "back", func() bool { return b.Has(cidOf("kept")) })
	b.put("more", "more")
	b.catalog.until(t, "more", func() bool { return len(b.catalog.appeared) == 2 })
	if told := b.catalog.toldOf(); !slices.Equal(told, []string{"+kept", "+more"}) {
		t.Errorf("told of %q", told)
	}
}

func TestMarkerGone(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.drop("kept", "kept")
	if err := os.Remove(b.at(".boucan/marker")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Drop(t.Context(), "x", strings.NewReader("x")); !errors.Is(err, ErrAway) {
		t.Fatalf("drop: %v", err)
	}
	if err := b.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.drop("x", "x")
	b.again()
	if got := b.paths(); !slices.Equal(got, []string{"kept", "x"}) {
		t.Errorf("listed %q", got)
	}
}

// What the catalog could not be told of before a stop it is told of after.
func TestVanishedIsNotForgotten(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.put("gone", "gone")
	b.run()
	b.catalog.until(t, "appears", func() bool { return len(b.catalog.appeared) == 1 })
	b.catalog.mu.Lock()
	b.catalog.fail = errors.New("disk full")
	b.catalog.mu.Unlock()
	b.remove("gone")
	waitFor(t, "indexed", func() bool { return len(b.listed()) == 0 })
	waitFor(t, "asked", func() bool { b.catalog.mu.Lock(); defer b.catalog.mu.Unlock(); return b.catalog.fail == nil })
	b.halt()
	if len(b.catalog.vanished) != 0 {
		t.Fatal("told before")
	}
	b.again()
	b.run()
	b.catalog.until(t, "told after the restart", func() bool { return len(b.catalog.vanished) == 1 })
	if f := b.catalog.vanished[0]; f.Path != "gone" || f.CID != cidOf("gone") || f.Size != 4 {
		t.Errorf("vanished %+v", f)
	}
	b.halt()
	if notes, err := b.goneBefore(); err != nil || len(notes) != 0 {
		t.Errorf("notes left: %v %v", notes, err)
	}
}

// Without a watch changes are found by looking.
func TestChangedWhileOpen(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	d := b.drop("file", "first")
	if err := os.WriteFile(b.at("file"), []byte("second version"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Open(d.CID); !errors.Is(err, ErrChanged) {
		t.Fatalf("open of a changed file: %v", err)
	}
	b.remove("file")
	if _, _, err := b.Open(d.CID); !errors.Is(err, ErrNotHere) {
		t.Fatalf("open of a removed file: %v", err)
	}
}

// A file whose bytes went bad on the disk is not offered any more, and not
// mistaken for a new version.
func TestRottenFile(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	d := b.drop("file", "good bytes")
	before, err := os.Stat(b.at("file"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(b.at("file"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "b@d")
	f.Close()
	if err := os.Chtimes(b.at("file"), time.Time{}, before.ModTime()); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.recheck(d.CID)
	waitFor(t, "found out", func() bool { return !b.Has(d.CID) })
	b.put("next", "next")
	b.catalog.until(t, "next", func() bool { return len(b.catalog.appeared) == 1 })
	if told := b.catalog.toldOf(); !slices.Equal(told, []string{"+next"}) {
		t.Errorf("told of %q", told)
	}
	// A whole copy that comes again takes its place.
	if again := b.drop("other name", "good bytes"); !again.Already || again.Path != "file" || again.Name != "other name" {
		t.Errorf("dropped %+v", again)
	}
	if b.read(d.CID) != "good bytes" || len(b.damaged()) != 0 {
		t.Errorf("still damaged: %q", b.damaged())
	}
}

// waitFor waits for a condition that nothing tells of.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
