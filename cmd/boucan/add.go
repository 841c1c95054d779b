package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"boucan/control"
)

// addAtOnce is how many files are added at the same time, so that their syncs
// to disk share the waiting.
const addAtOnce = 8

// addCmd shares files and folders.
type addCmd struct {
	Paths []string `arg:"" name:"path" help:"Files or folders; \"-\" reads standard input."`
	As    string   `help:"Name to share a single file or standard input under." placeholder:"NAME"`
	Undo  bool     `help:"Share like a visitor's drop: print the undo code behind each CID; after 90 days, or when the code is used, the copy leaves the box."`
	JSON  bool     `help:"Print one JSON object a line."`
}

// Help is for kong.
func (c *addCmd) Help() string {
	return `The files are copied into the box. Each CID is printed when its file is safely on disk and listed. Of folders, hidden files are left out, and names keep the folder.

Fields of --json: name, cid, size (bytes), already (the bytes were here before), undo (the undo code, with --undo only).`
}

// source is one file to add.
type source struct {
	path string // on this machine; "-" for standard input
	name string // to share it under
	size int64  // bytes, -1 where unknown
	mod  time.Time
}

func (c *addCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	sources, failed, err := c.sources(s)
	if err != nil {
		return err
	}
	var total int64
	for _, src := range sources {
		if total += src.size; src.size < 0 {
			total = -1
			break
		}
	}
	a := adder{addCmd: c, session: s, client: client, bar: s.progress(total, "sharing"), failed: failed}
	defer a.bar.Finish()
	return a.all(sources)
}

// adder adds several files at a time.
type adder struct {
	*addCmd
	*session
	client *control.Client
	bar    *progressbar.ProgressBar

	mu     sync.Mutex // guards what follows, and the output
	failed bool
	ended  error // why it is no use to go on
}

func (a *adder) all(sources []source) error {
	ctx, stop := context.WithCancel(a.ctx)
	defer stop()
	queue := make(chan source)
	var workers sync.WaitGroup
	for range min(addAtOnce, len(sources)) {
		workers.Go(func() {
			for src := range queue {
				a.one(ctx, src, stop)
			}
		})
	}
feed:
	for _, src := range sources {
		select {
		case queue <- src:
		case <-ctx.Done():
			break feed
		}
	}
	close(queue)
	workers.Wait()
	switch {
	case a.ctx.Err() != nil:
		return errors.New("stopped before all files were shared")
	case a.ended != nil:
		return fmt.Errorf("not all files were shared: %w", a.ended)
	case a.failed:
		return errPartly
	}
	return nil
}

// one adds one file and says what became of it. It calls stop where no other
// would fare better.
func (a *adder) one(ctx context.Context, src source, stop func()) {
	added, err := a.send(ctx, src)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		err = a.print(added)
		if err != nil && a.ended == nil {
			a.ended = err
			stop()
		}
		return
	}
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, control.ErrStopped), errors.Is(err, control.ErrNotRunning):
		a.ended = err
		stop()
	default:
		a.failed = true
		a.say(a.bar, "boucan: %s: %v", oneLine(src.path), err)
	}
}

func (a *adder) print(added control.Added) error {
	_ = a.bar.Clear()
	if a.JSON {
		return printJSON(a.out, added)
	}
	if added.Undo != "" {
		_, err := fmt.Fprintln(a.out, added.CID, added.Undo)
		return err
	}
	_, err := fmt.Fprintln(a.out, added.CID)
	return err
}

func (a *adder) send(ctx context.Context, src source) (control.Added, error) {
	in := io.Reader(a.in)
	if src.path != "-" {
		f, err := os.Open(src.path)
		if err != nil {
			return control.Added{}, plain(err)
		}
		defer f.Close()
		in = f
	}
	if a.addCmd.Undo {
		return a.client.Drop(ctx, src.name, io.TeeReader(in, a.bar))
	}
	return a.client.Add(ctx, src.name, src.mod, io.TeeReader(in, a.bar))
}

// sources lists every file that the arguments name. Folders keep their own
// name as the first element; what is neither file nor folder is left out.
func (c *addCmd) sources(s *session) (all []source, failed bool, err error) {
	if c.As != "" && len(c.Paths) != 1 {
		return nil, false, errors.New("--as names one file: give one path")
	}
	for _, arg := range c.Paths {
		if arg == "-" {
			if c.As == "" {
				return nil, false, errors.New("standard input has no name: give one with --as")
			}
			all = append(all, source{path: "-", name: c.As, size: -1, mod: time.Now()})
			continue
		}
		below, broken, err := c.below(s, arg)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", arg, err)
		}
		all, failed = append(all, below...), failed || broken
	}
	if len(all) == 0 && !failed {
		return nil, false, errors.New("nothing to share there")
	}
	return all, failed, nil
}

// below lists the file that a path names, or those in the folder.
func (c *addCmd) below(s *session, path string) (all []source, failed bool, err error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, false, err
	}
	base := filepath.Dir(full)
	walk := func(p string, d fs.DirEntry, err error) error {
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if err != nil {
			failed = true
			fmt.Fprintf(s.errOut, "boucan: %s: %v\n", oneLine(p), plain(err))
			return nil
		}
		if p != full && strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := os.Stat(p)
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(base, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if c.As != "" {
			if p != full {
				return errors.New("--as names one file, and this is a folder")
			}
			name = c.As
		}
		all = append(all, source{path: p, name: name, size: info.Size(), mod: info.ModTime()})
		return nil
	}
	err = filepath.WalkDir(full, walk)
	return all, failed, err
}
