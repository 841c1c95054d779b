package share

import (
	"time"

	"boucan/share/dropdir"
)

const (
	// maxUnsettled is how many files that are being written are remembered.
	// The others are found by the next look at all.
	maxUnsettled = 4096
	// A file that is being written is looked at again after a quarter of the
	// time that it has lain unchanged, within these bounds.
	againSoonest = 250 * time.Millisecond
	againLatest  = 5 * time.Second
)

// unsettled are the files that somebody is writing. It is for one goroutine at
// a time.
type unsettled struct {
	files map[string]writing
	over  bool // there were more
}

// writing is a file as it lay when it was first seen like that.
type writing struct {
	entry dropdir.Entry
	since time.Time
	again time.Time // when to look
}

// seen notes how an unsettled file lies, and returns for how long it has.
func (u *unsettled) seen(e dropdir.Entry, now time.Time) time.Duration {
	w, ok := u.files[e.Path]
	if !ok && len(u.files) >= maxUnsettled {
		u.over = true
		return 0
	}
	if !ok || !w.entry.Same(e) {
		w = writing{entry: e, since: now}
	}
	lain := now.Sub(w.since)
	w.again = now.Add(min(max(lain/4, againSoonest), againLatest))
	u.files[e.Path] = w
	return lain
}

// forget is for a file that settled, or is gone.
func (u *unsettled) forget(path string) { delete(u.files, path) }

// pass forgets those of the paths, looked at since began, that were not seen to
// lie there any more: to be looked at again and again they would never leave.
func (u *unsettled) pass(paths []string, began time.Time) {
	for _, path := range paths {
		if w, ok := u.files[path]; ok && !w.again.After(began) {
			delete(u.files, path)
		}
	}
}

// lain is how long a file is known to lie unchanged.
func (u *unsettled) lain(e dropdir.Entry, now time.Time) time.Duration {
	if w, ok := u.files[e.Path]; ok && w.entry.Same(e) {
		return now.Sub(w.since)
	}
	return 0
}

// take returns the files whose time to be looked at has come, or else how long
// to wait; a wait of 0 is for ever.
func (u *unsettled) take(now time.Time) (paths []string, wait time.Duration) {
	for path, w := range u.files {
		if d := w.again.Sub(now); d <= 0 {
			paths = append(paths, path)
		} else if wait == 0 || d < wait {
			wait = d
		}
	}
	if len(paths) == 0 && u.over && len(u.files) < maxUnsettled {
		u.over = false
		return []string{""}, 0
	}
	return paths, wait
}
