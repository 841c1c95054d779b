package record_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"boucan/record"
)

// FuzzDecode holds the envelope's own reader to the CBOR library, which knows
// nothing of it: the two accept the same bytes and read the same from them.
func FuzzDecode(f *testing.F) {
	vectors := readRecordVectors(f)
	for _, v := range vectors.Valid {
		if len(v.raw()) < 1000 {
			f.Add(v.raw())
		}
	}
	for _, v := range vectors.Invalid {
		if len(v.raw()) < 1000 {
			f.Add(v.raw())
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		items := libraryItems(t, raw)
		r, err := record.Decode(raw)
		if class(t, err) == "" != (items != nil) {
			t.Fatalf("Decode says %v, the library reads %v from %x", err, items, raw)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(r.Encode(), raw) {
			t.Fatalf("%x re-encodes as %x", raw, r.Encode())
		}
		message := signedMessage(t, items[:7])
		if r.ID() != sha256.Sum256(message) {
			t.Fatal("the id is over other bytes than the library's")
		}
		verified := class(t, r.Verify())
		if again := class(t, r.Verify()); again != verified {
			t.Fatalf("verifies as %q, then as %q", verified, again)
		}
		if verified == "" && !ed25519.Verify(r.Author[:], message, items[7].([]byte)) {
			t.Fatal("verifies what the signature does not cover")
		}
		bodyReadsBack(t, r)
		if !bytes.Equal(before, raw) {
			t.Fatal("the bytes were changed")
		}
	})
}

// libraryItems reads raw with the CBOR library and the rules of
// spec/records.md, sections 2 and 3; nil where it is no record.
func libraryItems(t *testing.T, raw []byte) []any {
	var items []any
	if len(raw) > record.MaxSize || cbor.Unmarshal(raw, &items) != nil || len(items) != 8 {
		return nil
	}
	var number [8]uint64
	for _, i := range []int{0, 1, 3, 4} {
		n, ok := items[i].(uint64)
		if !ok {
			return nil
		}
		number[i] = n
	}
	var size [8]int
	for _, i := range []int{2, 5, 6, 7} {
		b, ok := items[i].([]byte)
		if !ok {
			return nil
		}
		size[i] = len(b)
	}
	life := uint64(record.Kind(number[1]).MaxLife().Milliseconds())
	switch {
	case number[0] != 1, size[2] != 32, size[5] != 0 && size[5] != 32, size[6] > record.MaxBody, size[7] != 64,
		number[3] > record.MaxTime, number[4] > record.MaxTime, number[3] >= number[4], number[4]-number[3] > life,
		!bytes.Equal(deterministic(t, items), raw):
		return nil
	}
	return items
}

// bodyReadsBack: each reader of a body accepts only what it would write, and
// CheckBody says the same as the reader of the record's kind.
func bodyReadsBack(t *testing.T, r *record.Record) {
	t.Helper()
	accepted := 0
	for kind, body := range allBodies(t, r) {
		if body == nil {
			continue
		}
		accepted++
		if kind != int(r.Kind) {
			t.Fatalf("a record of kind %d reads as one of kind %d", r.Kind, kind)
		}
		if again := deterministic(t, body); !bytes.Equal(again, r.Body) {
			t.Fatalf("body %x re-encodes as %x", r.Body, again)
		}
		if err := body.Check(); err != nil {
			t.Fatalf("an accepted body breaks a limit: %v", err)
		}
	}
	known := r.Kind >= record.KindFile && r.Kind <= record.KindCard
	if ok := class(t, r.CheckBody()) == ""; ok != (!known || accepted == 1) {
		t.Fatalf("CheckBody accepts: %v, of known kind: %v, readers that accept: %d", ok, known, accepted)
	}
}

// FuzzBody gives the readers of bodies what no other check has looked at.
func FuzzBody(f *testing.F) {
	vectors := readRecordVectors(f)
	for _, v := range vectors.Invalid {
		if r, err := record.Decode(v.raw()); err == nil && len(r.Body) < 1000 {
			f.Add(uint64(r.Kind), r.Body)
		}
	}
	for _, v := range vectors.Valid {
		if r, err := record.Decode(v.raw()); err == nil && len(r.Body) < 1000 {
			f.Add(uint64(r.Kind), r.Body)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint64, body []byte) {
		bodyReadsBack(t, &record.Record{Kind: record.Kind(kind % 8), Body: body})
	})
}
