//go:build lab

package lab

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStockIPFSClient has Helia fetch from a box, on another machine that knows
// nothing but the box's address: lab/ipfs/client.mjs.
func TestStockIPFSClient(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "npm", "ci", "--prefix", "ipfs", "--no-audit", "--no-fund", "--silent").CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	l := NewLan(t, "ipfs", 2, V4Only)
	box := NewBox(t, l.Hosts[0], "porte")
	if err := os.MkdirAll(box.FilesDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	seed := Input{Seed: 11}
	for _, i := range []Item{seed.noise("small", 500), seed.noise("film", 12<<20+7)} {
		if err := i.Write(box.FilesDir()); err != nil {
			t.Fatal(err)
		}
	}
	giant := filepath.Join(box.FilesDir(), "giant")
	if err := sparse(giant, 1026<<20, 1<<30-500, 1<<30+300); err != nil {
		t.Fatal(err)
	}
	box.Start()
	named := make(map[string]Listed)
	eventually(t, time.Minute, "the box lists its files", func() error {
		for _, name := range []string{"small", "film", "giant"} {
			f, err := box.Finds(name)
			if err != nil {
				return err
			}
			named[name] = f
		}
		return nil
	})
	what := make(map[string]map[string]any)
	for name, f := range named {
		what[name] = map[string]any{"cid": f.CID, "size": f.Size}
	}
	args, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	client := l.Hosts[1].Command(t.Context(), "node", "ipfs/client.mjs", string(args))
	client.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "BOUCAN_URL=http://" + box.Addr().String() + ":" + port}
	out, err := client.CombinedOutput()
	passed := allPassed.FindSubmatch(out)
	if err != nil || passed == nil || string(passed[1]) == "0" {
		t.Errorf("the client: %v\n%s", err, out)
	}
	t.Logf("%s", strings.TrimSpace(string(out)))
	box.Stop()
	if err := os.Remove(giant); err != nil { // a gigabyte of zeros to look through
		t.Error(err)
	}
	noTraceOf(t, box, l.Hosts[1])
}

// sparse makes a file of zeros with a few words at some places.
func sparse(path string, size int64, words ...int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for _, at := range words {
		if _, err = f.WriteAt([]byte("words"), at); err != nil {
			break
		}
	}
	if err == nil {
		err = f.Truncate(size)
	}
	return errors.Join(err, f.Close())
}
