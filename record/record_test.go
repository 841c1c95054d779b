package record_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"boucan/record"
)

var (
	alice = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	bob   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	now   = time.UnixMilli(1767225600000)
	hello = record.Message{Room: "lobby", Text: "hello"}
)

func keyOf(key ed25519.PrivateKey) record.Key {
	return record.Key(key.Public().(ed25519.PublicKey))
}

func mustSign(tb testing.TB, key ed25519.PrivateKey, d record.Draft) *record.Record {
	tb.Helper()
	r, err := record.Sign(key, d)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// deterministic is the CBOR library's own idea of RFC 8949, section 4.2.1.
func deterministic(tb testing.TB, v any) []byte {
	tb.Helper()
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		tb.Fatal(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func signedMessage(tb testing.TB, first []any) []byte {
	tb.Helper()
	return append([]byte("boucan record v1\x00"), deterministic(tb, first)...)
}

// seal makes a record of any first seven items, good or bad, without the
// package under test.
func seal(tb testing.TB, first ...any) []byte {
	tb.Helper()
	return deterministic(tb, append(first, ed25519.Sign(alice, signedMessage(tb, first))))
}

func sealKind(tb testing.TB, kind record.Kind, body []byte) []byte {
	tb.Helper()
	key := keyOf(alice)
	return seal(tb, 1, uint64(kind), key[:], now.UnixMilli(), now.UnixMilli()+1000, []byte{}, body)
}

func TestEnvelopeIsDeterministicCBOR(t *testing.T) {
	for _, undo := range [][]byte{nil, record.UndoHash([]byte("secret"))} {
		r := mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Undo: undo, Body: hello})
		var items []any
		if err := cbor.Unmarshal(r.Encode(), &items); err != nil {
			t.Fatal(err)
		}
		if again := deterministic(t, items); !bytes.Equal(again, r.Encode()) {
			t.Errorf("the library encodes the same items as %x, not %x", again, r.Encode())
		}
		message := signedMessage(t, items[:7])
		if r.ID() != sha256.Sum256(message) {
			t.Error("the id is not over the first seven items")
		}
		if !ed25519.Verify(alice.Public().(ed25519.PublicKey), message, items[7].([]byte)) {
			t.Error("the signature is not over the first seven items")
		}
	}
}

func TestSignDraft(t *testing.T) {
	card := record.Card{Name: "box"}
	for _, c := range []struct {
		name  string
		draft record.Draft
		want  string
		life  time.Duration
	}{
		{"life", record.Draft{Created: now, Life: time.Hour, Body: hello}, "", time.Hour},
		{"life is capped", record.Draft{Created: now, Life: math.MaxInt64, Body: card}, "", 7 * 24 * time.Hour},
		{"expires before life", record.Draft{Created: now, Life: time.Hour, Expires: now.Add(time.Minute), Body: hello}, "", time.Minute},
		{"expires is not capped", record.Draft{Created: now, Expires: now.AddDate(0, 0, 31), Body: hello}, "times", 0},
		{"no life", record.Draft{Created: now, Body: hello}, "times", 0},
		{"less than a millisecond", record.Draft{Created: now, Life: time.Microsecond, Body: hello}, "times", 0},
		{"negative life", record.Draft{Created: now, Life: -1 << 62, Body: hello}, "times", 0},
		{"no time", record.Draft{Life: time.Hour, Body: hello}, "times", 0},
		{"before 1970", record.Draft{Created: time.UnixMilli(-1), Life: time.Hour, Body: hello}, "times", 0},
		{"at 1970", record.Draft{Created: time.UnixMilli(0), Life: time.Hour, Body: hello}, "", time.Hour},
		{"last times there are", record.Draft{Created: time.UnixMilli(record.MaxTime - 1), Life: time.Millisecond, Body: hello}, "", time.Millisecond},
		{"past the last", record.Draft{Created: time.UnixMilli(record.MaxTime), Life: time.Millisecond, Body: hello}, "times", 0},
		{"end of int64", record.Draft{Created: time.UnixMilli(math.MaxInt64), Life: time.Hour, Body: hello}, "times", 0},
		{"no body", record.Draft{Created: now, Life: time.Hour}, "body", 0},
		{"empty body", record.Draft{Created: now, Life: time.Hour, Body: record.Message{}}, "body", 0},
		{"short undo", record.Draft{Created: now, Life: time.Hour, Undo: make([]byte, 31), Body: hello}, "malformed", 0},
		{"long undo", record.Draft{Created: now, Life: time.Hour, Undo: make([]byte, 33), Body: hello}, "malformed", 0},
		{"body that lies about its kind", record.Draft{Created: now, Life: time.Hour, Body: foreign{record.KindMessage}}, "body", 0},
		{"body of a kind to come", record.Draft{Created: now, Life: time.Hour, Body: foreign{77}}, "", time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := record.Sign(alice, c.draft)
			if got := class(t, err); got != c.want {
				t.Fatalf("fails as %q (%v), want %q", got, err, c.want)
			}
			if err != nil {
				if r != nil {
					t.Error("a record came with the error")
				}
				return
			}
			if got := time.Duration(r.Expires-r.Created) * time.Millisecond; got != c.life {
				t.Errorf("lives %v, want %v", got, c.life)
			}
			if _, err := takeIn(r.Encode(), time.UnixMilli(r.Created)); err != nil {
				t.Errorf("others refuse it: %v", err)
			}
			if r.Author != keyOf(alice) {
				t.Error("not authored by its signer")
			}
		})
	}
}

