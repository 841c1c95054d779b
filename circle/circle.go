// Package circle owns the key that makes boxes a circle: how it is made, how it
// is written for people, and what is derived from it. Whoever has the key is
// inside; there is nothing else to be inside by. The format is described in
// spec/circle.md.
package circle

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a circle's key in bytes.
const KeySize = 32

// Key is the secret that the boxes of one circle share. It prints as its
// fingerprint, so that no log and no error shows it; Text is the key itself.
type Key [KeySize]byte

// New makes a key for a new circle.
func New() (Key, error) {
	var k Key
	if _, err := rand.Read(k[:]); err != nil {
		return Key{}, fmt.Errorf("make a circle's key: %w", err)
	}
	return k, nil
}

// Labels under which secrets are derived (RFC 5869, the info of HKDF-Expand), so
// that none of them tells anything of another or of the key.
const (
	networkLabel      = "boucan circle v1 network"
	announcementLabel = "boucan circle v1 announcements"
	fingerprintLabel  = "boucan circle v1 fingerprint"
)

// fingerprintSize is in bytes; five are one group of text.
const fingerprintSize = 5

// derive is HKDF-SHA256 without salt: the key is uniformly random already.
func (k Key) derive(label string, size int) []byte {
	b, err := hkdf.Key(sha256.New, k[:], nil, label, size)
	if err != nil {
		panic(err) // only for sizes that no label here asks for
	}
	return b
}

// Network is the pre-shared key of the libp2p private network, 32 bytes.
func (k Key) Network() []byte { return k.derive(networkLabel, KeySize) }

// Fingerprint names the circle without giving its key away: two groups of four
// characters, as "7KQ2-M0XC". The same key has the same everywhere.
func (k Key) Fingerprint() string {
	var n uint64
	for _, b := range k.derive(fingerprintLabel, fingerprintSize) {
		n = n<<8 | uint64(b)
	}
	out := make([]byte, 0, 9)
	for i := range 8 {
		if i == 4 {
			out = append(out, '-')
		}
		out = append(out, alphabet[n>>(35-5*i)&31])
	}
	return string(out)
}

// String is the fingerprint: a key that is printed by mistake is not told.
func (k Key) String() string { return k.Fingerprint() }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.Fingerprint() }

// LogValue is String, for slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.Fingerprint()) }

// Format is String under every verb of fmt: %x would print the bytes.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.Fingerprint())) }

// Sealer hides announcements from all who do not have the key
// (XChaCha20-Poly1305 with a random nonce). Safe for concurrent use.
type Sealer struct{ aead cipher.AEAD }

// Sealer is the circle's sealer.
func (k Key) Sealer() *Sealer {
	aead, err := chacha20poly1305.NewX(k.derive(announcementLabel, chacha20poly1305.KeySize))
	if err != nil {
		panic(err) // only for a key of another size
	}
	return &Sealer{aead}
}

// Seal returns nonce and sealed bytes, 40 bytes more than plain. No two calls
// return the same.
func (s *Sealer) Seal(plain []byte) []byte {
	out := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	_, _ = rand.Read(out) // crypto/rand.Read never fails: it ends the program instead
	return s.aead.Seal(out, out, plain, nil)
}

// Open is the reverse of Seal; false where the bytes are not of this circle.
func (s *Sealer) Open(sealed []byte) ([]byte, bool) {
	if len(sealed) < chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return nil, false
	}
	nonce, rest := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	plain, err := s.aead.Open(nil, nonce, rest, nil)
	return plain, err == nil
}
