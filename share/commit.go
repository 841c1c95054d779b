package share

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"boucan/record"
	"boucan/share/dropdir"
)

// Limits of what is written to the index at once, below those of the store.
const (
	groupPairs = 3500
	groupBytes = 640 << 10
)

// change is one thing to be done to the folder and the index, whole or not at
// all. Changes are done one after the other, in groups that are made durable
// together, so that many drops at the same time share the syncs.
type change struct {
	pairs int // written at most
	bytes int // of keys and values, at most
	apply func(g *group) error

	err  error
	done bool
}

// group is what the changes of one group work on.
type group struct {
	*batch
	dir    *dropdir.Dir
	placer *dropdir.Placer
	placed []placed // taken back if the group fails
	count  *atomic.Uint64
}

// placed is a file moved to its place.
type placed struct {
	a    *dropdir.Aside
	path string
}

// places begins moving files.
func (g *group) places() (*dropdir.Placer, error) {
	if g.placer == nil {
		p, err := g.dir.Placer(g.batch)
		if err != nil {
			return nil, err
		}
		g.placer = p
	}
	return g.placer, nil
}

// place moves a file to its place and makes it known.
func (g *group) place(a *dropdir.Aside, name, tag string, cid record.CID) (File, error) {
	p, err := g.places()
	if err != nil {
		return File{}, err
	}
	e, err := p.Place(a, name, tag)
	if err != nil {
		return File{}, err
	}
	k := knownOf(e, cid)
	// A file that lay there was removed by hand, and nobody has looked since.
	used, err := g.File(dropdir.Fold(e.Path))
	if err == nil && used {
		var old known
		if old, used, err = g.lookUp(e.Path); err == nil && used {
			err = g.vanish(e.Path, old)
		}
	}
	if err == nil {
		err = g.add(e.Path, k)
	}
	if err != nil {
		return File{}, errors.Join(err, p.Undo(a, e.Path))
	}
	g.placed = append(g.placed, placed{a, e.Path})
	g.count.Add(1)
	return k.file(e.Path), nil
}

// committer does changes, one group at a time. Whoever finds no group under
// way does the next one.
type committer struct {
	mu      sync.Mutex
	turn    sync.Cond // a group has ended
	waiting []*change
	busy    bool
	tally   tally // as last written
}

// commit does changes, which then carry their errors, and returns those
// joined. What succeeded is durable. It does not stop half way.
func (b *Blobs) commit(changes ...*change) error {
	c := &b.committer
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, changes...)
	var errs []error
	for _, mine := range changes {
		for !mine.done {
			if c.busy {
				c.turn.Wait()
				continue
			}
			b.nextGroup()
		}
		if mine.err != nil {
			errs = append(errs, mine.err)
		}
	}
	return errors.Join(errs...)
}

// nextGroup does the changes that have waited longest. c.mu is held, and given
// back while it works.
func (b *Blobs) nextGroup() {
	c := &b.committer
	n, pairs, bytes := 0, 0, 0
	for _, w := range c.waiting {
		pairs, bytes = pairs+w.pairs, bytes+w.bytes
		if n > 0 && (pairs > groupPairs || bytes > groupBytes) {
			break
		}
		n++
	}
	changes := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	c.busy = true
	t := newBatch(b.index, c.tally, pairs)
	c.mu.Unlock()

	err := b.doGroup(&group{batch: t, dir: b.dir, count: &b.placed}, changes)

	c.mu.Lock()
	for _, w := range changes {
		w.done = true
		if w.err == nil {
			w.err = err
		}
	}
	if err == nil {
		c.tally = t.tally
	}
	c.busy = false
	c.turn.Broadcast()
}

func (b *Blobs) doGroup(g *group, changes []*change) error {
	for _, w := range changes {
		back, placed := g.begin(), len(g.placed)
		if w.err = w.apply(g); w.err != nil {
			back()
			w.err = errors.Join(w.err, g.takeBack(placed))
		}
	}
	if g.placer != nil {
		defer g.placer.Close()
		if err := g.placer.Sync(); err != nil {
			return errors.Join(err, g.takeBack(0))
		}
	}
	if len(g.order) == 0 {
		return nil
	}
	if err := writePairs(b.index, g.pairs()); err != nil {
		return errors.Join(err, g.takeBack(0))
	}
	return nil
}

// takeBack removes files that were placed in vain: nobody was told of them.
func (g *group) takeBack(from int) error {
	var err error
	for _, x := range g.placed[from:] {
		err = errors.Join(err, g.placer.Undo(x.a, x.path))
	}
	g.placed = g.placed[:from]
	return err
}

func (b *Blobs) readTally() tally {
	b.committer.mu.Lock()
	defer b.committer.mu.Unlock()
	return b.committer.tally
}
