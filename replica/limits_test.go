package replica_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/replica/testdata/memlog"
)

func TestAuthorsShare(t *testing.T) {
	size := int64(len(message(t, 0, epoch, "r", "0").Encode()))
	for _, c := range []struct {
		name   string
		limits replica.Limits
		want   error
	}{
		{"records of one author", replica.Limits{AuthorRecords: 3}, replica.ErrQuota},
		{"bytes of one author", replica.Limits{AuthorBytes: 3*size + 1}, replica.ErrQuota},
		{"records in all", replica.Limits{Records: 3}, replica.ErrFull},
		{"bytes in all", replica.Limits{Bytes: 3*size + 1}, replica.ErrFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := memlog.New()
			o := replica.Options{Now: newClock().Now, Limits: c.limits}
			s := open(t, log, o)
			var recs []*record.Record
			for i := range 4 {
				recs = append(recs, message(t, 0, epoch.Add(time.Duration(i)*time.Second), "r", fmt.Sprint(i)))
			}
			errs, err := s.Add(t.Context(), recs) // in one batch, at the limit and one past
			if err != nil || errs[0] != nil || errs[1] != nil || errs[2] != nil || !errors.Is(errs[3], c.want) {
				t.Fatalf("%v, %v", errs, err)
			}
			s = open(t, log, o)
			add(t, s, c.want, recs[3])
			if c.want == replica.ErrQuota {
				add(t, s, nil, message(t, 1, epoch, "r", "other"))
			}
			// Even a full set can be emptied, and then there is room.
			add(t, s, nil, takedown(t, 0, epoch, recs[0], ""))
			if c.limits.Records == 0 {
				add(t, s, nil, recs[3])
			}
		})
	}
}

func TestShareOfTakedowns(t *testing.T) {
	s := open(t, memlog.New(), replica.Options{Now: newClock().Now, Limits: replica.Limits{AuthorTakedowns: 2, Records: 12}})
	f := file(t, 0, epoch, "f")
	down := func(author, i int) *record.Record {
		return takedown(t, author, epoch.Add(time.Duration(i)*time.Second), f, "")
	}
	add(t, s, nil, down(1, 0), down(1, 1))
	add(t, s, replica.ErrQuota, down(1, 2))
	add(t, s, nil, file(t, 1, epoch, "other")) // takedowns take nothing from the share of records
	for i := range 12 {
		add(t, s, nil, down(10+i, 0)) // a full set takes a quarter more of them
	}
	add(t, s, replica.ErrFull, down(30, 0))
}

func TestWaitingForTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := newJournal(t)
		s := open(t, memlog.New(), replica.Options{Listener: heard})
		stop := run(t, s.Run)
		defer stop()
		synctest.Wait()
		soon := message(t, 0, time.Now().Add(record.MaxSkew+time.Minute), "r", "soon")
		later := message(t, 0, time.Now().Add(record.MaxSkew+time.Hour), "r", "later")
		edge := message(t, 0, time.Now().Add(replica.MaxAhead), "r", "as far as it goes")
		tooFar := message(t, 0, time.Now().Add(replica.MaxAhead+time.Millisecond), "r", "too far")
		add(t, s, record.ErrFuture, soon, later, edge, tooFar, soon)
		add(t, s, record.ErrSignature, forge(t, message(t, 0, time.Now().Add(time.Hour), "r", "forged")))
		pass(time.Minute - time.Millisecond)
		if s.Len() != 0 {
			t.Fatal("taken in too early")
		}
		pass(21 * time.Millisecond)
		added, _ := heard.take()
		same(t, "added", added, soon)
		pass(time.Hour)
		added, _ = heard.take()
		same(t, "added", added, later)
		pass(replica.MaxAhead)
		added, _ = heard.take()
		same(t, "added", added, edge)
	})
}

func TestWaitingIsBounded(t *testing.T) {
	text := string(bytes.Repeat([]byte("x"), record.MaxPost))
	for _, c := range []struct {
		name     string
		body     record.Body
		author   func(i int) int
		offered  int
		admitted int
	}{
		{"at an author's limit", record.Message{Room: "r", Text: "t"}, func(int) int { return 0 }, replica.MaxWaitingAuthor, replica.MaxWaitingAuthor},
		{"past an author's limit", record.Message{Room: "r", Text: "t"}, func(int) int { return 0 }, replica.MaxWaitingAuthor + 1, replica.MaxWaitingAuthor},
		{"at the limit of all", record.Message{Room: "r", Text: "t"}, func(i int) int { return i / 50 }, replica.MaxWaiting, replica.MaxWaiting},
		{"past the limit of all", record.Message{Room: "r", Text: "t"}, func(i int) int { return i / 50 }, replica.MaxWaiting + 1, replica.MaxWaiting},
		{"past the limit of bytes", record.Post{Text: text}, func(i int) int { return i / 50 }, 100, 86},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, memlog.New(), replica.Options{})
				stop := run(t, s.Run)
				defer stop()
				synctest.Wait()
				start := time.Now()
				var recs []*record.Record
				for i := range c.offered {
					recs = append(recs, sign(t, c.author(i), start.Add(record.MaxSkew+time.Hour+time.Duration(i)*time.Millisecond), day, c.body))
				}
				slices.Reverse(recs) // what is due last comes first and makes room
				if c.admitted < c.offered && c.author(c.offered) == 0 {
					slices.Reverse(recs)
				}
				add(t, s, record.ErrFuture, recs...)
				pass(2 * time.Hour)
				if s.Len() != c.admitted {
					t.Fatalf("%d taken in, want %d", s.Len(), c.admitted)
				}
				if got := newest(t, s, c.body.Kind()); c.admitted < c.offered && got[0].Created >= start.Add(record.MaxSkew+time.Hour+time.Duration(c.admitted)*time.Millisecond).UnixMilli() {
					t.Error("a later one was kept before a sooner one")
				}
			})
		})
	}
}

