package node

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"boucan/control"
)

// spoil changes one byte of a file as a bad disk would: length and time stay.
func (b *testBox) spoil(name string, at int64) {
	b.t.Helper()
	path := filepath.Join(b.dir, filesDir, name)
	was, err := os.Stat(path)
	if err != nil {
		b.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	one := make([]byte, 1)
	_, readErr := f.ReadAt(one, at)
	one[0] ^= 0x40
	_, writeErr := f.WriteAt(one, at)
	if err := errors.Join(readErr, writeErr, f.Close(), os.Chtimes(path, was.ModTime(), was.ModTime())); err != nil {
		b.t.Fatal(err)
	}
}

// scrub has the box read everything and says what is damaged then.
func (b *testBox) scrub() []string {
	b.t.Helper()
	o := operator{b.node}
	if _, err := o.Scrub(control.ScrubStart); err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, "the scrub ends", func() bool { s, err := o.Scrub(""); return err == nil && s.State == "resting" })
	s, err := o.Scrub("")
	if err != nil {
		b.t.Fatal(err)
	}
	var paths []string
	for _, d := range s.List {
		paths = append(paths, d.Path)
	}
	slices.Sort(paths)
	return paths
}

// TestDamageIsRepairedFromAnotherBox: what one box's disk lost comes back from
// the other's, into the same place; an operator's file stays the operator's and a
// drop a drop.
func TestDamageIsRepairedFromAnotherBox(t *testing.T) {
	a := newBox(t, "a")
	film := randomText(7, 3<<20+5)
	a.put("mine/film.mp4", film)
	a.put("note.txt", "a short note")
	a.drop("dropped.txt", "dropped by somebody")
	all := []string{"dropped.txt", "mine/film.mp4", "note.txt"}
	eventually(t, "all are listed", func() bool { return a.has(all...) })
	a.spoil("mine/film.mp4", 2<<20)
	a.spoil("note.txt", 3)
	a.spoil("dropped.txt", 3)
	if got := a.scrub(); !slices.Equal(got, all) {
		t.Errorf("damaged: %q", got)
	}
	for name, f := range a.ls() {
		if f.Here || !f.Damaged {
			t.Errorf("%s is listed as %+v", name, f)
		}
	}
	if id := a.node.Identity(); id.Damaged != 3 || id.Missing != 0 {
		t.Errorf("%+v", id)
	}
	b := newBox(t, "b") // with the files from elsewhere
	b.put("mine/film.mp4", film)
	b.put("note.txt", "a short note")
	b.put("dropped.txt", "dropped by somebody")
	eventually(t, "all are repaired", func() bool { return a.has(all...) && a.node.Identity().Damaged == 0 })
	want := map[string]string{"mine/film.mp4": film, "note.txt": "a short note", "dropped.txt": "dropped by somebody"}
	for name, content := range a.folder() {
		if want[name] != content {
			t.Errorf("%s holds %d other bytes", name, len(content))
		}
	}
	if len(a.folder()) != 3 {
		t.Errorf("%d files lie there", len(a.folder()))
	}
	for name, wanted := range map[string]bool{"mine/film.mp4": false, "note.txt": false, "dropped.txt": true} {
		r, ok := a.node.library.names.find(name)
		guest, err := a.node.library.guests.has(r.cid)
		if !ok || err != nil || guest != wanted {
			t.Errorf("%s is a guest: %v, %v", name, guest, err)
		}
	}
}

// TestDamagedOfferIsRenewed: a file waits for its repair in the list, however
// long it takes.
func TestDamagedOfferIsRenewed(t *testing.T) {
	a := newBox(t, "a")
	a.put("film.mp4", "the film")
	eventually(t, "it is listed", func() bool { return a.has("film.mp4") })
	a.spoil("film.mp4", 2)
	if got := a.scrub(); len(got) != 1 {
		t.Fatalf("damaged: %q", got)
	}
	a = a.startLater(fileLife + day)
	eventually(t, "it is still listed, for longer", func() bool {
		return a.ls()["film.mp4"].Expires.After(time.Now().Add(fileLife))
	})
	if f := a.ls()["film.mp4"]; !f.Damaged || f.Here {
		t.Errorf("%+v", f)
	}
}
