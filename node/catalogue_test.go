package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
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

// model is what a catalogue should show, worked out the slow way.
func model(recs []*record.Record) (names []string) {
	type line struct {
		first  *record.Record
		file   record.File
		folded string
	}
	older := func(a, b *record.Record) bool {
		ai, bi := a.ID(), b.ID()
		return a.Created < b.Created || a.Created == b.Created && string(ai[:]) < string(bi[:])
	}
	byKey := make(map[string]*line)
	for _, r := range recs {
		f, err := r.File()
		if err != nil {
			continue
		}
		key := dropdir.Fold(f.Name) + "\x00" + f.CID.String()
		if l := byKey[key]; l == nil || older(r, l.first) {
			byKey[key] = &line{r, f, dropdir.Fold(f.Name)}
		}
	}
	var lines []*line
	for _, l := range byKey {
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b *line) int {
		if older(a.first, b.first) {
			return 1
		}
		return -1
	})
	for _, l := range lines {
		name := l.file.Name
		for _, o := range lines {
			if o != l && o.folded == l.folded && older(o.first, l.first) {
				name = dropdir.Tagged(l.file.Name, l.file.CID.Short())
			}
		}
		names = append(names, name)
	}
	return names
}

// TestCatalogueShowsTheSameHoweverItCameTo: records come and go in any order.
func TestCatalogueShowsTheSameHoweverItCameTo(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	spellings := []string{"photo.jpg", "Photo.jpg", "PHOTO.JPG", "a/b.txt", "A/b.txt", "c"}
	var all []*record.Record
	for i := range 120 {
		r, _ := offering(t, byte(random.IntN(4)), spellings[random.IntN(len(spellings))], string(rune('a'+random.IntN(5))), i/2)
		all = append(all, r)
	}
	c := newCatalogue(record.Key{})
	in := make(map[record.ID]*record.Record)
	for step := range 3000 {
		r := all[random.IntN(len(all))]
		if _, ok := in[r.ID()]; ok {
			c.remove(r.ID())
			delete(in, r.ID())
		} else {
			f, err := r.File()
			if err != nil {
				t.Fatal(err)
			}
			c.add(r, f)
			in[r.ID()] = r
		}
		if step%10 != 0 {
			continue
		}
		got, want := shown(c), model(slices.Collect(maps.Values(in)))
		if !slices.Equal(got, want) {
			t.Fatalf("step %d: shows\n%q, want\n%q", step, got, want)
		}
		for i, name := range want {
			if r, ok := c.find(name); !ok || r.name != name {
				t.Fatalf("step %d: %q is not found, but %q", step, name, r.name)
			}
			rows, total := c.page(i, 1)
			if total != len(want) || len(rows) != 1 || rows[0].name != name {
				t.Fatalf("step %d: place %d shows %v of %d", step, i, rows, total)
			}
		}
	}
	for id := range in {
		c.remove(id)
	}
	if files, bytes := c.size(); files != 0 || bytes != 0 || c.byID.count+c.byCID.count+c.byName.count+c.authors.count+len(c.names.tagged)+len(c.names.wanted)+len(c.names.wishes)+len(c.byAge.blocks) != 0 {
		t.Errorf("something stayed: %d entries, %d bytes", files, bytes)
	}
}

// TestCataloguePagesInOrder through many blocks, whatever the order of coming.
func TestCataloguePagesInOrder(t *testing.T) {
	const many = 5 * ageBlock
	for _, order := range []func(i int) int{
		func(i int) int { return i }, func(i int) int { return many - 1 - i }, func(i int) int { return i * 1009 % many },
	} {
		c := newCatalogue(record.Key{})
		for i := range many {
			n := order(i)
			r, f := offering(t, 1, fmt.Sprintf("file %05d", n), "x", n%(60*24*365))
			c.add(r, f)
		}
		seen := 0
		c.all(func(r *row) bool {
			if want := fmt.Sprintf("file %05d", many-1-seen); r.name != want {
				t.Fatalf("place %d shows %q, want %q", seen, r.name, want)
			}
			seen++
			return true
		})
		if seen != many {
			t.Fatalf("%d shown, want %d", seen, many)
		}
		for _, at := range []int{0, 1, ageBlock - 1, ageBlock, many - 3} {
			rows, total := c.page(at, 5)
			if want := fmt.Sprintf("file %05d", many-1-at); total != many || len(rows) != min(5, many-at) || rows[0].name != want {
				t.Errorf("page at %d begins with %q, want %q", at, rows[0].name, want)
			}
		}
		for _, at := range []int{many, many + 1, 1 << 30} {
			if rows, total := c.page(at, 5); len(rows) != 0 || total != many {
				t.Errorf("page behind the end: %d of %d", len(rows), total)
			}
		}
	}
}

