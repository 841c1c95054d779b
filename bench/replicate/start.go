package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// starter is a contestant that lists files which lie in a folder of its own.
type starter interface {
	rival
	// lay puts the files where an end's program will find them, and its settings.
	lay(ctx context.Context, e *end) error
	// listed starts the end's program and returns when it lists all files, durable.
	listed(ctx context.Context, e *end) error
}

func (b boucanRival) lay(_ context.Context, e *end) error {
	return b.link(filepath.Join(e.dir, "data", "files", load))
}

func (b boucanRival) listed(ctx context.Context, e *end) error {
	c, err := b.start(ctx, e)
	if err != nil {
		return err
	}
	return b.wholeOf(ctx, c)
}

func (s *syncthing) lay(ctx context.Context, e *end) error {
	if err := s.generate(ctx, e, filepath.Join(e.dir, "home"), e); err != nil {
		return err
	}
	if err := s.link(filepath.Join(e.dir, load)); err != nil {
		return err
	}
	return s.configure(e, filepath.Join(e.dir, "home"), e)
}

func (s *syncthing) listed(ctx context.Context, e *end) error {
	if err := s.start(ctx, e); err != nil {
		return err
	}
	return s.whole(ctx, e)
}

// start measures one workload's first and second starts.
func (o *options) start(ctx context.Context, l *lan, w *workload, p programs, chosen []contestant, dir string) (rs results, err error) {
	for range o.runs {
		for _, c := range chosen {
			g, err := newGround(l, w, p, dir, 1)
			if err != nil {
				return nil, err
			}
			s, ok := c.Make(g).(starter)
			if !ok {
				continue // it lists nothing
			}
			e := g.senders[0]
			if err := o.within(ctx, func(ctx context.Context) error { return s.lay(ctx, e) }); err != nil {
				return nil, fmt.Errorf("%s, preparing %s: %w", c.Name, w, err)
			}
			for _, k := range []kind{index, restart} {
				r := result{Kind: k, Contestant: c.Name, Workload: *w}
				err := o.within(ctx, func(ctx context.Context) (err error) {
					r.measured, err = startOnce(ctx, s, e)
					return err
				})
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", c.Name, w, err)
				}
				fmt.Fprintf(os.Stderr, "%s, %s of %s: %.2f s, %.2f CPU-s\n", w, k, c.Name, r.Seconds, r.CPU)
				rs = append(rs, r)
				if err := o.keep(r); err != nil {
					return nil, err
				}
			}
			if err := os.RemoveAll(dir); err != nil {
				return nil, err
			}
		}
	}
	return rs, nil
}

// startOnce measures one start; the end's memory is the receiver's in the result.
func startOnce(ctx context.Context, s starter, e *end) (measured, error) {
	if err := durable(e.dir); err != nil {
		return measured{}, err
	}
	m := &meter{receiver: e}
	if err := m.begin(); err != nil {
		return measured{}, err
	}
	if err := s.listed(ctx, e); err != nil {
		return measured{}, err
	}
	if err := m.finish(); err != nil {
		return measured{}, err
	}
	return m.got, e.stop()
}
