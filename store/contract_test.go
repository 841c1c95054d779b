package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"boucan/store"
)

// This suite is the contract of both engines: it runs over the one that the
// build has. store/test-all-arch.sh runs it over both, on all processors.

func TestManyRecordsSurviveReopening(t *testing.T) {
	const total, batch, size = 60000, 500, 300
	dir := t.TempDir()
	db := openStore(t, dir)
	b := db.Table(store.Records)
	for i := 0; i < total; i += batch {
		if err := b.Write(records(i, i+batch, size)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // also after a start at which nothing was written
		closeStore(t, db)
		db = openStore(t, dir)
		b = db.Table(store.Records)
		wantRecords(t, b, total, size)
	}
	seq, failed := b.ScanBack(nil, nil)
	last := collect(t, 10, seq, failed)
	for i, p := range last {
		wantPairs(t, "from the end", []pair{p}, []pair{record(total-1-i, size)})
	}
	for i := 0; i < total; i += 997 {
		p := record(i, size)
		wantValue(t, b, p.key, p.value)
	}
}

// wantRecords wants the numbered records 0 <= i < total in order, and no more.
func wantRecords(t *testing.T, b *store.Bucket, total, size int) {
	t.Helper()
	i := 0
	seq, failed := b.Scan(nil, nil)
	for k, v := range seq {
		if p := record(i, size); !bytes.Equal(k, p.key) || !bytes.Equal(v, p.value) {
			t.Fatalf("record %d: got key %q", i, k)
		}
		i++
	}
	if err := failed(); err != nil {
		t.Fatal(err)
	}
	if i != total {
		t.Fatalf("got %d records, want %d", i, total)
	}
}

func TestPutGetDelete(t *testing.T) {
	b := openStore(t, t.TempDir()).Table(store.Node)
	wantValue(t, b, []byte("a"), nil)
	write(t, b, put("a", "1"), put("b", "2"), put("empty", ""))
	wantValue(t, b, []byte("a"), []byte("1"))
	wantValue(t, b, []byte("empty"), []byte{})
	wantValue(t, b, []byte("aa"), nil)
	wantValue(t, b, []byte{}, nil)
	wantValue(t, b, make([]byte, 2*store.MaxKey), nil)

	write(t, b, put("a", "3"), del("b"), del("never there"))
	wantPairs(t, "all", scan(t, b, nil, nil), []pair{put("a", "3"), put("empty", "")})

	write(t, b, put("x", "1"), del("x"), del("y"), put("y", "1"), put("y", "2"))
	wantValue(t, b, []byte("x"), nil)
	wantValue(t, b, []byte("y"), []byte("2"))

	write(t, b) // no pairs
}

func TestValuesAreTheCallersOwn(t *testing.T) {
	b := openStore(t, t.TempDir()).Table(store.Node)
	k, v := []byte("key"), []byte("value")
	if err := b.Write(func(yield func(k, v []byte) bool) {
		yield(k, v)
		clear(k)
		clear(v)
	}); err != nil {
		t.Fatal(err)
	}
	got, _, err := b.Get([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	got = append(got[:0], "other"...)
	wantValue(t, b, []byte("key"), []byte("value"))
	_ = got
}

func TestTablesAreApart(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	tables := []store.Table{store.Records, store.Blobs, store.Node}
	for i, name := range tables {
		write(t, db.Table(name), put("same", fmt.Sprint(i)), put("\x00", "low"), put("\xff\xff", "high"))
	}
	closeStore(t, db)
	db = openStore(t, dir)
	for i, name := range tables {
		want := []pair{put("\x00", "low"), put("same", fmt.Sprint(i)), put("\xff\xff", "high")}
		wantPairs(t, "forward", scan(t, db.Table(name), nil, nil), want)
		slices.Reverse(want)
		wantPairs(t, "back", scanBack(t, db.Table(name), nil, nil), want)
	}
	write(t, db.Table(store.Blobs), del("same"))
	wantValue(t, db.Table(store.Records), []byte("same"), []byte("0"))
}

func TestTableMustExist(t *testing.T) {
	db := openStore(t, t.TempDir())
	for _, name := range []store.Table{0, store.Node + 1, 255} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("table %d was handed out", name)
				}
			}()
			db.Table(name)
		}()
	}
}

