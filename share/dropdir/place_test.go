package dropdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// names is a Known that is told what was placed.
type names struct {
	files   map[string]bool
	folders map[string]string
}

func newNames() *names { return &names{map[string]bool{}, map[string]string{}} }

func (n *names) File(fold string) (bool, error) { return n.files[fold], nil }

func (n *names) Folder(fold string) (string, bool, error) {
	p, ok := n.folders[fold]
	return p, ok, nil
}

func (n *names) add(path string) {
	n.files[Fold(path)] = true
	for dir, _ := split(path); dir != ""; dir, _ = split(dir) {
		n.folders[Fold(dir)] = dir
	}
}

// place writes content aside and places it.
func (d *Dir) place(t *testing.T, known *names, want, tag, content string) string {
	t.Helper()
	a, err := d.Incoming()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Discard()
	fmt.Fprint(a, content)
	p, err := d.Placer(known)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	e, err := p.Place(a, want, tag)
	if err = errors.Join(err, p.Sync()); err != nil {
		t.Fatalf("place %q: %v", want, err)
	}
	got, err := os.ReadFile(filepath.Join(d.path, filepath.FromSlash(e.Path)))
	if err != nil || string(got) != content || e.Size != int64(len(content)) {
		t.Fatalf("%q holds %q, %+v, %v", e.Path, got, e, err)
	}
	known.add(e.Path)
	return e.Path
}

