package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"boucan/control"
)

// clockCmd shows and sets the box's clock.
type clockCmd struct {
	Show clockShowCmd `cmd:"" default:"withargs" help:"Show what time the box thinks it is, how it knows, and what the boxes around it say."`
	Set  clockSetCmd  `cmd:"" help:"Tell the box what time it is."`
}

// clockShowCmd shows the clock.
type clockShowCmd struct {
	JSON bool `help:"Print one JSON object."`
}

// Help is for kong.
func (c *clockShowCmd) Help() string {
	return `A box without a clock battery takes the time from the boxes around it where at least three agree, and more than a third of all; else it guesses.

Fields of --json: time, source (system, operator, peers, visitor or guess), hops (from a box that knows by itself), system (this machine's own clock), peers: id, name, ahead (of this box, in milliseconds), source, hops, voice (false where another box behind the same address speaks).`
}

func (c *clockShowCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	clock, err := client.Clock(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, clock)
	}
	return printClock(s, clock)
}

func printClock(s *session, clock control.Clock) error {
	tab := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tab, "Time\t%s\nKnown\t%s\n", timeText(clock.Time), knownText(clock.Source, clock.Hops))
	if off := clock.System.Sub(clock.Time); off.Abs() >= time.Second {
		fmt.Fprintf(tab, "System\t%s\n", timeText(clock.System))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if len(clock.Peers) > 0 {
		fmt.Fprintln(tab, "\nBOX\tAHEAD\tKNOWN")
	}
	for _, p := range clock.Peers {
		known := knownText(p.Source, p.Hops)
		if !p.Voice {
			known += " (not counted: another box has the same address)"
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\n", oneLine(p.Name), aheadText(time.Duration(p.Ahead)*time.Millisecond), known)
	}
	if clock.Source == "guess" {
		fmt.Fprintln(s.errOut, "This box does not know the time. Where the time above is wrong: boucan clock set TIME")
	}
	return tab.Flush()
}

func timeText(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

func knownText(source string, hops int) string {
	switch source {
	case "system":
		return "NTP, or a clock with a battery"
	case "operator":
		return "operator"
	case "peers":
		return fmt.Sprintf("other boxes, %d away", hops)
	case "visitor":
		return "visitors"
	}
	return "guess"
}

// aheadText writes a difference of clocks for people.
func aheadText(d time.Duration) string {
	switch {
	case d.Abs() < time.Second:
		return "0s"
	case d < 0:
		return "-" + ageText(-d)
	}
	return "+" + ageText(d)
}

// clockSetCmd sets the clock.
type clockSetCmd struct {
	Time []string `arg:"" help:"The time: 2030-12-31 23:59, with a zone as in 2030-12-31T23:59:00Z, as seconds since 1970, or \"now\" for this machine's own clock."`
}

// Help is for kong.
func (c *clockSetCmd) Help() string {
	return `Your word counts for more than that of other boxes, and less than NTP or a clock with a battery. It does not change this machine's own clock. What was shared here while the time was wrong gets right dates.

From another machine that knows the time:

    ssh router boucan clock set $(date +%s)`
}

func (c *clockSetCmd) Run(s *session) error {
	now, err := parseTime(strings.Join(c.Time, " "), time.Now())
	if err != nil {
		return err
	}
	client, err := s.dial()
	if err != nil {
		return err
	}
	clock, err := client.SetClock(s.ctx, now)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.errOut, "It is %s.\n", timeText(clock.Time))
	return nil
}

// parseTime reads a time as people write it; now is what "now" stands for.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now, nil
	}
	if n, err := strconv.ParseInt(strings.TrimPrefix(text, "@"), 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write it as 2030-12-31 23:59, as seconds since 1970, or \"now\"", text)
}
