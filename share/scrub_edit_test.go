package share

import (
	"os"
	"slices"
	"testing"
	"time"
)

// scrubNow reads all files at once and waits for that.
func (b *box) scrubNow() Scrub {
	b.t.Helper()
	if err := b.StartScrub(); err != nil {
		b.t.Fatal(err)
	}
	waitFor(b.t, "the scrub comes to its end", func() bool { return b.Scrub().State != ScrubRunning })
	return b.Scrub()
}

// damaged lists the paths of damaged files.
func (b *box) damaged() (paths []string) {
	b.t.Helper()
	seq, end := b.Damages()
	for d := range seq {
		paths = append(paths, d.Path)
	}
	if err := end(); err != nil {
		b.t.Error(err)
	}
	slices.Sort(paths)
	return paths
}

// TestScrubKnowsEditsFromRot: what somebody did by hand is a new version, also
// where the scrub meets it first.
func TestScrubKnowsEditsFromRot(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.options.Scrub = 1 << 30
	b.again()
	names := []string{"cut.txt", "edited.txt", "kept.txt", "longer.txt", "removed.txt", "renamed.txt", "replaced.txt", "touched.txt"}
	for _, name := range names {
		b.put(name, "the bytes of "+name)
	}
	b.run()
	b.catalog.until(t, "all appear", func() bool { return len(b.catalog.appeared) == len(names) })
	b.again() // so that the scrub may come first

	was, err := os.Stat(b.at("replaced.txt"))
	if err != nil {
		t.Fatal(err)
	}
	b.put("cut.txt", "the")
	b.put("edited.txt", "the bytes of e-ited.txt")
	b.put("longer.txt", "the bytes of longer.txt and more")
	b.remove("removed.txt")
	b.put("new", "the bytes of r-placed.txt")
	if err := os.Chtimes(b.at("new"), time.Time{}, was.ModTime()); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"renamed.txt": "renamed to.txt", "new": "replaced.txt"} {
		if err := os.Rename(b.at(from), b.at(to)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(b.at("touched.txt"), time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	b.run()
	if s := b.scrubNow(); s.Found != 0 {
		t.Errorf("%+v", s)
	}
	b.catalog.until(t, "all edits are told of", func() bool { return len(b.catalog.vanished) == 6 })
	if got := b.damaged(); len(got) != 0 {
		t.Errorf("damaged: %q", got)
	}
	if s := b.scrubNow(); s.Found != 0 || s.Files != 7 || len(b.damaged()) != 0 {
		t.Errorf("%+v", s)
	}
	for path, content := range map[string]string{
		"cut.txt": "the", "edited.txt": "the bytes of e-ited.txt", "replaced.txt": "the bytes of r-placed.txt",
		"touched.txt": "the bytes of touched.txt", "renamed to.txt": "the bytes of renamed.txt",
	} {
		if got, err := os.ReadFile(b.at(path)); err != nil || string(got) != content {
			t.Errorf("%s holds %q, %v", path, got, err)
		}
		if b.listed()[path] != cidOf(content) {
			t.Errorf("%s is not offered as it is", path)
		}
	}
}

// TestScrubLeavesAFileThatSomebodyWrites: whose bytes differ because they are
// being changed is not damaged, whatever its times say.
func TestScrubLeavesAFileThatSomebodyWrites(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	d := b.drop("file", "the bytes of a file")
	was, err := os.Stat(b.at("file"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(b.at("file"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("T"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(b.at("file"), time.Time{}, was.ModTime()); err != nil {
		t.Fatal(err)
	}
	b.run()
	if s := b.scrubNow(); s.Found != 0 || !b.Has(d.CID) {
		t.Errorf("%+v, damaged %q", s, b.damaged())
	}
	if _, err := f.WriteAt([]byte("t"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b.catalog.until(t, "it is taken for what it is", func() bool { return b.Has(d.CID) })
	if s := b.scrubNow(); s.Found != 0 {
		t.Errorf("%+v", s)
	}
}
