package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
	"time"

	"boucan/record"
)

// benchFiles is what a large mesh lists.
const benchFiles = 100_000

// TestCatalogueIsLean: a router lists a hundred thousand files, and each byte of
// an entry is a tenth of a megabyte there.
func TestCatalogueIsLean(t *testing.T) {
	const most = 270 // bytes a file; some 235 on 64-bit machines
	recs := benchRecords(t, benchFiles/5)
	before := heapInUse()
	c := benchCatalogue(t, recs)
	each := float64(heapInUse()-before) / float64(len(recs))
	if each > most {
		t.Errorf("%.0f bytes a file, want at most %d", each, most)
	}
	runtime.KeepAlive(c)
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one found is swept
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// benchRecords makes file records as a camera names its pictures, oldest first.
func benchRecords(b testing.TB, files int) []*record.Record {
	b.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	recs := make([]*record.Record, files)
	for i := range recs {
		name := fmt.Sprintf("Holiday %d/IMG_%06d.JPG", i/1000, i)
		r, err := record.Sign(key, record.Draft{
			Created: start.Add(time.Duration(i) * time.Second), Life: fileLife,
			Body: record.File{
				Name: name, Size: 100_000, MediaType: "image/jpeg", Modified: 1,
				CID: record.NewCID(record.CodecRaw, sha256.Sum256([]byte(name))),
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		recs[i] = r
	}
	return recs
}

func benchCatalogue(b testing.TB, recs []*record.Record) *catalogue {
	b.Helper()
	c := newCatalogue(recs[0].Author)
	for i := range recs {
		r := recs[len(recs)-1-i] // as load does
		f, err := r.File()
		if err != nil {
			b.Fatal(err)
		}
		c.add(r, f)
	}
	return c
}

func BenchmarkCatalogueLoad(b *testing.B) {
	recs := benchRecords(b, benchFiles)
	for b.Loop() {
		benchCatalogue(b, recs)
	}
}

func BenchmarkCataloguePageAfterChange(b *testing.B) {
	recs := benchRecords(b, benchFiles)
	c := benchCatalogue(b, recs)
	i := 0
	for b.Loop() {
		r := recs[i*7919%len(recs)]
		f, err := r.File()
		if err != nil {
			b.Fatal(err)
		}
		c.remove(r.ID())
		c.page(0, 50)
		c.add(r, f)
		c.page(0, 50)
		i++
	}
}

func BenchmarkCatalogueDeepPage(b *testing.B) {
	c := benchCatalogue(b, benchRecords(b, benchFiles))
	for b.Loop() {
		c.page(benchFiles-100, 50)
	}
}

func BenchmarkCatalogueSearch(b *testing.B) {
	c := benchCatalogue(b, benchRecords(b, benchFiles))
	for b.Loop() {
		c.searchPage("img_0999 holiday", func(record.Key) string { return "Box" }, 0, 50)
	}
}

func BenchmarkCatalogueFind(b *testing.B) {
	c := benchCatalogue(b, benchRecords(b, benchFiles))
	for b.Loop() {
		c.find("absent")
	}
}
