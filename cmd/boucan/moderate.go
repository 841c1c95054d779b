package main

import (
	"fmt"
	"text/tabwriter"

	"boucan/control"
)

// removeCmd takes down.
type removeCmd struct {
	Ref  string `arg:"" name:"cid|name|id" help:"CID, name as \"boucan ls\" shows it, or id of a message as \"boucan chat --json\" does."`
	JSON bool   `help:"Print one JSON object."`
}

// Help is for kong.
func (c *removeCmd) Help() string {
	return `What this box published goes from every box that hears of it; a file of its own folder leaves the folder, too. What another box published is hidden here, and on the boxes whose operators trust this one as a moderator; elsewhere it stays. A CID removes the file under every name. Who has it may share it again: "boucan block CID" keeps it out for good, on this box.

Fields of --json: what (file or message), name, cid, own (records of this box), others (records of other boxes), from (name of one of those), undone, freed (its bytes leave this disk), kept (its bytes stay, another record names them), shared (it was a file of this box's folder).`
}

func (c *removeCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	r, err := client.Remove(s.ctx, c.Ref)
	if err != nil {
		return err
	}
	return s.printRemoved(r, c.JSON)
}

func (s *session) printRemoved(r control.Removed, asJSON bool) error {
	if asJSON {
		return printJSON(s.out, r)
	}
	_, err := fmt.Fprint(s.out, removedText(r))
	return err
}

// removedText says what a takedown did, and what it did not.
func removedText(r control.Removed) string {
	what := "The message"
	if r.What == "file" {
		what = oneLine(r.Name)
	}
	text := ""
	switch {
	case r.Undone:
		text = what + " goes from every box that hears of it.\n"
	case r.Others == 0:
		text = what + " was this box's: it goes from every box that hears of it.\n"
	case r.Own == 0:
		text = what + " was published by " + oneLine(r.From) + more(r.Others) +
			": it is hidden here and on boxes that trust this one as moderator, and stays on all others.\n"
	default:
		text = what + " was published by this box, and by " + oneLine(r.From) + more(r.Others) +
			": it goes from here and from boxes that trust this one as moderator, and stays on those that do not.\n"
	}
	switch {
	case r.Kept:
		text += "Its bytes stay here: they are shared under another record, too.\n"
	case r.Shared:
		text += "The file leaves this box's folder.\n"
	}
	if r.Others > 0 && !r.Undone && r.CID != "" {
		text += "Whoever has it may share it again; to keep it out of this box: boucan block " + r.CID + "\n"
	}
	return text
}

// more counts the records beside the one that is named.
func more(n int) string {
	if n > 1 {
		return fmt.Sprintf(" (and %d more records)", n-1)
	}
	return ""
}

// undoCmd takes back what an undo code is for.
type undoCmd struct {
	Code string `arg:"" help:"Undo code, or the link to the page for taking back."`
	JSON bool   `help:"Print one JSON object."`
}

// Help is for kong.
func (c *undoCmd) Help() string {
	return `Whoever drops a file gets an undo code, which takes that drop back from every box, through any box of the mesh that has heard of it.

Fields of --json: as of "boucan remove".`
}

func (c *undoCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	r, err := client.Undo(s.ctx, c.Code)
	if err != nil {
		return err
	}
	return s.printRemoved(r, c.JSON)
}

// trustCmd lists or names moderators.
type trustCmd struct {
	Key  string `arg:"" optional:"" help:"The box's key, as its own \"boucan id\" and everybody's \"boucan peers\" show it. Without one, lists those that are trusted."`
	As   string `help:"What to call whoever holds the key." placeholder:"NAME"`
	JSON bool   `help:"Print one JSON object a line; for the list."`
}

// Help is for kong.
func (c *trustCmd) Help() string {
	return `What a trusted box removes is removed here, also what it removed before; files of this box's own folder are hidden, and stay in the folder. Every box trusts itself. Names can be chosen by anybody: compare the key with the other operator's "boucan id".

Fields of --json: id (the key), name (given with --as), box (what the box calls itself).`
}

func (c *trustCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	if c.Key == "" {
		return c.list(s, client)
	}
	if err := client.Trust(s.ctx, c.Key, c.As); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.errOut, "What that box removes is removed here from now on, also what it removed before.")
	return err
}

