package share

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"boucan/record"
	"boucan/share/dropdir"
)

// What a decoder of index values accepts re-encodes to the same bytes.

func FuzzDecodeKnown(f *testing.F) {
	f.Add([]byte{})
	f.Add(known{cid: cidOf("a"), size: 1, modified: -5, inode: 1 << 60}.encode())
	f.Add(known{cid: cidOf("b"), held: true, rotten: true}.encode())
	f.Add(append(known{cid: cidOf("c")}.encode(), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := decodeKnown(b)
		if err == nil && !bytes.Equal(k.encode(), b) {
			t.Errorf("%x decodes to %+v", b, k)
		}
	})
}

func FuzzDecodeGone(f *testing.F) {
	f.Add([]byte{5})
	f.Add(encodeGone("a/b\xff\n", known{cid: cidOf("a"), size: 77}))
	f.Add(encodeGone("", known{cid: cidOf("a")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := decodeGone(b)
		if err != nil {
			return
		}
		k, _ := decodeKnown(b[uvarintLen(uint64(len(file.Path)))+len(file.Path):])
		if !bytes.Equal(encodeGone(file.Path, k), b) {
			t.Errorf("%x decodes to %+v", b, file)
		}
	})
}

func FuzzDecodeTally(f *testing.F) {
	f.Add(tally{1, 2, 3, 1}.encode())
	f.Add(tally{1, 2, 3, 0}.encode()[:3])
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := decodeTally(b); err == nil && (v.files < 0 || v.bytes < 0 || v.held < 0 || v.damaged < 0) {
			t.Errorf("%x decodes to %+v", b, v)
		}
	})
}

func FuzzDecodeDamage(f *testing.F) {
	f.Add(damage{path: "a/b\xff", since: 1 << 40, bad: bitset{5, 1}}.encode())
	f.Add(damage{mending: true, since: -1}.encode())
	f.Add([]byte{1, 0x80, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeDamage(b)
		if err == nil && !bytes.Equal(d.encode(), b) {
			t.Errorf("%x decodes to %+v", b, d)
		}
	})
}

func FuzzDecodeProgress(f *testing.F) {
	f.Add(progress{paused: true, begun: 1 << 41, done: 1 << 40, files: 7, found: 1, path: "a/b\xff", chunk: 1 << 18}.encode())
	f.Add(progress{alarmed: true, finished: 1 << 41}.encode())
	f.Add([]byte{3, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeProgress(b)
		if err == nil && !bytes.Equal(p.encode(), b) {
			t.Errorf("%x decodes to %+v", b, p)
		}
	})
}

func FuzzDecodePiece(f *testing.F) {
	f.Add(encodePiece(2*ChunkSize, make([]byte, 64)), 0)
	f.Add(encodePiece(1025*ChunkSize, make([]byte, 32)), 1)
	f.Add(encodePiece(1<<62, nil), 1<<30)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		size, leaves, err := decodePiece(b, piece)
		if err == nil && (!bytes.Equal(encodePiece(size, leaves), b) || len(leaves) == 0 || piece > pieces(size)) {
			t.Errorf("%x decodes to %d, %d leaves", b, size, len(leaves)/leafSize)
		}
	})
}