func TestBlocks(t *testing.T) {
	onEachLog(t, func(t *testing.T, log replica.Log) {
		heard := newJournal(t)
		o := replica.Options{Now: newClock().Now, Listener: heard}
		s := open(t, log, o)
		a, b := file(t, 0, epoch, "a"), file(t, 1, epoch, "b")
		twin := sign(t, 1, epoch, day, record.File{Name: "twin", CID: cidOf("a")})
		hides := takedown(t, 0, epoch, b, "")
		add(t, s, nil, a, b, twin, hides)
		heard.take()
		if err := s.BlockAuthor(t.Context(), public(0)); err != nil {
			t.Fatal(err)
		}
		_, removed := heard.take()
		same(t, "removed with its author", removed, a) // the takedown stays
		if err := s.BlockCID(t.Context(), cidOf("a")); err != nil {
			t.Fatal(err)
		}
		_, removed = heard.take()
		same(t, "removed with its CID", removed, twin)
		again := open(t, log, o)
		add(t, again, replica.ErrBlocked, a, twin)
		add(t, again, nil, takedown(t, 0, epoch, a, ""))
		if got := again.Blocks(); !slices.Equal(got.Authors, []record.Key{public(0)}) || !slices.Equal(got.CIDs, []record.CID{cidOf("a")}) {
			t.Errorf("blocks %v", got)
		}
		if err := errors.Join(again.UnblockAuthor(t.Context(), public(0)), again.UnblockCID(t.Context(), cidOf("a"))); err != nil {
			t.Fatal(err)
		}
		add(t, again, nil, twin)
		if got := open(t, log, o).Blocks(); len(got.Authors)+len(got.CIDs) != 0 {
			t.Errorf("blocks %v after unblocking", got)
		}
	})
}

// TestBlockIsFinishedAfterACrash: the block was written, the removal was not.
func TestBlockIsFinishedAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New()
		s := open(t, log, replica.Options{})
		m := message(t, 0, time.Now(), "r", "m")
		f := file(t, 1, time.Now(), "f")
		add(t, s, nil, m, f)
		for _, block := range []func() error{
			func() error { return s.BlockAuthor(t.Context(), public(0)) },
			func() error { return s.BlockCID(t.Context(), cidOf("f")) },
		} {
			log.Fail(1)
			if err := block(); !errors.Is(err, memlog.ErrDisk) {
				t.Fatal(err)
			}
		}
		log.Fail(-1)
		s = open(t, log, replica.Options{})
		stop := run(t, s.Run)
		defer stop()
		synctest.Wait()
		if s.Len() != 0 {
			t.Errorf("%d records left", s.Len())
		}
	})
}

func TestBlocksAreBounded(t *testing.T) {
	s := open(t, memlog.New(), replica.Options{Now: newClock().Now})
	for i := range replica.MaxBlocks {
		if err := s.BlockCID(t.Context(), cidOf(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.BlockAuthor(t.Context(), public(0)); !errors.Is(err, replica.ErrTooManyBlocks) {
		t.Errorf("one past the limit: %v", err)
	}
	if err := s.BlockCID(t.Context(), cidOf("0")); err != nil {
		t.Errorf("what is blocked already: %v", err)
	}
}

// pushes is a Pusher that keeps what it is given, and fails when told to.
type pushes struct {
	raws [][]byte
	err  error
}

func (p *pushes) Push(_ context.Context, raw []byte) error {
	p.raws = append(p.raws, raw)
	return p.err
}

func TestPublish(t *testing.T) {
	p := &pushes{}
	s := open(t, memlog.New(), replica.Options{Now: newClock().Now, Pusher: p})
	f := file(t, 0, epoch, "f")
	if err := s.Publish(t.Context(), f); err != nil || len(p.raws) != 1 || !bytes.Equal(p.raws[0], f.Encode()) {
		t.Fatalf("%v, %d pushed", err, len(p.raws))
	}
	if err := s.Publish(t.Context(), f); err != nil || len(p.raws) != 1 {
		t.Fatalf("again: %v, %d pushed", err, len(p.raws))
	}
	p.err = errors.New("nobody hears")
	if err := s.Publish(t.Context(), file(t, 0, epoch, "g")); err != nil {
		t.Fatalf("a failed push is not an error: %v", err)
	}
	p.err, p.raws = nil, nil
	var many []*record.Record
	for i := range replica.MaxPush + 1 {
		many = append(many, file(t, 0, epoch.Add(time.Duration(i)), fmt.Sprint(i)))
	}
	if err := s.Publish(t.Context(), many[:replica.MaxPush]...); err != nil || len(p.raws) != replica.MaxPush {
		t.Fatalf("at the limit: %v, %d pushed", err, len(p.raws))
	}
	p.raws = nil
	for i := range many {
		many[i] = file(t, 1, epoch, fmt.Sprint(i))
	}
	if err := s.Publish(t.Context(), many...); err != nil || len(p.raws) != 0 {
		t.Fatalf("past the limit: %v, %d pushed", err, len(p.raws))
	}
	old := sign(t, 0, epoch.Add(-time.Hour), time.Minute, record.Message{Room: "r", Text: "t"})
	if err := s.Publish(t.Context(), old); !errors.Is(err, record.ErrExpired) {
		t.Fatalf("expired: %v", err)
	}
}
