package store_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"boucan/store"
)

func TestSchemaOfANewStore(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		db := openStore(t, dir)
		if version, err := db.Schema(); version != 1 || err != nil {
			t.Fatalf("schema %d, %v", version, err)
		}
		closeStore(t, db)
	}
}

// oldStore makes a store of version 0: without a version, and without the
// checksums that version 1 has.
func oldStore(t *testing.T, dir string, total int) {
	t.Helper()
	old, err := store.OpenWith(dir)
	if err != nil {
		t.Fatal(err)
	}
	if version, err := old.Schema(); version != 0 || err != nil {
		t.Fatalf("the fixture has schema %d, %v", version, err)
	}
	for i := 0; i < total; i += 1000 {
		if err := old.Table(store.Records).WriteOld(records(i, i+1000, 300)); err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Table(store.Node).WriteOld(pairs(put("a", "1"), put("b", ""), put("c", "3"), del("c"))); err != nil {
		t.Fatal(err)
	}
	closeStore(t, old)
}

func wantOldStore(t *testing.T, db *store.DB, total int) {
	t.Helper()
	if version, err := db.Schema(); version != 1 || err != nil {
		t.Fatalf("schema %d, %v", version, err)
	}
	wantRecords(t, db.Table(store.Records), total, 300)
	wantPairs(t, "node", scan(t, db.Table(store.Node), nil, nil), []pair{put("a", "1"), put("b", "")})
}

func TestSchema0(t *testing.T) {
	dir := t.TempDir()
	oldStore(t, dir, 3000)
	for range 2 {
		db := openStore(t, dir)
		wantOldStore(t, db, 3000)
		closeStore(t, db)
	}
}

// TestSchema0CutOff cuts the migration off after each of its writes in turn.
func TestSchema0CutOff(t *testing.T) {
	dir := t.TempDir()
	oldStore(t, dir, 2000)
	cuts := 0
	for ; ; cuts++ {
		db, err := store.OpenWith(dir, func(db *store.DB) error { return store.AddSums(db, 1) })
		if err == nil {
			closeStore(t, db)
			break
		}
		if !errors.Is(err, store.ErrFull) {
			t.Fatal(err)
		}
	}
	if cuts < 3 {
		t.Errorf("cut off %d times only", cuts)
	}
	wantOldStore(t, openStore(t, dir), 2000)
}

func TestNewerSchema(t *testing.T) {
	dir := t.TempDir()
	nothing := func(*store.DB) error { return nil }
	newer, err := store.OpenWith(dir, nothing, nothing, nothing)
	if err != nil {
		t.Fatal(err)
	}
	write(t, newer.Table(store.Node), put("of", "tomorrow"))
	closeStore(t, newer)
	if _, err := store.Open(dir, small); !errors.Is(err, store.ErrNewer) {
		t.Fatalf("got %v", err)
	}
	newer, err = store.OpenWith(dir, nothing, nothing, nothing)
	if err != nil {
		t.Fatalf("the refused Open left something behind: %v", err)
	}
	wantValue(t, newer.Table(store.Node), []byte("of"), []byte("tomorrow"))
	closeStore(t, newer)
}

// The migration of these tests gives each record a new name, fifty at a time:
// "record 000000001" becomes "named 000000001".
const migrated, perStep = 1000, 50

func rename(db *store.DB, after func(done int) error) error {
	b := db.Table(store.Records)
	for done := 0; ; {
		var batch []pair
		seq, failed := b.Scan([]byte("record "), []byte("record!"))
		for k, v := range seq {
			name := append([]byte("named "), bytes.TrimPrefix(k, []byte("record "))...)
			batch = append(batch, pair{name, bytes.Clone(v)}, pair{bytes.Clone(k), nil})
			if len(batch) == 2*perStep {
				break
			}
		}
		if err := failed(); err != nil || len(batch) == 0 {
			return err
		}
		if err := b.Write(pairs(batch...)); err != nil {
			return err
		}
		done += len(batch) / 2
		if err := after(done); err != nil {
			return err
		}
	}
}

func makeOldSchema(t *testing.T, dir string) {
	t.Helper()
	db := openStore(t, dir) // schema 1
	if err := db.Table(store.Records).Write(records(0, migrated, 100)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, db)
}

func wantMigrated(t *testing.T, db *store.DB, version int) {
	t.Helper()
	if got, err := db.Schema(); got != version || err != nil {
		t.Fatalf("schema %d, %v", got, err)
	}
	got := scan(t, db.Table(store.Records), nil, nil)
	if len(got) != migrated {
		t.Fatalf("%d records", len(got))
	}
	for i, p := range got {
		want := record(i, 100)
		want.key = fmt.Appendf(nil, "named %09d", i)
		wantPairs(t, "migrated", []pair{p}, []pair{want})
	}
}

func TestMigrationIsTakenUpAgain(t *testing.T) {
	dir := t.TempDir()
	makeOldSchema(t, dir)
	var calls []string
	cut := errors.New("cut off")
	step := func(name string, f func(*store.DB) error) func(*store.DB) error {
		return func(db *store.DB) error {
			calls = append(calls, name)
			return f(db)
		}
	}
	nothing := func(*store.DB) error { return nil }
	failing := func(db *store.DB) error {
		return rename(db, func(done int) error {
			if done >= migrated/2 {
				return cut
			}
			return nil
		})
	}
	whole := func(db *store.DB) error { return rename(db, func(int) error { return nil }) }

	_, err := store.OpenWith(dir, step("1", nothing), step("2", failing), step("3", nothing))
	if !errors.Is(err, cut) {
		t.Fatalf("a failing migration: %v", err)
	}
	db, err := store.OpenWith(dir, step("1", nothing), step("2", whole), step("3", nothing))
	if err != nil {
		t.Fatal(err)
	}
	wantMigrated(t, db, 3)
	closeStore(t, db)
	db, err = store.OpenWith(dir, step("1", nothing), step("2", whole), step("3", nothing))
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, db)
	if got := fmt.Sprint(calls); got != "[2 2 3]" {
		t.Fatalf("steps taken: %s", got)
	}
}

// migrateUntilKilled is the child that is killed in the midst of a migration.
func migrateUntilKilled() {
	db, err := store.OpenWith(os.Getenv("STORE_TEST_DIR"),
		func(*store.DB) error { return nil },
		func(db *store.DB) error {
			return rename(db, func(done int) error {
				_, err := fmt.Println(done)
				return err
			})
		})
	fmt.Fprintln(os.Stderr, "was not killed:", db, err)
	os.Exit(1)
}

func TestKillWhileMigrating(t *testing.T) {
	dir := t.TempDir()
	makeOldSchema(t, dir)
	cmd := child(t, "migrate", dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 4 {
		lines.Scan()
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if lines.Text() != fmt.Sprint(4*perStep) {
		t.Fatalf("child said %q", lines.Text())
	}
	_ = cmd.Wait() // killed, as it should be
	db, err := store.OpenWith(dir,
		func(*store.DB) error { return errors.New("taken again") },
		func(db *store.DB) error { return rename(db, func(int) error { return nil }) })
	if err != nil {
		t.Fatal(err)
	}
	wantMigrated(t, db, 2)
	closeStore(t, db)
}