func TestCatalogueKnowsWhatThisNodeOffers(t *testing.T) {
	mine, f := offering(t, 1, "mine.txt", "mine", 1)
	twice, _ := offering(t, 1, "mine.txt", "mine", 2)
	theirs, _ := offering(t, 2, "mine.txt", "mine", 3)
	other, of := offering(t, 2, "other.txt", "other", 4)
	c := newCatalogue(mine.Author)
	for _, r := range []*record.Record{theirs, mine, twice} {
		c.add(r, f)
	}
	c.add(other, of)
	if files, bytes := c.offers(); files != 1 || bytes != f.Size {
		t.Errorf("offers %d files of %d bytes", files, bytes)
	}
	if claims, others := c.own(f.CID); len(claims) != 2 || !others {
		t.Errorf("own: %v, %v", claims, others)
	}
	if claims, others := c.own(of.CID); len(claims) != 0 || !others {
		t.Errorf("other's: %v, %v", claims, others)
	}
	c.remove(mine.ID())
	c.remove(theirs.ID())
	if claims, others := c.own(f.CID); len(claims) != 1 || others {
		t.Errorf("own: %v, %v", claims, others)
	}
	c.remove(twice.ID())
	if files, bytes := c.offers(); files != 0 || bytes != 0 {
		t.Errorf("offers %d files of %d bytes", files, bytes)
	}
}

// TestCatalogueFoldsAsTheFolderDoes: it keeps folded names only where they are
// more than lower case.
func TestCatalogueFoldsAsTheFolderDoes(t *testing.T) {
	every := make([]byte, 0, 128)
	for b := range byte(128) {
		every = append(every, b)
	}
	for _, name := range []string{"IMG_0001.JPG", "plain.txt", "Ärger.txt", "ärger.txt", "A\u030angström", "\u212aelvin", "stra\u017fe", "日本.TXT", "", string(every)} {
		var o offer
		key := dropdir.Fold(name)
		o.setName(name, key)
		if got := string(appendFolded(nil, o.folded())); got != key {
			t.Errorf("%q folds to %q, want %q", name, got, key)
		}
		if !o.hasKey(key) || o.name() != name {
			t.Errorf("%q: is %q and does not have the key %q", name, o.name(), key)
		}
		if o.hasKey(key+"x") || len(key) > 0 && o.hasKey(key[1:]) {
			t.Errorf("%q has a key that is not its own", name)
		}
	}
}

// TestCatalogueKeepsWhatFewRecordsSay: descriptions, and media types that are
// not as the name says.
func TestCatalogueKeepsWhatFewRecordsSay(t *testing.T) {
	seed := make([]byte, ed25519.SeedSize)
	c := newCatalogue(record.Key{})
	say := func(minute int, media, about string) record.ID {
		f := record.File{Name: "Tale.txt", Size: 3, MediaType: media, Description: about, CID: record.NewCID(record.CodecRaw, sha256.Sum256([]byte("abc")))}
		r, err := record.Sign(ed25519.NewKeyFromSeed(seed), record.Draft{Created: time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC), Life: time.Hour, Body: f})
		if err != nil {
			t.Fatal(err)
		}
		c.add(r, f)
		return r.ID()
	}
	first := say(1, "application/odd", "Of a Whale")
	say(2, "text/plain", "")
	if r, _ := c.find("tale.TXT"); r.media != "application/odd" || r.about != "of a whale" {
		t.Errorf("found %q %q", r.media, r.about)
	}
	if _, n := c.searchPage("WHALE", func(record.Key) string { return "" }, 0, 1); n != 1 {
		t.Errorf("%d found by their description", n)
	}
	c.remove(first)
	if r, _ := c.find("tale.TXT"); r.media != "text/plain" || r.about != "" {
		t.Errorf("after it went: %q %q", r.media, r.about)
	}
	if len(c.abouts)+len(c.media) != 0 {
		t.Error("something stayed")
	}
}
