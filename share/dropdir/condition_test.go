package dropdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// What is in the place of the folder is told apart: nothing, a mount point, a
// stick of nobody, the stick of another box.
func TestWhatIsInPlaceOfTheFolder(t *testing.T) {
	for name, c := range map[string]struct {
		put  func(t *testing.T, path string) error
		want Condition
	}{
		"nothing":       {func(*testing.T, string) error { return nil }, Unplugged},
		"an empty one":  {func(_ *testing.T, path string) error { return os.Mkdir(path, 0o755) }, Unplugged},
		"a fresh stick": {func(_ *testing.T, path string) error { return os.MkdirAll(filepath.Join(path, "lost+found"), 0o755) }, Unplugged},
		"somebody's files": {func(_ *testing.T, path string) error {
			return errors.Join(os.Mkdir(path, 0o755), os.WriteFile(filepath.Join(path, "photo.jpg"), nil, 0o644))
		}, Unmarked},
		"another box's": {func(t *testing.T, path string) error { return os.Rename(openDir(t).path, path) }, Other},
		"a dead link":   {func(_ *testing.T, path string) error { return os.Symlink(path+".mounted", path) }, Unplugged},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDir(t)
			if got := d.Check(); got != Fine || d.Condition() != Fine {
				t.Fatalf("at first: %q", got)
			}
			if err := os.Rename(d.path, d.path+".pulled"); err != nil {
				t.Fatal(err)
			}
			if err := c.put(t, d.path); err != nil {
				t.Fatal(err)
			}
			before := tree(t, d.path)
			again, err := Open(d.path, Options{}) // the program starts anew meanwhile
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if _, err := again.Claim(d.mark); !errors.Is(err, ErrAway) {
				t.Errorf("claimed: %v", err)
			}
			for _, d := range []*Dir{d, again} {
				if got := d.Check(); got != c.want || d.Condition() != c.want || d.Present() || !errors.Is(d.Condition().Err(), ErrAway) {
					t.Errorf("%q, want %q", got, c.want)
				}
			}
			if after := tree(t, d.path); after != before {
				t.Errorf("something was written: %s, before %s", after, before)
			}
			if err := errors.Join(os.RemoveAll(d.path), os.Rename(d.path+".pulled", d.path)); err != nil {
				t.Fatal(err)
			}
			for _, d := range []*Dir{d, again} {
				if got := d.Check(); got != Fine || !d.Present() || d.Condition().Err() != nil {
					t.Errorf("back: %q", got)
				}
			}
		})
	}
}

// tree lists all that lies below a path.
func tree(t *testing.T, path string) string {
	t.Helper()
	list := ""
	err := filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		list += path + " "
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A disk is looked at closely where it was blamed, and rests otherwise; that it
// is well again is found by itself.
func TestBlamedDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDir(t)
		marker := filepath.Join(d.path, markerName)
		whole, err := os.ReadFile(marker)
		if err != nil {
			t.Fatal(err)
		}
		// As a disk that lost what it held, and does not say so.
		if err := os.WriteFile(marker, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := d.Check(); got != Fine {
			t.Errorf("read without need: %q", got)
		}
		if d.Blame(ErrFull) || d.Blame(os.ErrPermission) || d.Check() != Fine {
			t.Error("blamed for what is not its fault")
		}
		if !d.Blame(fmt.Errorf("write: %w", &os.PathError{Op: "write", Path: "x", Err: syscall.EIO})) {
			t.Error("not blamed")
		}
		if got := d.Check(); got != Failing || !d.Present() || !errors.Is(d.Condition().Err(), ErrFailing) {
			t.Errorf("%q", got)
		}
		time.Sleep(trialEvery)
		if got := d.Check(); got != Failing {
			t.Errorf("later: %q", got)
		}
		if err := os.WriteFile(marker, whole, 0o644); err != nil {
			t.Fatal(err)
		}
		time.Sleep(trialEvery)
		if got := d.Check(); got != Fine {
			t.Errorf("well again: %q", got)
		}
		if left := tree(t, filepath.Join(d.path, incomingName)); left != filepath.Join(d.path, incomingName)+" " {
			t.Errorf("left: %s", left)
		}
	})
}

// A folder that is a file cannot be one.
func TestFolderIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "files")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); err == nil {
		t.Error("opened")
	}
}
