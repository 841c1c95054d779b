// Package dropdir owns every file name and every file operation of the shared
// folder, all of them through os.Root: names that collide with nothing, moves
// that replace nothing, the walk, the watch, and the judgement whether a file
// is still being written.
//
// It knows no blob, no record and no index. The folder holds people's files
// under their own names; only .boucan inside it is ours:
//
//	.boucan/marker     a random name, so that another stick is told apart
//	.boucan/incoming/  drops under way; what a crash left over is removed
//	.boucan/partial/   downloads under way, kept across restarts
package dropdir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	ownName      = ".boucan"
	markerName   = ownName + "/marker"
	incomingName = ownName + "/incoming"
	partialName  = ownName + "/partial"

	markerFirst = "boucan folder" // the marker's first line; the second is the mark
	maxMarker   = 256             // bytes
)

// The ways in which the folder fails. Callers test them with errors.Is.
var (
	// ErrAway says that the folder is not there, or is not the one that was
	// known: a stick was pulled, or another was put in.
	ErrAway = errors.New("the shared folder is away")
	// ErrFull says that the file system has no room, or that a reserve of it
	// would be touched.
	ErrFull = errors.New("no room left above the reserve")
	// ErrTooLarge says that no file can be that large here: over the
	// program's limit, or over the file system's, as with 4 GiB on FAT32.
	ErrTooLarge = errors.New("file is larger than the limit")
)

// Options of Open. The zero value serves.
type Options struct {
	Logger     *slog.Logger // nil discards
	MaxWatches int          // folders watched for changes, 0 for 4096; beyond it changes are found by looking
}

// Dir is the shared folder. Its methods may be called from many goroutines.
type Dir struct {
	path string // of the folder, as the system knows it
	o    Options
	log  *slog.Logger

	present   atomic.Bool
	current   atomic.Pointer[handle] // never nil
	condition atomic.Value           // a Condition
	blamed    atomic.Bool            // the disk is to be looked at closely
	triedAt   atomic.Int64           // Unix nanoseconds, see Check

	looking sync.Mutex // held while the handle is judged or changed
	mark    string     // of the folder that is ours; empty before Claim
	swapped chan struct{}
}

// handle is the folder as it was opened once: with another stick comes another
// handle.
type handle struct {
	root     *os.Root
	incoming corner
	partial  corner
	traits   traits
	log      *slog.Logger
	ours     ours

	avoidWhole atomic.Int64 // Unix nanoseconds, see maySyncWhole
	syncedAt   atomic.Int64 // Unix nanoseconds, see synced
}

// corner is a folder of ours within the folder.
type corner struct {
	path string
	root *os.Root
	dir  *os.File // the same, for what os.Root cannot do
}

// openCorner opens a folder of ours, made if need be.
func openCorner(root *os.Root, path string) (corner, error) {
	if err := root.MkdirAll(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return corner{}, fmt.Errorf("make %s: %w", path, err)
	}
	sub, err := root.OpenRoot(path)
	if err != nil {
		return corner{}, fmt.Errorf("open %s: %w", path, err)
	}
	dir, err := sub.Open(".")
	if err != nil {
		return corner{}, errors.Join(fmt.Errorf("open %s: %w", path, err), sub.Close())
	}
	return corner{path, sub, dir}, nil
}

func (c corner) close() error {
	if c.root == nil {
		return nil
	}
	return errors.Join(c.root.Close(), c.dir.Close())
}

// traits are what the folder's file system can and cannot do.
type traits struct {
	fat         bool  // FAT or exFAT: no sparse files, coarse times, inodes that change
	leases      bool  // a read lease tells whether somebody writes
	inodes      bool  // inode numbers stay
	caseless    bool  // names that differ by case only are one
	wholeSync   bool  // syncing the whole file system reports what failed
	maxFile     int64 // bytes of the largest file
	preallocate bool  // reserving room is quick
}

