package share

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"boucan/record"
)

func TestDropNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300) + ".jpeg"
	for _, c := range []struct {
		before []string
		name   string
		want   string
	}{
		{nil, "photo.jpg", "photo.jpg"},
		{[]string{"photo.jpg"}, "photo.jpg", "photo (2).jpg"},
		{[]string{"photo.jpg", "photo.jpg"}, "photo.jpg", "photo (3).jpg"},
		{[]string{"PHOTO.jpg"}, "photo.JPG", "photo (2).JPG"},
		{[]string{"\u00e9.txt"}, "e\u0301.txt", "e\u0301 (2).txt"},
		{nil, "../../etc/passwd", "etc/passwd"},
		{nil, "CON", "_CON"},
		{nil, "a<b>.html", "a_b_.html"},
		{nil, "", "unnamed"},
		{nil, long, strings.Repeat("x", 250) + ".jpeg"},
		{[]string{long}, long, strings.Repeat("x", 246) + " (2).jpeg"},
		{[]string{"a"}, "a/b.txt", "a (2)/b.txt"},
		{[]string{"a", "a/c.txt"}, "a/b.txt", "a (2)/b.txt"},
		{[]string{"a/b.txt"}, "a", "a (2)"},
		{[]string{"Photos/1.jpg"}, "photos/2.jpg", "Photos/2.jpg"},
		{[]string{"Photos/1.jpg"}, "photos/1.jpg", "Photos/1 (2).jpg"},
		{[]string{"a/b/c"}, "A/x", "a/x"},
		{nil, "film.part", "film.part"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			for i, n := range c.before {
				b.drop(n, fmt.Sprint("before ", i))
			}
			d := b.drop(c.name, "content")
			if d.Path != c.want || d.Name != c.want || d.Already {
				t.Fatalf("dropped as %q, named %q, want %q", d.Path, d.Name, c.want)
			}
			if err := record.CheckName(d.Name); err != nil {
				t.Error(err)
			}
			got, err := os.ReadFile(b.at(d.Path))
			if err != nil || string(got) != "content" {
				t.Errorf("on disk: %q %v", got, err)
			}
		})
	}
}

// Files that nobody has indexed yet are not overwritten either.
func TestDropBesideUnknown(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.put("a.txt", "by hand")
	b.put("a (2).txt", "by hand too")
	b.put("dir/x", "x")
	if d := b.drop("a.txt", "dropped"); d.Path != "a (3).txt" {
		t.Errorf("dropped as %q", d.Path)
	}
	if d := b.drop("dir", "dropped 2"); d.Path != "dir (2)" {
		t.Errorf("dropped as %q", d.Path)
	}
	if got, _ := os.ReadFile(b.at("a.txt")); string(got) != "by hand" {
		t.Error("overwritten")
	}
}

func TestManyOfOneName(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	const n = 200
	seen := map[string]bool{}
	for i := range n {
		seen[b.drop("image.jpg", fmt.Sprint(i)).Path] = true
	}
	if len(seen) != n || len(b.listed()) != n {
		t.Errorf("%d names, %d listed", len(seen), len(b.listed()))
	}
	if !seen["image.jpg"] || !seen["image (2).jpg"] {
		t.Error("numbers do not begin at 2")
	}
}

func TestDropSizes(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	random := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{0, 1, smallPiece - 1, smallPiece, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + 77} {
		content := make([]byte, size)
		random.Read(content)
		h := NewHasher()
		h.Write(content)
		want := h.Manifest()
		// Readers that give little at a time, or data together with the end.
		for _, r := range []io.Reader{bytes.NewReader(content), iotest.HalfReader(bytes.NewReader(content)), iotest.DataErrReader(bytes.NewReader(content))} {
			d, err := b.Drop(t.Context(), fmt.Sprintf("%d.bin", size), r)
			if err != nil {
				t.Fatal(err)
			}
			if d.CID != want.CID || d.Size != int64(size) {
				t.Errorf("%d bytes: dropped as %v, %d bytes", size, d.CID, d.Size)
			}
		}
		if b.read(want.CID) != string(content) {
			t.Errorf("%d bytes read back wrong", size)
		}
		m, ok, err := b.Manifest(want.CID)
		if err != nil || !ok || !bytes.Equal(m.Leaves, want.Leaves) || m.Size != int64(size) || m.Verify() != nil {
			t.Errorf("%d bytes: manifest %v %v", size, ok, err)
		}
	}
	if got := len(b.listed()); got != 8 {
		t.Errorf("%d files: the same bytes are stored again", got)
	}
}

func TestDropThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut")
	for _, size := range []int{0, 10, ChunkSize, 2*ChunkSize + 5} {
		for _, failure := range []error{cut, io.ErrUnexpectedEOF} {
			b := newBox(t)
			r := io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(failure))
			if _, err := b.Drop(t.Context(), "x", r); !errors.Is(err, failure) {
				t.Errorf("after %d bytes: %v", size, err)
			}
			b.clean()
		}
	}
	b := newBox(t)
	b.table.fail = cut
	if _, err := b.Drop(t.Context(), "dir/x", strings.NewReader("content")); !errors.Is(err, cut) {
		t.Errorf("index fails: %v", err)
	}
	b.clean()
	if d := b.drop("dir/x", "content"); d.Path != "dir/x" {
		t.Errorf("dropped as %q", d.Path)
	}
}

// clean checks that the folder holds nothing but what is ours and empty.
func (b *box) clean() {
	b.t.Helper()
	var found []string
	filepath.WalkDir(b.files(), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "marker" {
			found = append(found, path)
		}
		return err
	})
	if len(found) > 0 || len(b.listed()) > 0 {
		b.t.Errorf("left: %q, listed %q", found, b.paths())
	}
}

func TestDropsAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	const n = 60
	var all sync.WaitGroup
	var mu sync.Mutex
	paths := map[string]bool{}
	for i := range n {
		all.Go(func() {
			// Thirty contents, each dropped twice, all under one name.
			content := fmt.Sprint("content ", i/2)
			d, err := b.Drop(t.Context(), "same.txt", strings.NewReader(content))
			if err != nil {
				t.Error(err)
				return
			}
			if d.CID != cidOf(content) {
				t.Errorf("%q is %v", content, d.CID)
			}
			mu.Lock()
			paths[d.Path] = true
			mu.Unlock()
		})
	}
	all.Wait()
	if len(paths) != n/2 || len(b.listed()) != n/2 || b.Usage().Files != n/2 {
		t.Errorf("%d paths, %d listed, %d counted", len(paths), len(b.listed()), b.Usage().Files)
	}
	for i := range n / 2 {
		content := fmt.Sprint("content ", i)
		if b.read(cidOf(content)) != content {
			t.Errorf("%q is lost", content)
		}
	}
}

