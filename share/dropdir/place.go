package dropdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"boucan/record"
)

// Known is what the caller knows of the names in the folder, by their Fold.
// It is asked by the goroutine that places, and must know what that placed
// before.
type Known interface {
	// File reports whether a file whose path folds to fold is known.
	File(fold string) (bool, error)
	// Folder returns the path of a known folder that folds to fold. The
	// folder may be gone by now.
	Folder(fold string) (path string, ok bool, err error)
}

// Placer moves files to their places and out of them, a group at a time. What
// it did is durable after Sync. It is for one goroutine, and there is one at a
// time, so that two files of one name meet.
type Placer struct {
	h     *handle
	known Known
	open  map[string]*os.File // folders changed since the last Sync
	real  map[string]string   // what folder found, while it is open
	again []string            // files to be synced again, on FAT
}

// openFolders is how many changed folders a group keeps open before it syncs.
const openFolders = 32

// Placer begins a group.
func (d *Dir) Placer(known Known) (*Placer, error) {
	h, err := d.handle()
	if err != nil {
		return nil, err
	}
	return &Placer{h: h, known: known, open: make(map[string]*os.File), real: make(map[string]string)}, nil
}

// Place moves a, whose content is durable, to the path want or one like it and
// never onto another file. want is valid by record.CheckName. tag tells files
// of one name apart, or is empty where they are to be numbered.
func (p *Placer) Place(a *Aside, want, tag string) (Entry, error) {
	if a.h != p.h {
		return Entry{}, ErrAway // written on a stick that was pulled since
	}
	info := a.info
	if info == nil {
		var err error
		if info, err = a.file.Stat(); err != nil {
			return Entry{}, fmt.Errorf("place file: %w", err)
		}
	}
	dir, base := split(shallow(want))
	e, err := p.place(a, info, dir, base, tag)
	if isOddName(err) {
		e, err = p.place(a, info, plainPath(dir), plain(base), tag)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("place file: %w", diskError(err))
	}
	a.placed = true
	if p.h.traits.fat {
		p.again = append(p.again, e.Path)
	}
	return e, nil
}

func (p *Placer) place(a *Aside, info fs.FileInfo, dir, base, tag string) (Entry, error) {
	const tries = 16 // against people who put files of the same names at the same time
	exists := false
	for range tries {
		real, err := p.found(dir)
		if err != nil {
			return Entry{}, err
		}
		k, err := firstFree(func(k int) (bool, error) {
			return p.taken(join(real, candidate(base, tag, k)), exists)
		})
		if err != nil {
			return Entry{}, err
		}
		path := join(real, candidate(base, tag, k))
		if len(path) > record.MaxName && real != "" {
			dir = "" // the suffix made it too long; the file's own name matters most
			continue
		}
		e := p.h.entry(path, info)
		p.h.ours.add(e)
		if err = p.moveNew(a, real, path); err == nil {
			return e, nil
		}
		p.h.ours.take(e)
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return Entry{}, err
		}
		exists = true
		clear(p.real) // somebody moved what was there
	}
	return Entry{}, errors.New("too many files of one name")
}

// found is folder, which is asked once for as long as the folder is open: files
// go to what is open, whatever becomes of its name meanwhile.
func (p *Placer) found(dir string) (string, error) {
	if real, ok := p.real[dir]; ok && p.open[real] != nil {
		return real, nil
	}
	real, err := p.folder(dir)
	if err == nil {
		p.real[dir] = real
	}
	return real, err
}

// taken reports whether a path is known to be in use; with look also whether it
// is in use unknown to the caller.
func (p *Placer) taken(path string, look bool) (bool, error) {
	fold := Fold(path)
	if used, err := p.known.File(fold); used || err != nil {
		return used, err
	}
	folder, ok, err := p.known.Folder(fold)
	if err != nil {
		return false, err
	}
	if ok && p.isFolder(folder) {
		return true, nil
	}
	if !look {
		return false, nil
	}
	_, err = p.h.root.Lstat(path)
	if gone(err) {
		return false, nil
	}
	return err == nil, err
}

// folder finds or makes the folder for dir, element by element, and returns its
// path as it is on disk: "Photos" where dir says "photos" and that is there,
// "photos (2)" where a file is called "photos".
func (p *Placer) folder(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	outer, base := split(dir)
	above, err := p.folder(outer)
	if err != nil {
		return "", err
	}
	for k := range 100 {
		path := join(above, candidate(base, "", k))
		real, ok, err := p.known.Folder(Fold(path))
		if err != nil {
			return "", err
		}
		if ok && p.isFolder(real) {
			return real, nil
		}
		switch fi, err := p.h.root.Lstat(path); {
		case err == nil && fi.IsDir():
			return p.spelled(above, path)
		case err == nil:
			continue
		case !gone(err):
			return "", err
		}
		if used, err := p.known.File(Fold(path)); err != nil {
			return "", err
		} else if used {
			continue
		}
		if err := p.h.root.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		return path, p.changed(above)
	}
	return "", errors.New("too many files where a folder is to be")
}