// Open is for the folder at path, which need not be there. It counts as away
// until Claim. It fails where something else is there.
func Open(path string, o Options) (*Dir, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxWatches == 0 {
		o.MaxWatches = 4096
	}
	if fi, err := os.Stat(path); err == nil && !fi.IsDir() {
		return nil, fmt.Errorf("open the shared folder: %w", &fs.PathError{Op: "open", Path: path, Err: errors.New("is no folder")})
	}
	d := &Dir{path: path, o: o, log: o.Logger, swapped: make(chan struct{})}
	d.current.Store(&handle{})
	return d, nil
}

// Close gives the folder back. Operations after it fail; the files that were
// opened stay open.
func (d *Dir) Close() error {
	d.looking.Lock()
	defer d.looking.Unlock()
	d.present.Store(false)
	return d.current.Load().close()
}

// Claim says which folder is ours: known is the mark of an earlier Claim, or
// empty where there was none, and then the folder is made if need be and marked
// unless it is already. It returns the mark, for the caller to keep, and ErrAway
// where the folder at hand carries another mark or none.
func (d *Dir) Claim(known string) (string, error) {
	if known == "" {
		if err := os.MkdirAll(d.path, 0o755); err != nil {
			return "", fmt.Errorf("make the shared folder: %w", err)
		}
	}
	return d.take(func(mark string) bool { return known == "" || known == mark }, known)
}

// Adopt makes whatever folder is at hand ours, and returns its mark. It is for
// an operator who says so. On an error the folder that was ours still is.
func (d *Dir) Adopt() (string, error) {
	d.looking.Lock()
	was := d.mark
	d.looking.Unlock()
	mark, err := d.take(func(string) bool { return true }, "")
	if err != nil {
		d.looking.Lock()
		d.mark = was
		d.looking.Unlock()
	}
	return mark, err
}

func (d *Dir) take(ours func(mark string) bool, known string) (string, error) {
	d.looking.Lock()
	defer d.looking.Unlock()
	d.mark = known
	root, err := os.OpenRoot(d.path)
	if err != nil {
		d.lose(nil, err)
		return known, fmt.Errorf("%w: %w", ErrAway, err)
	}
	mark, err := readMark(root)
	if errors.Is(err, fs.ErrNotExist) && known == "" {
		mark, err = writeMark(root)
	}
	if err == nil && !ours(mark) {
		err = ErrAway
		d.lose(root, nil)
	} else if err == nil {
		err = d.attach(root)
	}
	if err != nil {
		if !errors.Is(err, ErrAway) {
			d.lose(root, err)
		}
		root.Close()
		if errors.Is(err, fs.ErrNotExist) || IsFault(err) {
			err = fmt.Errorf("%w: %w", ErrAway, err)
		}
		return known, err
	}
	d.mark = mark
	return mark, nil
}

// lose notes that the folder is not there, and why: root is what is in its
// place, err what came of reading its mark. What was held open of it is let go of,
// or a stick that was pulled could not be used again. d.looking is held.
func (d *Dir) lose(root *os.Root, err error) {
	d.present.Store(false)
	d.condition.Store(absent(root, err))
	old := d.current.Load()
	if old.root == nil {
		return
	}
	d.current.Store(&handle{traits: old.traits, log: d.log})
	old.close()
	close(d.swapped)
	d.swapped = make(chan struct{})
}

// Present reports whether the folder was there, and was ours, at the last
// Look.
func (d *Dir) Present() bool { return d.present.Load() }

// Look finds out whether the folder is there and is ours. A folder that comes
// back, as when a stick is mounted again, is opened anew.
func (d *Dir) Look() bool {
	d.looking.Lock()
	defer d.looking.Unlock()
	if d.mark == "" {
		return false
	}
	h := d.current.Load()
	there, err := os.Stat(d.path)
	if err == nil && d.present.Load() {
		held, err := h.root.Stat(".")
		if err == nil && os.SameFile(there, held) {
			if _, err = h.root.Lstat(markerName); err == nil {
				return true
			}
		}
	}
	d.present.Store(false)
	root, err := os.OpenRoot(d.path)
	if err != nil {
		d.lose(nil, err)
		return false
	}
	mark, err := readMark(root)
	if err == nil && mark == d.mark {
		if err = d.attach(root); err == nil {
			return true
		}
	}
	d.lose(root, err)
	root.Close()
	return false
}

