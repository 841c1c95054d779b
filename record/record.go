// Package record owns the small signed unit that replicates between boxes: its
// fields, its limits, its one canonical encoding, its identity and its
// signature. It also holds the nouns that every other package speaks: [Key]
// names a node, [ID] a record, [CID] the bytes of a file.
//
// The package is a leaf. It knows no store, no network and no clock: time comes
// in as an argument. The wire format is described in spec/records.md.
//
// A *Record is immutable once made by [Sign] or [Decode] and may be shared
// between goroutines.
package record

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Limits of a record, part of the wire format (spec/records.md, section 2).
const (
	// Version is the only record version this program reads and writes.
	Version = 1
	// MaxSize is the longest encoded record, in bytes.
	MaxSize = 16 << 10
	// MaxBody is the longest encoded body, in bytes. It leaves room for the
	// envelope within MaxSize.
	MaxBody = MaxSize - 256
	// MaxTime is the largest time a record may carry, in Unix milliseconds
	// (the end of the year 9999), so that sums of times never overflow.
	MaxTime = 253402300799999
	// MaxSkew is how far ahead of this node's clock a record may have been
	// created and still be taken in.
	MaxSkew = 10 * time.Minute
)

// signaturePrefix separates the bytes a record signs from anything else an
// Ed25519 key of this program may ever sign.
const signaturePrefix = "boucan record v1\x00"

// Kind says what a record's body means.
type Kind uint64

// The kinds this version shows. Records of other kinds are kept and relayed.
const (
	KindFile     Kind = 1
	KindMessage  Kind = 2
	KindPost     Kind = 3
	KindTakedown Kind = 4
	KindCard     Kind = 5
)

// MaxLife is the longest time between Created and Expires for a record of this
// kind. A takedown may live as long as anything it hides.
func (k Kind) MaxLife() time.Duration {
	const day = 24 * time.Hour
	switch k {
	case KindMessage:
		return 30 * day
	case KindCard:
		return 7 * day
	default:
		return 400 * day
	}
}

// ID names a record: SHA-256 over its domain prefix and its first seven fields.
type ID [sha256.Size]byte

// String is the lower-case hexadecimal form, 64 characters.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads the form that String writes and no other, so that a record has
// one address.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, errors.New("record id: want 64 hexadecimal characters")
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("record id: %w", err)
	}
	if id.String() != s {
		return ID{}, errors.New("record id: want lower case")
	}
	return id, nil
}

// The ways in which bytes fail to be a record this node takes in
// (spec/records.md, section 7). Callers test them with errors.Is; each is one
// constant log line, and what wraps them never quotes the bytes.
var (
	ErrTooLarge  = errors.New("record is larger than the limit")
	ErrMalformed = errors.New("record is malformed")
	ErrVersion   = errors.New("record is of an unknown version")
	ErrTimes     = errors.New("record has impossible times")
	ErrSignature = errors.New("record signature does not verify")
	ErrBody      = errors.New("record body is invalid")
	ErrExpired   = errors.New("record has expired")
	ErrFuture    = errors.New("record is dated too far ahead")
)

// Record is one signed record. Its fields must not be changed.
type Record struct {
	Kind    Kind
	Author  Key
	Created int64  // Unix milliseconds
	Expires int64  // Unix milliseconds, greater than Created
	Undo    []byte // empty, or the 32 bytes of UndoHash of the dropper's secret
	Body    []byte // deterministic CBOR of a body of this kind

	raw []byte // canonical; Undo and Body are slices of it
	id  ID
}

// Draft is what a node fills in before it signs. The zero Undo means none.
type Draft struct {
	Created time.Time
	Life    time.Duration // capped at the kind's MaxLife
	Expires time.Time     // used instead of Life where it is not zero
	Undo    []byte        // empty or 32 bytes
	Body    Body
}

// Sign makes a record of the draft, authored by key, which must be a whole
// private key. It fails with ErrBody where the body breaks a limit, with
// ErrTimes where the times do and with ErrMalformed where Undo has another
// length. What it returns passes Decode, Verify and CheckBody everywhere.
func Sign(key ed25519.PrivateKey, d Draft) (*Record, error) {
	if d.Body == nil {
		return nil, fmt.Errorf("%w: there is none", ErrBody)
	}
	if err := d.Body.Check(); err != nil {
		return nil, err
	}
	body, err := encoding.Marshal(d.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	kind := d.Body.Kind()
	created := d.Created.UnixMilli()
	expires := d.Expires.UnixMilli()
	if d.Expires.IsZero() {
		expires = created + min(d.Life, kind.MaxLife()).Milliseconds()
	}
	message := appendSigned([]byte(signaturePrefix), &Record{
		Kind: kind, Author: Key(key.Public().(ed25519.PublicKey)),
		Created: created, Expires: expires, Undo: d.Undo, Body: body,
	})
	raw := make([]byte, 0, len(message)+signatureItem)
	raw = append(raw, majorArray|recordFields)
	raw = append(raw, message[len(signaturePrefix)+1:]...)
	raw = appendBytes(raw, ed25519.Sign(key, message))
	r, err := Decode(raw)
	if err == nil {
		err = r.CheckBody()
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Decode reads one record. It accepts exactly the bytes that Sign makes: every
// accepted record has one encoding. It checks form, limits and the order of
// the times; the signature is left to [Record.Verify], the clock to
// [Record.Current] and the meaning of the body to [Record.File] and its like.
// It fails with ErrTooLarge, ErrMalformed, ErrVersion or ErrTimes.
//
// raw is kept, and Undo and Body are slices of it: it must not be changed
// afterwards, and a caller that cuts records out of a large buffer should copy
// those that live longer than the buffer.
func Decode(raw []byte) (*Record, error) {
	if len(raw) > MaxSize {
		return nil, ErrTooLarge
	}
	r, err := readEnvelope(raw[:len(raw):len(raw)])
	if err != nil {
		return nil, err
	}
	var room [1024]byte // most records need no more
	r.id = sha256.Sum256(appendMessage(room[:0], r.raw))
	return r, nil
}

// Verify reports ErrSignature unless the author signed this record (RFC 8032,
// section 5.1.7, without the cofactor; spec/records.md, section 3). Keys whose
// signatures anybody can make, the zero Key among them, never verify. It costs
// 40 µs on a laptop and some hundred times that on a small router.
func (r *Record) Verify() error {
	if len(r.raw) < signatureItem || r.Author.weak() {
		return ErrSignature
	}
	var room [1024]byte
	message := appendMessage(room[:0], r.raw)
	if !ed25519.Verify(r.Author[:], message, r.raw[len(r.raw)-ed25519.SignatureSize:]) {
		return ErrSignature
	}
	return nil
}

// Current reports ErrExpired for a record whose life is over at now, ErrFuture
// for one created more than MaxSkew after it.
func (r *Record) Current(now time.Time) error {
	if now.UnixMilli() >= r.Expires {
		return ErrExpired
	}
	if r.Created > now.Add(MaxSkew).UnixMilli() {
		return ErrFuture
	}
	return nil
}

// ID names the record.
func (r *Record) ID() ID { return r.id }

// Encode returns the canonical bytes. The caller must not change them.
func (r *Record) Encode() []byte { return r.raw }

// UndoHash is what a record carries so that whoever knows the secret can take
// the record down later (spec/records.md, section 6).
func UndoHash(secret []byte) []byte {
	h := sha256.Sum256(secret)
	return h[:]
}
