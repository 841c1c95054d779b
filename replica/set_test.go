package replica_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/replica/testdata/memlog"
)

func TestSetAnswersQueries(t *testing.T) {
	onEachLog(t, func(t *testing.T, log replica.Log) {
		now := newClock()
		s := open(t, log, replica.Options{Now: now.Now})
		at := epoch.Add(-time.Hour)
		var files []*record.Record
		for i := range 10 {
			files = append(files, file(t, i%2, at.Add(time.Duration(i/2)*time.Second), fmt.Sprintf("f%d", i)))
		}
		twin := sign(t, 3, at, day, record.File{Name: "other name", CID: cidOf("f4"), Size: 2})
		lobby := []*record.Record{message(t, 0, at, "lobby", "one"), message(t, 1, at.Add(time.Minute), "lobby", "two")}
		other := message(t, 0, at, "lobby 2", "three")
		oldCard := sign(t, 0, at, day, record.Card{Name: "old"})
		newCard := sign(t, 0, at.Add(time.Second), day, record.Card{Name: "new"})
		recs := slices.Concat(files, lobby, []*record.Record{twin, other, newCard, oldCard})
		add(t, s, nil, recs...)
		add(t, s, replica.ErrHave, recs...)

		check := func(s *replica.Set) {
			if s.Len() != len(recs) || s.Count(record.KindFile) != 11 || s.Count(record.KindPost) != 0 {
				t.Fatalf("%d records, %d files", s.Len(), s.Count(record.KindFile))
			}
			same(t, "files", newest(t, s, record.KindFile), newestFirst(append(files, twin)...)...)
			checkPages(t, s, newestFirst(append(files, twin)...))
			byCID, err := s.ByCID(cidOf("f4"))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "by CID", byCID, newestFirst(files[4], twin)...)
			page, err := s.Messages("lobby", replica.Cursor{}, 10)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "lobby", page, lobby[1], lobby[0])
			page, err = s.Messages("lobby", replica.CursorOf(lobby[1]), 10)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "older in lobby", page, lobby[0])
			if rooms, err := s.Rooms(); err != nil || !slices.Equal(rooms, []string{"lobby", "lobby 2"}) {
				t.Fatalf("rooms %q, %v", rooms, err)
			}
			for range 2 { // from disk, then from memory
				if c, ok := s.Card(public(0)); !ok || c.Name != "new" {
					t.Fatalf("card %v, %v", c, ok)
				}
				if _, ok := s.Card(public(1)); ok {
					t.Fatal("card of a node that has none")
				}
			}
			for _, r := range recs {
				got, ok, err := s.Get(r.ID())
				if err != nil || !ok || !bytes.Equal(got.Encode(), r.Encode()) {
					t.Fatalf("get: %v, %v", ok, err)
				}
			}
		}
		check(s)
		check(open(t, log, replica.Options{Now: now.Now}))
	})
}

// checkPages walks a kind page by page.
func checkPages(t *testing.T, s *replica.Set, want []*record.Record) {
	t.Helper()
	for _, limit := range []int{1, 3, len(want), len(want) + 1} {
		var got []*record.Record
		for cursor := (replica.Cursor{}); ; cursor = replica.CursorOf(got[len(got)-1]) {
			page, err := s.Newest(record.KindFile, cursor, limit)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page...)
			if len(page) < limit {
				break
			}
		}
		same(t, fmt.Sprintf("pages of %d", limit), got, want...)
	}
}

func TestAddRefuses(t *testing.T) {
	now := newClock()
	s := open(t, memlog.New(), replica.Options{Now: now.Now})
	good := file(t, 0, epoch, "good")
	forged := forge(t, good)
	expired := sign(t, 0, epoch.Add(-2*time.Hour), time.Hour, record.Message{Room: "a", Text: "b"})
	ahead := message(t, 0, epoch.Add(record.MaxSkew+time.Millisecond), "a", "b")
	badBody := rekind(t, good)
	for _, c := range []struct {
		name    string
		rec     *record.Record
		want    error
		verdict replica.Verdict
	}{
		{"wrongly signed", forged, record.ErrSignature, replica.Reject},
		{"expired", expired, record.ErrExpired, replica.Ignore},
		{"dated ahead", ahead, record.ErrFuture, replica.Ignore},
		{"body of another kind", badBody, record.ErrBody, replica.Reject},
		{"good", good, nil, replica.Accept},
		{"duplicate", good, replica.ErrHave, replica.Ignore},
	} {
		added, err := s.Receive(t.Context(), c.rec.Encode())
		if added != (c.want == nil) || !errors.Is(err, c.want) || replica.Judge(err) != c.verdict {
			t.Errorf("%s: %v, %v, verdict %v", c.name, added, err, replica.Judge(err))
		}
	}
	for _, c := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"nothing", nil, record.ErrMalformed},
		{"one byte short", good.Encode()[:len(good.Encode())-1], record.ErrMalformed},
		{"one byte more", append(slices.Clone(good.Encode()), 0), record.ErrMalformed},
		{"at the size limit", make([]byte, record.MaxSize), record.ErrMalformed},
		{"past the size limit", make([]byte, record.MaxSize+1), record.ErrTooLarge},
	} {
		if added, err := s.Receive(t.Context(), c.raw); added || !errors.Is(err, c.want) || replica.Judge(err) != replica.Reject {
			t.Errorf("%s: %v, %v", c.name, added, err)
		}
	}
	if s.Len() != 1 {
		t.Errorf("%d records, want 1", s.Len())
	}
}

