package share

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"boucan/record"
)

// wanted is a wish that nobody else has.
func wanted(n int, size int64) Wanted {
	var digest [32]byte
	binary.BigEndian.PutUint64(digest[:], uint64(n)+1)
	codec := byte(record.CodecDagPB)
	if size <= ChunkSize {
		codec = record.CodecRaw
	}
	return Wanted{CID: record.NewCID(codec, digest), Size: size, Name: fmt.Sprintf("folder/photo-%d.jpg", n)}
}

// seated is a source with a slot.
func seated(t *testing.T, q *queue, n byte) *source {
	t.Helper()
	s := newSource(record.Key{n})
	if !q.seat(s) {
		t.Fatalf("no slot for source %d", n)
	}
	return s
}

// asks is which wishes a source is offered, taking all.
func asks(q *queue, s *source, c class) (names []string) {
	q.scan(s, c, func(w *wish) bool {
		names = append(names, w.name)
		return true
	})
	return names
}

func TestPossibleSizes(t *testing.T) {
	raw, tree := wanted(1, 1).CID, wanted(1, 2*ChunkSize).CID
	cases := []struct {
		cid  record.CID
		size int64
		ok   bool
	}{
		{raw, -1, false}, {raw, 0, true}, {raw, ChunkSize, true}, {raw, ChunkSize + 1, false},
		{tree, ChunkSize, false}, {tree, ChunkSize + 1, true}, {tree, record.MaxBlob, true}, {tree, record.MaxBlob + 1, false},
		{tree, -1 << 63, false}, {tree, 1<<63 - 1, false}, {record.CID{}, 5, false},
	}
	for _, c := range cases {
		err := newQueue().add(Wanted{CID: c.cid, Size: c.size})
		if (err == nil) != c.ok || (!c.ok && !errors.Is(err, errImpossible)) {
			t.Errorf("%v of %d bytes: %v", c.cid, c.size, err)
		}
	}
}

