package replica

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"

	"boucan/record"
)

// syncVectors is spec/vectors/sync.json but for its session.
type syncVectors struct {
	Frames []struct {
		Name, Frame, Payload string
		Type                 frameType
	}
	BadFrames []struct{ Name, Bytes, Error string } `json:"bad_frames"`
	Hellos    []struct {
		Name, Payload, Software, Card string
		Clock                         int64
		Source                        ClockSource
	}
	BadHellos  []struct{ Name, Payload string } `json:"bad_hellos"`
	BadRecords []struct{ Name, Payload string } `json:"bad_records"`
}

func readSyncVectors(t testing.TB) syncVectors {
	t.Helper()
	b, err := os.ReadFile("../spec/vectors/sync.json")
	if err != nil {
		t.Fatal(err)
	}
	var v syncVectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFrameVectors(t *testing.T) {
	v := readSyncVectors(t)
	for _, f := range v.Frames {
		whole, payload := unhex(t, f.Frame), unhex(t, f.Payload)
		if got := appendFrame(nil, f.Type, payload); !bytes.Equal(got, whole) {
			t.Errorf("%s: wrote %x", f.Name, got)
		}
		r := newFrameReader(bytes.NewReader(whole))
		if kind, got, err := r.next(); err != nil || kind != f.Type || !bytes.Equal(got, payload) {
			t.Errorf("%s: read type %d, %x, %v", f.Name, kind, got, err)
		}
		if _, _, err := r.next(); err != io.EOF {
			t.Errorf("%s: then %v", f.Name, err)
		}
	}
	for _, f := range v.BadFrames {
		want := errFrame
		if f.Error == "truncated" {
			want = io.ErrUnexpectedEOF
		}
		if _, _, err := newFrameReader(bytes.NewReader(unhex(t, f.Bytes))).next(); !errors.Is(err, want) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	for _, f := range v.BadRecords {
		if err := splitRecords(unhex(t, f.Payload), func([]byte) {}); err != errFrame {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

// TestFrameLimit: the longest frame passes, one byte more does not, and nothing is
// made ready for it.
func TestFrameLimit(t *testing.T) {
	longest := appendFrame(nil, frameRecords, make([]byte, MaxFrame-1))
	if _, payload, err := newFrameReader(bytes.NewReader(longest)).next(); err != nil || len(payload) != MaxFrame-1 {
		t.Errorf("at the limit: %d bytes, %v", len(payload), err)
	}
	r := newFrameReader(bytes.NewReader(appendFrame(nil, frameRecords, make([]byte, MaxFrame))))
	if _, _, err := r.next(); err != errFrame || cap(r.buf) > 0 {
		t.Errorf("one past the limit: %v, %d bytes made ready", err, cap(r.buf))
	}
	if _, err := splitIDs(make([]byte, MaxWant*idSize)); err != nil {
		t.Errorf("want at the limit: %v", err)
	}
	if _, err := splitIDs(make([]byte, (MaxWant+1)*idSize)); err != errFrame {
		t.Errorf("want one past the limit: %v", err)
	}
	one := appendRecord(nil, make([]byte, record.MaxSize))
	if err := splitRecords(one, func([]byte) {}); err != nil {
		t.Errorf("record at the limit: %v", err)
	}
	if err := splitRecords(appendRecord(nil, make([]byte, record.MaxSize+1)), func([]byte) {}); err != errFrame {
		t.Errorf("record one past the limit: %v", err)
	}
}

func TestHelloVectors(t *testing.T) {
	v, c := readSyncVectors(t), newHelloCodec()
	for _, h := range v.Hellos {
		want := Hello{Clock: h.Clock, Source: h.Source, Software: h.Software, Card: unhex(t, h.Card)}
		got, err := c.decode(unhex(t, h.Payload))
		if err != nil || !sameHello(got, want) {
			t.Errorf("%s: %+v, %v", h.Name, got, err)
		}
	}
	for _, h := range v.BadHellos {
		if _, err := c.decode(unhex(t, h.Payload)); !errors.Is(err, errHello) {
			t.Errorf("%s: %v", h.Name, err)
		}
	}
}

func sameHello(a, b Hello) bool {
	return a.Clock == b.Clock && a.Source == b.Source && a.Software == b.Software && bytes.Equal(a.Card, b.Card)
}

// TestHelloIsCut: whatever a node says of itself, it sends what others accept.
func TestHelloIsCut(t *testing.T) {
	c := newHelloCodec()
	b, err := c.encode(Hello{
		Clock: -5, Source: ClockSynced, Card: make([]byte, record.MaxSize+1),
		Software: "a\x1bb" + string(bytes.Repeat([]byte("x"), 2*record.MaxSoftware)),
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.decode(b)
	if err != nil || h.Clock != 0 || h.Source != ClockSynced || len(h.Software) != record.MaxSoftware || len(h.Card) != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	b, err = c.encode(Hello{Clock: record.MaxTime, Card: make([]byte, record.MaxSize)})
	if err != nil || len(b) > MaxHello {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if h, err := c.decode(b); err != nil || len(h.Card) != record.MaxSize || h.Clock != record.MaxTime {
		t.Errorf("card at the limit: %v", err)
	}
}

// FuzzHello: what is accepted, sent on, is accepted again and says the same.
func FuzzHello(f *testing.F) {
	v, c := readSyncVectors(f), newHelloCodec()
	for _, h := range v.Hellos {
		f.Add(unhex(f, h.Payload))
	}
	for _, h := range v.BadHellos {
		f.Add(unhex(f, h.Payload))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := c.decode(b)
		if err != nil {
			return
		}
		again, err := c.encode(h)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := c.decode(again); err != nil || !sameHello(h, back) {
			t.Fatalf("%+v became %+v, %v", h, back, err)
		}
	})
}

// FuzzFrames: any stream is read to its end or refused; what was read and is
// written again is what was there.
func FuzzFrames(f *testing.F) {
	v := readSyncVectors(f)
	var all []byte
	for _, s := range v.Frames {
		f.Add(unhex(f, s.Frame))
		all = append(all, unhex(f, s.Frame)...)
	}
	f.Add(all)
	for _, s := range v.BadFrames {
		f.Add(unhex(f, s.Bytes))
	}
	for _, s := range v.BadRecords {
		f.Add(appendFrame(nil, frameRecords, unhex(f, s.Payload)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newFrameReader(bytes.NewReader(b))
		var written []byte
		for {
			kind, payload, err := r.next()
			if err != nil {
				if err == io.EOF && !bytes.Equal(written, b) {
					t.Fatalf("read %x as %x", b, written)
				}
				return
			}
			written = appendFrame(written, kind, payload)
			var records []byte
			if err := splitRecords(payload, func(raw []byte) { records = appendRecord(records, raw) }); err == nil && !bytes.Equal(records, payload) {
				t.Fatalf("records %x became %x", payload, records)
			}
			if ids, err := splitIDs(payload); err == nil && !bytes.Equal(joinIDs(ids), payload) {
				t.Fatalf("ids %x became %x", payload, joinIDs(ids))
			}
		}
	})
}