// forge returns r with another author's name on it: well formed, wrongly signed.
func forge(t *testing.T, r *record.Record) *record.Record {
	t.Helper()
	other := public(99)
	forged, err := record.Decode(bytes.Replace(r.Encode(), r.Author[:], other[:], 1))
	if err != nil {
		t.Fatal(err)
	}
	return forged
}

// rekind returns a file record that says it is a message. Its signature is wrong
// too, but the body is looked at first.
func rekind(t *testing.T, r *record.Record) *record.Record {
	t.Helper()
	raw := slices.Clone(r.Encode())
	raw[2] = byte(record.KindMessage) // after the head of the array and the version
	other, err := record.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

func TestAddReportsEachRecordOfABatch(t *testing.T) {
	onEachLog(t, func(t *testing.T, log replica.Log) {
		now, heard := newClock(), newJournal(t)
		s := open(t, log, replica.Options{Now: now.Now, Listener: heard})
		a, b := file(t, 0, epoch, "a"), file(t, 1, epoch, "b")
		errs, err := s.Add(t.Context(), []*record.Record{a, forge(t, a), a, b, takedown(t, 1, epoch, b, "")})
		if err != nil {
			t.Fatal(err)
		}
		want := []error{nil, record.ErrSignature, replica.ErrHave, replica.ErrTakenDown, nil}
		for i := range want {
			if !errors.Is(errs[i], want[i]) || (want[i] == nil) != (errs[i] == nil) {
				t.Errorf("record %d: %v, want %v", i, errs[i], want[i])
			}
		}
		if _, removed := heard.take(); len(removed) != 0 {
			t.Error("a record that came together with its takedown was shown")
		}
	})
}

// TestAddManyAtOnce: more than one write holds, each record with all its keys.
func TestAddManyAtOnce(t *testing.T) {
	onEachLog(t, func(t *testing.T, log replica.Log) {
		now, heard := newClock(), newJournal(t)
		s := open(t, log, replica.Options{Now: now.Now, Listener: heard})
		var recs []*record.Record
		for i := range 1300 {
			recs = append(recs, file(t, 0, epoch.Add(-time.Duration(i)*time.Second), fmt.Sprint("small", i)))
		}
		text := string(bytes.Repeat([]byte("x"), record.MaxPost))
		for i := range 120 {
			recs = append(recs, sign(t, 1, epoch.Add(-time.Duration(i)*time.Second), day, record.Post{Text: text}))
		}
		add(t, s, nil, recs...)
		added, _ := heard.take()
		same(t, "heard", newestFirst(added...), newestFirst(recs...)...)
		again := open(t, log, replica.Options{Now: now.Now})
		same(t, "files", newest(t, again, record.KindFile), newestFirst(recs[:1300]...)...)
		same(t, "posts", newest(t, again, record.KindPost), newestFirst(recs[1300:]...)...)
		if again.Bytes() != s.Bytes() || again.Len() != s.Len() {
			t.Errorf("%d bytes in %d records after reopening, want %d in %d", again.Bytes(), again.Len(), s.Bytes(), s.Len())
		}
	})
}

// TestCrashLosesNothingAcknowledged breaks the disk at every write in turn.
func TestCrashLosesNothingAcknowledged(t *testing.T) {
	now := newClock()
	var recs []*record.Record
	for i := range 40 {
		recs = append(recs, file(t, 0, epoch.Add(time.Duration(i)), fmt.Sprint(i)))
	}
	for failAfter := range 30 {
		log, heard := memlog.New(), newJournal(t)
		s := open(t, log, replica.Options{Now: now.Now, Listener: heard})
		log.Fail(failAfter)
		acknowledged := make(map[record.ID]bool)
		down := make(map[record.ID]bool)
		for i, r := range recs {
			if errs, err := s.Add(t.Context(), []*record.Record{r}); err == nil && errs[0] == nil {
				acknowledged[r.ID()] = true
			}
			if i%3 == 2 {
				if errs, err := s.Add(t.Context(), []*record.Record{takedown(t, 0, epoch, r, "")}); err == nil && errs[0] == nil {
					down[r.ID()] = true
				}
			}
		}
		log.Fail(-1)
		again := open(t, log, replica.Options{Now: now.Now})
		for _, r := range recs {
			_, ok, err := again.Get(r.ID())
			if want := acknowledged[r.ID()] && !down[r.ID()]; err != nil || ok != want || heard.living[r.ID()] != want {
				t.Fatalf("after %d writes: record there %v, %v, want %v", failAfter, ok, err, want)
			}
			if byCID, err := again.ByCID(cidOf(mustFile(t, r).Name)); err != nil || (len(byCID) == 1) != ok {
				t.Fatalf("index and record disagree: %d, %v", len(byCID), err)
			}
		}
		if again.Len() != s.Len() {
			t.Fatalf("%d records on disk, %d in memory", again.Len(), s.Len())
		}
	}
}

func mustFile(t *testing.T, r *record.Record) record.File {
	t.Helper()
	f, err := r.File()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestManyAddAtOneTime(t *testing.T) {
	onEachLog(t, func(t *testing.T, log replica.Log) {
		now, heard := newClock(), newJournal(t)
		s := open(t, log, replica.Options{Now: now.Now, Listener: heard})
		var recs []*record.Record
		for i := range 32 {
			recs = append(recs, message(t, i%4, epoch.Add(time.Duration(i)), "r", fmt.Sprint(i)))
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		news := 0
		for w := range 8 {
			wg.Go(func() {
				for i := range recs {
					added, err := s.Receive(t.Context(), recs[(i+w*7)%len(recs)].Encode())
					if err != nil && !errors.Is(err, replica.ErrHave) {
						t.Error(err)
					}
					mu.Lock()
					if added {
						news++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if news != len(recs) || s.Len() != len(recs) || len(heard.living) != len(recs) {
			t.Errorf("%d new, %d held, %d heard, want %d", news, s.Len(), len(heard.living), len(recs))
		}
	})
}

func TestAddEndsWithItsContext(t *testing.T) {
	s := open(t, memlog.New(), replica.Options{Now: newClock().Now})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	errs, err := s.Add(ctx, []*record.Record{file(t, 0, epoch, "a")})
	if !errors.Is(err, context.Canceled) || !errors.Is(errs[0], context.Canceled) || s.Len() != 0 {
		t.Errorf("%v, %v, %d records", errs, err, s.Len())
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, heard := memlog.New(), newJournal(t)
		s := open(t, log, replica.Options{Listener: heard})
		start := time.Now()
		stop := run(t, s.Run)
		defer stop()
		short := sign(t, 0, start, 90*time.Second, record.Message{Room: "r", Text: "short"})
		long := sign(t, 0, start, time.Hour, record.Message{Room: "r", Text: "long"})
		add(t, s, nil, long)
		add(t, s, nil, short)
		pass(90*time.Second - time.Millisecond)
		if s.Len() != 2 {
			t.Fatalf("%d records a moment before the first ends", s.Len())
		}
		pass(30 * time.Millisecond)
		_, removed := heard.take()
		same(t, "removed", removed, short)
		add(t, s, record.ErrExpired, short)
		pass(time.Hour)
		_, removed = heard.take()
		same(t, "removed", removed, long)
		if rooms, err := s.Rooms(); err != nil || len(rooms) != 0 || log.Len() != 0 {
			t.Errorf("rooms %v, %v, %d keys left", rooms, err, log.Len())
		}
	})
}

// TestAClockThatIsNotCertain forgets nothing before its time.
func TestAClockThatIsNotCertain(t *testing.T) {
	now, settled := newClock(), newClock()
	s := open(t, memlog.New(), replica.Options{Now: now.Now, Settled: settled.Now})
	m := sign(t, 0, epoch, time.Minute, record.Message{Room: "r", Text: "t"})
	add(t, s, nil, m)
	now.advance(time.Hour)
	late := sign(t, 0, epoch, time.Minute, record.Message{Room: "r", Text: "late"})
	add(t, s, nil, late)
	same(t, "messages", newest(t, s, record.KindMessage), newestFirst(m, late)...)
	if r, ok, err := s.Get(m.ID()); !ok || err != nil {
		t.Errorf("got %v, %v, %v", r, ok, err)
	}
	add(t, s, record.ErrFuture, sign(t, 0, epoch.Add(2*time.Hour), time.Hour, record.Message{Room: "r", Text: "ahead"}))
	settled.advance(time.Minute)
	same(t, "messages", newest(t, s, record.KindMessage))
	add(t, s, record.ErrExpired, sign(t, 0, epoch, time.Minute, record.Message{Room: "r", Text: "too late"}))
}

// TestExpiredIsNotShown: before Run has come to it.
func TestExpiredIsNotShown(t *testing.T) {
	now := newClock()
	s := open(t, memlog.New(), replica.Options{Now: now.Now})
	m := sign(t, 0, epoch, time.Minute, record.Message{Room: "r", Text: "t"})
	c := sign(t, 0, epoch, time.Minute, record.Card{Name: "n"})
	add(t, s, nil, m, c)
	if _, ok := s.Card(public(0)); !ok {
		t.Fatal("no card")
	}
	now.advance(time.Minute)
	if _, ok, _ := s.Get(m.ID()); ok {
		t.Error("got an expired record")
	}
	if rooms, _ := s.Rooms(); len(rooms) != 0 {
		t.Error("room of an expired message is listed")
	}
	if _, ok := s.Card(public(0)); ok {
		t.Error("expired card")
	}
	same(t, "messages", newest(t, s, record.KindMessage))
}
