package dropdir

import (
	"io/fs"
	"os"
)

// Opener opens files one after the other as a walk tells of them. It keeps the
// folder of the last one open, so that of a folder with many files not every
// one is looked for from the top. It is for one goroutine; Close lets the folder
// go, without which a stick could not be unmounted.
type Opener struct {
	d    *Dir
	h    *handle
	path string   // of root
	root *os.Root // nil where none is open
}

// Opener begins opening files.
func (d *Dir) Opener() *Opener { return &Opener{d: d} }

// Open opens the file that a walk saw as e, and says how it lies now. It fails
// with fs.ErrNotExist where another one, or none, lies there.
func (o *Opener) Open(e Entry) (*os.File, Entry, error) {
	h, err := o.d.handle()
	if err != nil {
		return nil, Entry{}, err
	}
	if e.Inode == 0 { // nothing tells whether it is the one that was seen
		return o.d.Open(e.Path)
	}
	dir, base := split(e.Path)
	root, err := o.folder(h, dir)
	if err != nil {
		return nil, Entry{}, err
	}
	f, err := root.OpenFile(base, os.O_RDONLY|openFlags, 0)
	if err != nil {
		if gone(err) {
			err = fs.ErrNotExist
		}
		return nil, Entry{}, err
	}
	fi, err := f.Stat()
	if err == nil {
		if now := h.entry(e.Path, fi); fi.Mode().IsRegular() && now.Inode == e.Inode {
			return f, now, nil
		}
		err = fs.ErrNotExist
	}
	f.Close() // nothing was read
	return nil, Entry{}, err
}

// folder is the open folder at path.
func (o *Opener) folder(h *handle, path string) (*os.Root, error) {
	if path == "" {
		return h.root, nil
	}
	if o.root != nil && o.h == h && o.path == path {
		return o.root, nil
	}
	o.Close()
	root, err := h.root.OpenRoot(path)
	if gone(err) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	o.h, o.path, o.root = h, path, root
	return root, nil
}

// Close lets the folder go. The Opener may be used on.
func (o *Opener) Close() {
	if o.root != nil {
		o.root.Close() // nothing was written
		o.root = nil
	}
}

// Undisturbed reports whether an open file is still what lay at its path as e,
// unwritten, and how it lies now. It fails with fs.ErrNotExist where nothing
// lies there. Where inodes stay the file itself tells: whoever renames, replaces
// or removes it changes the time of its last change.
func (d *Dir) Undisturbed(f *os.File, e Entry) (now Entry, ok bool, err error) {
	if e.Inode == 0 {
		now, err = d.Stat(e.Path)
		return now, err == nil && now.Same(e), err
	}
	fi, err := f.Stat()
	if err != nil {
		return Entry{}, false, err
	}
	now = d.current.Load().entry(e.Path, fi)
	return now, now.Same(e) && now.Changed.Equal(e.Changed), nil
}
