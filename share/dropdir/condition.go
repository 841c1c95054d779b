package dropdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Condition is how the folder, and the disk that it lies on, stand.
type Condition string

// The conditions. With the first five there is nothing to be read.
const (
	Unplugged Condition = "unplugged" // nothing is there, or an empty folder that nobody marked: the mount point of a stick that was pulled
	Other     Condition = "other"     // another folder is there, marked for this program: the stick of another box, or another one of this box
	Unmarked  Condition = "unmarked"  // a folder is there with files in it and without a mark: a stick that is nobody's yet
	Silent    Condition = "silent"    // what is there gives nothing but errors
	Shut      Condition = "shut"      // what is there may not be opened by this program
	ReadOnly  Condition = "readonly"  // it is read and takes nothing
	Failing   Condition = "failing"   // the disk reports errors of its own
	Fine      Condition = ""
)

// The ways in which a disk does not take what is written. Callers test them with
// errors.Is.
var (
	// ErrReadOnly says that the file system may be read and not be written, as
	// the system leaves one that it found in disorder.
	ErrReadOnly = errors.New("the disk can only be read")
	// ErrFailing says that the disk itself reports errors.
	ErrFailing = errors.New("the disk is failing")
)

// Err is the error of whoever wants to write to a folder in this condition, nil
// where that can be tried.
func (c Condition) Err() error {
	switch c {
	case Fine:
		return nil
	case ReadOnly:
		return ErrReadOnly
	case Failing:
		return ErrFailing
	}
	return ErrAway
}

// Condition is the folder's at the last Look or Check.
func (d *Dir) Condition() Condition {
	c, _ := d.condition.Load().(Condition)
	return c
}

// Blame has the next Check look closely where err is the fault of the disk.
func (d *Dir) Blame(err error) (blamed bool) {
	blamed = errors.Is(err, ErrReadOnly) || errors.Is(err, ErrFailing) || IsFault(err)
	if blamed {
		d.blamed.Store(true)
	}
	return blamed
}

// trialEvery is how often a disk that is in trouble is read and written for no
// other reason than to learn whether it still is.
const trialEvery = 10 * time.Second

// Check is Look, and finds out whether the disk takes what is written to it. It
// is for one goroutine. It writes nothing, and leaves the disk asleep, as long as
// nobody was blamed (Blame) and all was well.
func (d *Dir) Check() Condition {
	if !d.Look() {
		return d.Condition()
	}
	h, err := d.handle()
	if err != nil {
		return d.Condition()
	}
	was, now := d.Condition(), h.writable()
	if was != Fine || d.blamed.Load() {
		since := time.Since(time.Unix(0, d.triedAt.Load()))
		if was != Fine && since >= 0 && since < trialEvery {
			return was
		}
		d.blamed.Store(false)
		d.triedAt.Store(time.Now().UnixNano())
		if now == Fine {
			now = h.tried()
		}
		if !d.Answers() {
			now = Failing
		}
	}
	d.looking.Lock()
	defer d.looking.Unlock()
	if d.present.Load() && d.current.Load() == h {
		d.condition.Store(now)
	}
	return d.Condition()
}

// writable asks without writing anything: a file system that takes nothing any
// more refuses to have a file opened for writing, or a write of no bytes.
func (h *handle) writable() Condition {
	f, err := h.root.OpenFile(markerName, os.O_WRONLY|openFlags, 0)
	if err == nil {
		_, err = f.Write(nil)
		err = errors.Join(err, f.Close())
	}
	return conditionOf(err)
}

// tried writes a small file aside and makes it durable.
func (h *handle) tried() Condition {
	a, err := h.aside(h.incoming, "trial", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return conditionOf(err)
	}
	_, err = a.Write(fmt.Append(nil, time.Now().UnixNano()))
	if err == nil {
		err = a.Sync()
	}
	return conditionOf(errors.Join(err, a.Discard()))
}

// conditionOf is what an error of writing says of the disk. One that is full, or
// that others may write to, is fine.
func conditionOf(err error) Condition {
	err = diskError(err)
	switch {
	case errors.Is(err, ErrFailing), errors.Is(err, fs.ErrNotExist):
		return Failing // the marker is known to be there
	case errors.Is(err, ErrReadOnly):
		return ReadOnly
	}
	return Fine
}

// absent is why the folder at path is not ours.
func absent(root *os.Root, err error) Condition {
	switch {
	case IsFault(err):
		return Silent
	case errors.Is(err, fs.ErrPermission):
		return Shut
	case root == nil:
		return Unplugged
	case err == nil:
		return Other
	}
	empty, err := isEmpty(root)
	switch {
	case IsFault(err):
		return Silent
	case empty:
		return Unplugged
	}
	return Unmarked
}

// isEmpty reports whether a folder holds nothing but what file systems put there
// by themselves.
func isEmpty(root *os.Root) (bool, error) {
	const few = 64 // more than those
	f, err := root.Open(".")
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(few)
	if err != nil && len(names) == 0 {
		return !IsFault(err), nil
	}
	for _, name := range names {
		if !Hidden(name) {
			return false, nil
		}
	}
	return true, nil
}
