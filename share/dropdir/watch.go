package dropdir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watch calls hint with the path of whatever seems to have changed, a file or
// a folder with all that is in it, until ctx ends. An empty path stands for the
// whole folder. Hints may be wrong and may be missing: they only make a look
// come sooner. There is none for a file that a Placer moved to its place. Calls come one at a time and must not block long. complete says
// whether the system tells of every change, or some folders are not watched.
//
// Watching goes by path, not through os.Root, for the system knows no other
// way; nothing is read or written on the strength of it.
//
// complete is called each time that a watch has begun, or has failed to: what
// changed before went unseen.
func (d *Dir) Watch(ctx context.Context, hint func(path string), complete func(bool)) {
	const pause = 5 * time.Second // before another try where watching failed
	for ctx.Err() == nil {
		swapped := d.replaced()
		again, err := d.watchOnce(ctx, swapped, hint, complete)
		if err != nil {
			complete(false)
			d.log.Debug("cannot watch the shared folder", "err", err)
		}
		if again {
			continue
		}
		select {
		case <-ctx.Done():
		case <-swapped:
		case <-time.After(pause):
		}
	}
}

// watcher watches the folders of one handle.
type watcher struct {
	d        *Dir
	w        *fsnotify.Watcher
	hint     func(string)
	complete func(bool)
	folders  map[string]bool // that are watched, or were and are gone
	partial  bool            // not all folders are watched
	moved    *time.Timer     // runs when a folder was moved
}

// afterMove is how long after a folder was moved the watches are set anew. The
// system reports the move in several parts, and the last ends the watch.
const afterMove = 300 * time.Millisecond

// watchOnce watches until the folder is replaced, and then wants to be called
// again, or until watching fails.
func (d *Dir) watchOnce(ctx context.Context, swapped <-chan struct{}, hint func(string), complete func(bool)) (again bool, err error) {
	h, err := d.handle()
	if err != nil {
		return false, err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return false, err
	}
	defer w.Close()
	x := &watcher{d: d, w: w, hint: hint, complete: complete, folders: make(map[string]bool)}
	x.moved = time.NewTimer(afterMove)
	x.moved.Stop()
	defer x.moved.Stop()
	x.add(ctx, h.root, "", 1)
	complete(!x.partial)
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-swapped:
			return true, nil
		case <-x.moved.C:
			clear(x.folders)
			x.add(ctx, h.root, "", 1)
			hint("") // it went unseen what happened meanwhile
		case event, ok := <-w.Events:
			if !ok {
				return false, errors.New("watch ended")
			}
			x.event(ctx, h, event)
		case err, ok := <-w.Errors:
			if !ok {
				return false, errors.New("watch ended")
			}
			hint("")
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return false, err
			}
		}
	}
}

func (x *watcher) event(ctx context.Context, h *handle, event fsnotify.Event) {
	path, ok := x.relative(event.Name)
	if !ok || event.Op == fsnotify.Chmod {
		return
	}
	if path == "" {
		x.hint("") // the folder itself was moved or removed
		return
	}
	if !visible(path) {
		return
	}
	if event.Has(fsnotify.Rename) && x.folders[path] {
		x.moved.Reset(afterMove)
	}
	if event.Has(fsnotify.Remove) {
		delete(x.folders, path)
	}
	if event.Has(fsnotify.Create) {
		fi, err := h.root.Lstat(path)
		if err == nil && fi.Mode().IsRegular() && h.ours.take(h.entry(path, fi)) {
			return
		}
		if err == nil && fi.IsDir() {
			was := x.partial
			x.add(ctx, h.root, path, strings.Count(path, "/")+2)
			if x.partial && !was {
				x.complete(false)
			}
		}
	}
	x.hint(path)
}

// add watches a folder and all below it.
func (x *watcher) add(ctx context.Context, root *os.Root, path string, depth int) {
	if ctx.Err() != nil || depth > MaxDepth {
		return
	}
	if len(x.folders) >= x.d.o.MaxWatches || x.w.Add(filepath.Join(x.d.path, filepath.FromSlash(path))) != nil {
		x.partial = true
		return
	}
	x.folders[path] = true
	for _, name := range x.foldersIn(root, path) {
		x.add(ctx, root, join(path, name), depth+1)
	}
}

// foldersIn lists the folders of one folder, as many as may be watched.
func (x *watcher) foldersIn(root *os.Root, path string) (names []string) {
	sub, err := root.OpenRoot(rooted(path))
	if err != nil {
		x.partial = x.partial || !gone(err)
		return nil
	}
	defer sub.Close()
	err = list(sub, func(name string, folder bool) {
		switch {
		case !folder || Hidden(name):
		case len(names) < x.d.o.MaxWatches:
			names = append(names, name)
		default:
			x.partial = true
		}
	})
	x.partial = x.partial || err != nil && !gone(err)
	return names
}

// relative is the path of an event within the folder.
func (x *watcher) relative(name string) (string, bool) {
	rel, err := filepath.Rel(x.d.path, name)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	if rel == "." {
		return "", true
	}
	return filepath.ToSlash(rel), true
}
