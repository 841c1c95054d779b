package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"boucan/store"
)

// TestConcurrent has writers that each keep a row of keys equal, in small
// Writes and in ones too large for one transaction of Badger's, and readers
// who must never see a row that is not.
func TestConcurrent(t *testing.T) {
	const rows, rounds = 6, 12
	dir := t.TempDir()
	db := openStore(t, dir)
	b := db.Table(store.Records)
	width := func(row int) int { return 3 + row*row*100 } // up to 2503 keys
	line := func(row, round int) []pair {
		var ps []pair
		for i := range width(row) {
			ps = append(ps, pair{fmt.Appendf(nil, "%d/%05d", row, i), bytes.Repeat([]byte{byte(round)}, 150)})
		}
		return ps
	}
	checkRow := func(row int) {
		seq, failed := b.Scan(fmt.Appendf(nil, "%d/", row), fmt.Appendf(nil, "%d0", row))
		got := collect(t, 0, seq, failed)
		for _, p := range got {
			if p.value[0] != got[0].value[0] {
				t.Errorf("row %d is torn: %d and %d", row, got[0].value[0], p.value[0])
				return
			}
		}
		if len(got) != 0 && len(got) != width(row) {
			t.Errorf("row %d has %d keys", row, len(got))
		}
	}
	var writers, readers sync.WaitGroup
	var over atomic.Bool
	for row := range rows {
		writers.Go(func() {
			for round := range rounds {
				if err := b.Write(pairs(line(row, round)...)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for !over.Load() {
				checkRow(rand.IntN(rows))
			}
		})
	}
	writers.Wait()
	over.Store(true)
	readers.Wait()
	closeStore(t, db)
	b = openStore(t, dir).Table(store.Records)
	for row := range rows {
		got := scan(t, b, fmt.Appendf(nil, "%d/", row), fmt.Appendf(nil, "%d0", row))
		wantPairs(t, "after all", got, line(row, rounds-1))
	}
}

func TestManyWritersAtOnce(t *testing.T) {
	const writers, each = 3 * store.MaxWriters, 5
	dir := t.TempDir()
	db := openStore(t, dir)
	b := db.Table(store.Records)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				p := record(w*each+i, 200)
				if err := b.Write(pairs(p)); err != nil {
					t.Error(err)
				}
				if got, ok, err := b.Get(p.key); err != nil || !ok || !bytes.Equal(got, p.value) {
					t.Errorf("own write is not there: %t %v", ok, err)
				}
			}
		})
	}
	all.Wait()
	closeStore(t, db)
	wantRecords(t, openStore(t, dir).Table(store.Records), writers*each, 200)
}

func TestClose(t *testing.T) {
	db := openStore(t, t.TempDir())
	b := db.Table(store.Records)
	if err := b.Write(records(0, 100, 50)); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	seq, failed := b.Scan(nil, nil)
	n := 0
	for range seq {
		if n == 0 { // Close begins while this scan runs
			go func() { closed <- db.Close() }()
			for {
				if _, _, err := b.Get([]byte("x")); errors.Is(err, store.ErrClosed) {
					break
				}
			}
		}
		n++
	}
	if err := failed(); err != nil || n != 100 {
		t.Fatalf("Close cut a scan off after %d: %v", n, err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatalf("a second Close: %v", err)
	}
	if _, _, err := b.Get([]byte("x")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get: %v", err)
	}
	if err := b.Write(records(0, 1, 1)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
	for range seq {
		t.Error("a scan of a closed store yields")
	}
	if err := failed(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Scan: %v", err)
	}
}

func TestCloseWhileWriting(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	b := db.Table(store.Records)
	var acked [8]int
	var all sync.WaitGroup
	for w := range acked {
		all.Go(func() {
			for {
				err := b.Write(pairs(put(fmt.Sprintf("%d/%06d", w, acked[w]), "x")))
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				acked[w]++
				if acked[w] == 20 {
					all.Go(func() { closeStore(t, db) })
				}
			}
		})
	}
	all.Wait()
	b = openStore(t, dir).Table(store.Records)
	for w, n := range acked {
		if got := scan(t, b, fmt.Appendf(nil, "%d/", w), fmt.Appendf(nil, "%d0", w)); len(got) != n {
			t.Errorf("writer %d: %d acknowledged, %d there", w, n, len(got))
		}
	}
}