func FuzzDecodeMap(f *testing.F) {
	f.Add(encodeMap(9*ChunkSize, []byte{0xff, 1}))
	f.Add(encodeMap(9*ChunkSize, []byte{0xff, 3}))
	f.Add(encodeMap(0, []byte{1}))
	f.Add(encodeMap(1<<40, []byte{1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		size, bits, err := decodeMap(b)
		if err == nil && (!bytes.Equal(encodeMap(size, bits), b) || len(bits) != (Chunks(size)+7)/8) {
			t.Errorf("%x decodes to %d, %x", b, size, bits)
		}
	})
}

// TestIndexIsConsistent adds, drops, holds and offers files at random, and
// compares what the table says with a simple model.
func TestIndexIsConsistent(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	table, err := openTable(t.TempDir() + "/table")
	if err != nil {
		t.Fatal(err)
	}
	defer table.log.Close()
	names := []string{"a", "A", "b", "dir/x", "Dir/x", "dir/sub/y", "dir/sub/Y", "\xff"}
	model := map[string]known{}
	total := tally{}
	for range 300 {
		g := newBatch(table, total, 0)
		for range random.IntN(6) {
			path := names[random.IntN(len(names))]
			k, ok := model[path]
			back := g.begin()
			before, had := k, ok
			switch {
			case !ok:
				k = known{cid: cidOf(fmt.Sprint(random.IntN(3))), size: movable, inode: uint64(len(path))}
				err = g.add(path, k)
				model[path] = k
			case k.held:
				err = g.offer(path, k)
				k.held = false
				model[path] = k
			case random.IntN(3) == 0:
				err = g.hold(path, k)
				k.held = true
				model[path] = k
			default:
				err = g.drop(path, k)
				delete(model, path)
			}
			if err != nil {
				t.Fatal(err)
			}
			if random.IntN(4) == 0 { // the change fails
				back()
				delete(model, path)
				if had {
					model[path] = before
				}
			}
		}
		if err := writePairs(table, g.pairs()); err != nil {
			t.Fatal(err)
		}
		total = g.tally
		checkIndex(t, table, model, total)
	}
}

func checkIndex(t *testing.T, table *tableTwin, model map[string]known, total tally) {
	t.Helper()
	b := &Blobs{index: table}
	var want tally
	at := map[record.CID][]string{}
	for path, k := range model {
		got, ok, err := lookUp(b.get, path)
		if err != nil || !ok || got != k {
			t.Fatalf("%q: %+v %v %v, want %+v", path, got, ok, err, k)
		}
		if taken, _ := newBatch(table, tally{}, 0).File(dropdir.Fold(path)); !taken {
			t.Fatalf("%q is not taken", path)
		}
		if k.held {
			want.held++
			continue
		}
		want.files++
		want.bytes += k.size
		at[k.cid] = append(at[k.cid], path)
	}
	if want != total {
		t.Fatalf("tally %+v, want %+v", total, want)
	}
	others := 0
	for cid, paths := range at {
		path, _, ok, err := b.find(cid)
		if err != nil || !ok || !slices.Contains(paths, path) {
			t.Fatalf("blob of %q is found at %q %v", paths, path, err)
		}
		others += len(paths) - 1
	}
	if n := len(table.with(keyCID)); n != len(at) {
		t.Fatalf("%d blobs, want %d", n, len(at))
	}
	if n := len(table.with(keyOther)); n != others {
		t.Fatalf("%d other paths, want %d", n, others)
	}
	if n := len(table.with(keyPath)); n != len(model) {
		t.Fatalf("%d paths, want %d", n, len(model))
	}
	if len(model) == 0 && len(table.with(keyName, keyInode)) != 0 {
		t.Fatal("names are left of nothing")
	}
}

func TestCursor(t *testing.T) {
	b := newBox(t)
	var paths []string
	for i := range 2*pageSize + 3 {
		paths = append(paths, fmt.Sprintf("f/%04d", i))
	}
	paths = append(paths, "f", "f-1", "f.1", "g/x/y", "g/x/z", "g", strings.Repeat("p", dropdir.MaxPath))
	slices.Sort(paths)
	for some := range slices.Chunk(paths, 100) {
		g := newBatch(b.table, tally{}, 0)
		for _, p := range some {
			if err := g.add(p, known{cid: cidOf(p)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := writePairs(b.table, g.pairs()); err != nil {
			t.Fatal(err)
		}
	}
	below := func(at string) (want []string) {
		for _, p := range paths {
			if at == "" || p == at || strings.HasPrefix(p, at+"/") {
				want = append(want, p)
			}
		}
		return want
	}
	for _, at := range []string{"", "f", "g", "g/x", "none", "f-1"} {
		c, err := newCursor(b.table, at)
		var got []string
		for ; err == nil && c.ok; err = c.next() {
			got = append(got, c.path)
		}
		if err != nil || !slices.Equal(got, below(at)) {
			t.Errorf("%q: %d paths, want %d; %v", at, len(got), len(below(at)), err)
		}
	}
	c, err := newCursor(b.table, "")
	for err == nil && c.path != "f/0000" {
		err = c.next()
	}
	if err = c.skip("f/"); err != nil || c.path != "g" {
		t.Errorf("after skipping: %q %v", c.path, err)
	}
	if err = c.skip("g"); err != nil || c.path != "g/x/y" {
		t.Errorf("after skipping a file: %q %v", c.path, err)
	}
	if err = c.skip(""); err != nil || c.ok {
		t.Errorf("after skipping all: %q %v", c.path, err)
	}
}

func TestAfter(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "p/": "p0", "\xff\xff": ""} {
		if got := after(prefix); got != want {
			t.Errorf("after(%q) is %q", prefix, got)
		}
	}
}
