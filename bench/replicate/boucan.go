package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"boucan/control"
)

// boucanRival is this program, a whole box at each end: the boxes find one
// another, the list of files is reconciled, its records are verified, the files
// are fetched.
type boucanRival struct{ *ground }

func newBoucan(g *ground) rival { return boucanRival{g} }

// look is how often a box is asked how far it is. A question costs it some 0.1 ms.
const look = 10 * time.Millisecond

// prepare lays the files into the folder of the first box. The others fetch them
// from it, so that all hold the records of one author, as boxes do.
func (b boucanRival) prepare(ctx context.Context) error {
	if err := b.link(filepath.Join(b.senders[0].dir, "data", "files", load)); err != nil {
		return err
	}
	for _, s := range b.senders {
		if _, err := b.start(ctx, s); err != nil {
			return err
		}
	}
	for _, s := range b.senders {
		if err := b.whole(ctx, s); err != nil {
			return err
		}
		defer s.stop()
	}
	return nil
}

func (b boucanRival) start(ctx context.Context, e *end) (*control.Client, error) {
	p, err := e.start(b.programs["boucan"], "--data", filepath.Join(e.dir, "data"))
	if err != nil {
		return nil, err
	}
	var c *control.Client
	err = until(ctx, look, func() (bool, error) {
		var err error
		c, err = control.Dial(ctx, filepath.Join(e.dir, "data"))
		return err == nil, p.alive()
	})
	return c, err
}

// whole waits until a box lists all files and has their bytes, which it does not
// say before they are durable.
func (b boucanRival) whole(ctx context.Context, e *end) error {
	c, err := control.Dial(ctx, filepath.Join(e.dir, "data"))
	if err != nil {
		return err
	}
	return b.wholeOf(ctx, c)
}

func (b boucanRival) wholeOf(ctx context.Context, c *control.Client) error {
	return until(ctx, look, func() (bool, error) {
		id, err := c.Identity(ctx)
		if id.Files > b.Files || id.Here > b.Files {
			return false, fmt.Errorf("%d files are listed and %d are here, of %d", id.Files, id.Here, b.Files)
		}
		return id.Files == b.Files && id.Here == b.Files, err
	})
}

// pull begins when the receiver reaches the first of the senders.
func (b boucanRival) pull(ctx context.Context, m *meter) (string, error) {
	for _, s := range b.senders {
		if _, err := b.start(ctx, s); err != nil {
			return "", err
		}
	}
	for _, s := range b.senders {
		if err := b.whole(ctx, s); err != nil {
			return "", err
		}
	}
	c, err := b.start(ctx, b.receiver)
	if err != nil {
		return "", err
	}
	err = until(ctx, look/5, func() (bool, error) {
		id, err := c.Identity(ctx)
		return id.Peers > 0, err
	})
	if err != nil {
		return "", err
	}
	if err := m.begin(); err != nil {
		return "", err
	}
	if err := b.wholeOf(ctx, c); err != nil {
		return "", err
	}
	return filepath.Join(b.receiver.dir, "data", "files", load), m.finish()
}
