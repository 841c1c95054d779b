package record

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
)

// CID names the bytes of one file: a CIDv1 with sha2-256, as IPFS gives the
// same bytes under the unixfs-v1-2025 profile (IPIP-499). The array is the
// binary form: version, codec, multihash (github.com/multiformats/cid).
type CID [4 + sha256.Size]byte

// Codecs a CID of this profile may carry (the multicodec table).
const (
	CodecRaw   = 0x55 // one chunk: the bytes themselves
	CodecDagPB = 0x70 // a balanced tree of more than one chunk
)

// NewCID names the block of the given codec whose SHA-256 is digest.
func NewCID(codec byte, digest [sha256.Size]byte) CID {
	c := CID{0x01, codec, 0x12, sha256.Size}
	copy(c[4:], digest[:])
	return c
}

var cidBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String is the base32 form, 59 characters beginning with "bafy" or "bafk".
func (c CID) String() string { return "b" + cidBase32.EncodeToString(c[:]) }

// Codec is CodecRaw or CodecDagPB for a valid CID.
func (c CID) Codec() byte { return c[1] }

// Digest is the SHA-256 of the named block.
func (c CID) Digest() [sha256.Size]byte { return [sha256.Size]byte(c[4:]) }

// Short is the end of the text form, 6 characters, to tell two files of one
// name apart. It is no identity.
func (c CID) Short() string {
	s := c.String()
	return s[len(s)-6:]
}

// Valid reports whether c is a CID of the profile.
func (c CID) Valid() bool {
	return c[0] == 0x01 && (c[1] == CodecRaw || c[1] == CodecDagPB) && c[2] == 0x12 && c[3] == sha256.Size
}

// ParseCID reads the base32 form of a CID of the profile and nothing else.
func ParseCID(s string) (CID, error) {
	bad := errors.New("CID: want a version 1, sha2-256, base32 CID that begins with bafk or bafy")
	if len(s) != 1+cidBase32.EncodedLen(len(CID{})) || s[0] != 'b' {
		return CID{}, bad
	}
	b, err := cidBase32.DecodeString(s[1:])
	if err != nil || len(b) != len(CID{}) {
		return CID{}, bad
	}
	c := CID(b)
	if !c.Valid() || c.String() != s {
		return CID{}, bad
	}
	return c, nil
}
