package record

import (
	"crypto/ed25519"
	"errors"
	"slices"

	"github.com/mr-tron/base58"
)

// Key is a node's Ed25519 public key. It names the node as a peer and as the
// author of records.
type Key [ed25519.PublicKeySize]byte

// keyPrefix turns a key into a libp2p peer ID: an identity multihash (0x00, 36
// bytes) of the protobuf PublicKey message of type Ed25519 (libp2p peer-ids
// specification, "Ed25519").
const keyPrefix = "\x00\x24\x08\x01\x12\x20"

// String is the libp2p peer ID, 52 characters beginning with 12D3KooW.
func (k Key) String() string {
	return base58.Encode(append([]byte(keyPrefix), k[:]...))
}

// Short is the end of the peer ID, 6 characters, for people to tell boxes of
// the same name apart. It is no identity.
func (k Key) Short() string {
	s := k.String()
	return s[len(s)-6:]
}

// ParseKey reads the form that String writes and no other.
func ParseKey(s string) (Key, error) {
	const longest = 64
	if len(s) > longest {
		return Key{}, errors.New("node id: too long")
	}
	b, err := base58.Decode(s)
	if err != nil || len(b) != len(keyPrefix)+ed25519.PublicKeySize || string(b[:len(keyPrefix)]) != keyPrefix {
		return Key{}, errors.New("node id: want a peer ID that begins with 12D3KooW")
	}
	return Key(b[len(keyPrefix):]), nil
}

// smallOrder holds the y coordinates of the eight points whose order divides
// the curve's cofactor, in the little-endian form of RFC 8032, section 5.1.2.
// The zero Key is the first.
var smallOrder = [...]Key{
	{},
	{0x01},
	{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
	{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
}

// weak is true for keys that must not author anything: those of small order,
// whose signatures anybody can make without a secret, and those that are not
// the one encoding of their point (RFC 8032, section 5.1.3), which
// [ed25519.Verify] lets pass.
func (k Key) weak() bool {
	k[31] &^= 0x80 // the sign of x
	if slices.Contains(smallOrder[:], k) {
		return true
	}
	// y must be less than 2²⁵⁵ − 19.
	if k[0] < 0xed || k[31] != 0x7f {
		return false
	}
	for _, b := range k[1:31] {
		if b != 0xff {
			return false
		}
	}
	return true
}