// A drop of bytes whose file was edited meanwhile is stored anew.
func TestDropDoesNotTrustAnEditedFile(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	d := b.drop("x", "promised")
	if err := os.WriteFile(b.at("x"), []byte("something else"), 0o644); err != nil {
		t.Fatal(err)
	}
	again := b.drop("x", "promised")
	if again.Already || again.Path == d.Path {
		t.Fatalf("dropped as %+v", again)
	}
	b.run()
	b.catalog.until(t, "edit seen", func() bool { return len(b.catalog.vanished) == 1 })
	if b.read(d.CID) != "promised" {
		t.Error("lost")
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	big := strings.Repeat("z", 2*ChunkSize)
	keep, gone := b.drop("dir/keep", "keep"), b.drop("dir/sub/gone", big)
	b.put("by hand", big)
	b.run()
	b.catalog.until(t, "copy by hand", func() bool { return len(b.catalog.appeared) == 1 })
	if err := b.Release(t.Context(), gone.CID, cidOf("never here")); err != nil {
		t.Fatal(err)
	}
	if b.Has(gone.CID) || !b.Has(keep.CID) {
		t.Error("wrong blob released")
	}
	if _, ok, _ := b.Manifest(gone.CID); ok {
		t.Error("manifest stays")
	}
	for _, p := range []string{"dir/sub", "by hand"} {
		if _, err := os.Stat(b.at(p)); !os.IsNotExist(err) {
			t.Errorf("%s stays: %v", p, err)
		}
	}
	b.put("next", "next")
	b.catalog.until(t, "next", func() bool { return len(b.catalog.appeared) == 2 })
	if len(b.catalog.vanished) != 0 {
		t.Errorf("released, and told of as vanished: %v", b.catalog.vanished)
	}
	b.halt()
	b.again()
	if got := b.paths(); !slices.Equal(got, []string{"dir/keep", "next"}) {
		t.Errorf("after a restart: %q", got)
	}
	if u := b.Usage(); u.Files != 2 || u.Bytes != 8 {
		t.Errorf("usage %+v", u)
	}
}

// A file edited since it was indexed is other content: it is not deleted.
func TestReleaseSparesEdits(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	d := b.drop("x", "old")
	if err := os.WriteFile(b.at("x"), []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := b.Release(t.Context(), d.CID); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(b.at("x")); string(got) != "precious" {
		t.Errorf("%q %v", got, err)
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	var cids []record.CID
	for i := range 5000 {
		cids = append(cids, cidOf(fmt.Sprint(i)))
	}
	if err := b.Refuse(cids...); err != nil {
		t.Fatal(err)
	}
	b.again()
	if !b.Refused(cids[0]) || !b.Refused(cids[4999]) || b.Refused(cidOf("other")) {
		t.Error("refusals are not kept")
	}
}

func TestReserve(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.options.Reserve = 1 << 60
	b.again()
	if _, err := b.Drop(t.Context(), "x", strings.NewReader("x")); !errors.Is(err, ErrFull) {
		t.Errorf("drop: %v", err)
	}
	content, m := blobOf(9, 2*ChunkSize)
	if _, err := b.startLanding(Wanted{CID: m.CID, Size: m.Size, Name: "x"}, m); !errors.Is(err, ErrFull) {
		t.Errorf("landing: %v", err)
	}
	if _, err := b.landWhole(t.Context(), []whole{{Wanted{CID: cidOf("y"), Name: "y"}, []byte("y")}}); !errors.Is(err, ErrFull) {
		t.Errorf("small blobs: %v", err)
	}
	if got := b.promised.Load() + b.writing.Load(); got != 0 {
		t.Errorf("%d bytes stay promised", got)
	}
	b.options.Reserve = 0
	b.again()
	l := b.landing(m, "x")
	write(t, l, content, 0, 1)
	if _, err := l.finish(t.Context()); err != nil {
		t.Error(err)
	}
}

// endless yields zeros.
type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTooLarge(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	a, err := b.dir.Incoming()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Discard()
	in := &intake{b: b.Blobs, a: a, r: endless{}, most: ChunkSize}
	if err := in.write(make([]byte, ChunkSize)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := in.write(make([]byte, 1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one past it: %v", err)
	}
	if _, err := b.Drop(t.Context(), "stuck", stuck{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("reader that gives nothing: %v", err)
	}
}

// stuck yields nothing, and no error.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestStaleIncomingGoes(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	d := b.drop("x", "x")
	b.put(".boucan/incoming/LEFTOVER", "half a drop")
	b.put(".boucan/partial/"+cidOf("a").String(), "half a download")
	b.again()
	if _, err := os.Stat(b.at(".boucan/incoming/LEFTOVER")); !os.IsNotExist(err) {
		t.Errorf("leftover: %v", err)
	}
	if _, err := os.Stat(b.at(".boucan/partial/" + cidOf("a").String())); err != nil {
		t.Errorf("partial: %v", err)
	}
	if b.read(d.CID) != "x" {
		t.Error("drop lost")
	}
}