func TestScanBounds(t *testing.T) {
	b := openStore(t, t.TempDir()).Table(store.Blobs)
	keys := []string{"\x00", "a", "a\x00", "ab", "b", "c", "c\xff", "\xff", "\xff\xff\xff"}
	for _, k := range keys {
		write(t, b, put(k, "of "+k))
	}
	bounds := []string{"", "\x00", "a", "a\x00", "a\x01", "ab", "b", "bb", "c", "c\xff", "d", "\xff", "\xff\xff", "\xff\xff\xff\xff"}
	for _, from := range bounds {
		for i := -1; i < len(bounds); i++ {
			var to []byte
			if i >= 0 {
				to = []byte(bounds[i])
			}
			var want []pair
			for _, k := range keys {
				if k >= from && (to == nil || k < string(to)) {
					want = append(want, put(k, "of "+k))
				}
			}
			what := fmt.Sprintf("from %q to %q", from, to)
			wantPairs(t, what, scan(t, b, []byte(from), to), want)
			slices.Reverse(want)
			wantPairs(t, what+" back", scanBack(t, b, []byte(from), to), want)
		}
	}
}

func TestScanSeesOneMoment(t *testing.T) {
	b := openStore(t, t.TempDir()).Table(store.Records)
	if err := b.Write(records(0, 1000, 100)); err != nil {
		t.Fatal(err)
	}
	seq, failed := b.Scan(nil, nil)
	n := 0
	for k, v := range seq {
		if n == 0 {
			var other sync.WaitGroup
			other.Go(func() {
				for i := range 1000 {
					p := record(i, 100)
					if err := b.Write(pairs(pair{p.key, nil}, put(fmt.Sprintf("new %d", i), "x"))); err != nil {
						t.Error(err)
						return
					}
				}
			})
			other.Wait()
		}
		if p := record(n, 100); !bytes.Equal(k, p.key) || !bytes.Equal(v, p.value) {
			t.Fatalf("record %d: got %q", n, k)
		}
		n++
	}
	if err := failed(); err != nil || n != 1000 {
		t.Fatal(n, err)
	}
	if left := scan(t, b, nil, nil); len(left) != 1000 || !bytes.HasPrefix(left[0].key, []byte("new")) {
		t.Fatalf("after the writes: %d pairs", len(left))
	}
	for range seq { // the same sequence again begins anew
		n++
	}
	if err := failed(); err != nil || n != 2000 {
		t.Fatal(n, err)
	}
}

func TestReadingWithinAScan(t *testing.T) {
	b := openStore(t, t.TempDir()).Table(store.Records)
	if err := b.Write(records(0, 300, 100)); err != nil {
		t.Fatal(err)
	}
	seq, failed := b.Scan(nil, nil)
	for k, v := range seq {
		wantValue(t, b, k, v)
		inner, innerFailed := b.ScanBack(nil, k)
		collect(t, 2, inner, innerFailed)
	}
	if err := failed(); err != nil {
		t.Fatal(err)
	}
}

func TestLimits(t *testing.T) {
	b := openStore(t, t.TempDir()).Table(store.Records)
	keys := func(n, keySize, valueSize int) []pair {
		ps := make([]pair, n)
		for i := range ps {
			ps[i] = pair{fmt.Appendf(nil, "%0*d", keySize, i), make([]byte, valueSize)}
		}
		return ps
	}
	whole := func(extra int) []pair { // MaxWrite bytes in MaxPairs pairs
		ps := keys(store.MaxPairs, 16, store.MaxWrite/store.MaxPairs-16)
		ps[0].value = make([]byte, len(ps[0].value)+extra)
		return ps
	}
	for _, c := range []struct {
		name string
		ps   []pair
		want error
	}{
		{"longest key", keys(1, store.MaxKey, 1), nil},
		{"key too long", keys(1, store.MaxKey+1, 1), store.ErrTooBig},
		{"largest value", keys(1, 8, store.MaxValue), nil},
		{"value too large", keys(1, 8, store.MaxValue+1), store.ErrTooBig},
		{"most pairs", keys(store.MaxPairs, 8, 8), nil},
		{"too many pairs", keys(store.MaxPairs+1, 8, 8), store.ErrTooBig},
		{"largest write", whole(0), nil},
		{"write too large", whole(1), store.ErrTooBig},
		{"longest keys", keys(store.MaxWrite/store.MaxKey, store.MaxKey, 0), nil},
		{"largest values", keys(store.MaxWrite/store.MaxValue-1, 64, store.MaxValue), nil},
		{"empty key", []pair{put("first", "1"), put("", "1")}, store.ErrEmptyKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(t, b, put("before", "1"))
			err := b.Write(pairs(c.ps...))
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			want := slices.Clone(c.ps)
			if c.want != nil {
				want = nil
			}
			want = append(want, put("before", "1"))
			slices.SortFunc(want, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
			wantPairs(t, "afterwards", scan(t, b, nil, nil), want)
			var away []pair
			for _, p := range want {
				away = append(away, pair{p.key, nil})
			}
			for part := range slices.Chunk(away, 500) {
				write(t, b, part...)
			}
		})
	}
}

