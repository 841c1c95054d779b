package dropdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// The ways in which a file cannot be repaired now. Callers test them with
// errors.Is.
var (
	// ErrChanged says that a file is not any more as it was seen: somebody
	// wrote, replaced or removed it.
	ErrChanged = errors.New("file was changed by hand")
	// ErrInUse says that somebody has the file open, and might be writing it.
	ErrInUse = errors.New("file is in use")
)

// Mend is a file that is repaired in place: what is written to it is meant to
// be what was there, so the file's time stays. Only Write is for one goroutine
// at a time.
type Mend struct {
	h    *handle
	file *os.File
	want Entry
}

// Mend opens the file that lies as want says. It fails with ErrChanged where
// none does.
func (d *Dir) Mend(want Entry) (*Mend, error) {
	h, err := d.handle()
	if err != nil {
		return nil, err
	}
	m := &Mend{h: h, want: want}
	if err := m.still(); err != nil {
		return nil, err
	}
	if m.file, err = h.root.OpenFile(want.Path, os.O_RDWR|openFlags, 0); err != nil {
		return nil, fmt.Errorf("open for repair: %w", diskError(err))
	}
	if err := m.still(); err != nil {
		return nil, errors.Join(err, m.file.Close())
	}
	return m, nil
}

// still reports ErrChanged unless the file lies as it should, and is the one
// that is open.
func (m *Mend) still() error {
	fi, err := m.h.root.Lstat(m.want.Path)
	if err == nil && (!fi.Mode().IsRegular() || !m.h.entry(m.want.Path, fi).Same(m.want)) {
		err = ErrChanged
	}
	if err == nil && m.file != nil {
		var open fs.FileInfo
		if open, err = m.file.Stat(); err == nil && !os.SameFile(fi, open) {
			err = ErrChanged
		}
	}
	if gone(err) {
		err = ErrChanged
	}
	if err != nil {
		return fmt.Errorf("repair file: %w", err)
	}
	return nil
}

// Write puts bytes in their place. While it does, nobody else can open the
// file where the system knows of write leases: who tries waits for the moment
// that it takes. It fails with ErrInUse where somebody has it open already, with
// ErrChanged where somebody has changed it, and writes nothing then.
func (m *Mend) Write(p []byte, offset int64) error {
	return m.change(func() error {
		_, err := m.file.WriteAt(p, offset)
		return err
	})
}

// change has the file to itself while do changes it, and keeps its time.
func (m *Mend) change(do func() error) error {
	if m.h.traits.leases {
		end, err := exclude(m.file)
		if err != nil {
			return fmt.Errorf("repair file: %w", err)
		}
		defer end()
	}
	if err := m.still(); err != nil {
		return err
	}
	return errors.Join(diskError(do()), m.h.keepTime(m.want))
}

// Lengthen gives the file that lies as seen says a greater length, durably; the
// bytes added are zero. Its time stays. It fails as Write does.
func (d *Dir) Lengthen(seen Entry, size int64) error {
	m, err := d.Mend(seen)
	if err != nil {
		return err
	}
	return errors.Join(m.change(func() error { return m.file.Truncate(size) }), m.Sync(), m.Close())
}

// keepTime gives a file the modification time back that it had.
func (h *handle) keepTime(want Entry) error {
	if err := h.root.Chtimes(want.Path, time.Time{}, want.Modified); err != nil {
		return fmt.Errorf("keep the file's time: %w", err)
	}
	return nil
}

// ReadAt reads what is there.
func (m *Mend) ReadAt(p []byte, offset int64) (int, error) { return m.file.ReadAt(p, offset) }

// Sync makes durable what was written.
func (m *Mend) Sync() error { return diskError(m.file.Sync()) }

// Close gives the file back.
func (m *Mend) Close() error { return m.file.Close() }

// KeepTime gives the file that lies as seen says the modification time at. It
// fails with ErrChanged where none lies so.
func (d *Dir) KeepTime(seen Entry, at time.Time) error {
	h, err := d.handle()
	if err != nil {
		return err
	}
	if err := (&Mend{h: h, want: seen}).still(); err != nil {
		return err
	}
	seen.Modified = at
	return h.keepTime(seen)
}

// Replace moves a, whose content is durable, into the place of the file that
// lies as want says, which goes. Time and permissions stay. It fails with
// ErrChanged or ErrInUse where that file is not there so or somebody is at it;
// then nothing has happened. The folder is synced by Sync.
func (p *Placer) Replace(a *Aside, want Entry) (Entry, error) {
	if a.h != p.h {
		return Entry{}, ErrAway // written on a stick that was pulled since
	}
	e, err := p.replace(a, want)
	if err != nil {
		return Entry{}, fmt.Errorf("replace file: %w", diskError(err))
	}
	return e, nil
}

func (p *Placer) replace(a *Aside, want Entry) (Entry, error) {
	mode, err := p.idle(want)
	if err != nil {
		return Entry{}, err
	}
	dir, base := split(want.Path)
	to, err := p.opened(dir)
	if err != nil {
		return Entry{}, err
	}
	err = errors.Join(a.in.root.Chmod(a.name, mode), a.in.root.Chtimes(a.name, time.Time{}, want.Modified))
	if err != nil {
		return Entry{}, err
	}
	switch err = exchange(a.in.dir, a.name, to, base); {
	case err == nil:
		// What came out is what goes, unless somebody was quicker.
		fi, err := a.in.root.Lstat(a.name)
		if err == nil && !p.h.entry(want.Path, fi).Same(want) {
			err = ErrChanged
		}
		if err != nil {
			return Entry{}, errors.Join(err, exchange(a.in.dir, a.name, to, base))
		}
		a.placed = true
		if err := a.in.root.Remove(a.name); err != nil {
			p.h.log.Warn("could not remove what was replaced", "err", err)
		}
	case errors.Is(err, errors.ErrUnsupported):
		if err := p.h.root.Rename(a.in.path+"/"+a.name, want.Path); err != nil {
			return Entry{}, err
		}
		a.placed = true
	default:
		return Entry{}, err
	}
	if p.h.traits.fat {
		p.again = append(p.again, want.Path)
	}
	fi, err := p.h.root.Lstat(want.Path)
	if err != nil {
		return Entry{}, err
	}
	return p.h.entry(want.Path, fi), nil
}

// idle reports ErrChanged or ErrInUse unless the file lies as it should and
// nobody writes it, and returns its permissions.
func (p *Placer) idle(want Entry) (fs.FileMode, error) {
	f, err := p.h.root.OpenFile(want.Path, os.O_RDONLY|openFlags, 0)
	if gone(err) {
		return 0, ErrChanged
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !fi.Mode().IsRegular() || !p.h.entry(want.Path, fi).Same(want) {
		return 0, ErrChanged
	}
	if p.h.traits.leases {
		if free, known := lease(f); known && !free {
			return 0, ErrInUse
		}
	}
	return fi.Mode().Perm(), nil
}
