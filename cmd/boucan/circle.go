package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"boucan/control"
	"boucan/node"
)

// circleCmd is what an operator does with circles.
type circleCmd struct {
	Status circleStatusCmd `cmd:"" default:"withargs" help:"Say whether this box is in a circle, and how many of its boxes are near (the default)."`
	New    circleNewCmd    `cmd:"" help:"Make a circle with this box in it; prints its key."`
	Show   circleShowCmd   `cmd:"" help:"Print the key of this box's circle, for another box."`
	Join   circleJoinCmd   `cmd:"" help:"Enter a circle, by its key from standard input."`
	Leave  circleLeaveCmd  `cmd:"" help:"Go back to the open mesh."`
}

// circleBack bounds how long a box may take to start anew.
const circleBack = 30 * time.Second

type circleStatusCmd struct {
	JSON bool `help:"Print one JSON object."`
}

// Help is for kong.
func (c *circleStatusCmd) Help() string {
	return `A circle is a closed mesh: its boxes exchange everything with one another and nothing with anybody else. Whoever has its key can enter.

Fields of --json: circle (its fingerprint, empty in the open mesh), near (boxes of it in reach), running.`
}

func (c *circleStatusCmd) Run(s *session) error {
	var status struct {
		Circle  string `json:"circle"`
		Near    int    `json:"near"`
		Running bool   `json:"running"`
	}
	client, err := s.dial()
	switch {
	case err == nil:
		id, err := client.Identity(s.ctx)
		if err != nil {
			return err
		}
		status.Circle, status.Near, status.Running = id.Circle, id.Peers, true
	case errors.Is(err, control.ErrNotRunning):
		held, err := s.readCircle()
		if err != nil {
			return err
		}
		status.Circle = held.Fingerprint
	default:
		return err
	}
	if c.JSON {
		return printJSON(s.out, status)
	}
	if status.Circle == "" {
		_, err := fmt.Fprintln(s.out, `This box is in the open mesh, with every box in reach. "boucan circle new" makes a circle, "boucan circle join" enters one.`)
		return err
	}
	near := "the box is not running"
	if status.Running {
		near = boxesText(status.Near)
	}
	tab := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tab, "Circle\t%s\nNear\t%s\n", status.Circle, near)
	return tab.Flush()
}

func boxesText(n int) string {
	if n == 1 {
		return "1 other box"
	}
	return fmt.Sprintf("%d other boxes", n)
}

// qrFlag says whether a picture is printed under a key.
type qrFlag struct {
	QR string `name:"qr" help:"Print the key as a QR code too: auto (on a terminal), always or never." enum:"auto,always,never" default:"auto"`
}

func (f qrFlag) print(s *session, key string) error {
	if _, err := fmt.Fprintln(s.out, key); err != nil {
		return err
	}
	if f.QR == "never" || f.QR == "auto" && !term.IsTerminal(int(os.Stdout.Fd())) {
		return nil
	}
	fmt.Fprintln(s.out)
	return printQR(s.out, strings.ReplaceAll(key, "\n", " "))
}

type circleNewCmd struct{ qrFlag }

// Help is for kong.
func (c *circleNewCmd) Help() string {
	return `Enter the key on every box that shall be in the circle, with "boucan circle join" there. Show it to nobody else: who has it can read everything in the circle, now and later. It cannot be taken back from one box alone; make a new circle for that.`
}

func (c *circleNewCmd) Run(s *session) error {
	key, err := node.NewCircle()
	if err != nil {
		return err
	}
	if err := s.joinCircle(key); err != nil {
		return err
	}
	return c.print(s, key)
}

type circleShowCmd struct{ qrFlag }

func (c *circleShowCmd) Run(s *session) error {
	held, err := s.readCircle()
	if err != nil {
		return err
	}
	if held.Fingerprint == "" {
		return errors.New(`this box is in no circle; "boucan circle new" makes one`)
	}
	return c.print(s, held.Text)
}

type circleJoinCmd struct{}

// Help is for kong.
func (c *circleJoinCmd) Help() string {
	return `The key is read from standard input, so that neither the list of processes nor the shell's history shows it: type or paste it at the prompt, or "boucan circle join < FILE". Lines, spaces, dashes and small letters do not matter, nor O for 0 and I or L for 1. A typing error is named.

What this box held before stays where it was, in the open mesh's folder, and does not go into the circle; "boucan circle leave" brings it back. A running box starts anew for it, within seconds.`
}

func (c *circleJoinCmd) Run(s *session) error {
	key, err := s.readKey()
	if err != nil {
		return err
	}
	return s.joinCircle(key)
}