// foreign is a body this package does not know.
type foreign struct{ kind record.Kind }

func (f foreign) Kind() record.Kind { return f.kind }
func (f foreign) Check() error      { return nil }

func TestDecodeLimits(t *testing.T) {
	const future = record.Kind(99)
	longest := sealKind(t, future, make([]byte, record.MaxBody))
	r, err := takeIn(longest, now)
	if err != nil || len(r.Body) != record.MaxBody {
		t.Fatalf("the longest body is refused: %v", err)
	}
	_, err = record.Decode(sealKind(t, future, make([]byte, record.MaxBody+1)))
	if class(t, err) != "too-large" {
		t.Errorf("one past the longest body: %v", err)
	}
	// A full head, the largest kind and times and an undo hash still fit.
	key := keyOf(alice)
	widest := seal(t, 1, uint64(math.MaxUint64), key[:], int64(record.MaxTime-1), int64(record.MaxTime), make([]byte, 32), make([]byte, record.MaxBody))
	if _, err := record.Decode(widest); err != nil || len(widest) > record.MaxSize {
		t.Errorf("the widest record, %d bytes: %v", len(widest), err)
	}
	for size, want := range map[int]string{record.MaxSize: "malformed", record.MaxSize + 1: "too-large"} {
		if _, err := record.Decode(make([]byte, size)); class(t, err) != want {
			t.Errorf("%d bytes of nothing: %v, want %s", size, err, want)
		}
	}
}

func TestLivesAtAndPastTheLongest(t *testing.T) {
	key := keyOf(alice)
	for kind, days := range map[record.Kind]int64{
		record.KindFile: 400, record.KindMessage: 30, record.KindPost: 400, record.KindTakedown: 400, record.KindCard: 7, 0: 400, 6: 400, math.MaxUint64: 400,
	} {
		longest := days * 24 * 60 * 60 * 1000
		if got := kind.MaxLife().Milliseconds(); got != longest {
			t.Errorf("kind %d lives %d ms, want %d", kind, got, longest)
		}
		for life, want := range map[int64]string{longest: "", longest + 1: "times", 1: "", 0: "times", -1: "times"} {
			_, err := record.Decode(seal(t, 1, uint64(kind), key[:], now.UnixMilli(), now.UnixMilli()+life, []byte{}, []byte{}))
			if class(t, err) != want {
				t.Errorf("kind %d, %d ms: %v, want %q", kind, life, err, want)
			}
		}
	}
}

// A length from outside is held against what is there before it is used, on
// machines of 32 bits too.
func TestClaimedLengthsTakeNoMemory(t *testing.T) {
	good := sealKind(t, record.KindMessage, []byte{0xa0})
	for _, head := range [][]byte{
		{0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x5b, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x20}, // 2³² + 32
		{0x5a, 0xff, 0xff, 0xff, 0xff}, {0x5a, 0x80, 0x00, 0x00, 0x00}, {0x5a, 0x7f, 0xff, 0xff, 0xff},
	} {
		raw := bytes.Join([][]byte{good[:3], head, good[5:]}, nil)
		if _, err := record.Decode(raw); class(t, err) != "malformed" {
			t.Errorf("author's length %x: %v", head, err)
		}
		if n := testing.AllocsPerRun(10, func() { record.Decode(raw) }); n > 1 {
			t.Errorf("author's length %x: %v allocations", head, n)
		}
	}
}

func TestEveryTruncationIsMalformed(t *testing.T) {
	raw := mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Undo: make([]byte, 32), Body: hello}).Encode()
	for n := range raw {
		if _, err := record.Decode(raw[:n]); class(t, err) != "malformed" {
			t.Errorf("first %d bytes: %v", n, err)
		}
	}
	if _, err := record.Decode(append(bytes.Clone(raw), 0)); class(t, err) != "malformed" {
		t.Errorf("one byte more: %v", err)
	}
}

