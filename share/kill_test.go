package share

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"boucan/record"
	"boucan/share/dropdir"
)

// childRoot names, in the environment, the folder that TestDropChild drops into.
const childRoot = "BOUCAN_TEST_DROP_CHILD"

// childContent is what the child drops as its i-th: small, or of several chunks.
func childContent(round string, i int) []byte {
	size := 100
	if i%7 == 3 {
		size = 2*ChunkSize + i
	}
	return bytes.Repeat([]byte(fmt.Sprint(round, " ", i, ";")), size/4)
}

// TestDropChild is the process that TestKill kills: it drops until then, and
// writes the CIDs of what it was told is saved. By itself it does nothing.
func TestDropChild(t *testing.T) {
	root := os.Getenv(childRoot)
	if root == "" {
		return
	}
	b := &box{t: t, root: root, catalog: newCatalog()}
	b.open()
	round := os.Getenv(childRoot + "_ROUND")
	var all sync.WaitGroup
	var out sync.Mutex
	for worker := range 4 {
		all.Go(func() {
			for i := worker; ; i += 4 {
				d, err := b.Drop(t.Context(), fmt.Sprintf("%d/file.bin", i%3), bytes.NewReader(childContent(round, i)))
				if err != nil {
					t.Error(err)
					return
				}
				out.Lock()
				fmt.Printf("saved %v %s\n", d.CID, d.Path)
				out.Unlock()
			}
		})
	}
	all.Wait()
}

// TestKill: whatever a process had been told is saved is there after it was
// killed in the middle of dropping, and nothing half done is listed.
func TestKill(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	saved := map[record.CID]string{}
	for round := range 3 {
		for cid, path := range dropUntilKilled(t, root, fmt.Sprint(round), 40) {
			saved[cid] = path
		}
		b := &box{t: t, root: root, catalog: newCatalog()}
		b.open()
		listed := b.listed()
		for cid, path := range saved {
			if listed[path] != cid {
				t.Errorf("round %d: %s was saved and is not listed", round, path)
			}
		}
		for path, cid := range listed {
			if got := b.read(cid); cidOf(got) != cid {
				t.Errorf("round %d: %s reads wrong", round, path)
			}
		}
		if left, err := os.ReadDir(b.at(".boucan/incoming")); err != nil || len(left) != 0 {
			t.Errorf("round %d: left %v %v", round, left, err)
		}
		// What was placed and not yet indexed is found, whole.
		b.run()
		b.put("by hand", "by hand "+fmt.Sprint(round))
		b.catalog.until(t, "followed", func() bool {
			return slices.ContainsFunc(b.catalog.appeared, func(f File) bool { return f.Path == "by hand" })
		})
		for _, f := range b.catalog.appeared {
			if content, err := os.ReadFile(b.at(f.Path)); err != nil || cidOf(string(content)) != f.CID {
				t.Errorf("round %d: %s appeared wrong: %v", round, f.Path, err)
			}
		}
		b.close()
	}
}

// dropUntilKilled runs TestDropChild, kills it once it has saved most files,
// and returns what it had saved.
func dropUntilKilled(t *testing.T, root, round string, most int) map[record.CID]string {
	t.Helper()
	child := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^TestDropChild$")
	child.Env = append(os.Environ(), childRoot+"="+root, childRoot+"_ROUND="+round)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	saved := map[record.CID]string{}
	killed := false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		text, path, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "saved "), " ")
		cid, err := record.ParseCID(text)
		if !ok || err != nil {
			t.Logf("child: %s", lines.Text())
			continue
		}
		saved[cid] = path
		if len(saved) >= most && !killed {
			killed = true
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || !killed {
		t.Fatalf("child ended by itself: %v", err)
	}
	return saved
}

// TestLandingSurvivesItsProcess: what had landed is not fetched again after a kill.
func TestLandingSurvivesItsProcess(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	content, m := blobOf(8, 20*ChunkSize)
	b := &box{t: t, root: root, catalog: newCatalog()}
	b.open()
	l := b.landing(m, "film")
	write(t, l, content, 0, 1, 2, 10, 19)
	// The process ends here: nothing is closed, no map was saved.
	dir, err := dropdir.Open(filepath.Join(root, "files"), dropdir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	again, err := Open(dir, b.table, nobody{}, b.catalog, Options{})
	if err != nil {
		t.Fatal(err)
	}
	l2, err := again.startLanding(l.w, m)
	if err != nil {
		t.Fatal(err)
	}
	if got := l2.landed(); got != 5*ChunkSize {
		t.Errorf("%d bytes landed", got)
	}
	write(t, l2, content, slices.Collect(l2.missing())...)
	if _, err := l2.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, _, err := again.Open(m.CID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, _ := io.ReadAll(f); !bytes.Equal(got, content) {
		t.Error("reads wrong")
	}
	l.a.Close()
	b.close()
}
