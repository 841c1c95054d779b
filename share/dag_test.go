package share

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boucan/record"
)

// random is content that nothing else has.
func random(seed uint64, size int) []byte {
	b := make([]byte, size)
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func everything(record.CID) bool { return true }

// visited is a block as Walk showed it.
type visited struct {
	cid  record.CID
	data []byte
}

// walk opens the DAG below a CID and collects what a walk of it visits. Each block
// must be what its CID says.
func (b *box) walk(cid record.CID, from, to int64, once bool) []visited {
	b.t.Helper()
	d, err := b.DAG(b.t.Context(), cid, everything)
	if err != nil {
		b.t.Fatalf("open %v: %v", cid, err)
	}
	defer d.Close()
	if to < 0 {
		to = d.Size()
	}
	var all []visited
	err = d.Walk(from, to, once, func(cid record.CID, size int, write func(io.Writer) error) error {
		var data bytes.Buffer
		if err := write(&data); err != nil {
			return err
		}
		if data.Len() != size || sha256.Sum256(data.Bytes()) != cid.Digest() {
			b.t.Errorf("%v: %d wrong bytes, said to be %d", cid, data.Len(), size)
		}
		all = append(all, visited{cid, data.Bytes()})
		return nil
	})
	if err != nil {
		b.t.Fatalf("walk %v: %v", cid, err)
	}
	return all
}

// block is a block asked for by itself.
func (b *box) block(cid record.CID) []byte {
	b.t.Helper()
	all := b.walk(cid, 0, 0, false)
	if len(all) != 1 || all[0].cid != cid {
		b.t.Fatalf("%v: %d blocks", cid, len(all))
	}
	return all[0].data
}

// links reads the CIDs of the links of a dag-pb block.
func links(t *testing.T, block []byte) (cids []record.CID) {
	t.Helper()
	for len(block) > 0 {
		tag := block[0]
		length, n := binary.Uvarint(block[1:])
		field := block[1+n:][:length]
		block = block[1+n+int(length):]
		if tag == 0x12 {
			if field[0] != 0x0a || field[1] != 36 {
				t.Fatal("a link without a CID")
			}
			cids = append(cids, record.CID(field[2:]))
		}
	}
	return cids
}

// follow asks for every block by its own CID, as a stock client does, depth first.
func (b *box) follow(cid record.CID) (cids []record.CID, content int) {
	b.t.Helper()
	data := b.block(cid)
	if cids = append(cids, cid); cid.Codec() == record.CodecRaw {
		return cids, len(data)
	}
	for _, below := range links(b.t, data) {
		more, n := b.follow(below)
		cids, content = append(cids, more...), content+n
	}
	return cids, content
}

func cidsOf(all []visited) (cids []record.CID) {
	for _, v := range all {
		cids = append(cids, v.cid)
	}
	return cids
}

func TestDAGEverySize(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for i, size := range []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 5<<20 + 7, 33 << 20} {
		data := random(uint64(i), size)
		cid := b.drop(fmt.Sprint(i), string(data)).CID
		all := b.walk(cid, 0, -1, false)
		var content []byte
		for _, v := range all {
			if v.cid.Codec() == record.CodecRaw {
				content = append(content, v.data...)
			}
		}
		if !bytes.Equal(content, data) {
			t.Errorf("%d bytes: the chunks hold %d others", size, len(content))
		}
		cids, n := b.follow(cid)
		if n != size || !slices.Equal(cids, cidsOf(all)) {
			t.Errorf("%d bytes: %d blocks of %d bytes one by one, %d in one go", size, len(cids), n, len(all))
		}
	}
}

