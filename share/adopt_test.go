package share

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"boucan/record"
)

// hashed is a file as whoever adopts it vouches for it.
func hashed(path, content string) Hashed {
	h := Hashed{Path: path, Size: int64(len(content))}
	for chunk := range slices.Chunk([]byte(content), ChunkSize) {
		sum := sha256.Sum256(chunk)
		h.Leaves = append(h.Leaves, sum[:]...)
	}
	return h
}

// What is adopted is known and served as if it had been read, also after a restart, and
// nobody is told that it appeared.
func TestAdopt(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	small, large := "a song", string(bytes.Repeat([]byte("film"), ChunkSize/2+3))
	b.put("music/song.mp3", small)
	b.put("film.mp4", large)
	files := []Hashed{hashed("music/song.mp3", small), hashed("film.mp4", large)}
	if files[0].CID() != cidOf(small) {
		t.Fatalf("the name of the blob is %v", files[0].CID())
	}
	if err := b.Adopt(files...); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if u := b.Usage(); u.Files != 2 || u.Bytes != int64(len(small)+len(large)) {
			t.Errorf("usage %+v", u)
		}
		for i, content := range []string{small, large} {
			cid := files[i].CID()
			if got := b.listed()[files[i].Path]; got != cid || b.read(cid) != content {
				t.Errorf("%s is listed as %v", files[i].Path, got)
			}
			m, ok, err := b.Manifest(cid)
			if err != nil || !ok || m.Size != files[i].Size || !bytes.Equal(m.Leaves, files[i].Leaves) {
				t.Errorf("%s: manifest of %d bytes, %v, %v", files[i].Path, m.Size, ok, err)
			}
		}
	}
	check()
	b.again()
	check()
	b.run()
	b.put("next", "next")
	b.catalog.until(t, "the next appears", func() bool { return len(b.catalog.appeared) > 0 })
	if told := b.catalog.toldOf(); !slices.Equal(told, []string{"+next"}) {
		t.Errorf("told of %q", told)
	}
}

// What lies there otherwise than it is said to is not adopted, and neither is what does
// not lie there.
func TestAdoptLooksAtSizes(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.put("a.txt", "longer than that")
	if err := b.Adopt(hashed("a.txt", "short")); !errors.Is(err, ErrChanged) {
		t.Errorf("a file of another size: %v", err)
	}
	if err := b.Adopt(hashed("nowhere.txt", "nothing")); err == nil {
		t.Error("a file that is not there was adopted")
	}
	if u := b.Usage(); u.Files != 0 || len(b.paths()) != 0 {
		t.Errorf("usage %+v, listed %q", u, b.paths())
	}
}

// A path that is adopted again has the newer content, and the older is gone.
func TestAdoptAnew(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for _, content := range []string{"first", "second, longer"} {
		b.put("a.txt", content)
		if err := b.Adopt(hashed("a.txt", content)); err != nil {
			t.Fatal(err)
		}
	}
	if b.Has(cidOf("first")) || b.listed()["a.txt"] != cidOf("second, longer") || b.Usage().Files != 1 {
		t.Errorf("listed %v, usage %+v", b.listed(), b.Usage())
	}
	var none record.CID
	if b.Has(none) {
		t.Error("it has what nobody named")
	}
}