func TestPlaceReplacesNothing(t *testing.T) {
	d, known := openDir(t), newNames()
	d.put(t, "by hand", "by hand")
	d.put(t, "folder/x", "x")
	if err := os.Symlink("nowhere", filepath.Join(d.path, "link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ want, tag, path string }{
		{"a.jpg", "", "a.jpg"},
		{"a.jpg", "", "a (2).jpg"},
		{"A.JPG", "", "A (3).JPG"},
		{"a.jpg", "q5l2ya", "a (q5l2ya).jpg"},
		{"a.jpg", "q5l2ya", "a (q5l2ya 2).jpg"},
		{"by hand", "", "by hand (2)"},
		{"by hand/x", "", "by hand (3)/x"},
		{"BY HAND (3)/x", "", "by hand (3)/x (2)"},
		{"folder", "", "folder (2)"},
		{"link", "", "link (2)"},
		{"link/x", "", "link (3)/x"},
		{"new/er/x", "", "new/er/x"},
		{"NEW/ER/y", "", "new/er/y"},
		{"new/er", "", "new/er (2)"},
		{strings.Repeat("d/", 80) + "f", "", strings.Repeat("d/", MaxDepth-1) + "f"},
	} {
		if got := d.place(t, known, c.want, c.tag, "content of "+c.want); got != c.path {
			t.Errorf("%q is placed at %q, not %q", c.want, got, c.path)
		}
	}
	if got, _ := os.ReadFile(filepath.Join(d.path, "by hand")); string(got) != "by hand" {
		t.Error("replaced")
	}
}

// What the index says may be old: a folder it knows can be gone.
func TestPlaceWithStaleKnowledge(t *testing.T) {
	d, known := openDir(t), newNames()
	known.add("Gone/x")
	if got := d.place(t, known, "gone/y", "", "y"); got != "gone/y" {
		t.Errorf("placed at %q", got)
	}
	known = newNames()
	known.folders[Fold("file")] = "file"
	if got := d.place(t, known, "file", "", "z"); got != "file" {
		t.Errorf("placed at %q", got)
	}
}

func TestPlaceLongNames(t *testing.T) {
	d, known := openDir(t), newNames()
	long := strings.Repeat("n", 250) + ".jpeg"
	if got := d.place(t, known, long, "", "1"); got != long {
		t.Errorf("placed at %q", got)
	}
	if got := d.place(t, known, long, "", "2"); got != strings.Repeat("n", 246)+" (2).jpeg" {
		t.Errorf("placed at %q", got)
	}
	deep := strings.Repeat(strings.Repeat("d", 200)+"/", 5) + "file name.txt" // 1018 bytes
	if got := d.place(t, known, deep, "", "3"); got != deep {
		t.Errorf("placed at %q", got)
	}
	// With the tag the path would be too long; without its folders the name is free.
	if got := d.place(t, known, deep, "q5l2ya", "4"); got != "file name.txt" {
		t.Errorf("placed at %q", got)
	}
}

func TestUndo(t *testing.T) {
	d := openDir(t)
	p, err := d.Placer(newNames())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	in, err := d.Incoming()
	if err != nil {
		t.Fatal(err)
	}
	part, err := d.Partial("part")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Aside{in, part} {
		e, err := p.Place(a, "dir/x", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Undo(a, e.Path); err != nil {
			t.Error(err)
		}
	}
	if err := p.Sync(); err != nil {
		t.Error(err)
	}
	if got := d.walked(t, ""); len(got) != 0 {
		t.Errorf("walked %q", got)
	}
	if names, _ := d.Partials(); !slices.Equal(names, []string{"part"}) {
		t.Errorf("partials %q", names)
	}
	if e, err := p.Place(part, "again", ""); err != nil || e.Path != "again" {
		t.Errorf("%+v %v", e, err)
	}
	if err := errors.Join(part.Discard(), in.Discard()); err != nil {
		t.Logf("discarding what was undone: %v", err)
	}
	if got := d.walked(t, ""); !slices.Equal(got, []string{"again"}) {
		t.Errorf("walked %q", got)
	}
}

func TestRemove(t *testing.T) {
	d := openDir(t)
	d.put(t, "a/b/c/x", "x")
	d.put(t, "a/y", "y")
	p, err := d.Placer(newNames())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	x, _ := d.Stat("a/b/c/x")
	y, _ := d.Stat("a/y")
	if err := p.Remove(x); err != nil {
		t.Error(err)
	}
	if err := p.Remove(x); err != nil {
		t.Errorf("removed again: %v", err)
	}
	d.put(t, "a/y", "changed")
	if err := p.Remove(y); !errors.Is(err, fs.ErrExist) {
		t.Errorf("changed file: %v", err)
	}
	if err := p.Sync(); err != nil {
		t.Error(err)
	}
	if d.IsFolder("a/b") || !d.IsFolder("a") || !slices.Equal(d.walked(t, ""), []string{"a/y"}) {
		t.Errorf("left: %q", d.walked(t, ""))
	}
}

// A group that changes more folders than it keeps open is synced in between.
func TestManyFolders(t *testing.T) {
	d, known := openDir(t), newNames()
	p, err := d.Placer(known)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 3 * openFolders {
		a, err := d.Incoming()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Place(a, fmt.Sprintf("%d/x", i), ""); err != nil {
			t.Fatal(err)
		}
		if err := a.Discard(); err != nil {
			t.Fatal(err)
		}
		if len(p.open) > openFolders {
			t.Fatalf("%d folders open", len(p.open))
		}
	}
	if err := p.Sync(); err != nil || len(d.walked(t, "")) != 3*openFolders {
		t.Errorf("%v", err)
	}
}

func TestPlaceOnAnotherStick(t *testing.T) {
	d := openDir(t)
	a, err := d.Incoming()
	if err != nil {
		t.Fatal(err)
	}
	os.Rename(d.path, d.path+".x")
	d.Look()
	os.Rename(d.path+".x", d.path)
	if !d.Look() {
		t.Fatal("not back")
	}
	p, err := d.Placer(newNames())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Place(a, "x", ""); !errors.Is(err, ErrAway) {
		t.Errorf("%v", err)
	}
	if err := a.Discard(); err != nil {
		t.Error(err)
	}
}

// TestFolderIsFoundAgainWhenItIsGone: files of one group go to the folder that was
// found for the first of them, and a folder that was taken away by hand is made
// again for the next group.
func TestFolderIsFoundAgainWhenItIsGone(t *testing.T) {
	d := openDir(t)
	known := newNames()
	group := func(names ...string) {
		t.Helper()
		p, err := d.Placer(known)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for _, name := range names {
			a, err := d.Incoming()
			if err != nil {
				t.Fatal(err)
			}
			defer a.Discard()
			e, err := p.Place(a, name, "")
			if err != nil || e.Path != name {
				t.Fatalf("%s was placed as %s: %v", name, e.Path, err)
			}
			known.add(e.Path)
			if name == "deep/er/gone" { // the only one of its folder
				if err := p.Undo(a, e.Path); err != nil {
					t.Fatal(err)
				}
				delete(known.files, Fold(e.Path))
			}
		}
		if err := p.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	group("deep/er/gone", "deep/er/1", "deep/er/2", "deep/3")
	if err := os.Rename(filepath.Join(d.path, "deep"), filepath.Join(d.path, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	group("deep/er/4", "deep/er/5")
	for _, path := range []string{"elsewhere/er/1", "elsewhere/er/2", "elsewhere/3", "deep/er/4", "deep/er/5"} {
		if _, err := os.Stat(filepath.Join(d.path, path)); err != nil {
			t.Error(err)
		}
	}
}
