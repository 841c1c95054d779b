package share

import (
	"errors"
	"fmt"
	"os"

	"boucan/record"
	"boucan/share/dropdir"
)

// piecesInChange is how many pieces of a manifest are written together with
// the file that they are of, those of 4 GiB. Longer manifests come before.
const piecesInChange = 4

// errNoManifest says that the pieces of a long manifest, written before, are
// gone.
var errNoManifest = errors.New("manifest was removed meanwhile")

// Manifest returns the chunk hashes of a blob that is here or being fetched;
// false where they are not known. It takes 32 bytes of memory for each MiB of
// the blob; see [Blobs.leaves] for less.
func (b *Blobs) Manifest(cid record.CID) (Manifest, bool, error) {
	size, first, ok, err := b.leaves(cid, 0)
	if err != nil || !ok {
		return Manifest{}, false, err
	}
	if pieces(size) == 0 {
		return oneChunk(cid, size), true, nil
	}
	m := Manifest{CID: cid, Size: size, Leaves: make([]byte, 0, Chunks(size)*leafSize)}
	m.Leaves = append(m.Leaves, first...)
	for i := 1; i < pieces(size); i++ {
		s, piece, ok, err := b.leaves(cid, i)
		if err != nil || !ok || s != size {
			return Manifest{}, false, err
		}
		m.Leaves = append(m.Leaves, piece...)
	}
	return m, true, nil
}

// leaves returns one piece of a blob's manifest, the hashes of chunks
// leavesAPiece*piece and up, and the blob's size in bytes.
func (b *Blobs) leaves(cid record.CID, piece int) (size int64, leaves []byte, ok bool, err error) {
	if cid.Codec() == record.CodecRaw {
		if piece != 0 {
			return 0, nil, false, nil
		}
		_, k, ok, err := b.find(cid)
		leaf := cid.Digest()
		return k.size, leaf[:], ok, err
	}
	v, ok, err := b.get(pieceKey(cid, piece))
	if err != nil || !ok {
		return 0, nil, false, err
	}
	size, leaves, err = decodePiece(v, piece)
	if err != nil {
		return 0, nil, false, fmt.Errorf("read manifest: %w", err)
	}
	return size, leaves, true, nil
}

// saveManifest writes what putManifest does not.
func (b *Blobs) saveManifest(m Manifest) error {
	n := pieces(m.Size)
	if n <= piecesInChange {
		return nil
	}
	const atOnce = groupBytes / (leavesAPiece * leafSize)
	for from := 0; from < n; from += atOnce {
		var pairs []pair
		for i := from; i < min(n, from+atOnce); i++ {
			pairs = append(pairs, m.piece(i))
		}
		if err := writePairs(b.index, pairs); err != nil {
			return err
		}
	}
	return nil
}

// putManifest makes the manifest known; a long one must have been saved.
func (t *batch) putManifest(m Manifest) error {
	n := pieces(m.Size)
	if n > piecesInChange {
		_, ok, err := t.get(pieceKey(m.CID, n-1))
		if err == nil && !ok {
			err = errNoManifest
		}
		return err
	}
	for i := range n {
		p := m.piece(i)
		t.put(p.key, p.value)
	}
	return nil
}

func (m Manifest) piece(i int) pair {
	from := i * leavesAPiece * leafSize
	to := min(len(m.Leaves), from+leavesAPiece*leafSize)
	return pair{pieceKey(m.CID, i), encodePiece(m.Size, m.Leaves[from:to])}
}

// openBlob opens a blob for serving, with its manifest, by way of an opener,
// which may be nil.
func (b *Blobs) openBlob(o *dropdir.Opener, cid record.CID) (*os.File, Manifest, error) {
	b.use()
	f, file, err := b.openBy(o, cid)
	if err != nil {
		return nil, Manifest{}, err
	}
	if pieces(file.Size) == 0 {
		return f, oneChunk(cid, file.Size), nil
	}
	m, ok, err := b.Manifest(cid)
	if err == nil && !ok {
		b.recheck(cid)
		err = ErrNotHere
	}
	if err != nil {
		return nil, Manifest{}, errors.Join(err, f.Close())
	}
	return f, m, nil
}

// recheck reads the blob's file again, because its manifest is lost. One that
// does not read as it was indexed is not offered any more.
func (b *Blobs) recheck(cid record.CID) {
	if path, ok := b.Path(cid); ok && b.suspects.add(path) {
		b.hints.add(path)
	}
}
