package share

import (
	"errors"
	"os"
	"slices"
	"strings"
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

// TestDamageIsRepairedFromATwin: another copy on the same box is nearer than any
// peer, and is offered meanwhile.
func TestDamageIsRepairedFromATwin(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.options.Scrub = 1 << 30
	b.again()
	small, large := "small", strings.Repeat("large", ChunkSize/2)
	for _, dir := range []string{"one", "two"} {
		b.put(dir+"/small", small)
		b.put(dir+"/large", large)
	}
	b.run()
	b.catalog.until(t, "all appear", func() bool { return len(b.catalog.appeared) == 4 })
	spoilByte(t, b.at("one/small"), 2)
	spoilByte(t, b.at("one/large"), 2*ChunkSize)
	if s := b.scrubNow(); s.Found != 2 {
		t.Errorf("%+v", s)
	}
	waitFor(t, "both are repaired", func() bool { return len(b.damaged()) == 0 })
	for path, content := range map[string]string{"one/small": small, "two/small": small, "one/large": large, "two/large": large} {
		if got, err := os.ReadFile(b.at(path)); err != nil || string(got) != content {
			t.Errorf("%s holds %d other bytes, %v", path, len(got), err)
		}
	}
	if paths := b.paths(); len(paths) != 4 {
		t.Errorf("offered: %q", paths)
	}
	if s := b.scrubNow(); s.Found != 0 || s.Files != 4 {
		t.Errorf("%+v", s)
	}
	if told := b.catalog.toldOf(); len(told) != 4 {
		t.Errorf("told of %q", told)
	}
}

// spoilByte changes one byte as a bad disk would: length and time stay.
func spoilByte(t *testing.T, path string, at int64) {
	t.Helper()
	was, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	b[0] ^= 1
	if _, e := f.WriteAt(b, at); errors.Join(err, e) != nil {
		t.Fatal(err, e)
	}
	if err := os.Chtimes(path, time.Time{}, was.ModTime()); err != nil {
		t.Fatal(err)
	}
}

// TestRepairBrokenOff: a box that was killed between the writing of a chunk and
// the giving back of the file's time knows its own hand again, and goes on; what
// somebody edited meanwhile stays theirs.
func TestRepairBrokenOff(t *testing.T) {
	t.Parallel()
	const size = 5*ChunkSize + 10
	for name, c := range map[string]struct {
		meanwhile func(b *box, content string) // the box being dead
		ours      bool
	}{
		"killed":          {func(*box, string) {}, true},
		"chunk half done": {func(b *box, _ string) { write1(b, 3*ChunkSize+100, "power cut") }, true},
		"edited":          {func(b *box, _ string) { write1(b, 7, "edited") }, false},
		"cut":             {func(b *box, _ string) { b.put("film", "cut") }, false},
		"removed":         {func(b *box, _ string) { b.remove("film") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			content, m := blobOf(9, size)
			b.drop("film", string(content))
			was, err := os.Stat(b.at("film"))
			if err != nil {
				t.Fatal(err)
			}
			spoilByte(t, b.at("film"), 1*ChunkSize)
			spoilByte(t, b.at("film"), 3*ChunkSize+5)
			b.run()
			b.scrubNow()
			b.again()
			l := b.landing(m, "film")
			offset, length := m.Chunk(1)
			if err := l.write(1, content[offset:][:length]); err != nil {
				t.Fatal(err)
			}
			// As if the plug had been pulled before the time was given back.
			if err := os.Chtimes(b.at("film"), time.Time{}, time.Now()); err != nil {
				t.Fatal(err)
			}
			l.mend.file.Close()
			c.meanwhile(b, string(content))
			b.again()
			b.run()
			b.put("next", "next")
			b.catalog.until(t, "next", func() bool {
				return slices.ContainsFunc(b.catalog.appeared, func(f File) bool { return f.Path == "next" })
			})
			if !c.ours {
				waitFor(t, "it is not what was damaged any more", func() bool { return len(b.damaged()) == 0 && !b.Damaged(m.CID) })
				return
			}
			waitFor(t, "it is damaged as before, and of its own time", func() bool {
				d, ok, err := b.damageOf(m.CID)
				now, statErr := os.Stat(b.at("film"))
				return errors.Join(err, statErr) == nil && ok && !d.mending && now.ModTime().Equal(was.ModTime())
			})
			if told := b.catalog.toldOf(); !slices.Equal(told, []string{"+next"}) {
				t.Errorf("told of %q", told)
			}
			b.again()
			l = b.landing(m, "film")
			for i := range l.missing() {
				offset, length := m.Chunk(i)
				if err := l.write(i, content[offset:][:length]); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := l.finish(t.Context()); err != nil || b.read(m.CID) != string(content) || len(b.damaged()) != 0 {
				t.Errorf("%v, damaged: %q", err, b.damaged())
			}
		})
	}
}

// write1 writes into the film at a place, as an editor does.
func write1(b *box, at int64, text string) {
	b.t.Helper()
	f, err := os.OpenFile(b.at("film"), os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(text), at)
	if err := errors.Join(err, f.Close()); err != nil {
		b.t.Fatal(err)
	}
}
