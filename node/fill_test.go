package node

import (
	"io"
	"path/filepath"
	"testing"

	"boucan/share"
)

// TestFill: a folder made ready to be measured is one that a box opens as its own, with
// files that others shared and that their names verify.
func TestFill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "full")
	c := config(dir, io.Discard)
	const files, size = 45, 2*share.ChunkSize + markSize
	if err := Fill(t.Context(), c, files, size); err != nil {
		t.Fatal(err)
	}
	b := startBox(t, dir, nil)
	if ls := b.ls(); len(ls) != files || len(b.here()) != files {
		t.Fatalf("%d are listed, %d here", len(ls), len(b.here()))
	}
	eventually(t, "it is counted", func() bool { return b.policy().Copies.Files == files })
	if p := b.policy(); p.Copies.Bytes != files*size || p.Own.Files != 0 {
		t.Errorf("%+v", p)
	}
	authors := make(map[string]bool)
	another := newBox(t, "another")
	for name, f := range b.ls() {
		if f.Size != size {
			t.Errorf("%s has %d bytes", name, f.Size)
		}
		authors[f.FromID] = true
	}
	if len(authors) != fillAuthors {
		t.Errorf("they come from %d boxes", len(authors))
	}
	// Another box takes only bytes that hash to their names.
	eventually(t, "another box has verified all", func() bool { return len(another.here()) == files })
	for _, size := range []int64{share.ChunkSize - 1, share.ChunkSize + 1, share.ChunkSize + markSize - 1} {
		if err := Fill(t.Context(), config(filepath.Join(t.TempDir(), "small"), io.Discard), 1, size); err == nil {
			t.Errorf("files of %d bytes were made, which cannot be told from each other", size)
		}
	}
}
