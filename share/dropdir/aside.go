package dropdir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"
)

// Aside is a file of ours that is being written and has no place among
// people's files yet. It may be written at from many goroutines; the other
// methods are for one at a time.
type Aside struct {
	file *os.File
	h    *handle
	in   corner // holds it: incoming or partial
	name string

	placed bool        // it has left the corner
	info   fs.FileInfo // how it lies; set where the file is closed already
}

// Incoming begins a new file. If the process dies it is removed at the next
// Claim.
func (d *Dir) Incoming() (*Aside, error) {
	h, err := d.handle()
	if err != nil {
		return nil, err
	}
	return h.aside(h.incoming, rand.Text(), os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Partial opens the partial file of that name, which is one path element of
// letters and digits, or begins it. It stays until it is placed or discarded.
func (d *Dir) Partial(name string) (*Aside, error) {
	h, err := d.handle()
	if err != nil {
		return nil, err
	}
	return h.aside(h.partial, name, os.O_RDWR|os.O_CREATE)
}

// Partials lists the names of all partial files.
func (d *Dir) Partials() ([]string, error) {
	h, err := d.handle()
	if err != nil {
		return nil, err
	}
	return listNames(h.partial.root, ".")
}

// RemovePartial removes a partial file, if there is one of that name.
func (d *Dir) RemovePartial(name string) error {
	h, err := d.handle()
	if err != nil {
		return err
	}
	if err = h.partial.root.Remove(name); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

func (h *handle) aside(in corner, name string, flags int) (*Aside, error) {
	a := &Aside{h: h, in: in, name: name}
	var err error
	a.file, err = in.root.OpenFile(name, flags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write aside: %w", diskError(err))
	}
	return a, nil
}

// Write appends. It fails with ErrFull or ErrTooLarge where that is why.
func (a *Aside) Write(p []byte) (int, error) {
	n, err := a.file.Write(p)
	return n, diskError(err)
}

// WriteAt writes at an offset and fails as Write does.
func (a *Aside) WriteAt(p []byte, offset int64) (int, error) {
	n, err := a.file.WriteAt(p, offset)
	return n, diskError(err)
}

// ReadAt reads back what was written.
func (a *Aside) ReadAt(p []byte, offset int64) (int, error) { return a.file.ReadAt(p, offset) }

// Size is how long the file is now, in bytes.
func (a *Aside) Size() (int64, error) {
	fi, err := a.file.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// Allocated is how much of the disk the file takes now, in bytes.
func (a *Aside) Allocated() (int64, error) {
	fi, err := a.file.Stat()
	if err != nil {
		return 0, err
	}
	return allocated(fi), nil
}

// Truncate sets the length in bytes.
func (a *Aside) Truncate(size int64) error { return diskError(a.file.Truncate(size)) }

// Reserve takes the room for size bytes where that is quick, and reports
// whether it did. It fails with ErrFull where there is not so much.
func (a *Aside) Reserve(size int64) (bool, error) {
	if !a.h.traits.preallocate || size == 0 {
		return false, nil
	}
	ok, err := preallocate(a.file, size)
	return ok, diskError(err)
}

// Hole reports whether nothing was ever written in a range. It may say no
// where it cannot tell.
func (a *Aside) Hole(offset, length int64) bool { return isHole(a.file, offset, length) }

// Flush starts writing a range to the disk and does not wait, so that Sync has
// little left to do.
func (a *Aside) Flush(offset, length int64) { startFlush(a.file, offset, length) }

// Sync makes the content durable.
func (a *Aside) Sync() error { return diskError(a.file.Sync()) }

// Close keeps the file and gives its descriptor back.
func (a *Aside) Close() error { return a.file.Close() }

// Discard closes the file, and removes it unless it is placed. On a stick that
// was pulled it stays, for Claim to remove.
func (a *Aside) Discard() error {
	var err error
	if a.info == nil {
		err = a.Close()
	}
	if !a.placed {
		err = errors.Join(err, a.in.root.Remove(a.name))
	}
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// WriteAll writes many small files aside, durable on return. They are closed
// already. On an error none is left.
func (d *Dir) WriteAll(ctx context.Context, contents [][]byte) ([]*Aside, error) {
	h, err := d.handle()
	if err != nil {
		return nil, err
	}
	files := make([]*Aside, 0, len(contents))
	if len(contents) >= together && h.maySyncWhole(time.Now()) {
		files, err = h.writeSome(ctx, files, contents, false)
		if err == nil {
			err = h.syncWhole(len(files))
		}
	} else {
		for some := range slices.Chunk(contents, openFiles) {
			if files, err = h.writeSome(ctx, files, some, true); err != nil {
				break
			}
		}
	}
	if err != nil {
		for _, a := range files {
			err = errors.Join(err, a.Discard())
		}
		return nil, err
	}
	return files, nil
}

const (
	// together is the number of files from which on it is quicker to sync the
	// whole file system.
	together = 24
	// openFiles is how many files are open at a time while they are synced
	// one by one.
	openFiles = 64
)

// writeSome writes files aside and closes them, synced or not. Those begun are
// added to files, also on an error.
func (h *handle) writeSome(ctx context.Context, files []*Aside, contents [][]byte, sync bool) ([]*Aside, error) {
	from := len(files)
	for _, content := range contents {
		if err := ctx.Err(); err != nil {
			return files, err
		}
		a, err := h.aside(h.incoming, rand.Text(), os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if err != nil {
			return files, err
		}
		files = append(files, a)
		if _, err = a.Write(content); err == nil && !sync {
			err = a.finish()
		}
		if err != nil {
			return files, err
		}
	}
	if !sync {
		return files, nil
	}
	opened := make([]*os.File, 0, len(contents))
	for _, a := range files[from:] {
		opened = append(opened, a.file)
	}
	err := syncEach(opened)
	for _, a := range files[from:] {
		err = errors.Join(err, a.finish())
	}
	return files, diskError(err)
}

// finish closes a file that is written.
func (a *Aside) finish() error {
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	a.info = info
	return diskError(a.file.Close())
}

// syncEach syncs files at the same time, which a journal answers with one
// write.
func syncEach(files []*os.File) error {
	const atOnce = 16
	errs := make([]error, len(files))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, f := range files {
		slots <- struct{}{}
		all.Go(func() {
			errs[i] = f.Sync()
			<-slots
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// SyncByHand makes durable what people copied into the folder, as it was when
// it was seen. Most of it is already: the system writes by itself what has not
// changed for a while, and one sync of the whole file system is good for all
// that was there before.
func (d *Dir) SyncByHand(files []Entry, now time.Time) error {
	const writtenBySystem = time.Minute
	h, err := d.handle()
	if err != nil {
		return err
	}
	synced := h.synced(now)
	var paths []string
	for _, e := range files {
		if now.Sub(e.Changed) < writtenBySystem && !e.Changed.Before(synced) {
			paths = append(paths, e.Path)
		}
	}
	if len(paths) >= together && h.traits.wholeSync {
		return h.syncWhole(len(paths))
	}
	return h.syncPaths(paths)
}

// synced is the time before which every change is known to be durable, by the
// system's clock.
func (h *handle) synced(now time.Time) time.Time {
	at := time.Unix(0, h.syncedAt.Load())
	if at.After(now) { // the clock was set back
		return time.Time{}
	}
	return at.Add(-grain) // times of change are those of the last tick
}

// syncPaths makes files durable; those that are gone are passed over.
func (h *handle) syncPaths(paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	if len(paths) > 1 && h.maySyncWhole(time.Now()) {
		return h.syncWhole(len(paths))
	}
	for some := range slices.Chunk(paths, openFiles) {
		var err error
		var files []*os.File
		for _, path := range some {
			f, openErr := h.root.OpenFile(path, os.O_RDONLY|openFlags, 0)
			switch {
			case openErr == nil:
				files = append(files, f)
			case !gone(openErr):
				err = errors.Join(err, openErr)
			}
		}
		err = errors.Join(err, syncEach(files))
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return diskError(err)
		}
	}
	return nil
}

// Syncing the whole file system waits for everything that anybody wrote there.
// Where that turns out to take long, files are synced one by one for a while.
const (
	wholeSyncBase    = 50 * time.Millisecond
	wholeSyncEach    = time.Millisecond
	wholeSyncAvoided = 30 * time.Second
)

func (h *handle) maySyncWhole(now time.Time) bool {
	return h.traits.wholeSync && now.UnixNano() >= h.avoidWhole.Load()
}

// syncWhole makes files durable together with all else.
func (h *handle) syncWhole(files int) error {
	began := time.Now()
	err := diskError(syncWhole(h.incoming.dir))
	if err == nil {
		h.syncedAt.Store(began.UnixNano())
	}
	if now := time.Now(); now.Sub(began) > wholeSyncBase+time.Duration(files)*wholeSyncEach {
		h.avoidWhole.Store(now.Add(wholeSyncAvoided).UnixNano())
	}
	return err
}

// Space is the room on the file system, in bytes.
type Space struct {
	Free  int64 // for us
	Total int64
}

// Space asks how much room there is.
func (d *Dir) Space() (Space, error) {
	h, err := d.handle()
	if err != nil {
		return Space{}, err
	}
	return findSpace(h.incoming.dir)
}

// MaxFile is the size in bytes of the largest file that the file system takes.
func (d *Dir) MaxFile() int64 {
	if m := d.current.Load().traits.maxFile; m > 0 {
		return m
	}
	return 1<<63 - 1
}
