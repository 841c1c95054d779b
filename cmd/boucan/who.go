package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"boucan/node"
)

// peersCmd lists boxes.
type peersCmd struct {
	JSON bool `help:"Print one JSON object a line."`
}

// Help is for kong.
func (c *peersCmd) Help() string {
	return `The boxes met since this one was started, those in reach first.
Where more than 16 are in reach, this one keeps connections with some of them.

Fields of --json: id, name, addrs (host:port, as announced), connected, near (in reach), last_seen (RFC 3339).`
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
		if !p.Near {
			seen = ageText(time.Since(p.LastSeen)) + " ago"
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", oneLine(p.Name), seen, p.ID, strings.Join(p.Addrs, " "))
	}
	return tab.Flush()
}

// idCmd describes the running box.
type idCmd struct {
	JSON bool `help:"Print one JSON object."`
}

// Help is for kong.
func (c *idCmd) Help() string {
	return `Fields of --json: id, name, version, urls (of the page), addrs (for other boxes, host:port), security (tls or noise), profile, store (its engine), data (the data folder), folder (the shared one), circle (its fingerprint, empty in the open mesh), files (listed), bytes (their sizes added up), here (files whose bytes lie in the folder), peers (connected), missing (files held back because they went from the folder all at once), damaged (files that do not read as they were stored), away (the shared folder is not there), storage (what is wrong with it or its disk: unplugged, other, unmarked, silent, shut, readonly, failing; empty where nothing is).`
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
	fmt.Fprintf(tab, "Name\t%s\nNode\t%s\nPage\t%s\nBoxes\t%s\nSecurity\t%s\nProfile\t%s\nStore\t%s\nData\t%s\nShared\t%s, %s; here %d, in %s\nPeers\t%d\nVersion\t%s\n",
		id.Name, id.ID, strings.Join(id.URLs, " "), strings.Join(id.Addrs, " "), id.Security, id.Profile, id.Store, id.Data,
		filesText(id.Files), bytesText(id.Bytes), id.Here, id.Folder, id.Peers, id.Version)
	if id.Circle != "" {
		fmt.Fprintf(tab, "Circle\t%s\n", id.Circle)
	}
	if say, ok := storageText[id.Storage]; ok {
		fmt.Fprintf(tab, "Storage\t%s\n", say)
	}
	switch {
	case !id.Away && id.Missing > 0:
		fmt.Fprintf(tab, "Missing\t%s; put them back, or \"boucan confirm\" that they are gone\n", filesText(id.Missing))
	}
	if id.Damaged > 0 {
		fmt.Fprintf(tab, "Damaged\t%s; \"boucan scrub\" tells which\n", filesText(id.Damaged))
	}
	return tab.Flush()
}

// storageText says what is wrong with the shared folder or its disk, and what to do.
var storageText = map[string]string{
	"unplugged": "the stick is not there; put it back, and all goes on by itself",
	"other":     "another stick than the one with this box's files; put the right one back, or \"boucan confirm\" that this is the one from now on",
	"unmarked":  "a folder that is not this box's is in the place of the shared one; put the right stick back, or \"boucan confirm\" that this is the one from now on",
	"silent":    "the disk gives nothing but errors; pull the stick and put it back, or replace it",
	"shut":      "the shared folder may not be opened; give the user that boucan runs as the right to read and write it",
	"readonly":  "the disk can only be read: nothing is taken, what is there is shared; have the file system checked, and mounted for writing",
	"failing":   "the disk reports errors: nothing is taken, what can be read is shared; copy it while that is possible, and replace the disk",
}

// confirmCmd is the operator's word about the shared folder.
type confirmCmd struct{}

// Help is for kong.
func (c *confirmCmd) Help() string {
	return `A box does not take it for an order when most of its files are gone at once, or when another stick is in the place of the one it knew: it holds back and waits. "boucan id" tells when it does. This says that the folder is right as it is: the missing files are withdrawn everywhere, and another stick becomes this box's own.`
}

func (c *confirmCmd) Run(s *session) error {
	client, err := s.dial()
	if err != nil {
		return err
	}
	if err := client.Confirm(s.ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.errOut, "The shared folder is taken as it is.")
	return err
}

// versionCmd prints the program's version.
type versionCmd struct {
	JSON bool `help:"Print one JSON object."`
}

// Help is for kong.
func (c *versionCmd) Help() string {
	return `Fields of --json: version, commit (may be missing), go, os, arch, store (the store's engine).`
}

func (c *versionCmd) Run(s *session) error {
	v := node.VersionInfo()
	if c.JSON {
		return printJSON(s.out, v)
	}
	_, err := fmt.Fprintf(s.out, "boucan %s\n%s %s/%s, %s store\n", v.Version, v.Go, v.OS, v.Arch, v.Store)
	return err
}
