package share

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// The table's keys, by their first byte. Hashes stand where nothing but
// equality is asked.
//
//	p path              what lies there: a known file
//	c CID               its first path
//	d CID hash(path)    another path of it
//	n hash(fold)        hashes of the paths that fold so
//	e hash(fold)        a folder whose path folds so
//	i inode             the path of a large file, to know it again when it is moved
//	m CID piece         chunk hashes, leavesAPiece of them
//	q CID               what has landed of a blob that is being fetched
//	x CID               never to be fetched again
//	g CID hash(path)    a file that vanished, until the catalog knows
//	b CID hash(path)    the damage of a file that is rotten
//	u upload            an unfinished drop that comes in pieces
//	s name              settings: the folder's mark, the tally, how far the scrub is
const (
	keyPath     = 'p'
	keyCID      = 'c'
	keyOther    = 'd'
	keyName     = 'n'
	keyFolder   = 'e'
	keyInode    = 'i'
	keyManifest = 'm'
	keyPartial  = 'q'
	keyRefused  = 'x'
	keyGone     = 'g'
	keyDamage   = 'b'
	keyUpload   = 'u'
	keySetting  = 's'
)

const (
	settingMark  = "smark"
	settingTally = "stally"
	settingScrub = "sscrub"
)

const (
	leavesAPiece = dagWidth // 32 KiB of hashes in one value
	pageSize     = 512      // keys read from the table at a time
	maxNameTwins = 64       // paths of one fold that are remembered
	// movable is the least size in bytes of a file that is known again by its
	// inode when people move it; smaller ones are quick to read again.
	movable = 4 << 20
)

// errIndex says that a value of the table does not read as what it should be.
var errIndex = errors.New("index entry is malformed")

// known is a file as the index knows it.
type known struct {
	cid      record.CID
	size     int64
	modified int64 // Unix nanoseconds, wrapped around where it does not fit
	inode    uint64
	held     bool // not offered: gone from the folder and held back by the guard, or rotten
	rotten   bool // there, but it does not read as it was indexed
}

func (k known) file(path string) File {
	return File{Path: path, CID: k.cid, Size: k.size, Modified: time.Unix(0, k.modified)}
}

// same reports whether what lies in the folder is still what was indexed.
func (k known) same(e dropdir.Entry) bool {
	return k.size == e.Size && k.modified == e.Modified.UnixNano() &&
		(k.inode == e.Inode || k.inode == 0 || e.Inode == 0)
}

// cutShort reports whether what lies in the folder is what was indexed, but
// shorter, as a check of the file system leaves a file whose end is lost. Whoever
// edits a file gives it another time, also a program that keeps the times of what
// it copies: that of the shorter version is another one.
func (k known) cutShort(e dropdir.Entry) bool {
	return e.Size < k.size && k.modified == e.Modified.UnixNano() &&
		(k.inode == e.Inode || k.inode == 0 || e.Inode == 0)
}

func knownOf(e dropdir.Entry, cid record.CID) known {
	return known{cid: cid, size: e.Size, modified: e.Modified.UnixNano(), inode: e.Inode}
}

const (
	flagHeld   = 1
	flagRotten = 2
)

func (k known) encode() []byte {
	b := make([]byte, 1, 1+len(k.cid)+3*binary.MaxVarintLen64)
	if k.held {
		b[0] |= flagHeld
	}
	if k.rotten {
		b[0] |= flagRotten
	}
	b = append(b, k.cid[:]...)
	b = binary.AppendUvarint(b, uint64(k.size))
	b = binary.AppendVarint(b, k.modified)
	return binary.AppendUvarint(b, k.inode)
}

// decodeKnown accepts exactly what encode makes.
func decodeKnown(b []byte) (known, error) {
	var k known
	if len(b) < 1+len(k.cid) || b[0]&^(flagHeld|flagRotten) != 0 {
		return known{}, errIndex
	}
	whole := b
	k.held, k.rotten = b[0]&flagHeld != 0, b[0]&flagRotten != 0
	k.cid = record.CID(b[1:])
	b = b[1+len(k.cid):]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > record.MaxBlob || !k.cid.Valid() {
		return known{}, errIndex
	}
	k.size, b = int64(size), b[n:]
	if k.modified, n = binary.Varint(b); n <= 0 {
		return known{}, errIndex
	}
	b = b[n:]
	if k.inode, n = binary.Uvarint(b); n <= 0 || n != len(b) {
		return known{}, errIndex
	}
	if !bytes.Equal(k.encode(), whole) {
		return known{}, errIndex
	}
	return k, nil
}

// encodeGone is the value that remembers a file that vanished.
func encodeGone(path string, k known) []byte {
	b := binary.AppendUvarint(nil, uint64(len(path)))
	b = append(b, path...)
	return append(b, k.encode()...)
}

func decodeGone(b []byte) (File, error) {
	length, n := binary.Uvarint(b)
	if n <= 0 || n != uvarintLen(length) || length > uint64(len(b)-n) {
		return File{}, errIndex
	}
	path := string(b[n : n+int(length)])
	k, err := decodeKnown(b[n+int(length):])
	if err != nil {
		return File{}, err
	}
	return k.file(path), nil
}

// tally is what Usage tells of the index.
type tally struct {
	files, bytes, held int64
	damaged            int64 // of held
}

