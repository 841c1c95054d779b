package share

import (
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"boucan/record"
)

// damage is what is known of a file that does not read as it was indexed.
type damage struct {
	path    string
	since   int64  // Unix milliseconds
	mending bool   // it is being written to, so that its times may be ours
	bad     bitset // the chunks that are wrong or cannot be read
}

// encode keeps flags, time, path and the chunks, lowest first, 64 at a time.
func (d damage) encode() []byte {
	b := []byte{0}
	if d.mending {
		b[0] = 1
	}
	b = binary.AppendVarint(b, d.since)
	b = binary.AppendUvarint(b, uint64(len(d.path)))
	b = append(b, d.path...)
	for _, w := range d.bad {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return b
}

// decodeDamage accepts exactly what encode makes.
func decodeDamage(b []byte) (damage, error) {
	const mostWords = record.MaxBlob / ChunkSize / 64
	if len(b) == 0 || b[0] > 1 {
		return damage{}, errIndex
	}
	d := damage{mending: b[0] == 1}
	since, n := binary.Varint(b[1:])
	if n <= 0 || n != len(binary.AppendVarint(nil, since)) {
		return damage{}, errIndex
	}
	d.since, b = since, b[1+n:]
	length, n := binary.Uvarint(b)
	if n <= 0 || n != uvarintLen(length) || length > uint64(len(b)-n) {
		return damage{}, errIndex
	}
	d.path, b = string(b[n:n+int(length)]), b[n+int(length):]
	if len(b)%8 != 0 || len(b)/8 > mostWords {
		return damage{}, errIndex
	}
	for ; len(b) > 0; b = b[8:] {
		d.bad = append(d.bad, binary.BigEndian.Uint64(b))
	}
	return d, nil
}

// Damaged is a file that does not read as it was stored.
type Damaged struct {
	File
	Since  time.Time // when that was found
	Chunks int       // that are wrong or cannot be read, of 1 MiB
}

// Damages yields the damaged files, in no particular order. The caller may call
// any method meanwhile.
func (b *Blobs) Damages() (iter.Seq[Damaged], func() error) {
	pages, end := pagesOf(b.index, string(keyDamage))
	var bad error
	seq := func(yield func(Damaged) bool) {
		for p := range pages {
			d, err := decodeDamage(p.value)
			if err != nil {
				bad = fmt.Errorf("read index: %w", err)
				return
			}
			k, ok, err := lookUp(b.get, d.path)
			if err != nil {
				bad = err
				return
			}
			if ok && k.rotten && !yield(Damaged{k.file(d.path), time.UnixMilli(d.since), d.bad.count()}) {
				return
			}
		}
	}
	return seq, func() error {
		if bad != nil {
			return bad
		}
		return end()
	}
}

// Damaged reports whether a file of these bytes lies here that is damaged. It costs
// nothing where none is.
func (b *Blobs) Damaged(cid record.CID) bool {
	if b.readTally().damaged == 0 {
		return false
	}
	_, ok, err := b.damageOf(cid)
	return err == nil && ok
}

// countDamage counts the damaged files. Wherever there are none, which is nearly
// always, the tally saves a look into the index for each blob.
func (b *Blobs) countDamage() (n int64, err error) {
	pages, end := pagesOf(b.index, string(keyDamage))
	for range pages {
		n++
	}
	return n, end()
}

// damageOf finds a damaged file of the blob.
func (b *Blobs) damageOf(cid record.CID) (damage, bool, error) {
	if b.readTally().damaged == 0 {
		return damage{}, false, nil
	}
	prefix := cidKey(keyDamage, cid)
	seq, end := b.index.Scan([]byte(prefix), []byte(after(prefix)))
	var d damage
	var bad error
	found := false
	for _, v := range seq {
		d, bad = decodeDamage(v)
		found = bad == nil
		break
	}
	if err := end(); err != nil {
		bad = err
	}
	if bad != nil {
		return damage{}, false, fmt.Errorf("read index: %w", bad)
	}
	return d, found, nil
}

// damageOf finds a damaged file of the blob.
func (t *batch) damageOf(cid record.CID) (damage, bool, error) {
	if t.tally.damaged == 0 {
		return damage{}, false, nil
	}
	at, ok, err := t.first(cidKey(keyDamage, cid))
	if err != nil || !ok {
		return damage{}, false, err
	}
	d, err := decodeDamage(at.value)
	if err != nil {
		return damage{}, false, fmt.Errorf("read index: %w", err)
	}
	return d, true, nil
}

// damaged finds what is known of the damage of one file.
func (t *batch) damaged(path string, k known) (damage, bool, error) {
	v, ok, err := t.get(pathCIDKey(keyDamage, k.cid, path))
	if err != nil || !ok {
		return damage{}, false, err
	}
	d, err := decodeDamage(v)
	if err != nil {
		return damage{}, false, fmt.Errorf("read index: %w", err)
	}
	return d, true, nil
}

// spoil keeps a file known as damaged, and does not offer it. The chunks are
// added to those known to be bad.
func (t *batch) spoil(path string, k known, bad bitset, now time.Time) error {
	d, had, err := t.damaged(path, k)
	if err != nil {
		return err
	}
	if !had {
		d = damage{path: path, since: now.UnixMilli(), bad: newBitset(Chunks(k.size))}
		t.tally.damaged++
	}
	for i := range min(len(d.bad), len(bad)) {
		d.bad[i] |= bad[i]
	}
	t.put(pathCIDKey(keyDamage, k.cid, path), d.encode())
	if k.held {
		k.rotten = true
		t.put(pathKey(path), k.encode())
		return nil
	}
	k.rotten = true
	return t.hold(path, k)
}

// whole forgets the damage of a file.
func (t *batch) whole(path string, k known) error {
	_, had, err := t.damaged(path, k)
	if err != nil || !had {
		return err
	}
	t.tally.damaged--
	t.remove(pathCIDKey(keyDamage, k.cid, path))
	return nil
}

// lose makes a damaged file that is gone one that is held back like others.
func (t *batch) lose(path string, k known) error {
	if err := t.whole(path, k); err != nil {
		return err
	}
	k.rotten = false
	t.put(pathKey(path), k.encode())
	return nil
}

// badChunks are the chunks of a file in which what was read, which may be shorter,
// differs from what was indexed: all of them where it is not known what they were.
func (t *batch) badChunks(k known, read Manifest) (bitset, error) {
	bad := allChunks(k.size)
	for piece := range pieces(k.size) {
		v, ok, err := t.get(pieceKey(k.cid, piece))
		if err != nil || !ok {
			return bad, err
		}
		_, leaves, err := decodePiece(v, piece)
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		for i := range len(leaves) / leafSize {
			at := piece*leavesAPiece + i
			if offset := int64(at) * ChunkSize; min(offset+ChunkSize, k.size) > read.Size {
				return bad, nil
			}
			if read.Leaf(at) == [leafSize]byte(leaves[i*leafSize:]) {
				bad.clear(at)
			}
		}
	}
	return bad, nil
}

// spoiling is the change that notes that chunks of a file are bad, if it is
// still the one that was read.
func (b *Blobs) spoiling(path string, was known, bad bitset, spoilt *bool) *change {
	c := weigh(oldFile, path, Manifest{}, func(g *group) error {
		k, ok, err := g.lookUp(path)
		if err != nil || !ok || k.cid != was.cid || k.modified != was.modified || k.held && !k.rotten || !b.unchanged(path, k) {
			return err
		}
		*spoilt = true
		return g.spoil(path, k, bad, b.o.Now())
	})
	c.bytes += 8 * len(bad)
	return c
}

// healing is the change that offers a file again that reads as it should.
func (b *Blobs) healing(path string, was known, healed *bool) *change {
	return weigh(oldFile, path, Manifest{}, func(g *group) error {
		k, ok, err := g.lookUp(path)
		if err != nil || !ok || !k.rotten || k.cid != was.cid || !b.unchanged(path, k) {
			return err
		}
		*healed = true
		return g.offer(path, k)
	})
}

func (b bitset) count() int {
	n := 0
	for i := b.next(0); i >= 0; i = b.next(i + 1) {
		n++
	}
	return n
}