type circleLeaveCmd struct {
	Forget bool `help:"Remove what this box holds of the circle: files, records and the box's identity there."`
}

// Help is for kong.
func (c *circleLeaveCmd) Help() string {
	return `The box goes back to the open mesh and to what it held there. What it holds of the circle stays on its disk, in a folder of its own, and none of it goes into the open mesh; a box that enters the circle again has it again. A running box starts anew for it, within seconds.`
}

func (c *circleLeaveCmd) Run(s *session) error {
	dir, err := s.dataDir()
	if err != nil {
		return err
	}
	client, err := control.Dial(s.ctx, dir)
	switch {
	case errors.Is(err, control.ErrNotRunning):
		err = node.LeaveCircle(dir, c.Forget)
	case err == nil:
		if err = client.LeaveCircle(s.ctx, c.Forget); err == nil {
			_, err = s.waitForCircle("")
		}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.errOut, "This box is in the open mesh.")
	return err
}

func (s *session) readCircle() (node.Circle, error) {
	dir, err := s.dataDir()
	if err != nil {
		return node.Circle{}, err
	}
	return node.ReadCircle(dir)
}

// joinCircle puts the box into a circle, whether it runs or not, and says what
// that means.
func (s *session) joinCircle(key string) error {
	fingerprint, err := node.CheckCircle(key)
	if err != nil {
		return err
	}
	dir, err := s.dataDir()
	if err != nil {
		return err
	}
	client, err := control.Dial(s.ctx, dir)
	if errors.Is(err, control.ErrNotRunning) {
		if err := node.JoinCircle(dir, key); err != nil {
			return err
		}
		fmt.Fprintf(s.errOut, "This box is in circle %s from its next start.\n", fingerprint)
		return nil
	}
	if err != nil {
		return err
	}
	if err := client.JoinCircle(s.ctx, key); err != nil {
		return err
	}
	id, err := s.waitForCircle(fingerprint)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.errOut, "This box is in circle %s.\nIt shares %s; what it held before stays out of the circle.\nIts page is served on %s.\n",
		fingerprint, id.Folder, strings.Join(id.URLs, " "))
	return nil
}

// waitForCircle waits until the box runs again, in the circle of that
// fingerprint.
func (s *session) waitForCircle(fingerprint string) (control.Identity, error) {
	ctx, done := context.WithTimeout(s.ctx, circleBack)
	defer done()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		if client, err := s.dial(); err == nil {
			if id, err := client.Identity(ctx); err == nil && id.Circle == fingerprint {
				return id, nil
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			if s.ctx.Err() != nil {
				return control.Identity{}, s.ctx.Err()
			}
			return control.Identity{}, errors.New("it is done, but the box did not start anew: look at what it says, and start it")
		}
	}
}

// readKey reads a key from standard input: all of it, or from a person's typing
// as many lines as it takes, again and again until it is right.
func (s *session) readKey() (string, error) {
	person := term.IsTerminal(int(s.in.Fd()))
	in := bufio.NewReader(io.LimitReader(s.in, 64<<10))
	for {
		if person {
			fmt.Fprintf(s.errOut, "Key of the circle, %d letters and digits:\n", node.CircleTextSize)
		}
		key, err := s.typed(func() (string, error) { return readLines(in, person) })
		if err != nil {
			return "", err
		}
		_, err = node.CheckCircle(key)
		if err == nil || !person {
			return key, err
		}
		fmt.Fprintf(s.errOut, "%v\nOnce more, or Ctrl-C to give up.\n\n", err)
	}
}

// readLines reads to the end, or from a person until there is enough or a line is
// empty.
func readLines(in *bufio.Reader, person bool) (string, error) {
	var key strings.Builder
	for {
		line, err := in.ReadString('\n')
		key.WriteString(line)
		switch {
		case errors.Is(err, io.EOF) && node.CircleTextCount(key.String()) == 0:
			return "", errors.New("no key was given: it is read from standard input")
		case errors.Is(err, io.EOF):
			return key.String(), nil
		case err != nil:
			return "", fmt.Errorf("read the key: %w", err)
		case person && (node.CircleTextCount(key.String()) >= node.CircleTextSize || strings.TrimSpace(line) == "" && key.Len() > len(line)):
			return key.String(), nil
		}
	}
}

// typed waits for what is read, or for the signal to stop; the read itself cannot
// be stopped and ends with the process.
func (s *session) typed(read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := read()
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		return a.text, a.err
	case <-s.ctx.Done():
		return "", s.ctx.Err()
	}
}
