package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"boucan/control"
)

// peersCmd lists boxes.
type peersCmd struct {
	JSON bool `help:"Print one JSON object a line."`
}

func (c *peersCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	peers, err := client.Peers(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		for _, p := range peers {
			if err := printJSON(s.out, p); err != nil {
				return err
			}
		}
		return nil
	}
	if len(peers) == 0 {
		fmt.Fprintln(s.errOut, "No other box has been met yet.")
		return nil
	}
	tab := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tab, "NAME\tSEEN\tID\tADDRESSES")
	for _, p := range peers {
		seen := "now"
		if !p.Connected {
			seen = ageText(time.Since(p.LastSeen)) + " ago"
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", p.Name, seen, p.ID, strings.Join(p.Addrs, " "))
	}
	return tab.Flush()
}

// chatCmd sends one message, or follows a room.
type chatCmd struct {
	Text   []string `arg:"" optional:"" help:"Message to send. Without one the room is shown and followed; on a terminal, lines typed are sent."`
	Room   string   `help:"Room." default:"lobby"`
	Nick   string   `help:"Name to sign with." env:"BOUCAN_NICK"`
	Last   int      `help:"How many earlier messages to show first." default:"20"`
	NoWait bool     `help:"Show the earlier messages and stop."`
	JSON   bool     `help:"Print one JSON object a line."`
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
	if c.Last > 0 {
		messages, err := client.History(s.ctx, c.Room, min(c.Last, control.MaxHistory))
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := c.print(s, m); err != nil {
				return err
			}
		}
	}
	if c.NoWait {
		return nil
	}
	if term.IsTerminal(int(s.in.Fd())) {
		go c.sendLines(s, client) // ends with the process: a terminal read cannot be woken
	}
	err = client.Follow(s.ctx, c.Room, func(m control.Message) error { return c.print(s, m) })
	if errors.Is(err, io.EOF) {
		return errors.New("the box stopped")
	}
	return err
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
	who := m.Nick
	if who == "" {
		who = "someone"
	}
	_, err := fmt.Fprintf(s.out, "%s  %s (%s): %s\n", m.At.Local().Format("15:04"), who, m.Box, strings.ReplaceAll(m.Text, "\n", "\n       "))
	return err
}

// idCmd describes the running box.
type idCmd struct {
	JSON bool `help:"Print one JSON object."`
}

func (c *idCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	id, err := client.Identity(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, id)
	}
	tab := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tab, "Name\t%s\nNode\t%s\nPage\t%s\nBoxes\t%s\nSecurity\t%s\nProfile\t%s\nStore\t%s\nData\t%s\nShared\t%d files, %s\nPeers\t%d\nVersion\t%s\n",
		id.Name, id.ID, strings.Join(id.URLs, " "), strings.Join(id.Addrs, " "), id.Security, id.Profile, id.Store, id.Data,
		id.Files, bytesText(id.Bytes), id.Peers, id.Version)
	return tab.Flush()
}

func printJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// bytesText writes a size for people, in binary units.
func bytesText(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1024, 0
	for v >= 1023.95 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[u])
}

// ageText writes a span of time for people, in its largest unit.
func ageText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d/time.Second), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d/time.Hour))
	}
	return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
}
