package replica_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/replica/testdata/memlog"
	"boucan/store"
)

// onEachLog runs a test on the memory twin and on the real store.
func onEachLog(t *testing.T, test func(t *testing.T, log replica.Log)) {
	t.Run("memory", func(t *testing.T) { test(t, memlog.New()) })
	t.Run("store", func(t *testing.T) { test(t, newStore(t)) })
}

func newStore(t testing.TB) replica.Log {
	t.Helper()
	db, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db.Table(store.Records)
}

// clock is a node's idea of the time, set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

var epoch = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func newClock() *clock { return &clock{now: epoch} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// journal is a Listener that keeps what it hears and checks that it is told
// nothing twice and one thing at a time.
type journal struct {
	t       testing.TB
	mu      sync.Mutex
	living  map[record.ID]bool
	added   []*record.Record
	removed []*record.Record
}

func newJournal(t testing.TB) *journal { return &journal{t: t, living: make(map[record.ID]bool)} }

func (j *journal) Changed(added, removed []*record.Record) {
	if !j.mu.TryLock() {
		j.t.Error("two calls of Changed at one time")
		return
	}
	defer j.mu.Unlock()
	for _, r := range added {
		if j.living[r.ID()] {
			j.t.Errorf("%s added twice", r.ID())
		}
		j.living[r.ID()] = true
	}
	for _, r := range removed {
		if !j.living[r.ID()] {
			j.t.Errorf("%s removed but not there", r.ID())
		}
		delete(j.living, r.ID())
	}
	j.added = append(j.added, added...)
	j.removed = append(j.removed, removed...)
}

// take returns what was heard since the last call.
func (j *journal) take() (added, removed []*record.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	added, removed = j.added, j.removed
	j.added, j.removed = nil, nil
	return added, removed
}

func key(n int) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("key " + strconv.Itoa(n)))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(n int) record.Key { return record.Key(key(n).Public().(ed25519.PublicKey)) }

func cidOf(s string) record.CID { return record.NewCID(record.CodecRaw, sha256.Sum256([]byte(s))) }

// sign makes a record by author n, created at, living for life.
func sign(t testing.TB, n int, at time.Time, life time.Duration, body record.Body) *record.Record {
	t.Helper()
	return signDraft(t, n, record.Draft{Created: at, Life: life, Body: body})
}

func signDraft(t testing.TB, n int, d record.Draft) *record.Record {
	t.Helper()
	r, err := record.Sign(key(n), d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// pass lets virtual time go by, and waits until all is quiet.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// run starts a long-lived thing and returns what stops it and waits.
func run(t testing.TB, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

const day = 24 * time.Hour

func file(t testing.TB, author int, at time.Time, name string) *record.Record {
	t.Helper()
	return sign(t, author, at, 30*day, record.File{Name: name, CID: cidOf(name), Size: uint64(len(name))})
}

func message(t testing.TB, author int, at time.Time, room, text string) *record.Record {
	t.Helper()
	return sign(t, author, at, day, record.Message{Room: room, Text: text})
}

// takedown lives as long as its target.
func takedown(t testing.TB, author int, at time.Time, target *record.Record, secret string) *record.Record {
	t.Helper()
	return signDraft(t, author, record.Draft{
		Created: at, Expires: time.UnixMilli(target.Expires),
		Body: record.Takedown{Target: target.ID(), Secret: []byte(secret)},
	})
}

func open(t testing.TB, log replica.Log, o replica.Options) *replica.Set {
	t.Helper()
	s, err := replica.Open(log, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// add adds records and fails unless every one meets the error wanted.
func add(t testing.TB, s *replica.Set, want error, recs ...*record.Record) {
	t.Helper()
	errs, err := s.Add(context.Background(), recs)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range errs {
		if !errors.Is(got, want) || (want == nil && got != nil) {
			t.Fatalf("record %d of %d: error %v, want %v", i, len(recs), got, want)
		}
	}
}

func ids(recs []*record.Record) []string {
	names := make([]string, 0, len(recs))
	for _, r := range recs {
		names = append(names, fmt.Sprintf("%d/%s", r.Created, r.ID()))
	}
	return names
}

// same compares records in order.
func same(t testing.TB, what string, got []*record.Record, want ...*record.Record) {
	t.Helper()
	if !slices.Equal(ids(got), ids(want)) {
		t.Fatalf("%s: got %d records %v, want %d %v", what, len(got), ids(got), len(want), ids(want))
	}
}

func newest(t testing.TB, s *replica.Set, kind record.Kind) []*record.Record {
	t.Helper()
	recs, err := s.Newest(kind, replica.Cursor{}, replica.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

// without returns the newest first order of recs.
func newestFirst(recs ...*record.Record) []*record.Record {
	sorted := slices.Clone(recs)
	slices.SortFunc(sorted, func(a, b *record.Record) int {
		if a.Created != b.Created {
			return int(b.Created - a.Created)
		}
		x, y := a.ID(), b.ID()
		return bytes.Compare(y[:], x[:])
	})
	return sorted
}
