package share

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mendRoot names, in the environment, the folder that TestMendChild repairs.
const mendRoot = "BOUCAN_TEST_MEND_CHILD"

const (
	mendFiles = 9
	mendSize  = 2*ChunkSize + 99
)

// mendContent is what the i-th file of the kill test holds: every third is of
// one chunk.
func mendContent(i int) []byte {
	size := mendSize
	if i%3 == 2 {
		size = 7000
	}
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(i), 3}).Read(b)
	return b
}

// TestMendChild is the process that TestRepairKilled kills: it finds what is
// damaged and repairs it from copies, and says each time that it has. By itself it
// does nothing.
func TestMendChild(t *testing.T) {
	root := os.Getenv(mendRoot)
	if root == "" {
		return
	}
	b := &box{t: t, root: root, catalog: newCatalog()}
	b.options = Options{Scrub: 1 << 30, Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))}
	b.open()
	b.run()
	if err := b.StartScrub(); err != nil {
		t.Fatal(err)
	}
	<-t.Context().Done() // it is killed
}

// TestRepairKilled: a box that is killed at any moment of a repair has damaged
// files or whole ones afterwards, takes none of them for edited, and ends with all
// of them whole.
func TestRepairKilled(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.options.Scrub = 1 << 30
	b.again()
	for i := range mendFiles {
		b.put(fmt.Sprintf("a/%02d", i), string(mendContent(i)))
		b.put(fmt.Sprintf("b/%02d", i), string(mendContent(i)))
	}
	b.run()
	b.catalog.until(t, "all appear", func() bool { return len(b.catalog.appeared) == 2*mendFiles })
	b.close()
	for i := range mendFiles {
		size := int64(len(mendContent(i)))
		spoilByte(t, b.at(fmt.Sprintf("a/%02d", i)), 0)
		spoilByte(t, b.at(fmt.Sprintf("a/%02d", i)), size-1)
		if size > 2*ChunkSize {
			spoilByte(t, b.at(fmt.Sprintf("a/%02d", i)), ChunkSize)
		}
	}
	for round := range 6 {
		mendUntilKilled(t, b.root, 1+round%3)
	}
	b.catalog = newCatalog()
	b.open()
	b.run()
	b.put("next", "next")
	b.catalog.until(t, "next", func() bool {
		return slices.ContainsFunc(b.catalog.appeared, func(f File) bool { return f.Path == "next" })
	})
	b.scrubNow()
	waitFor(t, "all is repaired", func() bool { return len(b.damaged()) == 0 })
	for i := range mendFiles {
		for _, dir := range []string{"a", "b"} {
			path := fmt.Sprintf("%s/%02d", dir, i)
			if got, err := os.ReadFile(b.at(path)); err != nil || string(got) != string(mendContent(i)) {
				t.Errorf("%s holds other bytes: %v", path, err)
			}
		}
	}
	b.catalog.mu.Lock()
	defer b.catalog.mu.Unlock()
	if len(b.catalog.vanished) > 0 {
		t.Errorf("taken for edited: %+v", b.catalog.vanished)
	}
	if left, err := filepath.Glob(b.at(".boucan/incoming/*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// mendUntilKilled runs TestMendChild until it has repaired so many files.
func mendUntilKilled(t *testing.T, root string, most int) {
	t.Helper()
	child := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^TestMendChild$")
	child.Env = append(os.Environ(), mendRoot+"="+root)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "is repaired") || strings.Contains(lines.Text(), "has read all files") {
			if most--; most <= 0 && !killed {
				killed = true
				if err := child.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if err := child.Wait(); err == nil || !killed {
		t.Errorf("the child ended by itself: %v", err)
	}
}
