//go:build !boltstore && !386 && !arm && !mips && !mipsle

package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func openBadger(t *testing.T, dir string) (*DB, *badgerEngine) {
	t.Helper()
	db, err := Open(dir, Options{CacheBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	return db, db.engine.(*badgerEngine)
}

func contents(t *testing.T, db *DB) map[string]string {
	t.Helper()
	m := map[string]string{}
	seq, failed := db.Table(Records).Scan(nil, nil)
	for k, v := range seq {
		m[string(k)] = string(v)
	}
	if err := failed(); err != nil {
		t.Fatal(err)
	}
	return m
}

// cutOff does what commitParts does before its last part, and no more: keys
// 5 to 14 changed, 15 to 19 removed, 20 to 29 new.
func cutOff(e *badgerEngine) error {
	version := e.snap.newest() + 1
	part := []change{{key: unfinishedKey(), value: binary.BigEndian.AppendUint64(nil, version)}}
	for i := 5; i < 30; i++ {
		key := tableKey(Records, fmt.Appendf(nil, "key %03d", i))
		part = append(part, change{key: key, value: []byte("half done"), remove: i >= 15 && i < 20})
		if i == 12 { // two parts of one version
			if err := e.commit(part, version); err != nil {
				return err
			}
			part = nil
		}
	}
	return e.commit(part, version)
}

func TestUnfinishedWriteIsUndone(t *testing.T) {
	dir := t.TempDir()
	db, e := openBadger(t, dir)
	for round := range 3 { // older versions of each key, too
		if err := db.Table(Records).Write(func(yield func(k, v []byte) bool) {
			for i := range 20 {
				yield(fmt.Appendf(nil, "key %03d", i), fmt.Appendf(nil, "value %d", round))
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	want := contents(t, db)
	if err := cutOff(e); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, db); !maps.Equal(got, want) {
		t.Fatalf("a part of a write is seen: %v", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	// Cut off again while that is being undone: one key restored, the note still there.
	db, e = openBadger(t, dir)
	if got := contents(t, db); !maps.Equal(got, want) {
		t.Fatalf("after reopening: %v", got)
	}
	if err := cutOff(e); err != nil {
		t.Fatal(err)
	}
	restored := change{key: tableKey(Records, []byte("key 007")), value: []byte(want["key 007"])}
	if err := e.commit([]change{restored}, e.snap.newest()+2); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		db, _ = openBadger(t, dir)
		if got := contents(t, db); !maps.Equal(got, want) {
			t.Fatalf("after the second cut: %v", got)
		}
		if err := db.Table(Records).Write(func(yield func(k, v []byte) bool) {
			yield([]byte("key 001"), []byte("goes on"))
		}); err != nil {
			t.Fatal(err)
		}
		want["key 001"] = "goes on"
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEmptyLogs opens a store in which a crash has left logs of no bytes.
func TestEmptyLogs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"", "00009.mem", "000009.vlog"} {
		if name != "" {
			if err := os.WriteFile(filepath.Join(dir, engineFile, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		db, _ := openBadger(t, dir)
		if err := db.Table(Node).Write(func(yield func(k, v []byte) bool) {
			yield([]byte("key"), []byte("value"))
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatTheEngineSays goes to debug level and nowhere else.
func TestWhatTheEngineSays(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelDebug: true, slog.LevelInfo: false} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
		db, err := Open(t.TempDir(), Options{Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if said := out.Len() > 0; said != want {
			t.Errorf("at %s: %q", level, out.String())
		}
	}
}

// TestDamageDoesNotSpread flips a bit of a table and wants no more than the
// records of one block lost, also after enough has been written that tables
// would be merged.
func TestDamageDoesNotSpread(t *testing.T) {
	const total = 3000
	dir := t.TempDir()
	some := func(prefix string, n int) func(yield func(k, v []byte) bool) {
		return func(yield func(k, v []byte) bool) {
			for i := range n {
				if !yield(fmt.Appendf(nil, "%s %06d", prefix, i), bytes.Repeat([]byte{byte(i)}, 250)) {
					return
				}
			}
		}
	}
	db, _ := openBadger(t, dir)
	if err := db.Table(Records).Write(some("old", total)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filesWith(filepath.Join(dir, engineFile), ".sst")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, engineFile, tables[0].Name())
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/3] ^= 1
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}

	db, e := openBadger(t, dir)
	for i := 0; !e.damaged; i++ {
		if err := db.Table(Records).Write(some(fmt.Sprint("new ", i), total)); err != nil {
			t.Fatal(err)
		}
		if i > 100 {
			t.Fatal("nothing was ever merged")
		}
	}
	lost := 0
	for key := range some("old", total) {
		_, ok, err := db.Table(Records).Get(key)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			lost++
		}
	}
	if lost > 20 {
		t.Errorf("%d of %d records are lost", lost, total)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
