package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"boucan/control"
)

func TestRemovalByHandWithdrawsEverywhere(t *testing.T) {
	a, b, c := newBox(t, "a"), newBox(t, "b"), newBox(t, "c")
	a.put("stays.txt", "stays")
	a.put("goes.txt", "goes")
	eventually(t, "all have both files", func() bool {
		return b.has("goes.txt", "stays.txt") && c.has("goes.txt", "stays.txt")
	})
	c.stop() // it learns of it later
	a.rm("goes.txt")
	eventually(t, "the file is withdrawn where it was offered", func() bool { return a.lists("stays.txt") })
	eventually(t, "and from the other box, bytes and all", func() bool {
		return b.lists("stays.txt") && len(b.folder()) == 1
	})
	c = startBox(t, c.dir, nil)
	eventually(t, "and from the box that was off", func() bool { return c.lists("stays.txt") && len(c.folder()) == 1 })
	if got := a.get("stays.txt"); got != "stays" {
		t.Errorf("the other file holds %q", got)
	}
}

func TestForeignFileRemovedByHandIsNotFetchedAgain(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.put("unwanted.txt", "unwanted")
	eventually(t, "b has the file", func() bool { return b.has("unwanted.txt") })
	b.rm("unwanted.txt")
	eventually(t, "b lists it as lying elsewhere", func() bool { return b.has() && b.lists("unwanted.txt") })
	if _, err := b.Get(t.Context(), "unwanted.txt"); err == nil || !strings.Contains(err.Error(), "removed from this box's folder by hand") {
		t.Errorf("getting it there: %v; want a word about the removal", err)
	}
	b = b.again()
	a.put("wanted.txt", "wanted")
	eventually(t, "b fetches another file", func() bool { return b.has("wanted.txt") })
	if !b.lists("unwanted.txt", "wanted.txt") || !a.has("unwanted.txt", "wanted.txt") {
		t.Error("the removal by hand on b took the file from a's list")
	}
	if len(b.folder()) != 1 {
		t.Errorf("b has %v again", b.folder())
	}
	b.put("unwanted.txt", "unwanted") // the operator has thought better of it
	eventually(t, "b has what was put back by hand", func() bool { return b.has("unwanted.txt", "wanted.txt") })
}

func TestEditedFileIsANewVersionEverywhere(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.put("plan.txt", "first")
	eventually(t, "b has the first version", func() bool { return b.has("plan.txt") })
	a.put("plan.txt", "second version")
	for _, box := range []*testBox{a, b} {
		eventually(t, "there is only the second version", func() bool {
			return box.has("plan.txt") && box.ls()["plan.txt"].Size == uint64(len("second version"))
		})
	}
	if got := b.get("plan.txt"); got != "second version" {
		t.Errorf("b got %q", got)
	}
	eventually(t, "b has deleted the first version", func() bool { return len(b.folder()) == 1 })
}

func TestRenamedFileHasItsNewNameEverywhere(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.put("old.txt", "the same")
	eventually(t, "b has the file", func() bool { return b.has("old.txt") })
	a.put("new/name.txt", "the same")
	eventually(t, "b lists both names", func() bool { return b.has("new/name.txt", "old.txt") })
	a.rm("old.txt")
	eventually(t, "only the new name is left", func() bool { return a.has("new/name.txt") && b.has("new/name.txt") })
	if len(a.folder()) != 1 || len(b.folder()) != 1 {
		t.Errorf("a has %v, b has %v", a.folder(), b.folder())
	}
}

func TestSameBytesAreStoredOnce(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.drop("one.txt", "the same bytes")
	a.drop("two.txt", "the same bytes")
	b.add("three.txt", "the same bytes")
	for _, box := range []*testBox{a, b} {
		eventually(t, "all three names are there", func() bool { return box.has("one.txt", "three.txt", "two.txt") })
		if got := box.folder(); len(got) != 1 {
			t.Errorf("stored %d times: %v", len(got), got)
		}
	}
	if files, bytes := a.node.library.names.size(); files != 3 || bytes != uint64(len("the same bytes")) {
		t.Errorf("%d files of %d bytes", files, bytes)
	}
}

func TestTwoPhotosOfOneNameBothSurvive(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.drop("photo.jpg", "by a")
	b.drop("photo.jpg", "by b")
	both := func(x *testBox) (found []string) {
		for name, f := range x.ls() {
			if f.Here {
				found = append(found, name+" "+f.CID)
			}
		}
		slices.Sort(found)
		return found
	}
	eventually(t, "both have both, under the same names", func() bool {
		return len(both(a)) == 2 && slices.Equal(both(a), both(b))
	})
	for name, f := range a.ls() {
		content := map[string]string{"a": "by a", "b": "by b"}[f.From]
		if a.get(name) != content || b.get(name) != content {
			t.Errorf("%q is not the same on both", name)
		}
		if name != "photo.jpg" && name != "photo ("+f.CID[len(f.CID)-6:]+").jpg" {
			t.Errorf("a file is called %q", name)
		}
	}
}

func TestRestartListsThousands(t *testing.T) {
	const many = 3000
	a := newBox(t, "a")
	for i := range many {
		a.put(fmt.Sprintf("folder %d/file %04d.txt", i%50, i), fmt.Sprint("content of ", i))
	}
	eventually(t, "all are listed", func() bool { return len(a.ls()) == many })
	a = a.again()
	found := a.ls() // at once
	if len(found) != many {
		t.Errorf("%d files after the restart, want %d", len(found), many)
	}
	for name, f := range found {
		if !f.Here {
			t.Fatalf("%q is not here any more", name)
		}
	}
	if got := a.get("folder 7/file 0007.txt"); got != "content of 7" {
		t.Errorf("it holds %q", got)
	}
	count := 0
	if err := a.Files(t.Context(), "0007 FILE", func(control.File) error { count++; return nil }); err != nil || count != 1 {
		t.Errorf("search finds %d, %v", count, err)
	}
}
