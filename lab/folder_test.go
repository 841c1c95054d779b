//go:build lab

package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFolderByHand: what people do to the shared folder with their own tools is
// what all boxes offer, and nothing half-written is ever among it.
func TestFolderByHand(t *testing.T) {
	l := NewLan(t, "folder", 2, V4Only)
	a, b := StartBox(t, l.Hosts[0], "pupitre"), StartBox(t, l.Hosts[1], "casier")
	eventually(t, 10*time.Second, "the boxes meet", func() error { return b.ReachesAll(a) })

	first := Input{Seed: 70}.noise("notes.txt", 40_000)
	second := Input{Seed: 71}.noise("notes.txt", 30_000)
	if err := first.Write(a.FilesDir()); err != nil {
		t.Fatal(err)
	}
	offered(t, b, first)
	edit(t, a, second)
	offered(t, b, second)

	slow := Input{Seed: 72}.noise("camera/clip.mp4", 4<<20)
	writeSlowly(t, a, slow, func() {
		for _, box := range []*Box{a, b} {
			if f, err := box.Finds(slow.Name); err == nil {
				t.Errorf("box %s offers %d bytes of a file that is being written", box.Name, f.Size)
			}
		}
	})
	offered(t, b, slow)

	// Removed where it was shared from: gone from both.
	if err := os.Remove(filepath.Join(a.FilesDir(), second.Name)); err != nil {
		t.Fatal(err)
	}
	for _, box := range []*Box{a, b} {
		eventually(t, 20*time.Second, "the removed file is gone from "+box.Name, func() error {
			if _, err := box.Finds(second.Name); err == nil {
				return errors.New("it is still listed")
			}
			for name, sum := range box.OnDisk() {
				if sum == second.Sum() {
					return fmt.Errorf("it still lies there as %q", name)
				}
			}
			return nil
		})
	}

	// Removed where it was fetched to: gone from there for good, and only there.
	if err := os.Remove(filepath.Join(b.FilesDir(), filepath.FromSlash(slow.Name))); err != nil {
		t.Fatal(err)
	}
	away := func() error {
		f, err := b.Finds(slow.Name)
		if err == nil && f.Here {
			err = errors.New("it still counts as here")
		}
		return err
	}
	eventually(t, 20*time.Second, "a file removed from the second box lies elsewhere", away)
	b.Stop()
	b.Start()
	eventually(t, 10*time.Second, "the boxes meet again", func() error { return b.ReachesAll(a) })
	exchange(t, a, b, Input{Seed: 73}.noise("after.txt", 100), "after") // had it been fetched again, it would be here by now
	if err := away(); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := a.Has(slow.Name); err != nil {
		t.Error(err)
	}
}

// offered waits until the box has the item, in this version and no other.
func offered(t *testing.T, b *Box, i Item) {
	t.Helper()
	took := eventually(t, 30*time.Second, fmt.Sprintf("%q on %s", i.Name, b.Name), func() error {
		all, err := b.Ls()
		if err != nil {
			return err
		}
		var found []Listed
		for _, f := range all {
			if f.Name == i.Name {
				found = append(found, f)
			}
		}
		if len(found) != 1 || !found[0].Here || found[0].Size != i.Size {
			return fmt.Errorf("listed: %+v", found)
		}
		return nil
	})
	t.Logf("%q, %d bytes, reached %s after %v", i.Name, i.Size, b.Name, took.Round(time.Millisecond))
	if sum, err := b.Self().FetchNamed(filepath.Base(i.Name)); err != nil || sum != i.Sum() {
		t.Errorf("%q from box %s: %v, or other bytes", i.Name, b.Name, err)
	}
}

// edit replaces a file's bytes as editors do that write in place.
func edit(t *testing.T, b *Box, i Item) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(b.FilesDir(), i.Name), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, i.Open()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// writeSlowly makes a file in sixteen pieces over some seconds, as a card reader
// does, and calls look after each but the last.
func writeSlowly(t *testing.T, b *Box, i Item, look func()) {
	t.Helper()
	const pieces = 16
	path := filepath.Join(b.FilesDir(), filepath.FromSlash(i.Name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pause := time.NewTicker(250 * time.Millisecond)
	defer pause.Stop()
	r := i.Open()
	for n := range pieces {
		if _, err := io.CopyN(f, r, i.Size/pieces); err != nil {
			t.Fatal(err)
		}
		if n < pieces-1 {
			look()
			<-pause.C
		}
	}
}
