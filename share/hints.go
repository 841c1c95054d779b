package share

import (
	"sync"
	"time"
)

const (
	// debounce is how long nothing more must be said to have changed before a
	// look, and debounceMost how long at most one waits for that.
	debounce     = 200 * time.Millisecond
	debounceMost = 2 * time.Second
	// maxHints is how many paths are kept; with more, all is looked at.
	maxHints = 1024
)

// hints collects the paths that are worth a look.
type hints struct {
	mu    sync.Mutex
	paths map[string]bool
	all   bool
	first time.Time // of those collected now
	last  time.Time

	wake chan struct{} // one token
}

func (h *hints) init() {
	h.paths = make(map[string]bool)
	h.wake = make(chan struct{}, 1)
}

// add notes a path; an empty one is for all.
func (h *hints) add(path string) {
	h.mu.Lock()
	now := time.Now()
	if !h.all && len(h.paths) == 0 {
		h.first = now
	}
	h.last = now
	if path == "" || len(h.paths) >= maxHints && !h.paths[path] {
		h.all = true
		clear(h.paths)
	}
	if !h.all {
		h.paths[path] = true
	}
	h.mu.Unlock()
	h.poke()
}

// poke wakes whoever waits for hints.
func (h *hints) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// take returns what to look at if its time has come, or else how long to wait;
// a wait of 0 is for ever.
func (h *hints) take(now time.Time) (paths []string, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.all && len(h.paths) == 0 {
		return nil, 0
	}
	due := h.last.Add(debounce)
	if latest := h.first.Add(debounceMost); latest.Before(due) {
		due = latest
	}
	if due.After(now) {
		return nil, due.Sub(now)
	}
	if h.all {
		h.all = false
		clear(h.paths)
		return []string{""}, 0
	}
	for path := range h.paths {
		paths = append(paths, path)
	}
	clear(h.paths)
	return paths, 0
}
