package replica

import (
	"encoding/binary"
	"errors"
	"math"

	"boucan/record"
)

// The bytes of negentropy protocol v1, as its specification names them
// (hoytech/negentropy, docs/negentropy-protocol-v1.md).
const (
	negentropyV1 = 0x61 // the first byte of every message of version 1
	// A peer that speaks another version answers with its own version byte,
	// which lies in this range.
	negentropyLeast, negentropyMost = 0x60, 0x6f

	modeSkip        = 0
	modeFingerprint = 1
	modeIDs         = 2

	maxVarint = 10 // bytes of the longest varint: 64 bits in digits of 7
	idSize    = len(record.ID{})

	// infinity is the upper bound of the last range. No item may carry it.
	infinity = math.MaxUint64
)

// errNegentropy is any message that the specification does not allow.
var errNegentropy = errors.New("reconcile message is malformed")

// bound is an exclusive upper bound: the first n bytes of an id, the rest of
// which are zero.
type bound struct {
	item
	n int
}

var endBound = bound{item: item{created: infinity}}

// boundBetween is the shortest bound above prev that is not above next.
func boundBetween(prev, next item) bound {
	if prev.created != next.created {
		return bound{item: item{created: next.created}}
	}
	shared := 0
	for shared < idSize-1 && prev.id[shared] == next.id[shared] {
		shared++
	}
	b := bound{item: item{created: next.created}, n: shared + 1}
	copy(b.id[:], next.id[:b.n])
	return b
}

// appendDigits writes n in base 128, most significant digit first.
func appendDigits(b []byte, n uint64) []byte {
	var digits [maxVarint]byte
	i := len(digits) - 1
	digits[i] = byte(n & 0x7f)
	for n >>= 7; n > 0; n >>= 7 {
		i--
		digits[i] = byte(n&0x7f) | 0x80
	}
	return append(b, digits[i:]...)
}

// digits reads what appendDigits writes and nothing else: no leading zero digit,
// no more than 64 bits.
func digits(b []byte) (n uint64, rest []byte, err error) {
	for i, c := range b {
		if n > math.MaxUint64>>7 || (i == 0 && c == 0x80) {
			return 0, nil, errNegentropy
		}
		n = n<<7 | uint64(c&0x7f)
		if c&0x80 == 0 {
			return n, b[i+1:], nil
		}
	}
	return 0, nil, errNegentropy
}

// span is one range of a message. Its lower bound is the upper bound of the one
// before it.
type span struct {
	upper       bound
	mode        uint64
	fingerprint fingerprint
	ids         []byte // of modeIDs: whole ids one after the other; part of the message
}

// spanReader reads the ranges of a message. Its memory is the message.
type spanReader struct {
	rest  []byte
	upper bound // of the range read last
}

func (r *spanReader) more() bool { return len(r.rest) > 0 }

// next reads one range. A range that ends before its predecessor is refused, as
// is anything after infinity.
func (r *spanReader) next() (span, error) {
	if r.upper.created == infinity {
		return span{}, errNegentropy
	}
	upper, err := r.bound()
	if err != nil {
		return span{}, err
	}
	s := span{upper: upper}
	r.upper = upper
	if s.mode, r.rest, err = digits(r.rest); err != nil {
		return span{}, err
	}
	switch s.mode {
	case modeSkip:
		return s, nil
	case modeFingerprint:
		b, err := r.take(fingerprintSize)
		if err != nil {
			return span{}, err
		}
		s.fingerprint = fingerprint(b)
		return s, nil
	case modeIDs:
		var n uint64
		if n, r.rest, err = digits(r.rest); err != nil {
			return span{}, err
		}
		if n > uint64(len(r.rest)/idSize) {
			return span{}, errNegentropy
		}
		s.ids, err = r.take(int(n) * idSize)
		return s, err
	}
	return span{}, errNegentropy
}

func (r *spanReader) bound() (bound, error) {
	var b bound
	step, rest, err := digits(r.rest)
	if err != nil {
		return b, err
	}
	switch {
	case step == 0:
		b.created = infinity
	case step-1 >= infinity-r.upper.created:
		return b, errNegentropy // past the last time there is
	default:
		b.created = r.upper.created + step - 1
	}
	n, rest, err := digits(rest)
	if err != nil || n > uint64(idSize) || n > uint64(len(rest)) {
		return b, errNegentropy
	}
	b.n = copy(b.id[:], rest[:n])
	r.rest = rest[n:]
	if b.compare(r.upper.item) < 0 {
		return b, errNegentropy
	}
	return b, nil
}

func (r *spanReader) take(n int) ([]byte, error) {
	if n > len(r.rest) {
		return nil, errNegentropy
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b, nil
}

// spanWriter writes the ranges of a message.
type spanWriter struct {
	msg  []byte
	last uint64 // time of the bound written last
}

func newSpanWriter() *spanWriter { return &spanWriter{msg: []byte{negentropyV1}} }

func (w *spanWriter) bound(b bound, mode uint64) {
	if b.created == infinity {
		w.msg = appendDigits(w.msg, 0)
		w.last = infinity
	} else {
		w.msg = appendDigits(w.msg, b.created-w.last+1)
		w.last = b.created
	}
	w.msg = appendDigits(w.msg, uint64(b.n))
	w.msg = append(w.msg, b.id[:b.n]...)
	w.msg = appendDigits(w.msg, mode)
}

func (w *spanWriter) skip(upper bound) { w.bound(upper, modeSkip) }

func (w *spanWriter) fingerprint(upper bound, f fingerprint) {
	w.bound(upper, modeFingerprint)
	w.msg = append(w.msg, f[:]...)
}

// ids writes the items from lo up to but not including hi by name.
func (w *spanWriter) ids(upper bound, o *order, lo, hi int) {
	w.bound(upper, modeIDs)
	w.msg = appendDigits(w.msg, uint64(hi-lo))
	for _, it := range o.all(lo, hi) {
		w.msg = append(w.msg, it.id[:]...)
	}
}

// appendVarint and varint are the other integers of the sync protocol: unsigned
// LEB128, as few bytes as possible (multiformats/unsigned-varint).
func appendVarint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

// varint returns size 0 where b does not begin with a whole, minimal varint.
func varint(b []byte) (n uint64, size int) {
	n, size = binary.Uvarint(b)
	if size <= 0 || (size > 1 && b[size-1] == 0) {
		return 0, 0
	}
	return n, size
}
