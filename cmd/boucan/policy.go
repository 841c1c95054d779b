package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"boucan/control"
	"boucan/node"
)

// policyFlags say what is copied and kept.
type policyFlags struct {
	Mirror  string   `help:"What is copied of others' files without anybody's asking: all, none, or up to so much in all, as 10GB." placeholder:"all|none|SIZE" default:"all" env:"BOUCAN_MIRROR"`
	Include []string `help:"Copy only files whose name, or a folder above them, matches: *.mp3, music/live. May be repeated." placeholder:"PATTERN" sep:"none" env:"BOUCAN_INCLUDE"`
	Exclude []string `help:"Do not copy files whose name, or a folder above them, matches, also where --include does. May be repeated." placeholder:"PATTERN" sep:"none" env:"BOUCAN_EXCLUDE"`
	Quota   string   `help:"Most that drops and copies may take together, as 20GB. Default: as much as the disk takes." placeholder:"SIZE" env:"BOUCAN_QUOTA"`
	Reserve string   `help:"Free space that is never eaten. Default: 64MiB." placeholder:"SIZE" default:"64MiB" env:"BOUCAN_RESERVE"`
}

// policy reads the flags that say what is copied and kept.
func (s *session) policy() (p node.Policy, err error) {
	if p.Mirror, err = node.ParseMirror(s.Mirror); err != nil {
		return p, fmt.Errorf("--mirror: %w", err)
	}
	for _, f := range []struct {
		name, text string
		to         *int64
	}{{"quota", s.Quota, &p.Quota}, {"reserve", s.Reserve, &p.Reserve}} {
		if f.text == "" {
			continue
		}
		if *f.to, err = node.ParseSize(f.text); err != nil {
			return p, fmt.Errorf("--%s: %w", f.name, err)
		}
		if *f.to == 0 {
			return p, fmt.Errorf("--%s: 0 is no size to keep to; leave the flag out", f.name)
		}
	}
	p.Include, p.Exclude = patternList(s.Include), patternList(s.Exclude)
	return p, nil
}

// patternList takes apart what an environment variable holds: a pattern a line.
func patternList(texts []string) []string {
	var list []string
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				list = append(list, line)
			}
		}
	}
	return list
}

// policyCmd says what is copied and kept.
type policyCmd struct {
	JSON bool `help:"Print one JSON object."`
}

// Help is for kong.
func (c *policyCmd) Help() string {
	return `What is set by --mirror, --include, --exclude, --quota and --reserve of the running box, and what it keeps.

Fields of --json: mirror ("all", "none" or bytes), include, exclude, quota (bytes, 0 for none), reserve, own, drops, pinned, copies (files and bytes of each), next (the copies let go of first: name, cid, size, since), coming (bytes promised to what is on its way), free, room (bytes that a drop may take at most), full ("mirror", "quota" or "disk" where that keeps further copies from coming).`
}

func (c *policyCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	p, err := client.Policy(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, p)
	}
	tab := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	row := func(label, format string, args ...any) {
		fmt.Fprintf(tab, "%s\t%s\n", label, fmt.Sprintf(format, args...))
	}
	row("Mirror", "%s", mirrorText(p.Mirror))
	row("Include", "%s", patternsText(p.Include, "everything"))
	row("Exclude", "%s", patternsText(p.Exclude, "nothing"))
	quota := "none: as much as the disk takes"
	if p.Quota > 0 {
		quota = fmt.Sprintf("%s for drops and copies, %s of it used", sizeText(p.Quota), sizeText(p.Drops.Bytes+p.Pinned.Bytes+p.Copies.Bytes+p.Coming))
	}
	row("Quota", "%s", quota)
	row("Reserve", "%s of the disk's %s free", sizeText(p.Reserve), sizeText(p.Free))
	fmt.Fprintln(tab)
	row("Own folder", "%s", keptText(p.Own))
	row("Drops", "%s", keptText(p.Drops))
	row("Pinned", "%s", keptText(p.Pinned))
	row("Copies", "%s", keptText(p.Copies))
	row("On its way", "%s", sizeText(p.Coming))
	row("Room", "%s for a drop", sizeText(p.Room))
	if err := tab.Flush(); err != nil {
		return err
	}
	if len(p.Next) > 0 {
		fmt.Fprintln(s.out, "\nLet go of first where room is needed and another box has them:")
		for _, n := range p.Next {
			fmt.Fprintf(s.out, "  %s  %s, here for %s\n", oneLine(n.Name), sizeText(n.Size), ageText(time.Since(n.Since)))
		}
	}
	if p.Full != "" {
		fmt.Fprintf(s.out, "\n%s\n", fullTexts[p.Full])
	}
	return nil
}

// fullTexts say what to do where no more is copied.
var fullTexts = map[string]string{
	"mirror": "No more is copied: the copies are as much as --mirror allows. What is listed still comes when somebody opens it.",
	"quota":  "No more is copied: the quota is used up. Raise --quota, or remove what is not needed.",
	"disk":   "No more is copied: the disk is nearly full. Free some space, and it goes on by itself.",
}

func mirrorText(m string) string {
	switch m {
	case "all":
		return "all that there is room for"
	case "none":
		return "nothing but what somebody opens"
	}
	n, err := node.ParseSize(m)
	if err != nil {
		return oneLine(m)
	}
	return "up to " + sizeText(n)
}

func patternsText(patterns []string, none string) string {
	if len(patterns) == 0 {
		return none
	}
	return oneLine(strings.Join(patterns, "  "))
}

func keptText(k control.Kept) string {
	return sizeText(k.Bytes) + " in " + filesText(k.Files)
}

func sizeText(n int64) string { return bytesText(uint64(max(n, 0))) }

// pinCmd pins files.
type pinCmd struct {
	Refs []string `arg:"" name:"cid|name" help:"CID, or name as \"boucan ls\" shows it."`
}

// Help is for kong.
func (c *pinCmd) Help() string {
	return `A pinned file is fetched whatever --mirror, --include and --exclude say, copies make room for it, and it is not let go of for as long as a box offers it. It counts against --quota.`
}

func (c *pinCmd) Run(s *session) error {
	return s.eachRef(c.Refs, (*control.Client).Pin, func(f control.File) string {
		if f.Here {
			return "pinned"
		}
		return "pinned; it comes from the first box in reach that has it"
	})
}

// unpinCmd ends pins.
type unpinCmd struct {
	Refs []string `arg:"" name:"cid|name" help:"CID, or name as \"boucan ls\" shows it."`
}

func (c *unpinCmd) Run(s *session) error {
	return s.eachRef(c.Refs, (*control.Client).Unpin, func(control.File) string { return "not pinned any more" })
}

// eachRef does something with each of some files, and says what became of it.
func (s *session) eachRef(refs []string, do func(*control.Client, context.Context, string) (control.File, error), say func(control.File) string) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	for _, ref := range refs {
		f, err := do(client, s.ctx, ref)
		if err != nil {
			return fmt.Errorf("%s: %w", oneLine(ref), err)
		}
		fmt.Fprintf(s.out, "%s: %s\n", oneLine(f.Name), say(f))
	}
	return nil
}
