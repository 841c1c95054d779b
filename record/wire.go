package record

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// The envelope is one array of eight items, none of which nests: it is read and
// written here by hand, in one pass and without a copy, because every record
// that is loaded, listed or received goes through it. Bodies, which have
// optional fields, go through the CBOR library, but for those of files, see readFile.

// CBOR major types (RFC 8949, section 3.1) that an envelope is made of.
const (
	majorUint  = 0 << 5
	majorBytes = 2 << 5
	majorArray = 4 << 5
)

const (
	recordFields = 8
	signedFields = recordFields - 1
	// signatureItem is the length of the last item: head and signature.
	signatureItem = 2 + ed25519.SignatureSize
)

// reader takes canonical items off the front of raw. After the first item that
// is not what was asked for it is bad, and stays so.
type reader struct {
	raw []byte
	bad bool
}

// head reads one head of the given major type and returns its argument. Only
// the shortest form passes (RFC 8949, section 4.2.1).
func (r *reader) head(major byte) uint64 {
	if r.bad || len(r.raw) == 0 || r.raw[0]&0xe0 != major {
		r.bad = true
		return 0
	}
	info := r.raw[0] & 0x1f
	r.raw = r.raw[1:]
	if info < 24 {
		return uint64(info)
	}
	size := 1 << (info - 24) // bytes of the argument; 28 and above are no length
	if info > 27 || len(r.raw) < size {
		r.bad = true
		return 0
	}
	var wide [8]byte
	copy(wide[8-size:], r.raw)
	r.raw = r.raw[size:]
	n := binary.BigEndian.Uint64(wide[:])
	if headSize(n) != 1+size {
		r.bad = true
	}
	return n
}

// bytes reads a byte string and returns a slice into raw, nil where it is
// empty. A length that claims more than is there never leads to memory.
func (r *reader) bytes() []byte {
	n := r.head(majorBytes)
	if r.bad || n > uint64(len(r.raw)) {
		r.bad = true
		return nil
	}
	b := r.raw[:n:n]
	r.raw = r.raw[n:]
	if n == 0 {
		return nil
	}
	return b
}

// headSize is the length of the shortest head with argument n, in bytes.
func headSize(n uint64) int {
	switch {
	case n < 24:
		return 1
	case n < 1<<8:
		return 2
	case n < 1<<16:
		return 3
	case n < 1<<32:
		return 5
	}
	return 9
}

func appendHead(b []byte, major byte, n uint64) []byte {
	size := headSize(n) - 1
	if size == 0 {
		return append(b, major|byte(n))
	}
	b = append(b, major|byte(24+bits.TrailingZeros(uint(size))))
	for shift := 8 * (size - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

func appendBytes(b, s []byte) []byte {
	return append(appendHead(b, majorBytes, uint64(len(s))), s...)
}

// readEnvelope reads raw as the one canonical encoding of a record, of which
// the fields become slices. It fails with ErrVersion, ErrMalformed, ErrTooLarge
// or ErrTimes.
func readEnvelope(raw []byte) (*Record, error) {
	in := reader{raw: raw}
	fields := in.head(majorArray)
	version := in.head(majorUint)
	if in.bad {
		return nil, ErrMalformed
	}
	if version != Version { // the rest of another version may be anything
		return nil, ErrVersion
	}
	r := &Record{raw: raw}
	r.Kind = Kind(in.head(majorUint))
	author := in.bytes()
	created, expires := in.head(majorUint), in.head(majorUint)
	r.Undo = in.bytes()
	r.Body = in.bytes()
	signature := in.bytes()
	switch {
	case in.bad, len(in.raw) != 0, fields != recordFields,
		len(author) != ed25519.PublicKeySize,
		len(r.Undo) != 0 && len(r.Undo) != sha256.Size,
		len(signature) != ed25519.SignatureSize:
		return nil, ErrMalformed
	case len(r.Body) > MaxBody:
		return nil, ErrTooLarge
	case created > MaxTime, expires > MaxTime, expires <= created,
		expires-created > uint64(r.Kind.MaxLife().Milliseconds()):
		return nil, ErrTimes
	}
	r.Author = Key(author)
	r.Created, r.Expires = int64(created), int64(expires)
	return r, nil
}

// appendSigned appends the array of the first seven fields, which is what a
// record's identity and signature cover.
func appendSigned(b []byte, r *Record) []byte {
	b = appendHead(b, majorArray, signedFields)
	b = appendHead(b, majorUint, Version)
	b = appendHead(b, majorUint, uint64(r.Kind))
	b = appendBytes(b, r.Author[:])
	b = appendHead(b, majorUint, uint64(r.Created))
	b = appendHead(b, majorUint, uint64(r.Expires))
	b = appendBytes(b, r.Undo)
	return appendBytes(b, r.Body)
}

// appendMessage appends what the signature of the encoded record raw covers.
// It is raw without its last item, under the head of an array shorter by one.
func appendMessage(b, raw []byte) []byte {
	b = append(b, signaturePrefix...)
	b = append(b, majorArray|signedFields)
	return append(b, raw[1:len(raw)-signatureItem]...)
}
