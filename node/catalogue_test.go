package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"boucan/record"
)

// offering makes a file record: who offers which content under which name.
func offering(t *testing.T, author byte, name, content string, minute int) (*record.Record, record.File) {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = author
	f := record.File{
		Name: name, Size: uint64(len(content)),
		CID: record.NewCID(record.CodecRaw, sha256.Sum256([]byte(content))),
	}
	r, err := record.Sign(ed25519.NewKeyFromSeed(seed), record.Draft{
		Created: time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC), Life: time.Hour, Body: f,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, f
}

func shown(c *catalogue) []string {
	var names []string
	c.all(func(r *row) bool {
		names = append(names, r.name)
		return true
	})
	return names
}

func TestCatalogueKeepsBothOfOneName(t *testing.T) {
	first, ff := offering(t, 1, "photo.jpg", "first", 1)
	second, sf := offering(t, 2, "Photo.JPG", "second", 2)
	want := []string{"Photo (" + sf.CID.Short() + ").JPG", "photo.jpg"}
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		c := newCatalogue(record.Key{})
		for _, i := range order {
			if i == 0 {
				c.add(first, ff)
			} else {
				c.add(second, sf)
			}
		}
		if got := shown(c); !slices.Equal(got, want) {
			t.Errorf("taken in as %v: shows %q, want %q", order, got, want)
		}
		if r, ok := c.find("photo.jpg"); !ok || r.cid != ff.CID {
			t.Error("the older file does not answer to the name")
		}
		c.remove(first.ID())
		if got := shown(c); !slices.Equal(got, []string{"Photo.JPG"}) {
			t.Errorf("after the older went: %q", got)
		}
	}
}

func TestCatalogueJoinsOneFileFromSeveralBoxes(t *testing.T) {
	c := newCatalogue(record.Key{})
	r1, f := offering(t, 1, "book.epub", "same", 1)
	r2, _ := offering(t, 2, "book.epub", "same", 2)
	r3, _ := offering(t, 2, "other name.epub", "same", 3)
	for _, r := range []*record.Record{r2, r1, r3, r1} {
		file, err := r.File()
		if err != nil {
			t.Fatal(err)
		}
		c.add(r, file)
	}
	if got := shown(c); !slices.Equal(got, []string{"other name.epub", "book.epub"}) {
		t.Errorf("shows %q", got)
	}
	if n, bytes := c.size(); n != 2 || bytes != f.Size {
		t.Errorf("%d entries of %d bytes; want 2 of %d: one blob", n, bytes, f.Size)
	}
	if r, _ := c.offered(f.CID, "book.epub"); r.author != r1.Author {
		t.Error("the entry is not from the box that offered it first")
	}
	c.remove(r1.ID())
	if r, ok := c.offered(f.CID, "book.epub"); !ok || r.author != r2.Author {
		t.Error("the entry did not pass to the other box that offers it")
	}
	c.remove(r2.ID())
	c.remove(r3.ID())
	c.remove(r3.ID())
	if n, bytes := c.size(); n != 0 || bytes != 0 || c.mentions(f.CID) {
		t.Errorf("something stayed: %d entries, %d bytes", n, bytes)
	}
}

func TestCatalogueSearch(t *testing.T) {
	c := newCatalogue(record.Key{})
	for i, name := range []string{"Ökologie/Bäume.pdf", "trees of the city.pdf", "a.txt"} {
		r, f := offering(t, byte(i), name, name, i)
		c.add(r, f)
	}
	box := func(k record.Key) string { return "Humming Gull" }
	for query, want := range map[string]int{"": 3, "BÄUME": 1, "city trees": 1, "pdf": 2, "gull txt": 1, "absent": 0, "  ": 3} {
		if _, got := c.searchPage(query, box, 0, 1); got != want {
			t.Errorf("search %q found %d, want %d", query, got, want)
		}
	}
}
