package dropdir

import "sync"

// maxOurs is how many files that were placed are remembered, twice at most.
const maxOurs = 2048

// ours are the files that were placed and whose placing the system has not told
// of yet: they need no look. What it never tells of, as in a folder that is not
// watched, is forgotten after maxOurs others.
type ours struct {
	mu       sync.Mutex
	new, old map[string]Entry // by path
}

func (o *ours) add(e Entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.new == nil || len(o.new) >= maxOurs {
		o.new, o.old = make(map[string]Entry), o.new
	}
	o.new[e.Path] = e
}

// take forgets a path and reports whether what lies there is what was placed.
func (o *ours) take(e Entry) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	placed, ok := o.new[e.Path]
	if !ok {
		placed, ok = o.old[e.Path]
	}
	delete(o.new, e.Path)
	delete(o.old, e.Path)
	return ok && placed.Same(e)
}
