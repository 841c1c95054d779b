package share

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"

	"boucan/record"
)

// DAG is a block of a blob that is here, with all blocks below it, as IPFS
// clients ask for them. It is for one goroutine. What it holds in memory does not
// grow with the blob by more than 64 bytes for each GiB and, for Walk with once, a
// bit for each MiB.
type DAG struct {
	b    *Blobs
	f    *os.File
	size int64 // bytes of the blob
	place
	above  []node // the inner nodes below the root of a blob of two levels, else nil
	buf    []byte
	leaves []byte // of piece
	piece  int
}

// place is where a block stands in the DAG of a blob.
type place struct {
	blob  record.CID
	level int // 0 for a chunk, 1 above chunks, 2 above those
	index int // from the left, on its level
}

// Two levels of inner nodes are enough for the largest blob.
const _ = uint64(dagWidth*dagWidth*ChunkSize - record.MaxBlob)

// sendBytes is how much of a chunk is read and passed on at a time.
const sendBytes = 64 << 10

// rootPlace is the place of a blob's own block.
func rootPlace(blob record.CID, size int64) place {
	switch n := Chunks(size); {
	case n == 1:
		return place{blob: blob}
	case n <= dagWidth:
		return place{blob: blob, level: 1}
	}
	return place{blob: blob, level: 2}
}

// DAG finds a block by its CID: a blob, an inner node or a chunk of one. It looks
// only in blobs that offered reports true for. It fails with ErrNotHere,
// ErrChanged or ErrAway as [Blobs.Open] does; the caller closes it. How a chunk is
// found and what that costs, see blocks.
func (b *Blobs) DAG(ctx context.Context, cid record.CID, offered func(blob record.CID) bool) (*DAG, error) {
	p, size, above, err := b.locate(ctx, cid, func(blob record.CID) bool {
		return !b.transfers.serve.isSpoiled(blob) && offered(blob)
	})
	if err != nil {
		return nil, fmt.Errorf("find block: %w", err)
	}
	f, file, err := b.Open(p.blob)
	if err != nil {
		return nil, fmt.Errorf("open block: %w", err)
	}
	if file.Size != size {
		f.Close() // was only read
		return nil, fmt.Errorf("open block: %w", ErrChanged)
	}
	return &DAG{b: b, f: f, size: size, place: p, above: above, piece: -1}, nil
}

// Close closes the blob's file.
func (d *DAG) Close() error { return d.f.Close() }

// chunks is the range of the blob's chunks that are below the root.
func (d *DAG) chunks() (first, end int) {
	first, end = 0, Chunks(d.size)
	switch d.level {
	case 0:
		return d.index, d.index + 1
	case 1:
		first = d.index * dagWidth
		return first, min(first+dagWidth, end)
	}
	return first, end
}

// Size is how many bytes of the file are below the root.
func (d *DAG) Size() int64 {
	first, end := d.chunks()
	return min(d.size, int64(end)*ChunkSize) - int64(first)*ChunkSize
}

// Visitor is called for a block of size bytes. What it calls write with is given
// the bytes in pieces, the last of which only when all of them are those of the CID.
type Visitor = func(cid record.CID, size int, write func(io.Writer) error) error

// Walk visits the root, and below it the blocks that hold the bytes from..to-1 of
// what Size counts, depth first; no more than the root where there are none. With
// once, a block that came before is not visited again. It fails as visit does, and
// with ErrChanged where a chunk on the disk is not what it was; the blob is not
// offered any more then.
func (d *DAG) Walk(from, to int64, once bool, visit Visitor) error {
	first, _ := d.chunks()
	from, to = max(from, 0), min(to, d.Size())
	w := walk{DAG: d, visit: visit, from: first, to: first}
	if from < to {
		w.from, w.to = first+int(from/ChunkSize), first+int((to-1)/ChunkSize)+1
	}
	if once && w.to-w.from > 1 {
		var err error
		if w.repeats, err = d.repeats(w.from, w.to); err != nil {
			return err
		}
	}
	switch d.level {
	case 0:
		return w.leaf(d.index)
	case 1:
		return w.group(d.index)
	}
	block := appendNode(nil, d.above)
	if err := w.block(nodeOf(block, d.above).cid, block); err != nil {
		return err
	}
	for g := w.from / dagWidth; g*dagWidth < w.to; g++ {
		if err := w.group(g); err != nil {
			return err
		}
	}
	return nil
}

