package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"boucan/control"
)

// fileFields describes ls --json and search --json.
const fileFields = `Fields of --json: name, cid, size (bytes), from (name of the box that offered it), from_id, here (true where all its bytes are on this box), landed (bytes that are), pinned (true where the operator wants it here; may be missing), why (why it is not here: "excluded", "not mirrored", "too large", "no room", "its box's share is used", "removed by hand", "nobody near has it"; missing where it is here or on its way), damaged (true where it is on this box and does not read as it was stored; may be missing), type (media type, may be missing), description (may be missing), created, expires (RFC 3339).`

// lsCmd lists files.
type lsCmd struct {
	JSON bool `help:"Print one JSON object a line."`
}

// Help is for kong.
func (c *lsCmd) Help() string { return "Newest first.\n\n" + fileFields }

func (c *lsCmd) Run(s *session) error { return list(s, "", c.JSON) }

// searchCmd lists the files that match.
type searchCmd struct {
	Words []string `arg:"" help:"Words that must all be there, in upper or lower case."`
	JSON  bool     `help:"Print one JSON object a line."`
}

// Help is for kong.
func (c *searchCmd) Help() string { return "Newest first. Parts of words are enough.\n\n" + fileFields }

func (c *searchCmd) Run(s *session) error {
	return list(s, strings.Join(c.Words, " "), c.JSON)
}

func list(s *session, query string, asJSON bool) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(s.out)
	tab := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	found := 0
	err = client.Files(s.ctx, query, func(f control.File) error {
		if found++; asJSON {
			return printJSON(out, f)
		}
		if found == 1 {
			fmt.Fprintln(tab, "SIZE\tAGE\tFROM\tHERE\tNAME")
		}
		_, err := fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n",
			bytesText(f.Size), ageText(time.Since(f.Created)), oneLine(f.From), hereText(f), oneLine(f.Name))
		return err
	})
	if err = errors.Join(err, tab.Flush(), out.Flush()); err != nil || asJSON || found > 0 {
		return err
	}
	if query != "" {
		fmt.Fprintln(s.errOut, "Nothing matches.")
	} else {
		fmt.Fprintln(s.errOut, "Nothing is shared yet.")
	}
	return nil
}

func hereText(f control.File) string {
	switch {
	case f.Here && f.Pinned:
		return "pinned"
	case f.Here:
		return "yes"
	case f.Damaged:
		return "damaged"
	case f.Why != "":
		return "no: " + oneLine(f.Why)
	case f.Landed > 0 && f.Size > 0:
		return fmt.Sprintf("%d%%", f.Landed*100/f.Size)
	}
	return "no"
}
