package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"

	"boucan/store"
)

// TestMain runs, where the environment asks for it, one of the children that
// the crash tests start, in place of the tests.
func TestMain(m *testing.M) {
	if name := os.Getenv("STORE_TEST_CHILD"); name != "" {
		children[name]()
		return
	}
	os.Exit(m.Run())
}

// children are the programs that crash tests run in a process of their own.
var children = map[string]func(){
	"write":   writeUntilKilled,
	"migrate": migrateUntilKilled,
	"hold":    holdUntilKilled,
	"full":    fillDisk, // Linux only
}

// child makes the command that runs a child on the store in dir.
func child(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	cmd, err := childCommand(t.Context(), name, dir)
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// childCommand is child for children of children. STORE_TEST_RUNNER names the
// emulator where the processor is a foreign one.
func childCommand(ctx context.Context, name, dir string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe)
	if runner := os.Getenv("STORE_TEST_RUNNER"); runner != "" {
		cmd = exec.CommandContext(ctx, runner, exe)
	}
	cmd.Env = append(os.Environ(), "STORE_TEST_CHILD="+name, "STORE_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// small is the smallest budget: more happens in the engine with less data.
var small = store.Options{CacheBytes: 1}

func openStore(t testing.TB, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func closeStore(t testing.TB, db *store.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

type pair struct{ key, value []byte }

func put(key, value string) pair { return pair{[]byte(key), []byte(value)} }
func del(key string) pair        { return pair{[]byte(key), nil} }

func pairs(ps ...pair) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for _, p := range ps {
			if !yield(p.key, p.value) {
				return
			}
		}
	}
}

func write(t testing.TB, b *store.Bucket, ps ...pair) {
	t.Helper()
	if err := b.Write(pairs(ps...)); err != nil {
		t.Fatal(err)
	}
}

// record is the i-th of the numbered test records: a key that keeps the order
// of i and a value of size bytes that belongs to it alone.
func record(i, size int) pair {
	value := make([]byte, size+8)
	seed := uint64(i)*0x9e3779b97f4a7c15 + 1
	for j := 0; j < size; j += 8 {
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		binary.LittleEndian.PutUint64(value[j:], seed)
	}
	value = value[:size]
	return pair{fmt.Appendf(nil, "record %09d", i), value}
}

// records are the numbered records from <= i < to.
func records(from, to, size int) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for i := from; i < to; i++ {
			if p := record(i, size); !yield(p.key, p.value) {
				return
			}
		}
	}
}

// collect copies what a scan yields, up to limit pairs; 0 is no limit.
func collect(t testing.TB, limit int, seq iter.Seq2[[]byte, []byte], failed func() error) []pair {
	t.Helper()
	var got []pair
	for k, v := range seq {
		got = append(got, pair{bytes.Clone(k), append([]byte{}, v...)})
		if len(got) == limit {
			break
		}
	}
	if err := failed(); err != nil {
		t.Fatal(err)
	}
	return got
}

func scan(t testing.TB, b *store.Bucket, from, to []byte) []pair {
	t.Helper()
	seq, failed := b.Scan(from, to)
	return collect(t, 0, seq, failed)
}

func scanBack(t testing.TB, b *store.Bucket, from, to []byte) []pair {
	t.Helper()
	seq, failed := b.ScanBack(from, to)
	return collect(t, 0, seq, failed)
}

func wantPairs(t testing.TB, what string, got, want []pair) {
	t.Helper()
	same := func(a, b pair) bool { return bytes.Equal(a.key, b.key) && bytes.Equal(a.value, b.value) }
	if !slices.EqualFunc(got, want, same) {
		t.Fatalf("%s: got %d pairs, want %d: %.200q against %.200q", what, len(got), len(want), got, want)
	}
}

func wantValue(t testing.TB, b *store.Bucket, key, want []byte) {
	t.Helper()
	got, ok, err := b.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	if ok != (want != nil) || !bytes.Equal(got, want) {
		t.Fatalf("value of %.40q: got %.40q (%t), want %.40q", key, got, ok, want)
	}
}

// sorted is what a scan of a table that holds m must yield.
func sorted(m map[string]string) []pair {
	var want []pair
	for _, k := range slices.Sorted(maps.Keys(m)) {
		want = append(want, put(k, m[k]))
	}
	return want
}
