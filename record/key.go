package record

import (
	"crypto/ed25519"
	"errors"

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

// ParseKey reads the form that String writes.
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
