package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"boucan/control"
)

// getCmd fetches one file.
type getCmd struct {
	Ref   string `arg:"" name:"cid|name" help:"CID, or name as \"boucan ls\" shows it."`
	Out   string `help:"File or folder to write to, or \"-\" for standard output. Default: the file's own name, in this folder." placeholder:"FILE" short:"o"`
	Force bool   `help:"Replace an existing file." short:"f"`
}

// Help is for kong.
func (c *getCmd) Help() string {
	return `What is not on this box is fetched from any box in reach that has it, before all else, and waited for where there is none. The file appears when it is whole.`
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
	target, err := c.target(f)
	if err != nil {
		return err
	}
	body, err := c.open(s, client, f)
	if err != nil {
		return err
	}
	defer body.Close()
	if target == "-" {
		_, err := io.Copy(s.out, body)
		return notWhole(s.ctx, "standard output", err)
	}
	bar := s.progress(int64(f.Size), "getting")
	defer bar.Finish()
	return save(s.ctx, target, io.TeeReader(body, bar))
}

// target is where the file goes.
func (c *getCmd) target(f control.File) (string, error) {
	base := path.Base(oneLine(f.Name))
	target := c.Out
	switch {
	case target == "-":
		return target, nil
	case target == "":
		target = base
	default:
		if info, err := os.Stat(target); err == nil && info.IsDir() {
			target = filepath.Join(target, base)
		}
	}
	if _, err := os.Lstat(target); err == nil && !c.Force {
		return "", fmt.Errorf("%s exists already: name another with --out, or replace it with --force", target)
	}
	return target, nil
}

// open opens the file's bytes, and shows how far they have come meanwhile.
func (c *getCmd) open(s *session, client *control.Client, f control.File) (io.ReadCloser, error) {
	if f.Here {
		return client.Get(s.ctx, f.CID)
	}
	fmt.Fprintf(s.errOut, "%s is not here yet; waiting for a box that has it (Ctrl-C to give up)\n", oneLine(f.Name))
	bar := s.progress(int64(f.Size), "fetching")
	ctx, stop := context.WithCancel(s.ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if now, err := client.Lookup(ctx, f.CID); err == nil && now.Landed > 0 {
				_ = bar.Set64(int64(min(now.Landed, f.Size)))
			}
		}
	})
	body, err := client.Get(s.ctx, f.CID)
	stop()
	watching.Wait()
	_ = bar.Finish()
	return body, err
}

// save writes r to target, which appears only when it is whole.
func save(ctx context.Context, target string, r io.Reader) error {
	aside, err := os.CreateTemp(filepath.Dir(target), ".boucan-get-*")
	if err != nil {
		return notWhole(ctx, target, err)
	}
	_, err = io.Copy(aside, r)
	if err == nil {
		err = aside.Chmod(0o644)
	}
	if err == nil {
		err = aside.Sync()
	}
	if closed := aside.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = os.Rename(aside.Name(), target)
	}
	if err != nil {
		_ = os.Remove(aside.Name()) // the first error is the one to tell
	}
	return notWhole(ctx, target, err)
}

// notWhole says why a file was not written.
func notWhole(ctx context.Context, target string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = control.ErrStopped
	}
	return fmt.Errorf("%s was not written: %w", target, plain(err))
}
