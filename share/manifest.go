package share

import (
	"boucan/record"
)

// ChunkSize is the length in bytes of every chunk of a blob but the last
// (unixfs-v1-2025 profile, IPIP-499).
const ChunkSize = 1 << 20

// leafSize is the length of one chunk's hash, in bytes.
const leafSize = 32

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

// Chunks is the number of chunks, at least 1.
func (m Manifest) Chunks() int { return Chunks(m.Size) }

// Leaf is the SHA-256 of chunk i.
func (m Manifest) Leaf(i int) [leafSize]byte { return [leafSize]byte(m.Leaves[i*leafSize:]) }

// Chunk is where chunk i lies in the blob: its offset and its length in bytes.
func (m Manifest) Chunk(i int) (offset int64, length int) {
	offset = int64(i) * ChunkSize
	return offset, int(min(ChunkSize, m.Size-offset))
}