// At the limit all are wanted, one past it is not, and memory stays in bounds.
func TestMostWanted(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	q := newQueue()
	for n := range maxWanted {
		if err := q.add(wanted(n, 1000)); err != nil {
			t.Fatalf("wish %d: %v", n, err)
		}
	}
	if err := q.add(wanted(maxWanted, 1000)); !errors.Is(err, errManyWanted) {
		t.Errorf("one more: %v", err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := int64(after.HeapAlloc-before.HeapAlloc) / maxWanted
	t.Logf("%d bytes a wish", per)
	if per > 350 {
		t.Errorf("%d bytes a wish", per)
	}
	for n := range maxWanted {
		q.remove(q.wishes[wanted(n, 1000).CID])
	}
	if left := len(q.lanes[classWhole].items); left > 100 {
		t.Errorf("%d removed wishes are kept", left)
	}
	runtime.KeepAlive(q)
}

func TestOldestIsAskedFirst(t *testing.T) {
	q := newQueue()
	s := seated(t, q, 1)
	for n := range 5 {
		_ = q.add(wanted(n, 10))
	}
	got := asks(q, s, classWhole)
	if len(got) != 5 || got[0] != wanted(0, 10).Name || got[4] != wanted(4, 10).Name {
		t.Errorf("asked %v", got)
	}
	if again := asks(q, s, classWhole); len(again) != 0 {
		t.Errorf("asked again: %v", again)
	}
	_ = q.add(wanted(5, 10))
	if got := asks(q, s, classWhole); len(got) != 1 {
		t.Errorf("the new one: %v", got)
	}
	// What is let go is offered again, in its old place.
	q.release(q.wishes[wanted(3, 10).CID])
	if got := asks(q, s, classWhole); len(got) == 0 || got[0] != wanted(3, 10).Name {
		t.Errorf("let go: %v", got)
	}
}

// A source that said no is not asked again in its round; others are; the next
// round, and word that it has the blob, change that.
func TestRounds(t *testing.T) {
	q := newQueue()
	a, b := seated(t, q, 1), seated(t, q, 2)
	w := wanted(1, 10)
	_ = q.add(w)
	wish := q.wishes[w.CID]
	q.no(a, wish)
	q.release(wish)
	if len(asks(q, a, classWhole)) != 0 || len(asks(q, b, classWhole)) != 1 {
		t.Error("who is asked after the first said no?")
	}
	now := time.Now()
	for round := range 12 {
		q.endRound(a, now)
		pause := a.retryAt.Sub(now)
		least := min(lastRound, firstRound<<round)
		if pause < least || pause > least+least/4 {
			t.Errorf("round %d: next one after %v", round, pause)
		}
		q.newRound(a)
		if len(asks(q, a, classWhole)) != 1 {
			t.Errorf("round %d: not asked", round)
		}
		q.no(a, wish)
		q.release(wish)
	}
	if q.has(a, w.CID); len(a.hot) != 1 || len(asks(q, a, classWhole)) != 1 {
		t.Error("not asked although it said to have it")
	}
}

// Bad pairs last; those of a blob that is gone end when the peer has it again.
func TestBadPairs(t *testing.T) {
	q := newQueue()
	a, b := seated(t, q, 1), seated(t, q, 2)
	gone, wrong := wanted(1, 10), wanted(2, 10)
	_, _ = q.add(gone), q.add(wrong)
	q.setBad(a.key, gone.CID, true)
	q.setBad(a.key, wrong.CID, true)
	q.setBad(a.key, wrong.CID, false) // the worse counts
	q.newRound(a)
	if got := asks(q, a, classWhole); len(got) != 0 {
		t.Errorf("asked for %v", got)
	}
	if got := asks(q, b, classWhole); len(got) != 2 {
		t.Errorf("the other was asked for %v", got)
	}
	if !q.has(a, gone.CID) || q.has(a, wrong.CID) {
		t.Error("what does its word lift?")
	}
	for n := range maxBad {
		q.setBad(record.Key{9}, wanted(100+n, 10).CID, false)
	}
	if q.isBad(a.key, wrong.CID) || !q.isBad(record.Key{9}, wanted(100, 10).CID) || len(q.bad.items) != maxBad {
		t.Error("at the limit the oldest goes, and only that")
	}
	q.setBad(record.Key{9}, wanted(99, 10).CID, false)
	if q.isBad(record.Key{9}, wanted(100, 10).CID) || len(q.bad.items) != maxBad || q.badKeys[record.Key{9}] != maxBad {
		t.Error("one past the limit")
	}
}

// What the author of its record can give is left to the author, until the
// author says no or goes.
func TestAuthorsFirst(t *testing.T) {
	q := newQueue()
	author, other := seated(t, q, 1), seated(t, q, 2)
	for n := range 2 {
		w := wanted(n, 10)
		w.From = author.key
		_ = q.add(w)
	}
	if got := asks(q, other, classWhole); len(got) != 0 {
		t.Errorf("the other was asked for %v", got)
	}
	first := q.wishes[wanted(0, 10).CID]
	q.no(author, first)
	q.release(first)
	if got := asks(q, other, classWhole); len(got) != 1 {
		t.Errorf("after the author said no: %v", got)
	}
	q.unseat(author)
	if got := asks(q, other, classWhole); len(got) != 2 {
		t.Errorf("after the author left: %v", got)
	}
}

// Somebody else offers the same bytes in a record of their own: they are asked,
// also if they had said no.
func TestAnotherAuthorOffersTheSame(t *testing.T) {
	q := newQueue()
	s := seated(t, q, 1)
	w := wanted(1, 10)
	w.From = record.Key{7}
	_ = q.add(w)
	q.no(s, q.wishes[w.CID])
	asks(q, s, classWhole)
	w.From = s.key
	_ = q.add(w)
	if len(s.hot) != 1 || len(asks(q, s, classWhole)) != 1 {
		t.Error("not asked")
	}
	_ = q.add(w)
	if len(s.hot) != 1 {
		t.Error("the same record counts again")
	}
}

// A record that lies about the size is dropped, and one that does not takes its
// place.
func TestRivalClaims(t *testing.T) {
	q := newQueue()
	lie, truth := wanted(1, 10), wanted(1, 20)
	_, _ = q.add(lie), q.add(truth)
	if len(q.wishes) != 1 {
		t.Fatalf("%d wishes", len(q.wishes))
	}
	q.lied(q.wishes[lie.CID], 20)
	if w := q.wishes[lie.CID]; w == nil || w.size != 20 {
		t.Errorf("wanted after the lie: %+v", w)
	}
	if err := q.add(lie); !errors.Is(err, errLiedSize) {
		t.Errorf("the lie again: %v", err)
	}
	q.remove(q.wishes[lie.CID])
	for n := range maxRivals + 1 {
		_, _ = q.add(wanted(1000+n, 10)), q.add(wanted(1000+n, 20))
	}
	if q.nRivals != maxRivals {
		t.Errorf("%d rivals, want %d", q.nRivals, maxRivals)
	}
	q.lied(q.wishes[wanted(1000+maxRivals, 10).CID], 20)
	if q.wishes[wanted(1000+maxRivals, 10).CID] != nil {
		t.Error("a rival past the limit was kept")
	}
}

func TestMostSources(t *testing.T) {
	q := newQueue()
	for n := range maxSources {
		seated(t, q, byte(n+1))
	}
	if q.seat(newSource(record.Key{200})) {
		t.Error("one source too many")
	}
	w := wanted(1, 10)
	_ = q.add(w)
	q.no(q.sources[63], q.wishes[w.CID])
	q.unseat(q.sources[63])
	late := seated(t, q, 200)
	if late.slot != 63 || len(asks(q, late, classWhole)) != 1 {
		t.Error("a new source has to answer for the one that had its slot")
	}
}

func TestMostHotAndTold(t *testing.T) {
	q := newQueue()
	s := seated(t, q, 1)
	for n := range maxHot + 1 {
		_ = q.add(wanted(n, 10))
		q.has(s, wanted(n, 10).CID)
	}
	if len(s.hot) != maxHot {
		t.Errorf("%d blobs that the peer has", len(s.hot))
	}
	tr := newTransfers(&Blobs{})
	tr.peers[s.key] = s
	for n := range maxTell + 1 {
		tr.tellHave(nil, wanted(n, 10).CID)
	}
	if len(s.tell) != maxTell {
		t.Errorf("%d blobs to tell of", len(s.tell))
	}
}
