package share

import (
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"boucan/record"
)

// Of a file that is damaged here, the chunks that are good are given to peers, so
// that boxes whose copies rotted in different places heal one another. Its
// manifest is not given: a box that can be asked for that has the file whole.

// broken is a damaged file that is read for others. It is not kept open, for who
// repairs it has to have it for themselves.
type broken struct {
	path string
	k    known
	bad  bitset
}

// close gives a file back.
func (o servedFile) close() {
	if o.f != nil {
		o.f.Close() // was only read
	}
}

// openBroken finds the damaged file of a blob of several chunks. It fails with
// ErrNotHere where there is none.
func (b *Blobs) openBroken(cid record.CID) (*broken, error) {
	if !b.dir.Present() {
		return nil, errors.Join(ErrNotHere, ErrAway)
	}
	if !b.Damaged(cid) {
		return nil, ErrNotHere
	}
	d, ok, err := b.damageOf(cid)
	if err != nil {
		return nil, err
	}
	k, known, err := lookUp(b.get, d.path)
	if err != nil {
		return nil, err
	}
	if !ok || !known || !k.rotten || k.cid != cid || d.bad.count() == Chunks(k.size) {
		return nil, ErrNotHere
	}
	return &broken{path: d.path, k: k, bad: d.bad}, nil
}

// readBroken reads from a damaged file. It fails with ErrChanged where somebody has
// written or replaced it.
func (b *Blobs) readBroken(o *broken, p []byte, offset int64) (int, error) {
	b.mends.writing.RLock()
	defer b.mends.writing.RUnlock()
	f, e, err := b.dir.Open(o.path)
	if err != nil {
		return 0, err
	}
	defer f.Close() // was only read
	if !o.k.same(e) {
		return 0, ErrChanged
	}
	return f.ReadAt(p, offset)
}

// readsWell reports whether a chunk of a damaged file is not known to be bad and
// reads as it was indexed. One that does not is looked at.
func (b *Blobs) readsWell(o *broken, i int) bool {
	if o.bad.has(i) {
		return false
	}
	_, leaves, ok, err := b.leaves(o.k.cid, i/leavesAPiece)
	if err != nil || !ok {
		return false
	}
	offset := int64(i) * ChunkSize
	length := min(ChunkSize, o.k.size-offset)
	hash := sha256.New()
	v := b.transfers.serve
	buf := v.takeBuffer()
	defer v.putBuffer(buf)
	v.reads <- struct{}{}
	_, err = io.CopyBuffer(hash, io.NewSectionReader(brokenReader{b, o}, offset, length), buf[:cap(buf)])
	<-v.reads
	at := i % leavesAPiece * leafSize
	if err == nil && [leafSize]byte(hash.Sum(nil)) == [leafSize]byte(leaves[at:at+leafSize]) {
		return true
	}
	if v.mayCheck(wrongChunk{o.k.cid, i}, time.Now()) {
		b.doubt(o.k.cid, i)
	}
	return false
}

// brokenReader is a damaged file as an io.ReaderAt.
type brokenReader struct {
	b *Blobs
	o *broken
}

func (r brokenReader) ReadAt(p []byte, offset int64) (int, error) {
	return r.b.readBroken(r.o, p, offset)
}
