package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
	"rsc.io/qr"

	"boucan/node"
)

// serveCmd runs a box in the foreground.
type serveCmd struct {
	QR string `name:"qr" help:"Print a QR code of the page's address: auto (on a terminal), always or never." enum:"auto,always,never" default:"auto"`
}

func (c *serveCmd) Run(s *session) error {
	dir, err := s.dataDir()
	if err != nil {
		return err
	}
	profile, err := node.ChooseProfile(s.Profile)
	if err != nil {
		return err
	}
	policy, err := s.policy()
	if err != nil {
		return err
	}
	// Whoever reads the output may go away; the box stays.
	signal.Ignore(syscall.SIGPIPE)
	defer profileCPU()()
	config := node.Config{Data: dir, HTTP: s.HTTP, Name: s.Name, Port: int(s.Port), Profile: profile, Scrub: int64(s.Scrub), Logger: s.logger()}
	config.Policy, config.About = policy, s.about()
	for {
		n, err := node.Open(config)
		if err != nil {
			return err
		}
		c.greet(s.out, n)
		err = n.Run(s.ctx, s.hard)
		switch {
		case s.ctx.Err() != nil && (err == nil || errors.Is(err, node.ErrRestart)):
			fmt.Fprintln(s.errOut, "boucan: stopped")
			return nil
		case !errors.Is(err, node.ErrRestart):
			return err
		}
	}
}

// greet prints what an operator wants to see first.
func (c *serveCmd) greet(w io.Writer, n *node.Node) {
	id := n.Identity()
	fmt.Fprintf(w, "%s is on the air.\n\n", id.Name)
	for i, url := range id.URLs {
		label := "Page"
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(w, "  %-8s %s\n", label, url)
	}
	if id.Circle != "" {
		fmt.Fprintf(w, "  %-8s %s\n", "Circle", id.Circle)
	}
	fmt.Fprintf(w, "  %-8s %s\n", "Files", n.FilesDir())
	fmt.Fprintf(w, "  %-8s %s\n", "Boxes", strings.Join(id.Addrs, " "))
	fmt.Fprintf(w, "  %-8s %s\n", "Node", id.ID)
	fmt.Fprintf(w, "  %-8s %s (%s store, %s)\n\n", "Profile", id.Profile, id.Store, id.Security)
	if len(id.URLs) > 0 && c.wantsQR() {
		if err := printQR(w, id.URLs[0]); err != nil {
			fmt.Fprintf(w, "  (no QR code: %v)\n", err)
		}
	}
	fmt.Fprintln(w, "Press Ctrl-C to stop.")
}

func (c *serveCmd) wantsQR() bool {
	return c.QR == "always" || c.QR == "auto" && term.IsTerminal(int(os.Stdout.Fd()))
}

// printQR draws the code with half blocks, dark on light whatever the
// terminal's colours, with the margin of four modules that ISO/IEC 18004 asks for.
func printQR(w io.Writer, text string) error {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return err
	}
	const margin = 4
	var b strings.Builder
	for y := -margin; y < code.Size+margin; y += 2 {
		b.WriteString("  \x1b[30;107m")
		for x := -margin; x < code.Size+margin; x++ {
			switch top, bottom := code.Black(x, y), code.Black(x, y+1); {
			case top && bottom:
				b.WriteRune('█')
			case top:
				b.WriteRune('▀')
			case bottom:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	_, err = io.WriteString(w, b.String())
	return errors.Join(err)
}