// spelled is how the folder at path is really called: where case does not
// matter, the system answers to other spellings too.
func (p *Placer) spelled(above, path string) (string, error) {
	if !p.h.traits.caseless {
		return path, nil
	}
	names, err := listNames(p.h.root, rooted(above))
	if err != nil {
		return "", err
	}
	_, base := split(path)
	found := path
	for _, name := range names {
		if name == base {
			return path, nil
		}
		if Fold(name) == Fold(base) {
			found = join(above, name)
		}
	}
	return found, nil
}

func (p *Placer) isFolder(path string) bool {
	fi, err := p.h.root.Lstat(path)
	return err == nil && fi.IsDir()
}

// moveNew renames a to path unless that exists: then it fails with fs.ErrExist.
func (p *Placer) moveNew(a *Aside, dir, path string) error {
	to, err := p.opened(dir)
	if err != nil {
		return err
	}
	_, base := split(path)
	err = renameNew(a.in.dir, a.name, to, base)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	aside := a.in.path + "/" + a.name
	if err = p.h.root.Link(aside, path); err == nil {
		return a.in.root.Remove(a.name)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Neither is there, as on FAT without Linux: look, then rename. We are the
	// only ones to place, so what can come between is a person's hand.
	if _, err = p.h.root.Lstat(path); err == nil {
		return fs.ErrExist
	} else if !gone(err) {
		return err
	}
	return p.h.root.Rename(aside, path)
}

// Remove removes the file at want.Path unless it was changed since it was seen
// as want; then it fails with fs.ErrExist. Folders that become empty go with
// it. A file that is gone already is no error.
func (p *Placer) Remove(want Entry) error {
	fi, err := p.h.root.Lstat(want.Path)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	if !fi.Mode().IsRegular() || !p.h.entry(want.Path, fi).Same(want) {
		return fmt.Errorf("remove file: changed by hand: %w", fs.ErrExist)
	}
	return p.remove(want.Path)
}

// Undo takes a file that was just placed at path back: a drop is removed, what
// came in pieces is aside again, as it was.
func (p *Placer) Undo(a *Aside, path string) error {
	if a.in == p.h.incoming {
		return p.remove(path)
	}
	if err := p.h.root.Rename(path, a.in.path+"/"+a.name); err != nil {
		return fmt.Errorf("take file back: %w", err)
	}
	a.placed = false
	dir, _ := split(path)
	return p.changed(dir)
}

func (p *Placer) remove(path string) error {
	if err := p.h.root.Remove(path); err != nil && !gone(err) {
		return fmt.Errorf("remove file: %w", err)
	}
	clear(p.real)
	dir, _ := split(path)
	for dir != "" {
		if f := p.open[dir]; f != nil {
			f.Close()
			delete(p.open, dir)
		}
		if p.h.root.Remove(dir) != nil {
			break // not empty
		}
		dir, _ = split(dir)
	}
	return p.changed(dir)
}

// changed notes that names in dir changed.
func (p *Placer) changed(dir string) error {
	_, err := p.opened(dir)
	return err
}

func (p *Placer) opened(dir string) (*os.File, error) {
	if f := p.open[dir]; f != nil {
		return f, nil
	}
	if len(p.open) >= openFolders {
		if err := p.Sync(); err != nil {
			return nil, err
		}
	}
	f, err := p.h.root.Open(rooted(dir))
	if err != nil {
		return nil, err
	}
	p.open[dir] = f
	return f, nil
}

// Sync makes everything done durable: each changed folder is synced once. On
// FAT, where length and place of a file are kept in the folder, a rename
// forgets them until the file is synced again.
func (p *Placer) Sync() error {
	err := p.h.syncPaths(p.again)
	p.again = p.again[:0]
	for _, f := range p.open {
		err = errors.Join(err, syncOpened(f), f.Close())
	}
	clear(p.open)
	clear(p.real)
	return err
}

// Close ends the group. What was not synced may or may not last.
func (p *Placer) Close() {
	for _, f := range p.open {
		f.Close()
	}
	clear(p.open)
}

func plainPath(dir string) string {
	if dir == "" {
		return ""
	}
	outer, base := split(dir)
	return join(plainPath(outer), plain(base))
}
