//go:build lab

package lab

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRealInput feeds three boxes what real folders hold, in every way they
// take it, and looks at every byte that comes out.
func TestRealInput(t *testing.T) {
	l := NewLan(t, "input", 3, V4Only)
	a, b, c := NewBox(t, l.Hosts[0], "alpage"), NewBox(t, l.Hosts[1], "bergerie"), NewBox(t, l.Hosts[2], "col")
	boxes := []*Box{a, b, c}
	// The same names with other contents at either end: nothing may win.
	byHand := map[*Box][]Item{a: Input{Seed: 20}.Names(), c: Input{Seed: 21}.Names()}
	for box, items := range byHand {
		for _, i := range items {
			if err := i.Write(box.FilesDir()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, box := range boxes {
		box.Start()
	}
	expected := &ledger{}
	expected.items = append(expected.items, byHand[a]...)
	expected.items = append(expected.items, byHand[c]...)
	for _, i := range hostileDrops(t, b) {
		expected.add(i)
	}
	feed(t, a, b, c, byHand, expected)

	start := time.Now()
	for _, box := range boxes {
		eventually(t, 6*time.Minute, "everything on "+box.Name, func() error { return holdsAll(box, expected) })
		t.Logf("%s has all %d files %v after the last was fed", box.Name, len(expected.items), time.Since(start).Round(time.Millisecond))
	}
	for _, box := range boxes {
		compareAll(t, box, expected)
	}
	for box, items := range byHand {
		untouched(t, box, items)
	}
	sampleDownloads(t, c, expected)
	for _, box := range boxes {
		all, own := box.Resident()
		t.Logf("%s holds %d MiB of memory, %d of them its own", box.Name, all>>20, own>>20)
		nothingOutside(t, box)
	}
}

// feed gives the boxes the bulk: by hand into one's folder, by command to the
// next, by form to the third.
func feed(t *testing.T, a, b, c *Box, byHand map[*Box][]Item, expected *ledger) {
	t.Helper()
	in := Input{Seed: 22}
	big, photos, small := in.Big(), in.Photos(PhotoCount), in.Small(SmallCount)
	if err := big.Write(a.FilesDir()); err != nil {
		t.Fatal(err)
	}
	for _, i := range small {
		if err := i.Write(a.FilesDir()); err != nil {
			t.Fatal(err)
		}
	}
	byHand[a] = append(append(byHand[a], big), small...)

	camera := t.TempDir()
	for _, i := range photos[:PhotoCount-100] {
		if err := i.Write(camera); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	added := strings.Fields(b.MustCLI("add", filepath.Join(camera, "photos")))
	t.Logf("added %d photos by command in %v", len(added), time.Since(start).Round(time.Millisecond))
	if len(added) != PhotoCount-100 {
		t.Errorf("add printed %d CIDs for %d photos", len(added), PhotoCount-100)
	}
	v := c.Self()
	defer v.Close()
	for _, i := range photos[PhotoCount-100:] {
		if _, err := v.Drop(path.Base(i.Name), i.Open()); err != nil {
			t.Fatal(err)
		}
	}
	expected.items = append(append(append(expected.items, big), photos...), small...)
}

// hostileDrops sends names through the form that want to be somewhere or
// something else. All are saved, under better names.
func hostileDrops(t *testing.T, b *Box) []Item {
	t.Helper()
	names := []string{
		"../../etc/passwd", `..\..\windows\win.ini`, "/etc/shadow", "....//....//x", "CON", "nul.txt", "a<b>.html",
		".boucan", ".hidden", "..", ".", "new\nline.txt", "tab\tin.txt", "nul\x00byte.txt", `quo"ted.txt`,
		"\u202egpj.exe", "", strings.Repeat("long", 100) + ".txt", "bad\xff\xfeutf8.txt", " space around .txt ",
		"%2e%2e%2f%2e%2e%2fetc%2fhosts", "C:\\autoexec.bat", "~root", "$(reboot).txt", "x.part", "lock", "control.sock",
	}
	var items []Item
	for n, name := range names {
		i := Input{Seed: 23}.noise(fmt.Sprint(n), int64(200+n))
		_, err := b.Self().Drop(name, i.Open())
		if refused, ok := errors.AsType[*StatusError](err); ok && refused.Status == http.StatusBadRequest && strings.ContainsRune(name, 0) {
			continue // no browser sends such a name
		}
		if err != nil {
			t.Errorf("dropping a file called %q: %v", name, err)
			continue
		}
		items = append(items, i)
	}
	return items
}

// holdsAll fails unless as many different contents are here as are expected.
func holdsAll(b *Box, expected *ledger) error {
	all, err := b.Ls()
	if err != nil {
		return err
	}
	here := make(map[string]bool)
	for _, f := range all {
		if f.Here {
			here[f.CID] = true
		}
	}
	if want := len(contents(expected.items)); len(here) < want {
		return fmt.Errorf("box %s has %d of %d files, and lists %d", b.Name, len(here), want, len(all))
	}
	return nil
}

func contents(items []Item) map[[sha256.Size]byte]Item {
	all := make(map[[sha256.Size]byte]Item, len(items))
	for _, i := range items {
		all[i.Sum()] = i
	}
	return all
}

// compareAll reads back every file of the box's disk: all that was fed is there
// bit for bit, and nothing else.
func compareAll(t *testing.T, b *Box, expected *ledger) {
	t.Helper()
	missing := contents(expected.items)
	want := contents(expected.items)
	for name, sum := range b.OnDisk() {
		if _, known := want[sum]; !known {
			t.Errorf("box %s holds %q, whose bytes nobody gave", b.Name, name)
		}
		delete(missing, sum)
	}
	for _, i := range missing {
		t.Errorf("box %s does not hold the bytes of %q", b.Name, i.Name)
	}
}

// untouched fails where a file put into the folder by hand is not what and
// where it was.
func untouched(t *testing.T, b *Box, items []Item) {
	t.Helper()
	found := b.OnDisk()
	for _, i := range items {
		if sum, ok := found[i.Name]; !ok || sum != i.Sum() {
			t.Errorf("box %s: %q, put there by hand, was moved or overwritten", b.Name, i.Name)
		}
	}
}

// sampleDownloads fetches one in fifty files through the page's own links.
func sampleDownloads(t *testing.T, b *Box, expected *ledger) {
	t.Helper()
	all, err := b.Ls()
	if err != nil {
		t.Fatal(err)
	}
	want := contents(expected.items)
	v := b.Self()
	defer v.Close()
	for n, f := range all {
		if n%50 != 0 {
			continue
		}
		sum, err := v.Fetch("/f/" + f.CID + "/" + url.PathEscape(path.Base(f.Name)))
		if err != nil {
			t.Errorf("download %q: %v", f.Name, err)
		} else if _, known := want[sum]; !known {
			t.Errorf("%q came as other bytes than were given", f.Name)
		}
	}
}

// nothingOutside fails where the box wrote beside its data folder.
func nothingOutside(t *testing.T, b *Box) {
	t.Helper()
	err := filepath.WalkDir(b.home, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p == b.Dir {
			return fs.SkipDir
		}
		if p != b.home && p != b.log.Name() {
			t.Errorf("box %s wrote %s", b.Name, p)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
