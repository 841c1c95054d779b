package store_test

import (
	"fmt"
	"iter"
	"sync"
	"testing"

	"boucan/store"
)

func benchStore(b *testing.B) *store.Bucket {
	db, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db.Table(store.Records)
}

func numbered(from, n, size int) iter.Seq2[[]byte, []byte] {
	value := make([]byte, size)
	return func(yield func(k, v []byte) bool) {
		for i := from; i < from+n; i++ {
			if !yield(fmt.Appendf(nil, "%012d", i*7919%1000003), value) {
				return
			}
		}
	}
}

// BenchmarkSmallWrites is single records of 300 bytes from so many writers at
// once, each durable before its writer goes on.
func BenchmarkSmallWrites(b *testing.B) {
	for _, writers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			t := benchStore(b)
			work := make(chan int)
			var done sync.WaitGroup
			for range writers {
				done.Go(func() {
					for i := range work {
						if err := t.Write(numbered(i, 1, 300)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			i := 0
			for b.Loop() {
				work <- i
				i++
			}
			close(work)
			done.Wait()
		})
	}
}

// BenchmarkBatches is one writer with many records of 300 bytes at a time.
func BenchmarkBatches(b *testing.B) {
	for _, n := range []int{100, 1000, 3000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			t := benchStore(b)
			i := 0
			for b.Loop() {
				if err := t.Write(numbered(i, n, 300)); err != nil {
					b.Fatal(err)
				}
				i += n
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(i), "µs/record")
		})
	}
}

func BenchmarkGet(b *testing.B) {
	t := benchStore(b)
	for i := 0; i < 60000; i += 1000 {
		if err := t.Write(numbered(i, 1000, 300)); err != nil {
			b.Fatal(err)
		}
	}
	i := 0
	for b.Loop() {
		if _, ok, err := t.Get(fmt.Appendf(nil, "%012d", i%60000*7919%1000003)); !ok || err != nil {
			b.Fatal(ok, err)
		}
		i++
	}
}

func BenchmarkScan(b *testing.B) {
	t := benchStore(b)
	for i := 0; i < 60000; i += 1000 {
		if err := t.Write(numbered(i, 1000, 300)); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for b.Loop() {
		seq, failed := t.Scan(nil, nil)
		for range seq {
			n++
		}
		if err := failed(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
}
