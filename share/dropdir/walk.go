package dropdir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// Entry is one file as it lies in the folder.
type Entry struct {
	Path     string // relative to the folder, with slashes; any bytes but NUL
	Size     int64  // bytes
	Modified time.Time
	Changed  time.Time // of content, name or permissions; Modified where the system does not tell
	Inode    uint64    // 0 where the file system does not keep it

	// Temporary is true where a program seems to be still at it.
	Temporary bool
	// Unreadable is true where nothing can be said: of the file, or of all
	// that lies below Path where that ends in a slash or is empty. No other
	// field is set then. It does not mean that anything is gone.
	Unreadable bool
}

// Same reports whether the file is the one that was seen as old: neither
// written nor replaced since.
func (e Entry) Same(old Entry) bool {
	return e.Size == old.Size && e.Modified.UnixNano() == old.Modified.UnixNano() &&
		(e.Inode == old.Inode || e.Inode == 0 || old.Inode == 0)
}

// listAtOnce is how many names of one folder a walk holds. A larger folder is
// listed several times.
const listAtOnce = 32 << 10

// Walk yields every file at or below path, all of the folder where it is
// empty, in the order of their paths' bytes. Hidden files, links, devices and
// what lies beyond MaxPath and MaxDepth are left out. An error of yield or of
// ctx ends it; what cannot be read is yielded as Unreadable.
func (d *Dir) Walk(ctx context.Context, path string, yield func(Entry) error) error {
	h, err := d.handle()
	if err != nil {
		return err
	}
	w := walker{ctx: ctx, h: h, atOnce: listAtOnce, yield: yield}
	if path == "" {
		return w.folder(h.root, "", 1)
	}
	if !visible(path) {
		return nil
	}
	fi, err := h.root.Lstat(path)
	switch {
	case gone(err):
		return nil
	case err != nil:
		return yield(Entry{Path: path, Unreadable: true})
	case fi.Mode().IsRegular():
		return yield(h.entry(path, fi))
	case !fi.IsDir():
		return nil
	}
	return w.below(h.root, path, path+"/", strings.Count(path, "/")+2)
}

// Stat says how one file lies in the folder now. It fails with fs.ErrNotExist
// for anything but a file that Walk would yield.
func (d *Dir) Stat(path string) (Entry, error) {
	h, err := d.handle()
	if err != nil {
		return Entry{}, err
	}
	fi, err := h.root.Lstat(path)
	if gone(err) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Entry{}, err
	}
	if !fi.Mode().IsRegular() || !visible(path) {
		return Entry{}, fs.ErrNotExist
	}
	return h.entry(path, fi), nil
}

// Open opens a file for reading and says how it lies. Links and devices are not
// opened.
func (d *Dir) Open(path string) (*os.File, Entry, error) { return d.open(path, 0) }

// open is Open with more flags.
func (d *Dir) open(path string, flags int) (*os.File, Entry, error) {
	h, err := d.handle()
	if err != nil {
		return nil, Entry{}, err
	}
	before, err := h.root.Lstat(path)
	if gone(err) || err == nil && !before.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, Entry{}, err
	}
	f, err := h.root.OpenFile(path, os.O_RDONLY|openFlags|flags, 0)
	if err != nil {
		return nil, Entry{}, err
	}
	fi, err := f.Stat()
	if err == nil && !os.SameFile(before, fi) {
		err = fs.ErrNotExist // replaced in between, perhaps by a link
	}
	if err != nil {
		f.Close()
		return nil, Entry{}, err
	}
	return f, h.entry(path, fi), nil
}

// Again says how an open file lies now, for comparing with what Open said.
func (d *Dir) Again(f *os.File, path string) (Entry, error) {
	fi, err := f.Stat()
	if err != nil {
		return Entry{}, err
	}
	return d.current.Load().entry(path, fi), nil
}

func (h *handle) entry(path string, fi fs.FileInfo) Entry {
	e := Entry{Path: path, Size: fi.Size(), Modified: fi.ModTime(), Changed: fi.ModTime()}
	_, base := split(path)
	e.Temporary = Temporary(base)
	inode, changed := details(fi)
	if changed.After(e.Changed) {
		e.Changed = changed
	}
	if h.traits.inodes {
		e.Inode = inode
	}
	return e
}

// visible reports whether a walk reaches path.
func visible(path string) bool {
	if len(path) > MaxPath || strings.Count(path, "/") >= MaxDepth {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || Hidden(part) {
			return false
		}
	}
	return true
}

// gone is true where a path, or a folder on the way to it, does not exist.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || isNotFolder(err)
}

type walker struct {
	ctx    context.Context
	h      *handle
	atOnce int
	yield  func(Entry) error
}

// below walks the folder called name in root; prefix is its path with a slash.
func (w *walker) below(root *os.Root, name, prefix string, depth int) error {
	if depth > MaxDepth || len(prefix) > MaxPath {
		return nil
	}
	sub, err := root.OpenRoot(name)
	switch {
	case gone(err):
		return nil
	case err != nil:
		return w.yield(Entry{Path: prefix, Unreadable: true})
	}
	defer sub.Close()
	return w.folder(sub, prefix, depth)
}

// folder walks one open folder.
func (w *walker) folder(root *os.Root, prefix string, depth int) error {
	for after, more := "", true; more; {
		var names []string
		var err error
		names, more, err = namesAfter(root, after, w.atOnce)
		if err != nil {
			return w.yield(Entry{Path: prefix, Unreadable: true})
		}
		for _, name := range names {
			if err := w.ctx.Err(); err != nil {
				return err
			}
			if folder, ok := strings.CutSuffix(name, "/"); ok {
				err = w.below(root, folder, prefix+name, depth+1)
			} else {
				err = w.named(root, name, prefix+name)
			}
			if err != nil {
				return err
			}
			after = name
		}
	}
	return nil
}

// named yields one file of a folder.
func (w *walker) named(root *os.Root, name, path string) error {
	if len(path) > MaxPath {
		return nil
	}
	fi, err := root.Lstat(name)
	switch {
	case gone(err), err == nil && !fi.Mode().IsRegular():
		return nil
	case err != nil:
		return w.yield(Entry{Path: path, Unreadable: true})
	}
	return w.yield(w.h.entry(path, fi))
}

// namesAfter lists up to most names of a folder that come after the given one,
// in order, and whether there are more. A folder's name ends in a slash, which
// makes the order that of whole paths.
func namesAfter(root *os.Root, after string, most int) (names []string, more bool, err error) {
	err = list(root, func(name string, folder bool) {
		if Hidden(name) {
			return
		}
		if folder {
			name += "/"
		}
		if name <= after {
			return
		}
		if names = append(names, name); len(names) >= 2*most {
			slices.Sort(names)
			clear(names[most:])
			names, more = names[:most], true
		}
	})
	if err != nil {
		return nil, false, err
	}
	slices.Sort(names)
	if len(names) > most {
		names, more = names[:most], true
	}
	return names, more, nil
}

// IsFolder reports whether a folder, and no link to one, is at path.
func (d *Dir) IsFolder(path string) bool {
	h, err := d.handle()
	if err != nil {
		return false
	}
	fi, err := h.root.Lstat(rooted(path))
	return err == nil && fi.IsDir()
}