func (t tally) encode() []byte {
	var b []byte
	for _, v := range []int64{t.files, t.bytes, t.held, t.damaged} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

func decodeTally(b []byte) (tally, error) {
	var t tally
	for i, v := range []*int64{&t.files, &t.bytes, &t.held, &t.damaged} {
		if i == 3 && len(b) == 0 {
			break // written before damage was counted
		}
		u, n := binary.Uvarint(b)
		if n <= 0 || u > 1<<62 {
			return tally{}, errIndex
		}
		*v, b = int64(u), b[n:]
	}
	if len(b) != 0 {
		return tally{}, errIndex
	}
	return t, nil
}

// encodePiece is the value of one piece of a manifest.
func encodePiece(size int64, leaves []byte) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(leaves)), uint64(size))
	return append(b, leaves...)
}

// decodePiece reads piece i of a blob's manifest and checks its length.
func decodePiece(b []byte, piece int) (size int64, leaves []byte, err error) {
	if len(b) < 8 {
		return 0, nil, errIndex
	}
	s := binary.BigEndian.Uint64(b)
	if s > record.MaxBlob {
		return 0, nil, errIndex
	}
	want := min(leavesAPiece, Chunks(int64(s))-piece*leavesAPiece)
	if piece < 0 || want <= 0 || len(b)-8 != want*leafSize {
		return 0, nil, errIndex
	}
	return int64(s), b[8:], nil
}

// pieces is in how many values the manifest of a blob is kept: none where the
// CID says it all.
func pieces(size int64) int {
	n := Chunks(size)
	if n == 1 {
		return 0
	}
	return (n + leavesAPiece - 1) / leavesAPiece
}

// encodeMap is the value that says what has landed: the size, then a bit for
// each chunk, lowest first.
func encodeMap(size int64, bits []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(bits)), uint64(size)), bits...)
}

func decodeMap(b []byte) (size int64, bits []byte, err error) {
	if len(b) < 8 {
		return 0, nil, errIndex
	}
	s := binary.BigEndian.Uint64(b)
	if s > record.MaxBlob || len(b)-8 != (Chunks(int64(s))+7)/8 {
		return 0, nil, errIndex
	}
	if spare := Chunks(int64(s)) % 8; spare != 0 && b[len(b)-1]>>spare != 0 {
		return 0, nil, errIndex
	}
	return int64(s), b[8:], nil
}

func pathKey(path string) string { return string(keyPath) + path }

func cidKey(prefix byte, cid record.CID) string { return string(prefix) + string(cid[:]) }

// pathCIDKey is a key of one file: the blob and a hash of the path.
func pathCIDKey(prefix byte, cid record.CID, path string) string {
	h := sha256.Sum256([]byte(path))
	return string(prefix) + string(cid[:]) + string(h[:8])
}

func foldKey(prefix byte, fold string) string {
	h := sha256.Sum256([]byte(fold))
	return string(prefix) + string(h[:16])
}

func inodeKey(inode uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte{keyInode}, inode))
}

func pieceKey(cid record.CID, piece int) string {
	return string(binary.BigEndian.AppendUint32([]byte(cidKey(keyManifest, cid)), uint32(piece)))
}

// pieceNumber is the piece that a key made by pieceKey is of.
func pieceNumber(key []byte) int { return int(binary.BigEndian.Uint32(key[len(key)-4:])) }

// after is the least string that comes after all that begin with prefix.
func after(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return string(b[:i+1])
		}
	}
	return ""
}

// pair is one key and its value; nil deletes.
type pair struct {
	key   string
	value []byte
}

func writePairs(index Index, pairs []pair) error {
	err := index.Write(func(yield func([]byte, []byte) bool) {
		for _, p := range pairs {
			if !yield([]byte(p.key), p.value) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

// readPage copies up to pageSize pairs of the range, so that the caller may
// write while it goes through them.
func readPage(index Index, from, to string) ([]pair, error) {
	var page []pair
	seq, end := index.Scan([]byte(from), []byte(to))
	for k, v := range seq {
		page = append(page, pair{string(k), bytes.Clone(v)})
		if len(page) == pageSize {
			break
		}
	}
	if err := end(); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	return page, nil
}

// pagesOf goes through all pairs whose key begins with prefix, a page at a time.
func pagesOf(index Index, prefix string) (iter.Seq[pair], func() error) {
	var err error
	seq := func(yield func(pair) bool) {
		from, to := prefix, after(prefix)
		for {
			var page []pair
			if page, err = readPage(index, from, to); err != nil {
				return
			}
			for _, p := range page {
				if !yield(p) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			from = page[len(page)-1].key + "\x00"
		}
	}
	return seq, func() error { return err }
}

// lookUp finds what is known of a path.
func lookUp(get func(string) ([]byte, bool, error), path string) (known, bool, error) {
	v, ok, err := get(pathKey(path))
	if err != nil || !ok {
		return known{}, false, err
	}
	k, err := decodeKnown(v)
	if err != nil {
		return known{}, false, fmt.Errorf("read index: %w", err)
	}
	return k, true, nil
}

func (b *Blobs) get(key string) ([]byte, bool, error) {
	v, ok, err := b.index.Get([]byte(key))
	if err != nil {
		return nil, false, fmt.Errorf("read index: %w", err)
	}
	return v, ok, nil
}

// find finds where a blob lies.
func find(get func(string) ([]byte, bool, error), cid record.CID) (path string, k known, ok bool, err error) {
	v, ok, err := get(cidKey(keyCID, cid))
	if err != nil || !ok {
		return "", known{}, false, err
	}
	path = string(v)
	k, ok, err = lookUp(get, path)
	return path, k, ok && k.cid == cid && !k.held, err
}

func (b *Blobs) find(cid record.CID) (string, known, bool, error) { return find(b.get, cid) }
