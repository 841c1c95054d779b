package store_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"boucan/store"
)

// diskUse is what the files under dir take up on the disk, holes not counted.
func diskUse(t testing.TB, dir string) (total int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && d.Name() != "ballast" {
			total += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil // a file may go meanwhile
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// The crash tests' writers each write rows, of one key to some thousand, and
// say so on stdout once they are acknowledged: "writer row keys".
const crashWriters = 4

func rowWidth(writer, row int) int {
	if writer == 0 && row%3 == 0 {
		return 3000 // 900 KB: several of Badger's transactions
	}
	return 1 + row%7
}

func rowPairs(round, writer, row int) []pair {
	ps := make([]pair, rowWidth(writer, row))
	for i := range ps {
		ps[i] = record(i+row*10000, 260)
		ps[i].key = fmt.Appendf(nil, "%d/%d/%06d/%05d", round, writer, row, i)
	}
	return ps
}

// writeUntilKilled is the child that writes rows until it is killed.
func writeUntilKilled() {
	db, err := store.Open(os.Getenv("STORE_TEST_DIR"), small)
	if err != nil {
		fmt.Fprintln(os.Stderr, "open:", err)
		os.Exit(1)
	}
	var round int
	fmt.Sscan(os.Getenv("STORE_TEST_ROUND"), &round)
	var all sync.WaitGroup
	for w := range crashWriters {
		all.Go(func() {
			for row := 0; ; row++ {
				if err := db.Table(store.Records).Write(pairs(rowPairs(round, w, row)...)); err != nil {
					fmt.Fprintln(os.Stderr, "write:", err)
					os.Exit(1)
				}
				fmt.Printf("%d %d\n", w, row)
			}
		})
	}
	all.Wait()
}

// acknowledged is, by round, how many rows of each writer were acknowledged.
type acknowledged [][crashWriters]int

// count reads the child's lines until so many have come, or all.
func (a acknowledged) count(t *testing.T, in *bufio.Scanner, round, lines int) {
	t.Helper()
	for n := 0; (lines == 0 || n < lines) && in.Scan(); n++ {
		var w, row int
		if _, err := fmt.Sscan(in.Text(), &w, &row); err != nil {
			t.Fatalf("child said %q", in.Text())
		}
		a[round][w] = row + 1
	}
}

// check wants every acknowledged row whole, and of others all or nothing, at
// most the one that each writer was at.
func (a acknowledged) check(t *testing.T, b *store.Bucket) {
	t.Helper()
	for round := range a {
		for w, rows := range a[round] {
			got := scan(t, b, fmt.Appendf(nil, "%d/%d/", round, w), fmt.Appendf(nil, "%d/%d0", round, w))
			row := 0
			for ; len(got) > 0; row++ {
				want := rowPairs(round, w, row)
				if len(got) < len(want) {
					t.Fatalf("round %d writer %d row %d is torn: %d of %d keys", round, w, row, len(got), len(want))
				}
				wantPairs(t, "row", got[:len(want)], want)
				got = got[len(want):]
			}
			if row < rows || row > rows+1 {
				t.Fatalf("round %d writer %d: %d rows acknowledged, %d there", round, w, rows, row)
			}
		}
	}
}

func TestKillWhileWriting(t *testing.T) {
	const rounds = 5
	dir := t.TempDir()
	acks := make(acknowledged, rounds)
	for round := range rounds {
		cmd := child(t, "write", dir)
		cmd.Env = append(cmd.Env, fmt.Sprintf("STORE_TEST_ROUND=%d", round))
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		acks.count(t, lines, round, 40+round*23)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		acks.count(t, lines, round, 0)
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("child ended by itself: %v", err)
		}
		db := openStore(t, dir)
		acks.check(t, db.Table(store.Records))
		closeStore(t, db)
	}
}

// holdUntilKilled is the child that has the store open.
func holdUntilKilled() {
	_, err := store.Open(os.Getenv("STORE_TEST_DIR"), small)
	fmt.Println(err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(3) // not reached: the parent kills
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	if _, err := store.Open(dir, small); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("a second time in this process: %v", err)
	}
	write(t, db.Table(store.Node), put("a", "1"))
	closeStore(t, db)

	cmd := child(t, "hold", dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "<nil>\n" {
		t.Fatalf("child could not open: %q %v", line, err)
	}
	if _, err := store.Open(dir, small); !errors.Is(err, store.ErrLocked) {
		t.Errorf("while another process has it: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as it should be
	wantValue(t, openStore(t, dir).Table(store.Node), []byte("a"), []byte("1"))
}

func TestOtherEngine(t *testing.T) {
	dir := t.TempDir()
	other := map[string]string{"badger": "bbolt.db", "bbolt": "badger"}[store.Engine]
	if err := os.Mkdir(filepath.Join(dir, other), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(dir, small); !errors.Is(err, store.ErrOtherEngine) {
		t.Fatalf("got %v", err)
	}
}

// TestGarbage opens a store whose files somebody has overwritten: an error, and
// the store opens again once they are put back.
func TestGarbage(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	write(t, db.Table(store.Node), put("a", "1"))
	closeStore(t, db)
	name := map[string]string{"badger": "badger/MANIFEST", "bbolt": "bbolt.db"}[store.Engine]
	name = filepath.Join(dir, name)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{make([]byte, len(good)), []byte("garbage"), bytes.Repeat([]byte("garbage!"), 4096)} {
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(dir, small); err == nil || errors.Is(err, store.ErrLocked) {
			t.Errorf("%d bytes of garbage: %v", len(bad), err)
		}
	}
	if err := os.WriteFile(name, good, 0o600); err != nil {
		t.Fatal(err)
	}
	wantValue(t, openStore(t, dir).Table(store.Node), []byte("a"), []byte("1"))
}

// TestFlippedBit flips one bit of one value on the disk: that one is gone, no
// other, and a write mends it.
func TestFlippedBit(t *testing.T) {
	const total, bad = 3000, 1234
	dir := t.TempDir()
	db := openStore(t, dir)
	if err := db.Table(store.Records).Write(records(0, total, 300)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, db)
	flipped := false
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "ballast" {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if at := bytes.Index(content, record(bad, 300).value); at >= 0 {
			flipped = true
			content[at+150] ^= 4
		}
		return os.WriteFile(name, content, 0o600)
	})
	if err != nil || !flipped {
		t.Fatal("could not flip", err)
	}

	var log bytes.Buffer
	o := small
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	db, err = store.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	b := db.Table(store.Records)
	wantValue(t, b, record(bad, 0).key, nil)
	got := scan(t, b, nil, nil)
	if len(got) != total-1 || len(scanBack(t, b, nil, nil)) != total-1 {
		t.Errorf("%d records are left of %d", len(got), total)
	}
	if !strings.Contains(log.String(), "damaged value") {
		t.Errorf("log: %q", log.String())
	}
	write(t, b, record(bad, 300))
	wantRecords(t, b, total, 300)
	closeStore(t, db)
	wantRecords(t, openStore(t, dir).Table(store.Records), total, 300)
}

// TestDamaged takes the bytes from under an open store, as a stick does that is
// pulled out: an error, and no end of the process.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	if err := db.Table(store.Records).Write(records(0, 3000, 300)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, db) // also moves the records from the log to a table
	db, err := store.Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	if store.Engine == "bbolt" {
		tables = []string{filepath.Join(dir, "bbolt.db")}
	}
	for _, name := range tables {
		if err := os.Truncate(name, 4096); err != nil {
			t.Fatal(err)
		}
	}
	b := db.Table(store.Records)
	seq, failed := b.Scan(nil, nil)
	for range seq {
	}
	if err := failed(); !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("scan: %v", err)
	}
	if _, _, err := b.Get(record(7, 0).key); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("get: %v", err)
	}
	if err := b.Write(records(0, 1, 1)); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("write: %v", err)
	}
	if err := db.Close(); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("close: %v", err)
	}
}
