package share

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"boucan/share/dropdir"
)

// What is told of takes its time, for it is signed and written; files are hashed
// and indexed meanwhile.
func TestIndexingGoesOnWhileTheCatalogIsTold(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	tell := make(chan struct{})
	b.catalog.hold = tell
	wrote := make(chan struct{}, 1000)
	b.table.wrote = func() { wrote <- struct{}{} }
	indexed := func(n int) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for len(b.paths()) != n {
			select {
			case <-wrote:
			case <-deadline:
				t.Fatalf("%d files are indexed, not %d", len(b.paths()), n)
			}
		}
	}
	b.put("first.txt", "1")
	b.run()
	indexed(1)
	b.put("second.txt", "2")
	indexed(2)
	if told := b.catalog.toldOf(); len(told) > 0 {
		t.Fatalf("told of %q before the first call has ended", told)
	}
	close(tell)
	b.catalog.until(t, "both are told of", func() bool { return len(b.catalog.appeared) == 2 })
}

// Many files put there at once cost few questions to the index and few writes of
// it: what they are is asked where they are indexed, once.
func TestManyFilesCostFewQuestionsAndWrites(t *testing.T) {
	t.Parallel()
	const files = 1200
	b := newBox(t)
	for i := range files {
		b.put(fmt.Sprintf("d%d/%04d.txt", i%3, i), fmt.Sprint("content ", i))
	}
	b.table.gets.Store(0)
	b.table.writes.Store(0)
	b.run()
	b.catalog.until(t, "all appear", func() bool { return len(b.catalog.appeared) == files })
	// Path, CID and fold of the name; folders and settings are few.
	if n := b.table.gets.Load(); n > 3*files+100 {
		t.Errorf("%d questions for %d files", n, files)
	}
	// On a machine that is busy they come in smaller batches.
	if n := b.table.writes.Load(); n > files/10 {
		t.Errorf("%d writes for %d files", n, files)
	}
}

// A file that goes while it is being written is forgotten: else it would be
// looked for again and again, without a pause.
func TestUnsettledFileThatGoesIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.put("download", "half")
	f := newFollower(b.Blobs, nil)
	var e dropdir.Entry
	if err := b.dir.Walk(t.Context(), "download", func(found dropdir.Entry) error { e = found; return nil }); err != nil {
		t.Fatal(err)
	}
	f.note(e)
	if err := os.Rename(b.at("download"), filepath.Join(t.TempDir(), "elsewhere")); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(againLatest)
	paths, _ := f.due(now)
	if len(paths) != 1 || paths[0] != "download" {
		t.Fatalf("to be looked at: %q", paths)
	}
	f.unsettled.files["download"] = writing{entry: e, since: e.Modified, again: time.Now()}
	f.look(t.Context(), paths)
	if paths, _ = f.due(now); len(paths) > 0 {
		t.Errorf("looked for again, although it is gone: %q", paths)
	}
}
