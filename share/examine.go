package share

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// largeFile is the size in bytes from which on a look does not wait until a
// file is hashed.
const largeFile = 64 << 20

// exam is one file to be examined.
type exam struct {
	entry   dropdir.Entry
	old     *known // what the index knows of it
	suspect bool   // its manifest is lost, so that it has to be read again
	look    *look  // waits for it; nil for a large file
}

// result is a file that was hashed.
type result struct {
	exam
	m     Manifest
	moved bool // recognized, not hashed: only CID and size of m are set
}

func (j exam) done() {
	if j.look != nil {
		j.look.open.Done()
	}
}

// examine finds out what a file is, if it has settled, and passes that on.
func (f *follower) examine(ctx context.Context, o *dropdir.Opener, j exam) {
	if f.arrived(j) {
		j.done()
		return
	}
	r, err := f.identify(ctx, o, j)
	switch {
	case err == nil:
		f.settled(j.entry.Path)
		f.results <- r // the collector gives it back when it is written
		return
	case errors.Is(err, errLater):
	case errors.Is(err, errUnsettled):
		if j.suspect {
			f.b.suspects.add(j.entry.Path)
		}
	case errors.Is(err, fs.ErrNotExist):
		// It went meanwhile; the next look misses it if it was known.
		f.settled(j.entry.Path)
		if j.old != nil {
			f.b.hints.add(j.entry.Path)
		}
	case ctx.Err() != nil:
	default:
		f.b.log.Debug("cannot read a file in the shared folder", "path", j.entry.Path, "err", err)
		f.settled(j.entry.Path)
	}
	j.done()
}

// arrived is true for a file that was dropped or fetched since the look began
// and is known by now.
func (f *follower) arrived(j exam) bool {
	if j.suspect || j.look != nil && j.look.placed == f.b.placed.Load() {
		return false
	}
	k, ok, err := lookUp(f.b.get, j.entry.Path)
	return err == nil && ok && k.same(j.entry) && !k.held
}

var (
	errUnsettled = errors.New("file is being written")
	errLater     = errors.New("file is hashed beside the look")
)

func (f *follower) settled(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsettled.forget(path)
}

// identify hashes a file that nobody was writing before, and nobody has changed
// until after.
func (f *follower) identify(ctx context.Context, o *dropdir.Opener, j exam) (result, error) {
	file, e, err := o.Open(j.entry)
	if err != nil {
		return result{}, err
	}
	defer file.Close()
	if e.Size > record.MaxBlob {
		return result{}, ErrTooLarge
	}
	if !f.quiet(file, e) {
		return result{}, errUnsettled
	}
	j.entry = e
	if m, ok := f.recognize(j); ok {
		return result{exam: j, m: m, moved: true}, nil
	}
	if e.Size >= largeFile && j.look != nil {
		return result{}, f.later(j)
	}
	m, err := f.b.hashers.identify(ctx, file, e.Size)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errUnsettled // it became shorter
	}
	if err != nil {
		return result{}, err
	}
	after, ok, err := f.b.dir.Undisturbed(file, e)
	if err != nil {
		return result{}, err
	}
	if !ok {
		f.note(after)
		return result{}, errUnsettled
	}
	return result{exam: j, m: m}, nil
}

// quiet reports whether nobody is writing the file, and remembers it if so.
func (f *follower) quiet(file *os.File, e dropdir.Entry) bool {
	f.mu.Lock()
	lain := f.unsettled.lain(e, time.Now())
	f.mu.Unlock()
	if f.b.dir.Settled(file, e, f.b.o.Now(), lain) {
		return true
	}
	f.note(e)
	return false
}

func (f *follower) note(e dropdir.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsettled.seen(e, time.Now())
}

// recognize knows a file again without reading it: one that is back where it
// was, or a large one that people moved or linked within the folder.
func (f *follower) recognize(j exam) (Manifest, bool) {
	e, k := j.entry, known{}
	switch {
	case j.suspect:
		return Manifest{}, false
	case j.old != nil:
		k = *j.old
		if !k.held || k.rotten || !k.same(e) {
			return Manifest{}, false
		}
	case e.Size >= movable && e.Inode != 0:
		path, ok, err := f.b.get(inodeKey(e.Inode))
		if err != nil || !ok {
			return Manifest{}, false
		}
		k, ok, err = lookUp(f.b.get, string(path))
		if err != nil || !ok || k.held || k.inode != e.Inode || !k.same(e) {
			return Manifest{}, false
		}
	default:
		return Manifest{}, false
	}
	if n := pieces(k.size); n > 0 {
		if _, ok, err := f.b.get(pieceKey(k.cid, n-1)); err != nil || !ok {
			return Manifest{}, false
		}
	}
	return Manifest{CID: k.cid, Size: k.size}, true
}

// later hands a large file to those who hash beside the looks. It returns
// errLater.
func (f *follower) later(j exam) error {
	j.look = nil
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inLarge[j.entry.Path] {
		return errLater
	}
	select {
	case f.large <- j:
		f.inLarge[j.entry.Path] = true
	default:
		f.largeOver = true // another look will find it
	}
	return errLater
}

// examineLarge examines large files, one at a time, each with all processors.
func (f *follower) examineLarge(ctx context.Context) {
	o := f.b.dir.Opener()
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-f.large:
			f.examine(ctx, o, j)
			o.Close()
			f.mu.Lock()
			delete(f.inLarge, j.entry.Path)
			if f.largeOver && len(f.large) == 0 {
				f.largeOver, f.again = false, true
			}
			f.mu.Unlock()
		}
	}
}

// suspects are paths of files that are to be read again although they lie as
// they were indexed.
type suspects struct {
	mu    sync.Mutex
	paths map[string]bool
}

// add reports whether there was room.
func (s *suspects) add(path string) bool {
	const maxSuspects = 64
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.paths) >= maxSuspects && !s.paths[path] {
		return false
	}
	if s.paths == nil {
		s.paths = make(map[string]bool)
	}
	s.paths[path] = true
	return true
}

func (s *suspects) take() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths := s.paths
	s.paths = nil
	return paths
}
