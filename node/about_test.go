package node

import (
	"path/filepath"
	"strings"
	"testing"

	"boucan/webui"
)

func TestWhatTheOperatorSaysIsOnThePage(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "a"), &testLog{})
	c.About = About{Keeper: " Zoé\u202e ", Rules: "one\r\ntwo", WiFi: "Le Radeau"}
	a := startWith(t, c)
	for path, want := range map[string]string{"/about": ">Zoé</p>", "/about?lang=fr": ">one\ntwo</p>", "/poster": "Le Radeau</bdi>"} {
		if status, page := a.web(path); status != 200 || !strings.Contains(string(page), want) {
			t.Errorf("%s has no %q: %d", path, want, status)
		}
	}
}

func TestOperatorWhoSaysTooMuchIsToldSo(t *testing.T) {
	for flag, about := range map[string]About{
		"--keeper":   {Keeper: strings.Repeat("x", webui.MaxKeeper+1)},
		"--rules":    {Rules: strings.Repeat("x", webui.MaxRules+1)},
		"--wifi":     {WiFi: strings.Repeat("x", webui.MaxSSID+1)},
		"--wifi \"a": {WiFi: "a\nb"},
	} {
		c := config(t.TempDir(), &testLog{})
		c.About = about
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// TestBoxesHeardOf: a box that was met before the start, and has left since, is known
// by its card alone.
func TestBoxesHeardOf(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	eventually(t, "b shows a in reach, and has its card", func() bool {
		_, page := b.web("/boxes")
		_, card := b.node.records.Card(a.node.key.Key())
		return card && strings.Contains(string(page), "map-reach")
	})
	a.stop()
	b = b.again()
	eventually(t, "b has heard of a, and shows it so", func() bool {
		_, page := b.web("/boxes")
		return strings.Contains(string(page), "through other boxes") && strings.Contains(string(page), "map-beyond")
	})
}
