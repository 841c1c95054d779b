package store_test

import (
	"errors"
	"runtime"
	"sync"
	"testing"

	"boucan/store"
)

// TestWritersShareASync holds the engine while writers gather, and wants them
// to go to the disk together afterwards.
func TestWritersShareASync(t *testing.T) {
	db := openStore(t, t.TempDir())
	b := db.Table(store.Records)
	entered, release := make(chan struct{}), make(chan struct{})
	writes := 0
	db.Between(func(do func() error) error {
		if writes++; writes == 1 {
			close(entered)
			<-release
		}
		return do()
	})
	var all sync.WaitGroup
	writer := func(i int) {
		all.Go(func() {
			if err := b.Write(pairs(record(i, 300))); err != nil {
				t.Error(err)
			}
		})
	}
	writer(0)
	<-entered
	for i := 1; i < store.MaxWriters; i++ {
		writer(i)
	}
	for db.Waiting() < store.MaxWriters-1 {
		runtime.Gosched()
	}
	close(release)
	all.Wait()
	if writes != 2 {
		t.Errorf("%d writers took %d writes of the engine, want 2", store.MaxWriters, writes)
	}
	wantRecords(t, b, store.MaxWriters, 300)
}

// TestFailedWrite wants no write after one that the disk itself refused, and
// reads to go on.
func TestFailedWrite(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	b := db.Table(store.Records)
	write(t, b, put("before", "1"))
	broken := errors.New("input/output error")
	fail := true
	db.Between(func(do func() error) error {
		if fail {
			return broken
		}
		return do()
	})
	for range 2 {
		if err := b.Write(pairs(put("during", "1"))); !errors.Is(err, store.ErrFailed) || !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
		fail = false
	}
	wantValue(t, b, []byte("before"), []byte("1"))
	closeStore(t, db)
	b = openStore(t, dir).Table(store.Records)
	wantValue(t, b, []byte("before"), []byte("1"))
	write(t, b, put("after", "1"))
}

// TestFullIsNotForEver wants writes to go on after one for which there was no
// room.
func TestFullIsNotForEver(t *testing.T) {
	db := openStore(t, t.TempDir())
	b := db.Table(store.Records)
	full := true
	db.Between(func(do func() error) error {
		if full {
			return store.ErrFull
		}
		return do()
	})
	if err := b.Write(pairs(put("a", "1"))); !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v", err)
	}
	full = false
	wantValue(t, b, []byte("a"), nil)
	write(t, b, put("a", "2"))
	wantValue(t, b, []byte("a"), []byte("2"))
}
