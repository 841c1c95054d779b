package share

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"boucan/record"
)

// ChunkSize is the length in bytes of every chunk of a blob but the last
// (unixfs-v1-2025 profile, IPIP-499).
const ChunkSize = 1 << 20

const (
	leafSize = sha256.Size // bytes of one chunk's hash
	dagWidth = 1024        // links of one inner node (IPIP-499)
)

// ErrManifest says that a list of chunk hashes is not that of the blob it
// claims to be of.
var ErrManifest = errors.New("manifest does not match its CID")

// Manifest is the list of a blob's chunk hashes. Its fields must not be changed
// once it is made.
type Manifest struct {
	CID    record.CID
	Size   int64  // bytes of the blob
	Leaves []byte // SHA-256 of each chunk, one after the other; an empty blob has one chunk of no bytes
}

// Chunks is how many chunks a blob of size bytes has, at least 1.
func Chunks(size int64) int {
	return max(1, int((size+ChunkSize-1)/ChunkSize))
}

// newManifest computes the CID that the chunk hashes make. It takes leaves over.
func newManifest(size int64, leaves []byte) Manifest {
	return Manifest{CID: rootCID(size, leaves), Size: size, Leaves: leaves}
}

// oneChunk is the manifest of a blob of at most ChunkSize bytes: its only leaf
// is in its CID.
func oneChunk(cid record.CID, size int64) Manifest {
	leaf := cid.Digest()
	return Manifest{CID: cid, Size: size, Leaves: leaf[:]}
}

// Chunks is the number of chunks, at least 1.
func (m Manifest) Chunks() int { return Chunks(m.Size) }

// Leaf is the SHA-256 of chunk i.
func (m Manifest) Leaf(i int) [leafSize]byte { return [leafSize]byte(m.Leaves[i*leafSize:]) }

// Chunk is where chunk i lies in the blob: its offset and its length in bytes.
func (m Manifest) Chunk(i int) (offset int64, length int) {
	offset = int64(i) * ChunkSize
	return offset, int(min(ChunkSize, m.Size-offset))
}

// Verify reports ErrManifest unless the chunk hashes are those of the CID. A
// manifest from a peer is worth nothing before. It costs 20 ms for the largest
// blob.
func (m Manifest) Verify() error {
	if m.Size < 0 || m.Size > record.MaxBlob || len(m.Leaves) != m.Chunks()*leafSize {
		return fmt.Errorf("%w: wrong number of chunks", ErrManifest)
	}
	if rootCID(m.Size, m.Leaves) != m.CID {
		return ErrManifest
	}
	return nil
}

// VerifyChunk reports whether data is chunk i.
func (m Manifest) VerifyChunk(i int, data []byte) bool {
	if i < 0 || i >= m.Chunks() {
		return false
	}
	_, length := m.Chunk(i)
	return len(data) == length && sha256.Sum256(data) == m.Leaf(i)
}

// node is one block of the DAG as its parent sees it.
type node struct {
	cid   record.CID
	size  uint64 // bytes of the file below it
	total uint64 // bytes of the block and of all blocks below it: the Tsize of a link to it
}

// rootCID builds the balanced DAG over the leaves and returns its root's CID.
// Only one block is held at a time, and 8 bytes or fewer for each leaf.
func rootCID(size int64, leaves []byte) record.CID {
	n := len(leaves) / leafSize
	leaf := func(i int) node { return leafNode(size, i, leaves[i*leafSize:]) }
	if n == 1 {
		return leaf(0).cid
	}
	level := parents(n, leaf)
	for len(level) > 1 {
		below := level
		level = parents(len(below), func(i int) node { return below[i] })
	}
	return level[0].cid
}

// parents groups n nodes by the width of the DAG. A group of one still gets a
// parent, so that all leaves are equally deep.
func parents(n int, child func(i int) node) []node {
	var above []node
	group := make([]node, 0, min(n, dagWidth))
	var block []byte
	for i := range n {
		group = append(group, child(i))
		if len(group) == dagWidth || i == n-1 {
			block = appendNode(block[:0], group)
			above = append(above, nodeOf(block, group))
			group = group[:0]
		}
	}
	return above
}

// leafNode is chunk i of a blob of size bytes, sum its SHA-256.
func leafNode(size int64, i int, sum []byte) node {
	length := uint64(min(ChunkSize, size-int64(i)*ChunkSize))
	return node{record.NewCID(record.CodecRaw, [leafSize]byte(sum)), length, length}
}

// nodeOf is the node whose block is that of these children.
func nodeOf(block []byte, children []node) node {
	p := node{cid: record.NewCID(record.CodecDagPB, sha256.Sum256(block)), total: uint64(len(block))}
	for _, c := range children {
		p.size += c.size
		p.total += c.total
	}
	return p
}

// appendNode appends the dag-pb block of a file node with these children: the
// links first, then the data, each child a link with Hash, an empty Name and
// Tsize (IPLD dag-pb specification, "Serial format"; UnixFS specification,
// "Data format", Type 2 being a file).
func appendNode(b []byte, children []node) []byte {
	for _, c := range children {
		link := uvarintLen(uint64(len(c.cid))) + 1 + len(c.cid) + 2 + 1 + uvarintLen(c.total)
		b = binary.AppendUvarint(append(b, 0x12), uint64(link)) // PBNode.Links
		b = append(append(b, 0x0a, byte(len(c.cid))), c.cid[:]...)
		b = append(b, 0x12, 0)
		b = binary.AppendUvarint(append(b, 0x18), c.total)
	}
	var size uint64
	length := 2 // Type
	for _, c := range children {
		size += c.size
		length += 1 + uvarintLen(c.size)
	}
	length += 1 + uvarintLen(size)
	b = binary.AppendUvarint(append(b, 0x0a), uint64(length)) // PBNode.Data
	b = append(b, 0x08, 2)
	b = binary.AppendUvarint(append(b, 0x18), size)
	for _, c := range children {
		b = binary.AppendUvarint(append(b, 0x20), c.size)
	}
	return b
}

func uvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}
