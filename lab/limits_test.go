//go:build lab

package lab

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFullDisk fills a small disk through the form. The box refuses before its
// reserve is touched, says so on a page, lives, and keeps what it said is saved.
func TestFullDisk(t *testing.T) {
	const reserve = 64 << 20 // bytes; the node's own, less what its store may write meanwhile
	const slack = 8 << 20
	l := NewLan(t, "full", 2, V4Only)
	home := t.TempDir()
	dir := filepath.Join(home, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-t", "tmpfs", "-o", "size=192m", "boucan-lab", dir)
	t.Cleanup(func() { run(t, "umount", "--lazy", dir) })
	b := newBoxIn(t, l.Hosts[0], "petit", home, dir)
	b.Start()
	other := StartBox(t, l.Hosts[1], "grand")
	eventually(t, 10*time.Second, "the boxes meet", func() error { return b.ReachesAll(other) })

	saved := &ledger{}
	fillDisk(t, b, saved)
	if free := freeBytes(t, dir); free < reserve-slack {
		t.Errorf("%d bytes are free; the reserve of %d was eaten", free, reserve)
	}
	t.Logf("%d files of 4 MiB went in, %d MiB are free", len(saved.items), freeBytes(t, dir)>>20)

	// It lives: talks, lists, serves; and what arrives elsewhere does not kill it.
	if err := b.Self().Say("", "no room for files here, but for words"); err != nil {
		t.Error(err)
	}
	mustDrop(t, &ledger{}, other, Input{Seed: 31}.noise("too big for petit.bin", 150<<20))
	eventually(t, 20*time.Second, "petit hears of the big file", func() error {
		_, err := b.Finds("too big for petit.bin")
		return err
	})
	eventually(t, time.Minute, "grand holds what petit saved", func() error { return holds(other, saved, nil) })
	if free := freeBytes(t, dir); free < reserve-slack {
		t.Errorf("after replication %d bytes are free; the reserve of %d was eaten", free, reserve)
	}
	b.Kill()
	b.Start()
	if err := holds(b, saved, []string{"no room for files here, but for words"}); err != nil {
		t.Error(err)
	}
	saved.compare(t, b)
}

// fillDisk drops until the box refuses, and looks at how it does that: with a
// page to whoever uses the form, with RFC 4918's status 507 to the page's script.
func fillDisk(t *testing.T, b *Box, saved *ledger) {
	t.Helper()
	for n := range 100 {
		i := Input{Seed: 30}.noise(fmt.Sprintf("piece %d.bin", n), 4<<20)
		_, err := b.Self().Drop(i.Name, i.Open())
		if err == nil {
			saved.add(i)
			continue
		}
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || !strings.Contains(refused.Page, "no room left") {
			t.Errorf("a full disk answers the form with %v; want a page that says so", err)
		}
		_, err = b.Self().Send(i.Name, i.Open())
		if e, ok := errors.AsType[*StatusError](err); !ok || e.Status != http.StatusInsufficientStorage {
			t.Errorf("a full disk answers the script with %v; want status 507", err)
		}
		return
	}
	t.Fatal("the box never refused")
}

func freeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

// TestUploadCutOff: what breaks off midway is neither listed nor kept, whether
// the visitor goes or the plug is pulled.
func TestUploadCutOff(t *testing.T) {
	l := NewLan(t, "cut", 2, V4Only)
	b := StartBox(t, l.Hosts[0], "coupure")
	keep := Input{Seed: 40}.noise("kept.bin", 1<<20)
	saved := &ledger{}
	mustDrop(t, saved, b, keep)
	before := treeBytes(t, b.FilesDir())

	hold, broken := cutUpload(l.Hosts[1], b)
	eventually(t, 20*time.Second, "half of the upload is on its way", func() error {
		if n := treeBytes(t, b.FilesDir()) - before; n < 1<<20 {
			return fmt.Errorf("%d bytes have come", n)
		}
		return nil
	})
	hold.CloseWithError(errors.New("the visitor walks away"))
	<-broken
	gone := func() error {
		if n := treeBytes(t, b.FilesDir()); n != before {
			return fmt.Errorf("%d bytes more than before lie on the disk", n-before)
		}
		if all, err := b.Ls(); err != nil || len(all) != 1 {
			return fmt.Errorf("listed: %v, %v", all, err)
		}
		return nil
	}
	eventually(t, 20*time.Second, "the half file goes", gone)

	hold, broken = cutUpload(l.Hosts[1], b)
	eventually(t, 20*time.Second, "half of the next upload is on its way", func() error {
		if n := treeBytes(t, b.FilesDir()) - before; n < 1<<20 {
			return fmt.Errorf("%d bytes have come", n)
		}
		return nil
	})
	b.Kill()
	hold.CloseWithError(errors.New("the box is gone"))
	<-broken
	b.Start()
	eventually(t, 20*time.Second, "the half file goes after the restart", gone)
	saved.compare(t, b)
}

// cutUpload starts an upload that sends 20 MiB and then nothing until it is cut.
// broken is closed when the visitor's side has ended.
func cutUpload(from *Host, b *Box) (cut *io.PipeWriter, broken <-chan struct{}) {
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		half := Input{Seed: 41}.noise("half.bin", 20<<20)
		_, _ = Visit(from, b).Drop("half.bin", io.MultiReader(half.Open(), pr)) // fails; how, is the visitor's business
	}()
	return pw, done
}

// treeBytes adds up what the files below dir take, hidden ones included.
func treeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file that was there a moment ago
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