// attach makes root the folder at hand. d.looking is held.
func (d *Dir) attach(root *os.Root) error {
	h := &handle{root: root, log: d.log}
	var err error
	if h.incoming, err = openCorner(root, incomingName); err != nil {
		return err
	}
	if h.partial, err = openCorner(root, partialName); err != nil {
		return errors.Join(err, h.incoming.close())
	}
	h.traits = findTraits(h.incoming.dir)
	_, err = root.Lstat(strings.ToUpper(markerName))
	h.traits.caseless = err == nil
	if old := d.current.Swap(h); old.root != root {
		old.close()
	}
	d.removeStale(h)
	close(d.swapped)
	d.swapped = make(chan struct{})
	d.condition.Store(Fine)
	d.present.Store(true)
	return nil
}

// removeStale removes drops that a crash cut off: nobody was told that they
// are saved. Nothing is under way through a handle that is new.
func (d *Dir) removeStale(h *handle) {
	names, err := listNames(h.incoming.root, ".")
	for _, name := range names {
		err = errors.Join(err, h.incoming.root.Remove(name))
	}
	if err != nil {
		d.log.Warn("could not remove what a crash left over", "err", err)
	}
}

// handle returns the folder at hand, or ErrAway.
func (d *Dir) handle() (*handle, error) {
	h := d.current.Load()
	if !d.present.Load() || h.root == nil {
		return nil, ErrAway
	}
	return h, nil
}

// replaced is closed when another handle takes the present one's place.
func (d *Dir) replaced() <-chan struct{} {
	d.looking.Lock()
	defer d.looking.Unlock()
	return d.swapped
}

func (h *handle) close() error {
	if h.root == nil {
		return nil // the folder was never there
	}
	return errors.Join(h.root.Close(), h.incoming.close(), h.partial.close())
}

func readMark(root *os.Root) (string, error) {
	f, err := root.Open(markerName)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMarker))
	if err != nil {
		return "", fmt.Errorf("read the folder's marker: %w", err)
	}
	first, rest, _ := strings.Cut(string(b), "\n")
	mark, _, _ := strings.Cut(rest, "\n")
	if first != markerFirst || mark == "" {
		return "", fs.ErrNotExist
	}
	return mark, nil
}

// writeMark marks a folder: aside, synced, renamed, folder synced.
func writeMark(root *os.Root) (string, error) {
	mark := rand.Text()
	err := root.MkdirAll(ownName, 0o755)
	if err != nil {
		return "", fmt.Errorf("mark the folder: %w", err)
	}
	aside := markerName + ".new"
	f, err := root.Create(aside)
	if err != nil {
		return "", fmt.Errorf("mark the folder: %w", err)
	}
	_, err = f.WriteString(markerFirst + "\n" + mark + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = root.Rename(aside, markerName)
	}
	if err != nil {
		return "", fmt.Errorf("mark the folder: %w", err)
	}
	return mark, errors.Join(syncFolder(root, ownName), syncFolder(root, "."))
}

// syncFolder makes the names in a folder durable.
func syncFolder(root *os.Root, path string) error {
	f, err := root.Open(path)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer f.Close()
	return syncOpened(f)
}

// syncOpened is syncFolder for a folder that is open. File systems that cannot
// sync a folder say so; there is nothing more to be done on them.
func syncOpened(f *os.File) error {
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !isInvalid(err) {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// listNames lists one folder of ours, in no order. It is small: what is under
// way at one time.
func listNames(root *os.Root, path string) ([]string, error) {
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}