// No bit of a record can change without it being refused: every bit is form,
// or is signed, or is the signature.
func TestEveryBitCounts(t *testing.T) {
	raw := mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Body: hello}).Encode()
	for i := range raw {
		for bit := range 8 {
			changed := bytes.Clone(raw)
			changed[i] ^= 1 << bit
			r, err := record.Decode(changed)
			if err == nil {
				err = r.Verify()
			}
			if err == nil {
				t.Errorf("byte %d, bit %d does not count", i, bit)
			}
		}
	}
}

// The zero key is a point of small order, for which a signature can be made
// without any secret. The library lets it pass; we must not, nor may the zero
// Key of a caller's mistake ever be somebody.
func TestNobodySignsForTheZeroKey(t *testing.T) {
	var zero record.Key
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1 // R is the neutral point, S is 0
	for created := now.UnixMilli(); ; created++ {
		first := []any{1, uint64(record.KindMessage), zero[:], created, created + 1000, []byte{}, deterministic(t, map[int]string{1: "lobby", 2: "hello"})}
		if !ed25519.Verify(zero[:], signedMessage(t, first), forged) {
			continue // one in four does
		}
		_, err := takeIn(deterministic(t, append(first, forged)), now)
		if class(t, err) != "signature" {
			t.Errorf("a forged record of the zero key: %v", err)
		}
		return
	}
}

func TestSignaturesOfOneMessageAreOneRecord(t *testing.T) {
	a := mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Body: hello})
	b := mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Body: hello})
	c := mustSign(t, bob, record.Draft{Created: now, Life: time.Hour, Body: hello})
	if a.ID() != b.ID() || !bytes.Equal(a.Encode(), b.Encode()) {
		t.Error("the same draft gave two records")
	}
	if a.ID() == c.ID() {
		t.Error("two authors gave one record")
	}
	changed := bytes.Clone(a.Encode())
	changed[len(changed)-1] ^= 1
	r, err := record.Decode(changed)
	if err != nil {
		t.Fatal(err)
	}
	if r.ID() != a.ID() {
		t.Error("the signature is part of the id")
	}
}

func TestCurrent(t *testing.T) {
	r := mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Body: hello})
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{now, ""},
		{now.Add(time.Hour - time.Millisecond), ""},
		{now.Add(time.Hour), "expired"},
		{now.Add(-record.MaxSkew), ""},
		{now.Add(-record.MaxSkew - time.Millisecond), "future"},
		{time.Time{}, "future"},
		{time.UnixMilli(0), "future"},
		{time.UnixMilli(math.MaxInt64), "expired"},
	} {
		if err := r.Current(c.at); class(t, err) != c.want {
			t.Errorf("at %v: %v, want %q", c.at, err, c.want)
		}
	}
}

func TestZeroRecordIsNothing(t *testing.T) {
	var r record.Record
	if err := r.Verify(); !errors.Is(err, record.ErrSignature) {
		t.Errorf("verifies: %v", err)
	}
	if err := r.Current(now); !errors.Is(err, record.ErrExpired) {
		t.Errorf("is current: %v", err)
	}
	if err := r.CheckBody(); err != nil { // of unknown kind 0
		t.Errorf("body: %v", err)
	}
	if _, err := r.Message(); !errors.Is(err, record.ErrBody) {
		t.Errorf("is a message: %v", err)
	}
}

// The fields are slices of the record's bytes and end where they end: what a
// caller appends to one must not run into the next.
func TestFieldsDoNotRunIntoOneAnother(t *testing.T) {
	buffer := append(mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Undo: make([]byte, 32), Body: hello}).Encode(), "next"...)
	r, err := record.Decode(buffer[: len(buffer)-4 : len(buffer)])
	if err != nil {
		t.Fatal(err)
	}
	_ = append(r.Undo, 0xff)
	_ = append(r.Body, 0xff)
	_ = append(r.Encode(), 0xff)
	if err := r.Verify(); err != nil {
		t.Error(err)
	}
	if string(buffer[len(buffer)-4:]) != "next" {
		t.Error("appending to the encoding wrote into the buffer behind it")
	}
}

func TestRecordsAreSharedBetweenGoroutines(t *testing.T) {
	r := mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Body: hello})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if _, err := takeIn(r.Encode(), now); err != nil {
					t.Error(err)
				}
				if m, err := r.Message(); err != nil || m.Text != hello.Text {
					t.Error(m, err)
				}
			}
		})
	}
	wg.Wait()
}
