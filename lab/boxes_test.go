//go:build lab

package lab

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestThreeBoxes is the main job end to end: boxes that were told nothing find
// each other where there are only link-local addresses, and what a phone drops
// at one is on the pages of all.
func TestThreeBoxes(t *testing.T) {
	for _, f := range []Family{V4Only, V6Only} {
		t.Run(f.String(), func(t *testing.T) { threeBoxes(t, f) })
	}
}

func threeBoxes(t *testing.T, family Family) {
	l := NewLan(t, "three", 4, family)
	phone := l.Hosts[3]
	boxes := []*Box{StartBox(t, l.Hosts[0], "atelier"), StartBox(t, l.Hosts[1], "bateau"), StartBox(t, l.Hosts[2], "cantine")}
	a, b, c := boxes[0], boxes[1], boxes[2]
	took := eventually(t, 10*time.Second, "all boxes meet", func() error {
		for _, b := range boxes {
			if err := b.ReachesAll(boxes...); err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("all three met %v after the last page answered", took)

	film := Input{Seed: 1}.noise("Carte du port, été.bin", 5<<20+17)
	page, err := Visit(phone, a).Drop(film.Name, film.Open())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page, film.Name) {
		t.Errorf("the page after the drop does not name what was dropped")
	}
	for _, b := range boxes {
		var sum [sha256.Size]byte
		took := eventually(t, 20*time.Second, "download from "+b.Name, func() (err error) {
			sum, err = Visit(phone, b).FetchNamed(film.Name)
			return err
		})
		if sum != film.Sum() {
			t.Errorf("the file from %s differs from what was dropped", b.Name)
		}
		t.Logf("downloaded from %s after %v", b.Name, took)
	}

	if err := Visit(phone, b).Say("Mona", "qui a vu ma clé ?"); err != nil {
		t.Fatal(err)
	}
	c.MustCLI("chat", "--nick", "Leïla", "près du four")
	for _, b := range boxes {
		for _, said := range []string{"qui a vu ma clé ?", "près du four"} {
			eventually(t, 10*time.Second, "chat on "+b.Name, func() error { return pageSays(Visit(phone, b), said) })
		}
	}
	for _, b := range boxes {
		b.Stop()
		noTraceOf(t, b, phone)
	}
}

func pageSays(v *Visitor, text string) error {
	page, err := v.Get("/")
	if err == nil && !strings.Contains(page, text) {
		err = fmt.Errorf("the page does not say %q", text)
	}
	return err
}

// noTraceOf fails where anything of a visitor's machine is on the box's disk or
// in its log.
func noTraceOf(t *testing.T, b *Box, visitor *Host) {
	t.Helper()
	err := filepath.WalkDir(b.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if visitor.foundIn(text) || bytes.Contains(text, []byte("lab-phone")) {
			t.Errorf("box %s wrote something of a visit into %s", b.Name, path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestChain: the ends never meet, whatever passes goes through the middle.
func TestChain(t *testing.T) {
	l := NewLan(t, "chain", 3, V4Only)
	l.Isolate(l.Hosts[0], l.Hosts[2])
	a, b, c := StartBox(t, l.Hosts[0], "amont"), StartBox(t, l.Hosts[1], "milieu"), StartBox(t, l.Hosts[2], "aval")
	eventually(t, 10*time.Second, "the middle meets both", func() error { return b.ReachesAll(a, c) })

	there := Input{Seed: 2}.noise("from the spring.bin", 3<<20)
	back := Input{Seed: 2}.noise("from the sea.bin", 2<<20)
	exchange(t, a, c, there, "it rains up here")
	exchange(t, c, a, back, "it is dry down here")
	for _, end := range []*Box{a, c} {
		met, err := end.Reaches()
		if err != nil || len(met) != 1 {
			t.Errorf("box %s reaches %v, %v; want the middle alone", end.Name, met, err)
		}
	}
}

// exchange drops and says something at one box and waits for both at another.
func exchange(t *testing.T, from, to *Box, i Item, said string) {
	t.Helper()
	deposit(t, from, i, said)
	receive(t, to, i, said)
}

func deposit(t *testing.T, from *Box, i Item, said string) {
	t.Helper()
	if _, err := from.Self().Drop(i.Name, i.Open()); err != nil {
		t.Fatal(err)
	}
	from.MustCLI("chat", said)
}

func receive(t *testing.T, to *Box, i Item, said string) {
	t.Helper()
	took := eventually(t, 45*time.Second, "to "+to.Name, func() error {
		if err := to.Has(i.Name); err != nil {
			return err
		}
		return to.Heard(said)
	})
	t.Logf("%q reached %s after %v", i.Name, to.Name, took)
	if sum, err := to.Self().FetchNamed(i.Name); err != nil || sum != i.Sum() {
		t.Errorf("%q from %s: %v, or other bytes than were dropped", i.Name, to.Name, err)
	}
}

// TestCarrier: two boxes that are never on the air at the same time exchange
// through one that walks between them, and back.
func TestCarrier(t *testing.T) {
	l := NewLan(t, "carrier", 3, V4Only)
	west, walker, east := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	east.Cut()
	a, b, c := StartBox(t, west, "ouest"), StartBox(t, walker, "marche"), StartBox(t, east, "est")
	eventually(t, 10*time.Second, "west meets the walker", func() error { return b.ReachesAll(a) })
	letter := Input{Seed: 3}.noise("letter.odt", 1<<20)
	exchange(t, a, b, letter, "news from the west")

	west.Cut()
	east.Heal()
	receive(t, c, letter, "news from the west")
	answer := Input{Seed: 3}.noise("answer.odt", 1<<20)
	exchange(t, c, b, answer, "news from the east")

	east.Cut()
	west.Heal()
	receive(t, a, answer, "news from the east")
}

// TestSameNameTwice: two people drop different files of one name at two boxes
// before these meet. Both survive everywhere and can be told apart.
func TestSameNameTwice(t *testing.T) {
	l := NewLan(t, "twice", 2, V4Only)
	l.Hosts[1].Cut()
	boxes := []*Box{StartBox(t, l.Hosts[0], "un"), StartBox(t, l.Hosts[1], "deux")}
	photos := []Item{Input{Seed: 4}.Photos(1)[0], Input{Seed: 5}.Photos(1)[0]}
	for i, b := range boxes {
		for range 2 { // the second time its bytes are here already
			if _, err := b.Self().Drop("photo.jpg", photos[i].Open()); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := b.Ls(); err != nil || len(all) != 1 || len(b.OnDisk()) != 1 {
			t.Errorf("box %s lists %v, %v after one file was dropped twice", b.Name, all, err)
		}
	}
	l.Hosts[1].Heal()
	for _, b := range boxes {
		eventually(t, 30*time.Second, "both photos on "+b.Name, func() error {
			all, err := b.Ls()
			if err != nil {
				return err
			}
			if len(all) != 2 || !all[0].Here || !all[1].Here {
				return fmt.Errorf("box %s lists %+v", b.Name, all)
			}
			if all[0].Name == all[1].Name {
				return fmt.Errorf("box %s lists two files under the one name %q", b.Name, all[0].Name)
			}
			return nil
		})
		found := make(map[[sha256.Size]byte]bool)
		for _, sum := range b.OnDisk() {
			found[sum] = true
		}
		for _, p := range photos {
			if !found[p.Sum()] {
				t.Errorf("box %s lost a photo", b.Name)
			}
		}
	}
}
