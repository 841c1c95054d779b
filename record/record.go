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
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
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

// ParseID reads the form that String writes.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, errors.New("record id: want 64 hexadecimal characters")
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("record id: %w", err)
	}
	return id, nil
}

// The ways in which bytes fail to be a record this node takes in. Callers test
// them with errors.Is; each is one constant log line.
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

	signature []byte
	raw       []byte
	id        ID
}

// Draft is what a node fills in before it signs. The zero Undo means none.
type Draft struct {
	Created time.Time
	Life    time.Duration // capped at the kind's MaxLife
	Expires time.Time     // used instead of Life where it is not zero
	Undo    []byte        // empty or 32 bytes
	Body    Body
}

// signed is the part of a record that its identity and signature cover.
type signed struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Kind    uint64
	Author  []byte
	Created uint64
	Expires uint64
	Undo    []byte
	Body    []byte
}

// envelope is the whole record on the wire.
type envelope struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	Kind      uint64
	Author    []byte
	Created   uint64
	Expires   uint64
	Undo      []byte
	Body      []byte
	Signature []byte
}

// Sign makes a record of the draft, authored by key. It fails with ErrBody
// where the body breaks a limit, with ErrTimes where the times do.
func Sign(key ed25519.PrivateKey, d Draft) (*Record, error) {
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
	s := signed{
		Version: Version,
		Kind:    uint64(kind),
		Author:  key.Public().(ed25519.PublicKey),
		Created: uint64(created),
		Expires: uint64(expires),
		Undo:    d.Undo,
		Body:    body,
	}
	message, err := s.message()
	if err != nil {
		return nil, err
	}
	raw, err := encoding.Marshal(envelope{
		Version: s.Version, Kind: s.Kind, Author: s.Author, Created: s.Created,
		Expires: s.Expires, Undo: s.Undo, Body: s.Body,
		Signature: ed25519.Sign(key, message),
	})
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return Decode(raw)
}

// Decode reads one record. It accepts exactly the bytes that Sign makes: what
// it returns re-encodes to the same bytes. It checks form, limits and the order
// of the times; the signature is left to [Record.Verify], the clock to
// [Record.Current] and the meaning of the body to [Record.File] and its like.
// raw is kept and must not be changed afterwards.
func Decode(raw []byte) (*Record, error) {
	if len(raw) > MaxSize {
		return nil, ErrTooLarge
	}
	var e envelope
	if err := decoding.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if e.Version != Version {
		return nil, ErrVersion
	}
	if len(e.Author) != ed25519.PublicKeySize || len(e.Signature) != ed25519.SignatureSize ||
		(len(e.Undo) != 0 && len(e.Undo) != sha256.Size) || len(e.Body) > MaxBody {
		return nil, ErrMalformed
	}
	kind := Kind(e.Kind)
	if e.Created > MaxTime || e.Expires > MaxTime || e.Expires <= e.Created ||
		e.Expires-e.Created > uint64(kind.MaxLife().Milliseconds()) {
		return nil, ErrTimes
	}
	again, err := encoding.Marshal(e)
	if err != nil || !bytes.Equal(again, raw) {
		return nil, ErrMalformed
	}
	r := &Record{
		Kind: kind, Author: Key(e.Author), Created: int64(e.Created), Expires: int64(e.Expires),
		Undo: e.Undo, Body: e.Body, signature: e.Signature, raw: raw,
	}
	message, err := r.signed().message()
	if err != nil {
		return nil, err
	}
	r.id = sha256.Sum256(message)
	return r, nil
}

// Verify reports ErrSignature unless the author signed this record. It costs
// about 60 µs on a laptop and a hundred times that on a small router.
func (r *Record) Verify() error {
	message, err := r.signed().message()
	if err != nil {
		return err
	}
	if !ed25519.Verify(r.Author[:], message, r.signature) {
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

func (r *Record) signed() signed {
	return signed{
		Version: Version, Kind: uint64(r.Kind), Author: r.Author[:], Created: uint64(r.Created),
		Expires: uint64(r.Expires), Undo: r.Undo, Body: r.Body,
	}
}

// message is what identity and signature cover.
func (s signed) message() ([]byte, error) {
	b, err := encoding.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return append([]byte(signaturePrefix), b...), nil
}

// UndoHash is what a record carries so that whoever knows the secret can take
// the record down later (spec/records.md, section 6).
func UndoHash(secret []byte) []byte {
	h := sha256.Sum256(secret)
	return h[:]
}

// encoding is deterministic CBOR (RFC 8949, section 4.2.1); decoding refuses
// what it never makes. Both are safe for concurrent use and never change.
var (
	encoding = must(cbor.EncOptions{
		Sort:          cbor.SortCoreDeterministic,
		ShortestFloat: cbor.ShortestFloat16,
		NaNConvert:    cbor.NaNConvert7e00,
		InfConvert:    cbor.InfConvertFloat16,
		IndefLength:   cbor.IndefLengthForbidden,
		NilContainers: cbor.NilContainerAsEmpty,
		TagsMd:        cbor.TagsForbidden,
	}.EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		UTF8:              cbor.UTF8RejectInvalid,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   4,
		MaxArrayElements:  64,
		MaxMapPairs:       64,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // the options above are constants; a wrong one fails every test
	}
	return v
}
