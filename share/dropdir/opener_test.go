package dropdir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// seen walks to one file.
func (d *Dir) seen(t *testing.T, path string) (e Entry) {
	t.Helper()
	if err := d.Walk(t.Context(), path, func(found Entry) error { e = found; return nil }); err != nil || e.Path != path {
		t.Fatalf("walked to %q: %v", e.Path, err)
	}
	return e
}

func TestOpenerOpensWhatWasSeen(t *testing.T) {
	d := openDir(t)
	at := func(path string) string { return filepath.Join(d.path, filepath.FromSlash(path)) }
	paths := []string{"top.txt", "a/one.txt", "a/two.txt", "a/b/three.txt", "c/four.txt"}
	for _, path := range paths {
		d.put(t, path, "content of "+path)
	}
	o := d.Opener()
	defer o.Close()
	for range 2 {
		for _, path := range paths {
			seen := d.seen(t, path)
			f, e, err := o.Open(seen)
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(f)
			if err := errors.Join(err, f.Close()); err != nil || string(content) != "content of "+path || !e.Same(seen) || e.Path != path {
				t.Errorf("%s holds %q and lies as %+v: %v", path, content, e, err)
			}
		}
		o.Close() // it may be used on
	}

	for what, change := range map[string]func(path string) error{
		"gone": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+"~", nil, 0o600), os.Rename(path+"~", path))
		},
		"now a folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"now a link":   func(path string) error { return errors.Join(os.Remove(path), os.Symlink("two.txt", path)) },
	} {
		if err := os.RemoveAll(at("a/one.txt")); err != nil {
			t.Fatal(err)
		}
		d.put(t, "a/one.txt", "content")
		seen := d.seen(t, "a/one.txt")
		if err := change(at("a/one.txt")); err != nil {
			t.Fatal(err)
		}
		if f, _, err := o.Open(seen); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file that is %s opens: %v", what, err)
			if err == nil {
				f.Close()
			}
		}
	}
	gone := d.seen(t, "c/four.txt")
	if err := os.RemoveAll(at("c")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.Open(gone); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file whose folder is gone: %v", err)
	}
}

// An open file tells what was done to it and to its name meanwhile.
func TestUndisturbed(t *testing.T) {
	for what, change := range map[string]func(path string) error{
		"nothing": func(string) error { return nil },
		"written": func(path string) error { return os.WriteFile(path, []byte("longer than it was"), 0o600) },
		"removed": os.Remove,
		"renamed": func(path string) error { return os.Rename(path, path+" 2") },
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+"~", []byte("content"), 0o600), os.Rename(path+"~", path))
		},
	} {
		t.Run(what, func(t *testing.T) {
			d := openDir(t)
			d.put(t, "a/file.txt", "content")
			// As a file that settled lies: no change now comes within the same tick.
			old := filepath.Join(d.path, "a/file.txt")
			o := d.Opener()
			defer o.Close()
			var f *os.File
			var e Entry
			for settled := false; !settled; {
				var err error
				if f, e, err = o.Open(d.seen(t, "a/file.txt")); err != nil {
					t.Fatal(err)
				}
				if settled = d.Settled(f, e, time.Now(), 0); !settled {
					f.Close()
				}
			}
			defer f.Close()
			if err := change(old); err != nil {
				t.Fatal(err)
			}
			_, ok, err := d.Undisturbed(f, e)
			if ok != (what == "nothing") || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("undisturbed: %v, %v", ok, err)
			}
		})
	}
}