// giant puts a file of two levels into the folder, mostly zeros, and waits for it.
func (b *box) giant(name string, size int64, at ...int64) record.CID {
	b.t.Helper()
	f, err := os.Create(b.at(name))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, i := range at {
		if _, err := f.WriteAt([]byte(fmt.Sprint("here ", i)), i); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		b.t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(b.at(name), old, old); err != nil {
		b.t.Fatal(err)
	}
	b.run()
	defer b.halt()
	b.catalog.until(b.t, "it is read", func() bool { return len(b.catalog.appeared) > 0 })
	return b.listed()[name]
}

// A file of more than 1024 chunks has two levels of nodes.
func TestDAGOfTwoLevels(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	const size = 1_100_000_000
	if got, want := b.giant("zeros", size).String(), "bafybeifrzyneoz7psw3l3djg4h4kwq4la7vptczbde624uopmtep3hueiq"; got != want {
		t.Fatalf("the file is %s, want kubo's %s", got, want)
	}
	cid := b.listed()["zeros"]
	d, err := b.DAG(t.Context(), cid, everything)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	// The order and the names of the blocks, without reading each of the same zeros.
	walk := func(from, to int64, once bool) (cids []record.CID) {
		err := d.Walk(from, to, once, func(cid record.CID, _ int, _ func(io.Writer) error) error {
			cids = append(cids, cid)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return cids
	}
	inner := links(t, b.block(cid))
	var want []record.CID
	for _, i := range inner {
		want = append(append(want, i), links(t, b.block(i))...)
	}
	if got := walk(0, size, false); !slices.Equal(got, append([]record.CID{cid}, want...)) || len(want) != 1050+2 {
		t.Errorf("%d blocks, want %d", len(got), 1+len(want))
	}
	// Zeros, zeros, and an end that is shorter.
	if got := walk(0, size, true); len(got) != 1+2+2 {
		t.Errorf("%d blocks without those that came before", len(got))
	}
	for _, c := range []struct {
		from, to int64
		want     []record.CID
	}{
		{0, 0, []record.CID{cid}},
		{size, size + 9, []record.CID{cid}},
		{0, 1, []record.CID{cid, inner[0], want[1]}},
		{ChunkSize - 1, ChunkSize + 1, []record.CID{cid, inner[0], want[1], want[2]}},
		{1024*ChunkSize - 1, 1024*ChunkSize + 1, []record.CID{cid, inner[0], want[1024], inner[1], want[1026]}},
		{size - 1, 1 << 60, []record.CID{cid, inner[1], want[len(want)-1]}},
		{-5, 1, []record.CID{cid, inner[0], want[1]}},
	} {
		if got := walk(c.from, c.to, false); !slices.Equal(got, c.want) {
			t.Errorf("bytes %d to %d: %d blocks, want %d", c.from, c.to, len(got), len(c.want))
		}
	}
	// What is below an inner node.
	below := b.walk(inner[1], 0, -1, false)
	if got := cidsOf(below); !slices.Equal(got, want[1025:]) {
		t.Errorf("%d blocks below the second node, want %d", len(got), len(want)-1025)
	}
	if got := cidsOf(b.walk(inner[1], ChunkSize, ChunkSize+1, false)); !slices.Equal(got, []record.CID{inner[1], want[1027]}) {
		t.Errorf("a part of what is below it: %d blocks", len(got))
	}
}

// scans counts how often the index is gone through from its beginning.
type scans struct {
	Index
	manifests atomic.Int64
	hold      chan struct{} // waited for before each, where there is one
}

func (s *scans) Scan(from, to []byte) (iter.Seq2[[]byte, []byte], func() error) {
	if string(from) == string(keyManifest) {
		s.manifests.Add(1)
		if s.hold != nil {
			<-s.hold
		}
	}
	return s.Index.Scan(from, to)
}

// Nobody asked for the root: the chunk, or inner node, is found all the same, and
// what is beside it at once.
func TestBlockIsFoundAmongAll(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	giant := b.giant("giant", 1025<<20, 7<<20, 1024<<20)
	var film record.CID
	for i := range 40 {
		d := b.drop(fmt.Sprint(i), string(random(uint64(i), 2<<20+i)))
		if i == 20 {
			film = d.CID
		}
	}
	chunks := links(t, b.block(film))
	inner := links(t, b.block(giant))
	deep := links(t, b.block(inner[0]))
	b.again()
	count := &scans{Index: b.index}
	b.index = count
	for i, c := range []struct {
		cid  record.CID
		want int64 // how often all was looked through by then
	}{{chunks[2], 1}, {chunks[0], 1}, {inner[1], 2}, {inner[0], 2}, {deep[7], 2}, {deep[8], 2}, {film, 2}, {giant, 2}} {
		b.block(c.cid)
		if got := count.manifests.Load(); got != c.want {
			t.Errorf("block %d: all was looked through %d times, want %d", i, got, c.want)
		}
	}
	// It is not found in what is not offered, nor once it is gone.
	not := func(blob record.CID) bool { return blob != film }
	if _, err := b.DAG(t.Context(), chunks[0], not); !errors.Is(err, ErrNotHere) {
		t.Errorf("not offered: %v", err)
	}
	if _, err := b.DAG(t.Context(), film, not); !errors.Is(err, ErrNotHere) {
		t.Errorf("not offered: %v", err)
	}
	if err := b.Release(t.Context(), film); err != nil {
		t.Fatal(err)
	}
	for _, cid := range []record.CID{film, chunks[0]} {
		if _, err := b.DAG(t.Context(), cid, everything); !errors.Is(err, ErrNotHere) {
			t.Errorf("removed: %v", err)
		}
	}
}

// Many who ask for what nobody has are answered together.
func TestLookupsShareThePass(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	cid := b.drop("film", string(random(1, 3<<20))).CID
	chunk := links(t, b.block(cid))[1]
	b.again()
	count := &scans{Index: b.index, hold: make(chan struct{})}
	b.index = count
	var all sync.WaitGroup
	ask := func(cid record.CID, want error) {
		all.Go(func() {
			d, err := b.DAG(t.Context(), cid, everything)
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			if err == nil {
				d.Close()
			}
		})
	}
	for i := range 50 {
		ask(cidOf(fmt.Sprint("unknown ", i)), ErrNotHere)
	}
	ask(chunk, nil)
	ask(chunk, nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.DAG(gone, cidOf("not waited for"), everything); !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v", err)
	}
	waits := func() int {
		b.blocks.mu.Lock()
		defer b.blocks.mu.Unlock()
		return len(b.blocks.waiting)
	}
	for waits() < 52 {
		<-time.After(time.Millisecond)
	}
	close(count.hold)
	all.Wait()
	if got := count.manifests.Load(); got > 2 || waits() != 0 {
		t.Errorf("all was looked through %d times, %d still wait", got, waits())
	}
}

// Not the whole of a wrong chunk is passed on, and its blob is not offered any more.
func TestDAGOfARottenFile(t *testing.T) {
	t.Parallel()
	for _, size := range []int{500, 3 << 20} {
		b := newBox(t)
		data := random(3, size)
		d := b.drop("rotten", string(data))
		info, err := os.Stat(b.at(d.Path))
		if err != nil {
			t.Fatal(err)
		}
		data[size/2] ^= 1
		b.put(d.Path, string(data))
		if err := os.Chtimes(b.at(d.Path), info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		dag, err := b.DAG(t.Context(), d.CID, everything)
		if err != nil {
			t.Fatal(err)
		}
		defer dag.Close()
		var sent []int
		err = dag.Walk(0, dag.Size(), false, func(_ record.CID, size int, write func(io.Writer) error) error {
			var data bytes.Buffer
			err := write(&data)
			sent = append(sent, size-data.Len())
			return err
		})
		if !errors.Is(err, ErrChanged) || sent[len(sent)-1] <= 0 {
			t.Errorf("%d bytes: %v, of each block was kept back %d", size, err, sent)
		}
		if _, err := b.DAG(t.Context(), d.CID, everything); !errors.Is(err, ErrNotHere) {
			t.Errorf("%d bytes, asked for again: %v", size, err)
		}
	}
}
