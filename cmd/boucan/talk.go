package main

import (
	"bufio"
	"fmt"
	"strings"

	"golang.org/x/term"

	"boucan/control"
)

// chatCmd sends one message, or follows a room.
type chatCmd struct {
	Text   []string `arg:"" optional:"" help:"Message to send. Without one the room is shown and followed; on a terminal, lines typed are sent."`
	Room   string   `help:"Room." default:"lobby"`
	Nick   string   `help:"Name to sign with." env:"BOUCAN_NICK"`
	Last   int      `help:"How many earlier messages to show first." default:"20"`
	NoWait bool     `help:"Show the earlier messages and stop."`
	JSON   bool     `help:"Print one JSON object a line."`
}

// Help is for kong.
func (c *chatCmd) Help() string {
	return `Fields of --json: id, room, nick (may be missing), text, box (name of the box it was written on), at (RFC 3339).`
}

func (c *chatCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	if len(c.Text) > 0 {
		m, err := client.Say(s.ctx, c.Room, c.Nick, strings.Join(c.Text, " "))
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(s.out, m)
		}
		return nil
	}
	last := min(max(c.Last, 0), control.MaxHistory)
	if c.NoWait {
		return c.history(s, client, last)
	}
	if term.IsTerminal(int(s.in.Fd())) {
		go c.sendLines(s, client) // ends with the process: a terminal read cannot be woken
	}
	return client.Follow(s.ctx, c.Room, last, func(m control.Message) error { return c.print(s, m) })
}

// history prints the last messages.
func (c *chatCmd) history(s *session, client *control.Client, last int) error {
	if last == 0 {
		return nil
	}
	messages, err := client.History(s.ctx, c.Room, last)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := c.print(s, m); err != nil {
			return err
		}
	}
	return nil
}

func (c *chatCmd) sendLines(s *session, client *control.Client) {
	lines := bufio.NewScanner(s.in)
	for lines.Scan() {
		if text := strings.TrimSpace(lines.Text()); text != "" {
			if _, err := client.Say(s.ctx, c.Room, c.Nick, text); err != nil {
				fmt.Fprintln(s.errOut, "boucan:", err)
			}
		}
	}
}

func (c *chatCmd) print(s *session, m control.Message) error {
	if c.JSON {
		return printJSON(s.out, m)
	}
	who := oneLine(m.Nick)
	if who == "" {
		who = "someone"
	}
	_, err := fmt.Fprintf(s.out, "%s  %s (%s): %s\n", m.At.Local().Format("15:04"), who, oneLine(m.Box), lines(m.Text, "       "))
	return err
}
