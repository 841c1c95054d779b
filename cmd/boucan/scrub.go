package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"boucan/control"
)

// rate is a number of bytes a second as people write it; 0 stands for auto, -1
// for off.
type rate int64

// UnmarshalText reads auto, off, or a number that may end in K, M or G.
func (r *rate) UnmarshalText(text []byte) error {
	s := strings.ToUpper(strings.TrimSpace(string(text)))
	switch s {
	case "AUTO":
		*r = 0
		return nil
	case "OFF":
		*r = -1
		return nil
	}
	unit := int64(1)
	if n := len(s) - 1; n >= 0 {
		if i := strings.IndexByte("KMG", s[n]); i >= 0 {
			s, unit = s[:n], 1<<(10*(i+1))
		}
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v <= 0 || v > math.MaxInt64/unit {
		return errors.New("write auto, off, or bytes a second, as 500K or 4M")
	}
	*r = rate(v * unit)
	return nil
}

// scrubCmd tells of the scrub, and orders it.
type scrubCmd struct {
	Order string `arg:"" optional:"" enum:"state,start,pause,resume" default:"state" help:"state: tell how far it is (the default); start: begin one now; pause; resume: go on where it was."`
	JSON  bool   `help:"Print one JSON object."`
}

// Help is for kong.
func (c *scrubCmd) Help() string {
	return `Disks lose bits. Once a month a box reads all its files, slowly, and compares them with what they were: that is a scrub. A damaged file is not offered; what is wrong of it is fetched as soon as a box in reach has it whole. What you edit is never taken for damaged.

Fields of --json: state (resting, running, paused, alarmed: stopped by itself because one file after the other was damaged, waiting: for the folder, noanswer: the disk cannot be read), rate (bytes a second at most, 0 where none begins by itself), begun, finished, next (RFC 3339; the year 1 for never), done, total (bytes), files, found (damaged), damaged (files now), list (of these, at most 1000: path, cid, size, chunks of 1 MiB that are wrong, since).`
}

func (c *scrubCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	order := c.Order
	if order == "state" {
		order = ""
	}
	r, err := client.Scrub(s.ctx, order)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, r)
	}
	tab := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tab, "Scrub\t%s\n", scrubText(r))
	if !r.Begun.IsZero() {
		fmt.Fprintf(tab, "Read\t%s of %s, %s, %d of them damaged\n", bytesText(uint64(r.Done)), bytesText(uint64(r.Total)), filesText(r.Files), r.Found)
	}
	fmt.Fprintf(tab, "Last whole one\t%s\n", ago(r.Finished))
	if !r.Next.IsZero() {
		fmt.Fprintf(tab, "Next\tin %s\n", ageText(time.Until(r.Next)))
	}
	if r.Rate > 0 {
		fmt.Fprintf(tab, "Rate\t%s a second at most\n", bytesText(uint64(r.Rate)))
	} else {
		fmt.Fprintln(tab, "Rate\tnone begins by itself")
	}
	fmt.Fprintf(tab, "Damaged\t%s\n", filesText(r.Damaged))
	if err := tab.Flush(); err != nil || len(r.List) == 0 {
		return err
	}
	fmt.Fprintln(s.out)
	fmt.Fprintln(tab, "SIZE\tWRONG\tFOUND\tFILE")
	for _, d := range r.List {
		fmt.Fprintf(tab, "%s\t%d MiB\t%s\t%s\n", bytesText(uint64(d.Size)), d.Chunks, ago(d.Since), oneLine(d.Path))
	}
	if more := r.Damaged - len(r.List); more > 0 {
		fmt.Fprintf(tab, "\t\t\tand %d more\n", more)
	}
	return tab.Flush()
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return ageText(time.Since(t)) + " ago"
}

// scrubText says in words what the scrub does.
func scrubText(r control.Scrub) string {
	switch r.State {
	case "paused":
		return "paused; \"boucan scrub resume\" goes on"
	case "alarmed":
		return "stopped: one file after the other was damaged. Look at disk, cable and memory, then \"boucan scrub resume\""
	case "waiting":
		return "waiting for the shared folder, which is away"
	case "noanswer":
		return "waiting: the disk with the shared files does not answer"
	}
	return r.State
}
