package replica

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"boucan/record"
)

// sum is a sum of record ids modulo 2^256, each read as a little-endian number,
// least significant word first (negentropy protocol v1, "Fingerprint Algorithm").
type sum [4]uint64

func sumOf(id record.ID) sum {
	return sum{
		binary.LittleEndian.Uint64(id[0:]), binary.LittleEndian.Uint64(id[8:]),
		binary.LittleEndian.Uint64(id[16:]), binary.LittleEndian.Uint64(id[24:]),
	}
}

func (s sum) plus(t sum) sum {
	var carry uint64
	s[0], carry = bits.Add64(s[0], t[0], 0)
	s[1], carry = bits.Add64(s[1], t[1], carry)
	s[2], carry = bits.Add64(s[2], t[2], carry)
	s[3], _ = bits.Add64(s[3], t[3], carry)
	return s
}

func (s sum) minus(t sum) sum {
	var borrow uint64
	s[0], borrow = bits.Sub64(s[0], t[0], 0)
	s[1], borrow = bits.Sub64(s[1], t[1], borrow)
	s[2], borrow = bits.Sub64(s[2], t[2], borrow)
	s[3], _ = bits.Sub64(s[3], t[3], borrow)
	return s
}

// fingerprintSize is the length of a fingerprint in bytes.
const fingerprintSize = 16

type fingerprint [fingerprintSize]byte

// fingerprint is the digest of n ids that add up to s.
func (s sum) fingerprint(n int) fingerprint {
	var b [sha256.Size + maxVarint]byte
	for i, word := range s {
		binary.LittleEndian.PutUint64(b[8*i:], word)
	}
	digest := sha256.Sum256(appendDigits(b[:sha256.Size], uint64(n)))
	return fingerprint(digest[:fingerprintSize])
}