// walk is one Walk, of the chunks from..to-1.
type walk struct {
	*DAG
	visit    Visitor
	from, to int
	repeats  bitset // the chunks that came before, counted from from on; nil for none
}

func (w *walk) block(cid record.CID, block []byte) error {
	return w.visit(cid, len(block), func(to io.Writer) error {
		_, err := to.Write(block)
		return err
	})
}

// group visits an inner node above chunks, and those of them that are asked for.
func (w *walk) group(g int) error {
	leaves, err := w.take(g)
	if err != nil {
		return err
	}
	inner, block := innerNode(w.size, g, leaves)
	same := func(n node) bool { return n.cid == inner.cid }
	if w.repeats == nil || w.above == nil || !slices.ContainsFunc(w.above[w.from/dagWidth:g], same) {
		if err := w.block(inner.cid, block); err != nil {
			return err
		}
	}
	for i := max(w.from, g*dagWidth); i < min(w.to, (g+1)*dagWidth); i++ {
		if w.repeats != nil && w.repeats.has(i-w.from) {
			continue
		}
		if err := w.leaf(i); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) leaf(i int) error {
	leaves, err := w.take(i / dagWidth)
	if err != nil {
		return err
	}
	leaf := leafNode(w.size, i, leaves[i%dagWidth*leafSize:])
	return w.visit(leaf.cid, int(leaf.size), func(to io.Writer) error { return w.copy(to, i, leaf.cid.Digest()) })
}

// take reads a piece of the manifest, and keeps it until the next is read.
func (d *DAG) take(piece int) ([]byte, error) {
	if d.piece == piece {
		return d.leaves, nil
	}
	size, leaves, ok, err := d.b.leaves(d.blob, piece)
	if err == nil && (!ok || size != d.size) {
		err = ErrNotHere // it went meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	d.leaves, d.piece = leaves, piece
	return leaves, nil
}

// copy passes a chunk on. The last piece of it waits until all has proved right,
// so that nobody gets the whole of a wrong one.
func (d *DAG) copy(w io.Writer, i int, sum [leafSize]byte) error {
	offset, length := Manifest{Size: d.size}.Chunk(i)
	hash := sha256.New()
	for done := 0; ; {
		if d.buf == nil {
			d.buf = make([]byte, sendBytes)
		}
		d.b.use()
		p := d.buf[:min(sendBytes, length-done)]
		if n, err := d.f.ReadAt(p, offset+int64(done)); n < len(p) {
			return fmt.Errorf("read blob: %w", noEOF(err))
		}
		hash.Write(p)
		done += len(p)
		if done == length && [leafSize]byte(hash.Sum(nil)) != sum {
			d.b.transfers.serve.spoil(d.blob, i)
			return fmt.Errorf("read blob: %w", ErrChanged)
		}
		if _, err := w.Write(p); err != nil || done == length {
			return err
		}
	}
}

// innerNode is the inner node above the chunks of a piece, and its block.
func innerNode(size int64, piece int, leaves []byte) (node, []byte) {
	children := make([]node, 0, dagWidth)
	for i := range len(leaves) / leafSize {
		children = append(children, leafNode(size, piece*dagWidth+i, leaves[i*leafSize:]))
	}
	block := appendNode(nil, children)
	return nodeOf(block, children), block
}

// repeats marks the chunks from..to-1 whose bytes came before among them. It takes
// 24 bytes for each while it works, 6 MiB for the largest blob, and works for one
// caller at a time.
func (d *DAG) repeats(from, to int) (bitset, error) {
	d.b.blocks.sorting.Lock()
	defer d.b.blocks.sorting.Unlock()
	type leaf struct {
		sum [16]byte // half of it: two that agree by chance or by force cost 2^64
		i   int
	}
	all := make([]leaf, 0, to-from)
	for i := from; i < to; i++ {
		leaves, err := d.take(i / dagWidth)
		if err != nil {
			return nil, err
		}
		all = append(all, leaf{[16]byte(leaves[i%dagWidth*leafSize:]), i})
	}
	slices.SortFunc(all, func(a, b leaf) int {
		if c := bytes.Compare(a.sum[:], b.sum[:]); c != 0 {
			return c
		}
		return a.i - b.i
	})
	set := newBitset(to - from)
	for n := 1; n < len(all); n++ {
		if all[n].sum == all[n-1].sum {
			set.set(all[n].i - from)
		}
	}
	return set, nil
}
