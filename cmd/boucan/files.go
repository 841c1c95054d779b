package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"boucan/control"
)

// addAtOnce is how many files are added at the same time, so that their syncs
// to disk share the waiting.
const addAtOnce = 8

// addCmd shares files and folders.
type addCmd struct {
	Paths []string `arg:"" name:"path" help:"Files or folders; \"-\" reads standard input."`
	As    string   `help:"Name to share a single file or standard input under." placeholder:"NAME"`
	JSON  bool     `help:"Print one JSON object a line."`
}

// source is one file to add.
type source struct {
	path string // on this machine; "-" for standard input
	name string // to share it under
	size int64  // bytes, -1 where unknown
	mod  time.Time
}

func (c *addCmd) Run(s *session) error {
	sources, failed, err := c.sources(s)
	if err != nil {
		return err
	}
	client, err := s.dial()
	if err != nil {
		return err
	}
	var total int64
	for _, src := range sources {
		total += max(src.size, 0)
	}
	bar := s.progress(total, "sharing")
	defer bar.Finish()

	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards out and failed
		queue = make(chan source)
	)
	for range min(addAtOnce, len(sources)) {
		wg.Go(func() {
			for src := range queue {
				added, err := c.addOne(s, client, src, bar)
				mu.Lock()
				if err != nil {
					failed = true
					s.say(bar, "boucan: %s: %v", src.path, err)
				} else if err := c.print(s, added); err != nil {
					failed = true
				}
				mu.Unlock()
			}
		})
	}
feed:
	for _, src := range sources {
		select {
		case queue <- src:
		case <-s.ctx.Done():
			break feed
		}
	}
	close(queue)
	wg.Wait()
	if err := s.ctx.Err(); err != nil {
		return errors.New("stopped before all files were shared")
	}
	if failed {
		return errPartly
	}
	return nil
}

func (c *addCmd) print(s *session, a control.Added) error {
	if c.JSON {
		return printJSON(s.out, a)
	}
	_, err := fmt.Fprintln(s.out, a.CID)
	return err
}

func (c *addCmd) addOne(s *session, client *control.Client, src source, bar *progressbar.ProgressBar) (control.Added, error) {
	in := io.Reader(s.in)
	if src.path != "-" {
		f, err := os.Open(src.path)
		if err != nil {
			return control.Added{}, plain(err)
		}
		defer f.Close()
		in = f
	}
	return client.Add(s.ctx, src.name, src.mod, io.TeeReader(in, bar))
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
		full, err := filepath.Abs(arg)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", arg, err)
		}
		base := filepath.Dir(full)
		walk := func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				failed = true
				fmt.Fprintf(s.errOut, "boucan: %s: %v\n", p, plain(err))
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
			if c.As != "" && p == full {
				name = c.As
			}
			all = append(all, source{path: p, name: name, size: info.Size(), mod: info.ModTime()})
			return nil
		}
		if err := filepath.WalkDir(full, walk); err != nil {
			return nil, false, fmt.Errorf("%s: %w", arg, err)
		}
	}
	if len(all) == 0 && !failed {
		return nil, false, errors.New("nothing to share there")
	}
	return all, failed, nil
}

// lsCmd lists files.
type lsCmd struct {
	JSON bool `help:"Print one JSON object a line."`
}

func (c *lsCmd) Run(s *session) error { return list(s, "", c.JSON) }

// searchCmd lists the files that match.
type searchCmd struct {
	Words []string `arg:"" help:"Words that must all be there."`
	JSON  bool     `help:"Print one JSON object a line."`
}

func (c *searchCmd) Run(s *session) error {
	return list(s, strings.Join(c.Words, " "), c.JSON)
}

func list(s *session, query string, asJSON bool) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	files, err := client.Files(s.ctx, query)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(s.out)
	if asJSON {
		enc := json.NewEncoder(out)
		for _, f := range files {
			if err := enc.Encode(f); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	if len(files) == 0 {
		if query != "" {
			fmt.Fprintln(s.errOut, "Nothing matches.")
		} else {
			fmt.Fprintln(s.errOut, "Nothing is shared yet.")
		}
		return nil
	}
	tab := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tab, "SIZE\tAGE\tFROM\tHERE\tNAME")
	for _, f := range files {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n", bytesText(f.Size), ageText(time.Since(f.Created)), f.From, hereText(f), f.Name)
	}
	return errors.Join(tab.Flush(), out.Flush())
}

func hereText(f control.File) string {
	switch {
	case f.Here:
		return "yes"
	case f.Landed > 0 && f.Size > 0:
		return fmt.Sprintf("%d%%", f.Landed*100/f.Size)
	}
	return "no"
}

// getCmd fetches one file.
type getCmd struct {
	Ref   string `arg:"" name:"cid|name" help:"CID, or name as \"boucan ls\" shows it."`
	Out   string `help:"File to write, or \"-\" for standard output. Default: the file's own name, in this folder." placeholder:"FILE" short:"o"`
	Force bool   `help:"Replace an existing file." short:"f"`
}

func (c *getCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	f, err := client.Lookup(s.ctx, c.Ref)
	if err != nil {
		return err
	}
	if !f.Here {
		fmt.Fprintf(s.errOut, "%s is not here yet; waiting for a box that has it (Ctrl-C to give up)\n", f.Name)
	}
	body, err := client.Get(s.ctx, f.CID)
	if err != nil {
		return err
	}
	defer body.Close()
	if c.Out == "-" {
		_, err := io.Copy(s.out, body)
		return err
	}
	target := c.Out
	if target == "" {
		target = path.Base(f.Name)
	}
	bar := s.progress(int64(f.Size), "getting")
	defer bar.Finish()
	return save(s.ctx, target, c.Force, io.TeeReader(body, bar))
}

// save writes r to target, which appears only when it is whole.
func save(ctx context.Context, target string, force bool, r io.Reader) error {
	if _, err := os.Lstat(target); err == nil && !force {
		return fmt.Errorf("%s exists already: name another with --out, or replace it with --force", target)
	}
	aside, err := os.CreateTemp(filepath.Dir(target), ".boucan-get-*")
	if err != nil {
		return plain(err)
	}
	_, err = io.Copy(aside, r)
	if err == nil {
		err = aside.Chmod(0o644)
	}
	if err = errors.Join(err, ctx.Err(), aside.Sync(), aside.Close()); err != nil {
		_ = os.Remove(aside.Name())
		return fmt.Errorf("%s was not fetched: %w", target, err)
	}
	if err := os.Rename(aside.Name(), target); err != nil {
		_ = os.Remove(aside.Name())
		return plain(err)
	}
	return nil
}

// progress draws a bar on a terminal, after a moment; elsewhere it is silent.
func (s *session) progress(total int64, what string) *progressbar.ProgressBar {
	visible := term.IsTerminal(int(os.Stderr.Fd()))
	return progressbar.NewOptions64(total, progressbar.OptionSetWriter(s.errOut),
		progressbar.OptionSetVisibility(visible), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true), progressbar.OptionSetWidth(20), progressbar.OptionUseIECUnits(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

// say prints a line above the bar.
func (s *session) say(bar *progressbar.ProgressBar, format string, args ...any) {
	_ = bar.Clear()
	fmt.Fprintf(s.errOut, format+"\n", args...)
}

// plain drops what a path error repeats, so that the line reads well.
func plain(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
