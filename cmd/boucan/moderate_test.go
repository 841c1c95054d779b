package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boucan/control"
)

func TestModeration(t *testing.T) {
	a := start(t, t.TempDir(), "Alpha")
	src := t.TempDir()
	for _, name := range []string{"song.txt", "tool.exe"} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	song, tool := filepath.Join(src, "song.txt"), filepath.Join(src, "tool.exe")
	says := func(want string, args ...string) {
		t.Helper()
		if out := a.mustDo(args...); !strings.Contains(out, want) {
			t.Errorf("boucan %s: %q, want %q in it", strings.Join(args, " "), out, want)
		}
	}
	fails := func(code int, want string, args ...string) {
		t.Helper()
		out, errOut, got := do(t, a.dir, args...)
		if got != code || out != "" || !strings.Contains(errOut, want) {
			t.Errorf("boucan %s: exit %d, %q, %q; want %d and %q", strings.Join(args, " "), got, out, errOut, code, want)
		}
	}
	a.mustDo("add", song)
	says("goes from every box", "remove", "song.txt")
	fails(exitNotFound, "nothing listed is called", "remove", "song.txt")

	words := strings.Fields(a.mustDo("add", "--undo", song))
	if len(words) != 2 {
		t.Fatalf("add --undo printed %q", words)
	}
	says("song.txt goes from every box", "undo", "http://alpha.local/undo/"+words[1])
	fails(exitFailed, "gone already", "undo", words[1])
	fails(exitFailed, "no undo code", "undo", "nonsense")

	a.mustDo("block", "name:*.EXE")
	fails(exitPartly, "blocked on this box", "add", tool)
	says("name:*.EXE", "blocks")
	a.mustDo("unblock", "name:*.EXE")
	a.mustDo("add", tool)
	fails(exitFailed, "say what to block", "block", "tool.exe")

	const key = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	a.mustDo("trust", key, "--as", "Anna")
	says("Anna", "trust")
	a.mustDo("untrust", key)
	fails(exitFailed, "not trusted", "untrust", key)
	fails(exitFailed, "begins with 12D3KooW", "trust", "Anna")
	var first control.Action
	if err := json.NewDecoder(strings.NewReader(a.mustDo("actions", "--json"))).Decode(&first); err != nil || first.Did != "untrust" || first.Ref != key {
		t.Errorf("the newest action is %+v, %v", first, err)
	}
}

func TestRemovedText(t *testing.T) {
	for _, c := range []struct {
		r         control.Removed
		want, not string
	}{
		{control.Removed{What: "message", Own: 1}, "The message was this box's", "folder"},
		{control.Removed{What: "file", Name: "a\x1b[1m", CID: "bafk", Others: 1, From: "B"}, "published by B: it is hidden here", "\x1b"},
		{control.Removed{What: "file", Name: "a", CID: "bafk", Others: 3, From: "B"}, "B (and 2 more records)", "this box's:"},
		{control.Removed{What: "file", Name: "a", CID: "bafk", Others: 1, From: "B"}, "boucan block bafk", "folder"},
		{control.Removed{What: "file", Name: "a", CID: "bafk", Own: 1, Others: 1, From: "B"}, "by this box, and by B", "folder"},
		{control.Removed{What: "file", Name: "a", Own: 1, Shared: true}, "leaves this box's folder", "block"},
		{control.Removed{What: "file", Name: "a", Own: 1, Kept: true, Shared: true}, "bytes stay here", "leaves this box's folder"},
		{control.Removed{What: "file", Name: "a", CID: "bafk", Others: 1, Undone: true}, "goes from every box", "block"},
	} {
		if got := removedText(c.r); !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
			t.Errorf("%+v: %q", c.r, got)
		}
	}
}
