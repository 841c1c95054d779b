package lab

import (
	"bytes"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestInputIsTheSameEachTime(t *testing.T) {
	a, b, other := Input{Seed: 1}.Small(50), Input{Seed: 1}.Small(50), Input{Seed: 2}.Small(50)
	for i := range a {
		if a[i].Name != b[i].Name || a[i].Size != b[i].Size || a[i].Sum() != b[i].Sum() {
			t.Errorf("%q differs between two runs of one seed", a[i].Name)
		}
		if a[i].Sum() == other[i].Sum() {
			t.Errorf("%q is the same under another seed", a[i].Name)
		}
	}
}

func TestPhotosAreJPEGsOfTheirOwn(t *testing.T) {
	seen := make(map[[32]byte]string)
	for _, p := range (Input{Seed: 1}).Photos(60) {
		if p.Size < 100<<10 || p.Size > 300<<10 {
			t.Errorf("%q has %d bytes, want 100 to 300 KiB", p.Name, p.Size)
		}
		if other, twice := seen[p.Sum()]; twice {
			t.Errorf("%q is the same picture as %q", p.Name, other)
		}
		seen[p.Sum()] = p.Name
		b, err := io.ReadAll(p.Open())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jpeg.DecodeConfig(bytes.NewReader(b)); err != nil || !bytes.HasSuffix(b, []byte{0xff, 0xd9}) {
			t.Errorf("%q is no JPEG from head to end: %v", p.Name, err)
		}
	}
}

func TestNamesHoldWhatTheyPromise(t *testing.T) {
	dir := t.TempDir()
	var names []string
	forms := make(map[string]int)
	longest := 0
	for _, i := range (Input{Seed: 1}).Names() {
		if err := i.Write(dir); err != nil {
			t.Fatal(err)
		}
		names = append(names, i.Name)
		forms[norm.NFC.String(i.Name)]++
		longest = max(longest, len(filepath.Base(i.Name)))
		info, err := os.Stat(filepath.Join(dir, i.Name))
		if err != nil || info.Size() != i.Size {
			t.Errorf("%q: on disk %v, %v; want %d bytes", i.Name, info, err, i.Size)
		}
		if !utf8.ValidString(i.Name) {
			t.Errorf("%q is cut within a character", i.Name)
		}
	}
	if longest != 255 {
		t.Errorf("the longest name has %d bytes, want 255", longest)
	}
	if forms["été.txt"] != 2 {
		t.Errorf("want two names that differ by normalisation only, got %v", forms["été.txt"])
	}
	if sorted := slices.Sorted(slices.Values(names)); len(slices.Compact(sorted)) != len(names) {
		t.Error("a name stands twice")
	}
}
