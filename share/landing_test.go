package share

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"boucan/record"
)

// blobOf makes content of some chunks and its manifest.
func blobOf(seed byte, size int) ([]byte, Manifest) {
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(content)
	h := NewHasher()
	h.Write(content)
	return content, h.Manifest()
}

func (b *box) landing(m Manifest, name string) *landing {
	b.t.Helper()
	l, err := b.startLanding(Wanted{CID: m.CID, Size: m.Size, Name: name}, m)
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

func write(t *testing.T, l *landing, content []byte, chunks ...int) {
	t.Helper()
	for _, i := range chunks {
		offset, length := l.m.Chunk(i)
		if err := l.write(i, content[offset:offset+int64(length)]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLanding(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.drop("pics/photo.jpg", "another photo")
	content, m := blobOf(1, 3*ChunkSize+100)
	l := b.landing(m, "pics/photo.jpg")
	var all sync.WaitGroup
	for i := range l.missing() {
		all.Go(func() {
			offset, length := m.Chunk(i)
			if err := l.write(i, content[offset:offset+int64(length)]); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if l.landed() != m.Size {
		t.Fatalf("landed %d", l.landed())
	}
	f, err := l.finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := "pics/photo (" + m.CID.Short() + ").jpg"; f.Path != want || f.CID != m.CID || f.Size != m.Size {
		t.Errorf("landed as %+v", f)
	}
	if b.read(m.CID) != string(content) {
		t.Error("reads wrong")
	}
	if left, err := b.partials(); err != nil || len(left) != 0 {
		t.Errorf("partial files: %v %v", left, err)
	}
	b.run()
	b.catalog.until(t, "arrived", func() bool { return slices.Contains(b.catalog.arrived, m.CID) })
	b.put("by hand", "by hand")
	b.catalog.until(t, "by hand", func() bool { return len(b.catalog.told) == 1 })
	if _, err := b.startLanding(Wanted{CID: m.CID, Size: m.Size, Name: "x"}, m); err == nil {
		t.Error("landing of what is here")
	}
}

func TestLandingResumes(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{true, false} {
		t.Run(fmt.Sprint("closed ", closed), func(t *testing.T) {
			b := newBox(t)
			content, m := blobOf(2, 9*ChunkSize+1)
			l := b.landing(m, "film")
			write(t, l, content, 0, 3, 9)
			if _, err := b.startLanding(Wanted{CID: m.CID, Size: m.Size}, m); err == nil {
				t.Error("two landings of one blob")
			}
			if closed {
				if err := l.close(); err != nil {
					t.Fatal(err)
				}
			} else {
				l.a.Close() // as a crash would
			}
			b.again()
			l = b.landing(m, "film")
			if got := slices.Collect(l.missing()); !slices.Equal(got, []int{1, 2, 4, 5, 6, 7, 8}) {
				t.Errorf("missing %v", got)
			}
			if got := l.landed(); got != 2*ChunkSize+1 {
				t.Errorf("landed %d", got)
			}
			write(t, l, content, slices.Collect(l.missing())...)
			f, err := l.finish(t.Context())
			if err != nil || f.Path != "film" {
				t.Fatalf("%+v %v", f, err)
			}
			if b.read(m.CID) != string(content) {
				t.Error("reads wrong")
			}
		})
	}
}

// What lies in a partial file and is not vouched for is believed only if it
// hashes right.
func TestLandingDoesNotTrustTheDisk(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	content, m := blobOf(3, 4*ChunkSize)
	partial := b.at(".boucan/partial/" + m.CID.String())
	bad := bytes.Clone(content)
	bad[ChunkSize+5] ^= 1
	if err := os.WriteFile(partial, append(bad, "too long"...), 0o644); err != nil {
		t.Fatal(err)
	}
	l := b.landing(m, "x")
	if got := slices.Collect(l.missing()); !slices.Equal(got, []int{1}) {
		t.Fatalf("missing %v", got)
	}
	write(t, l, content, 1)
	if f, err := l.finish(t.Context()); err != nil || f.Size != m.Size {
		t.Fatalf("%+v %v", f, err)
	}
}

func TestLandingOfWhatWasDroppedMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	content, m := blobOf(4, 2*ChunkSize)
	l := b.landing(m, "fetched")
	write(t, l, content, 0, 1)
	d := b.drop("dropped", string(content))
	f, err := l.finish(t.Context())
	if err != nil || f.Path != d.Path {
		t.Fatalf("%+v %v", f, err)
	}
	if len(b.listed()) != 1 {
		t.Errorf("listed %q", b.paths())
	}
	if left, _ := b.partials(); len(left) != 0 {
		t.Errorf("partial files: %v", left)
	}
}

func TestLandingThatIndexFails(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	content, m := blobOf(5, 2*ChunkSize)
	l := b.landing(m, "x")
	write(t, l, content, 0, 1)
	b.table.fail = errors.New("disk")
	if _, err := l.finish(t.Context()); err == nil {
		t.Fatal("finished without an index")
	}
	if _, err := os.Stat(b.at("x")); !os.IsNotExist(err) {
		t.Errorf("the file is in its place: %v", err)
	}
	if f, err := l.finish(t.Context()); err != nil || f.Path != "x" {
		t.Errorf("tried again: %+v %v", f, err)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	content, m := blobOf(6, 3*ChunkSize)
	l := b.landing(m, "x")
	write(t, l, content, 1)
	if _, ok, _ := b.Manifest(m.CID); !ok {
		t.Error("no manifest while landing")
	}
	if err := l.discard(); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := b.Manifest(m.CID); ok {
		t.Error("manifest stays")
	}
	b.clean()

	l = b.landing(m, "x")
	write(t, l, content, 1)
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if got, err := b.partials(); err != nil || !slices.Equal(got, []record.CID{m.CID}) {
		t.Errorf("partials %v %v", got, err)
	}
	if err := b.dropPartial(m.CID, cidOf("never")); err != nil {
		t.Fatal(err)
	}
	if keys := b.table.with(keyPartial, keyManifest); len(keys) != 0 {
		t.Errorf("keys left: %q", keys)
	}
	b.clean()
}

// with lists the keys that begin with any of the given bytes.
func (t *tableTwin) with(prefixes ...byte) (keys []string) {
	for _, k := range t.keys {
		if slices.Contains(prefixes, k[0]) {
			keys = append(keys, k)
		}
	}
	return keys
}

func TestLandWhole(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 5, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := newBox(t)
			b.drop("f/0", "another zero")
			b.drop("elsewhere", "content 1")
			var ws []whole
			for i := range n {
				content := fmt.Sprint("content ", i)
				ws = append(ws, whole{Wanted{CID: cidOf(content), Size: int64(len(content)), Name: fmt.Sprint("f/", i)}, []byte(content)})
			}
			ws = append(ws, ws[0], whole{Wanted{CID: cidOf(""), Name: strings.Repeat("d/", 500) + "empty"}, nil})
			errs, err := b.landWhole(t.Context(), ws)
			if err != nil || len(errs) != len(ws) || errors.Join(errs...) != nil {
				t.Fatalf("%v %v", errors.Join(errs...), err)
			}
			for _, w := range ws {
				if got := b.read(w.w.CID); got != string(w.data) {
					t.Errorf("%s reads %q", w.w.Name, got)
				}
			}
			listed := b.listed()
			if listed["f/0 ("+ws[0].w.CID.Short()+")"] != ws[0].w.CID {
				t.Errorf("no distinguishable name: %q", b.paths())
			}
			want := 2 + n + 1 // dropped, fetched, the empty one
			if n > 1 {
				want-- // content 1 was here
			}
			if len(listed) != want {
				t.Errorf("%d listed, not %d", len(listed), want)
			}
			b.run()
			b.catalog.until(t, "all arrive", func() bool { return len(b.catalog.arrived) == len(ws) })
			b.put("by hand", "by hand")
			b.catalog.until(t, "by hand", func() bool { return len(b.catalog.told) > 0 })
			if told := b.catalog.toldOf(); !slices.Equal(told, []string{"+by hand"}) {
				t.Errorf("told of %d", len(told))
			}
		})
	}
}
