package store

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// write is one caller's Write on its way.
type write struct {
	changes []change
	size    int // bytes of keys and values

	done bool // the fields from here belong to whoever has the turn
	err  error
}

// rooms are lists of changes for reuse: a large one costs more to grow than to fill.
var rooms = sync.Pool{New: func() any { return &[]change{} }}

// gather copies the pairs into a write and holds them to the limits.
func gather(t Table, pairs iter.Seq2[[]byte, []byte]) (*write, error) {
	w := &write{changes: (*rooms.Get().(*[]change))[:0]}
	var block []byte // what keys and values are copied into
	for key, value := range pairs {
		w.size += len(key) + len(value)
		switch {
		case len(key) == 0:
			return nil, ErrEmptyKey
		case len(key) > MaxKey, len(value) > MaxValue, len(w.changes) == MaxPairs, w.size > MaxWrite:
			return nil, ErrTooBig
		}
		need := 1 + len(key) + len(value) + sumSize
		if cap(block)-len(block) < need {
			block = make([]byte, 0, max(need, min(2*cap(block), 64<<10), 512))
		}
		start := len(block)
		block = append(block, byte(t))
		block = append(block, key...)
		middle := len(block)
		block = append(block, value...)
		c := change{key: block[start:middle:middle], remove: value == nil}
		if !c.remove {
			block = seal(block, c.key, value)
			c.value = block[middle:len(block):len(block)]
		}
		w.changes = append(w.changes, c)
	}
	return w, nil
}

// forget gives back what a write that is over took.
func (w *write) forget() {
	clear(w.changes)
	rooms.Put(&w.changes)
}

// commits lets writes that come while another is being synced go to the disk
// together. There is no goroutine and no timer: whoever has the turn writes for
// all that wait, and a lone writer has the turn at once.
type commits struct {
	db   *DB
	turn chan struct{} // holds a token while somebody commits

	mu      sync.Mutex // guards waiting
	waiting []*write   // at most MaxWriters
	failed  error      // belongs to whoever has the turn
}

func newCommits(db *DB) *commits { return &commits{db: db, turn: make(chan struct{}, 1)} }

func (c *commits) write(w *write) error {
	c.mu.Lock()
	c.waiting = append(c.waiting, w)
	c.mu.Unlock()

	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	for !w.done {
		group, changes := c.take()
		err := c.commit(changes)
		for _, g := range group {
			g.done, g.err = true, err
		}
	}
	return w.err
}

// take removes from the queue the writes that are cheap to commit together, at
// least one.
func (c *commits) take() ([]*write, []change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, pairs, size := 0, 0, 0
	for _, w := range c.waiting {
		pairs += len(w.changes)
		size += w.size
		if n > 0 && !c.db.engine.fits(pairs, size) {
			break
		}
		n++
	}
	group := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	if n == 1 {
		return group, group[0].changes
	}
	changes := make([]change, 0, pairs)
	for _, w := range group {
		changes = append(changes, w.changes...)
	}
	return group, changes
}

func (c *commits) commit(changes []change) error {
	if c.failed != nil {
		return c.failed
	}
	if err := c.db.damaged(); err != nil {
		return err
	}
	err := c.db.guard("write", func() error {
		c.db.engine.touch(len(changes) * pageSize)
		return c.db.engine.write(changes)
	})
	if err == nil || errors.Is(err, ErrFull) || errors.Is(err, ErrDamaged) {
		return err
	}
	c.failed = fmt.Errorf("%w: %w", ErrFailed, err)
	return c.failed
}