// TestForgetting has pages taken back all the while that the store is written,
// read and compacted.
func TestForgetting(t *testing.T) {
	const keys, rounds = 2000, 16
	db := openStore(t, t.TempDir())
	b := db.Table(store.Records)
	round := func(n int) []pair {
		var ps []pair
		for i := range keys {
			p := record(i, 500)
			p.value[0] = byte(n)
			ps = append(ps, p)
		}
		return ps
	}
	write(t, b, round(0)...)
	var busy, helpers sync.WaitGroup
	var over atomic.Bool
	helpers.Go(func() {
		for !over.Load() {
			db.Forget()
		}
	})
	helpers.Go(func() {
		for i := 0; !over.Load(); i += 37 {
			p := record(i%keys, 500)
			if got, _, err := b.Get(p.key); err != nil || !bytes.Equal(got[1:], p.value[1:]) {
				t.Errorf("record %d: %v", i%keys, err)
				return
			}
		}
	})
	helpers.Go(func() {
		for !over.Load() {
			if got := scan(t, b, nil, nil); len(got) != keys {
				t.Errorf("%d records", len(got))
				return
			}
		}
	})
	busy.Go(func() {
		for n := range rounds {
			if err := b.Write(pairs(round(n)...)); err != nil {
				t.Error(err)
			}
		}
	})
	busy.Wait()
	over.Store(true)
	helpers.Wait()
	wantPairs(t, "at the end", scan(t, b, nil, nil), round(rounds-1))
}

// TestSpaceIsGivenBack holds the files to a bound while the same keys are
// written over and over, and while all are deleted and written anew.
func TestSpaceIsGivenBack(t *testing.T) {
	const keys, size, rounds = 2000, 300, 80 // 0.6 MB of data, 48 MB written
	dir := t.TempDir()
	db := openStore(t, dir)
	b := db.Table(store.Records)
	most := int64(0)
	for round := range rounds {
		var ps []pair
		for i := range keys {
			p := record(i, size)
			if round%2 == 1 {
				p.value = nil
			}
			ps = append(ps, p)
		}
		write(t, b, ps...)
		most = max(most, diskUse(t, dir))
	}
	closeStore(t, db)
	t.Logf("at most %d MB on the disk", most>>20)
	if most > 32<<20 {
		t.Errorf("%d MB on the disk for 0.6 MB of data", most>>20)
	}
	db = openStore(t, dir)
	if left := scan(t, db.Table(store.Records), nil, nil); len(left) != 0 {
		t.Errorf("%d deleted keys came back", len(left))
	}
}

// FuzzModel runs the same operations on a store and on a map, reopens the
// store, and wants both to hold the same.
func FuzzModel(f *testing.F) {
	f.Add([]byte("p1ap2bd1r"))
	f.Add([]byte("p1ap1bp1cd1d1p1zrrp2yb"))
	f.Add(bytes.Repeat([]byte("p5xp6yd5p7z"), 30))
	f.Fuzz(func(t *testing.T, ops []byte) {
		dir := t.TempDir()
		db := openStore(t, dir)
		model := map[string]string{}
		for len(ops) > 0 && len(ops) < 400 {
			var batch []pair
			for len(ops) >= 3 && len(batch) < int(ops[1]%7)+1 {
				key := fmt.Sprintf("%c%c", ops[1]%16, ops[1])
				if ops[0] == 'd' {
					batch = append(batch, del(key))
					delete(model, key)
				} else {
					value := string(bytes.Repeat(ops[2:3], int(ops[2])*4))
					batch = append(batch, put(key, value))
					model[key] = value
				}
				ops = ops[2:]
			}
			write(t, db.Table(store.Blobs), batch...)
			ops = ops[min(1, len(ops)):]
		}
		wantPairs(t, "before", scan(t, db.Table(store.Blobs), nil, nil), sorted(model))
		closeStore(t, db)
		db = openStore(t, dir)
		want := sorted(model)
		wantPairs(t, "after", scan(t, db.Table(store.Blobs), nil, nil), want)
		slices.Reverse(want)
		wantPairs(t, "back", scanBack(t, db.Table(store.Blobs), nil, nil), want)
	})
}
