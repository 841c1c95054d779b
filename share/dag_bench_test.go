package share

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"boucan/record"
	"boucan/share/dropdir"
	"boucan/store"
)

// BenchmarkFindBlock finds the chunks of 2 TB in 100,000 files of 20 MiB: one whose
// file was asked for lately, and one that nobody asked for anything near.
func BenchmarkFindBlock(b *testing.B) {
	const files, chunks = 100_000, 20
	dir := b.TempDir()
	folder, err := dropdir.Open(filepath.Join(dir, "files"), dropdir.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer folder.Close()
	db, err := store.Open(filepath.Join(dir, "store"), store.Options{CacheBytes: 8 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	leaf := func(file, chunk int) [leafSize]byte {
		return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(file)<<32|uint64(chunk)))
	}
	blobs, err := Open(folder, db.Table(store.Blobs), nobody{}, newCatalog(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	var last record.CID
	for from := 0; from < files; from += 500 {
		var pairs []pair
		for i := from; i < from+500; i++ {
			var leaves []byte
			for c := range chunks {
				sum := leaf(i, c)
				leaves = append(leaves, sum[:]...)
			}
			m := newManifest(chunks*ChunkSize, leaves)
			k := known{cid: m.CID, size: m.Size}
			last = m.CID
			pairs = append(pairs, m.piece(0), pair{cidKey(keyCID, m.CID), []byte(m.CID.String())}, pair{pathKey(m.CID.String()), k.encode()})
		}
		if err := writePairs(blobs.index, pairs); err != nil {
			b.Fatal(err)
		}
	}
	raw := func(sum [leafSize]byte) record.CID { return record.NewCID(record.CodecRaw, sum) }
	find := func(b *testing.B, cid record.CID, want error) {
		if _, _, _, err := blobs.locate(b.Context(), cid, everything); !errors.Is(err, want) {
			b.Fatal(err)
		}
	}
	b.Run("beside", func(b *testing.B) {
		find(b, last, nil)
		for i := range b.N {
			find(b, raw(leaf(files-1, i%chunks)), nil)
		}
	})
	b.Run("among all", func(b *testing.B) {
		for range b.N {
			blobs.blocks.restTo, blobs.blocks.lately = blobs.blocks.restTo.AddDate(-1, 0, 0), nil
			find(b, raw([leafSize]byte{1}), ErrNotHere)
		}
	})
	b.Run("among all, an inner node", func(b *testing.B) {
		for range b.N {
			blobs.blocks.restTo = blobs.blocks.restTo.AddDate(-1, 0, 0)
			find(b, record.NewCID(record.CodecDagPB, [leafSize]byte{1}), ErrNotHere)
		}
	})
}

// BenchmarkSendBlob sends the whole DAG of 64 MiB, verified.
func BenchmarkSendBlob(b *testing.B) {
	folder, err := dropdir.Open(filepath.Join(b.TempDir(), "files"), dropdir.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer folder.Close()
	table, err := openTable(filepath.Join(b.TempDir(), "table"))
	if err != nil {
		b.Fatal(err)
	}
	defer table.log.Close()
	blobs, err := Open(folder, table, nobody{}, newCatalog(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	const size = 64 << 20
	d, err := blobs.Drop(b.Context(), "film", io.NewSectionReader(zeros{size}, 0, size))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		dag, err := blobs.DAG(b.Context(), d.CID, everything)
		if err != nil {
			b.Fatal(err)
		}
		err = dag.Walk(0, size, false, func(_ record.CID, _ int, write func(io.Writer) error) error { return write(io.Discard) })
		if err != nil {
			b.Fatal(err)
		}
		dag.Close()
	}
}
