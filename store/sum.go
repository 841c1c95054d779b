package store

import (
	"encoding/binary"
	"hash/crc32"
)

// Every value of a table is followed, on the disk, by a checksum: CRC-32C
// (RFC 3720, appendix B.4) of its key, table first, and of itself, 4 bytes,
// least significant first. bbolt has no checksums of its own, and Badger says
// of a block that fails its own only that the key is not there.

// sumSize is the size of a checksum in bytes.
const sumSize = crc32.Size

func sum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // made once, by the library
	return crc32.Update(crc32.Checksum(key, table), table, value)
}

// seal appends the checksum of a value that ends block.
func seal(block, key, value []byte) []byte {
	return binary.LittleEndian.AppendUint32(block, sum(key, value))
}

// unseal takes the checksum off a value; ok is false where it does not fit.
func unseal(key, sealed []byte) (value []byte, ok bool) {
	if len(sealed) < sumSize {
		return nil, false
	}
	end := len(sealed) - sumSize
	value = sealed[:end:end]
	return value, binary.LittleEndian.Uint32(sealed[end:]) == sum(key, value)
}
