package record_test

import (
	"testing"
	"time"

	"boucan/record"
)

func benchDraft() record.Draft {
	return record.Draft{Created: now, Life: 24 * time.Hour, Undo: make([]byte, 32), Body: record.File{
		Name: "photos/2026/IMG_20260101_120000.jpg", CID: cid, Size: 3 << 20, MediaType: "image/jpeg", Modified: 1767225600000,
	}}
}

func BenchmarkSign(b *testing.B) {
	draft := benchDraft()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := record.Sign(alice, draft); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	raw := mustSign(b, alice, benchDraft()).Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := record.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	r := mustSign(b, alice, benchDraft())
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFile(b *testing.B) {
	r := mustSign(b, alice, benchDraft())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.File(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCleanName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if record.CleanName(`photos\2026/IMG:20260101?.jpg`) == "" {
			b.Fatal("empty")
		}
	}
}

// BenchmarkDecodeRefused is what a flood of nonsense costs a record.
func BenchmarkDecodeRefused(b *testing.B) {
	raw := mustSign(b, alice, benchDraft()).Encode()
	raw = append(raw[:len(raw):len(raw)], 0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := record.Decode(raw); err == nil {
			b.Fatal("accepted")
		}
	}
}