func (c *trustCmd) list(s *session, client *control.Client) error {
	list, err := client.Trusted(s.ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 && !c.JSON {
		fmt.Fprintln(s.errOut, "This box trusts no other to moderate.")
		return nil
	}
	tab := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	for i, t := range list {
		if c.JSON {
			if err := printJSON(s.out, t); err != nil {
				return err
			}
			continue
		}
		if i == 0 {
			fmt.Fprintln(tab, "NAME\tBOX\tID")
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\n", orDash(t.Name), oneLine(t.Box), t.ID)
	}
	return tab.Flush()
}

func orDash(s string) string {
	if s = oneLine(s); s == "" {
		return "-"
	}
	return s
}

// untrustCmd ends trust.
type untrustCmd struct {
	Key string `arg:"" help:"The box's key."`
}

// Help is for kong.
func (c *untrustCmd) Help() string {
	return `What only that box removed is listed again as soon as a box in reach has it; bytes that were deleted come from there, and what no box has any more stays gone.`
}

func (c *untrustCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	if err := client.Untrust(s.ctx, c.Key); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.errOut, "What only that box removed comes back from boxes in reach that have it.")
	return err
}

// blockHelp describes what is blocked.
const blockHelp = `CID blocks a file whatever it is called. author:KEY blocks all that a box publishes. name:PATTERN blocks files by their names, in upper or lower case: * stands for any text and ? for one character, as in "name:*.exe"; a pattern is held against the whole name and against its last part.`

// blockCmd hides on this box alone.
type blockCmd struct {
	What string `arg:"" name:"cid|author:key|name:pattern" help:"What to block."`
}

// Help is for kong.
func (c *blockCmd) Help() string {
	return `Blocks hold on this box alone and are told to no other. What is blocked is not listed here, is not fetched, and may not be dropped; its bytes leave the disk, but for files of this box's own folder, which stay there unshared.

` + blockHelp
}

func (c *blockCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	if err := client.Block(s.ctx, c.What); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.errOut, "Blocked on this box.")
	return err
}

// unblockCmd ends a block.
type unblockCmd struct {
	What string `arg:"" name:"cid|author:key|name:pattern" help:"What is blocked, as \"boucan blocks\" writes it."`
}

// Help is for kong.
func (c *unblockCmd) Help() string {
	return `What was blocked is listed again as soon as a box in reach has it; what no box has any more stays gone.`
}

func (c *unblockCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	if err := client.Unblock(s.ctx, c.What); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.errOut, "Not blocked any more; it comes back from boxes in reach that have it.")
	return err
}

// blocksCmd lists blocks.
type blocksCmd struct {
	JSON bool `help:"Print one JSON object a line."`
}

// Help is for kong.
func (c *blocksCmd) Help() string {
	return `Fields of --json: what (as "boucan unblock" takes it), box (name of a blocked author, may be missing).`
}

func (c *blocksCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	list, err := client.Blocks(s.ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 && !c.JSON {
		fmt.Fprintln(s.errOut, "Nothing is blocked.")
	}
	for _, b := range list {
		switch {
		case c.JSON:
			err = printJSON(s.out, b)
		case b.Box != "":
			_, err = fmt.Fprintf(s.out, "%s  (%s)\n", oneLine(b.What), oneLine(b.Box))
		default:
			_, err = fmt.Fprintln(s.out, oneLine(b.What))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// actionsCmd shows the operator's log.
type actionsCmd struct {
	JSON bool `help:"Print one JSON object a line."`
}

// Help is for kong.
func (c *actionsCmd) Help() string {
	return `What the operator of this box did about what is shared, newest first; the last 1000. Visitors can read it on the page /actions. It holds no names of what was removed.

Fields of --json: day (UTC), did (remove, withdraw, trust, untrust, block or unblock), what (file, message, box or name), ref (a CID, a record's id, a key or a pattern).`
}

func (c *actionsCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	list, err := client.Actions(s.ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 && !c.JSON {
		fmt.Fprintln(s.errOut, "Nothing was removed or blocked yet.")
	}
	tab := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	for _, a := range list {
		if c.JSON {
			err = printJSON(s.out, a)
		} else {
			_, err = fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", a.Day, a.Did, a.What, oneLine(a.Ref))
		}
		if err != nil {
			return err
		}
	}
	return tab.Flush()
}
