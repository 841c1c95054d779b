package replica_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/replica/testdata/memlog"
)

// secretFile is a file that whoever knows the secret can take down.
func secretFile(t testing.TB, author int, name, secret string) *record.Record {
	t.Helper()
	return signDraft(t, author, record.Draft{
		Created: epoch, Life: 30 * day, Undo: record.UndoHash([]byte(secret)),
		Body: record.File{Name: name, CID: cidOf(name), Size: 1},
	})
}

func TestTakedown(t *testing.T) {
	const trustedAuthor = 7
	f := secretFile(t, 0, "f", "sesame")
	shortLived := func(author int, secret string) *record.Record {
		return signDraft(t, author, record.Draft{
			Created: epoch, Expires: time.UnixMilli(f.Expires - 1), Body: record.Takedown{Target: f.ID(), Secret: []byte(secret)},
		})
	}
	for _, c := range []struct {
		name  string
		by    *record.Record
		holds bool
	}{
		{"by the author", takedown(t, 0, epoch, f, ""), true},
		{"by a stranger", takedown(t, 1, epoch, f, ""), false},
		{"by a stranger with the secret", takedown(t, 1, epoch, f, "sesame"), true},
		{"by a stranger with a wrong secret", takedown(t, 1, epoch, f, "open"), false},
		{"by a trusted moderator", takedown(t, trustedAuthor, epoch, f, ""), true},
		{"by the author, forgotten too early", shortLived(0, ""), false},
		{"with the secret, forgotten too early", shortLived(1, "sesame"), false},
		{"by a moderator, forgotten too early", shortLived(trustedAuthor, ""), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEachLog(t, func(t *testing.T, log replica.Log) {
				heard := newJournal(t)
				o := replica.Options{
					Now: newClock().Now, Listener: heard,
					Trusted: func(k record.Key) bool { return k == public(trustedAuthor) },
				}
				s := open(t, log, o)
				add(t, s, nil, f)
				heard.take()
				add(t, s, nil, c.by)
				added, removed := heard.take()
				same(t, "added", added, c.by)
				if c.holds {
					same(t, "removed", removed, f)
				} else {
					same(t, "removed", removed)
				}
				checkDown(t, s, f, c.holds)
				checkDown(t, open(t, log, o), f, c.holds)
			})
		})
		t.Run(c.name+", before its target", func(t *testing.T) {
			onEachLog(t, func(t *testing.T, log replica.Log) {
				heard := newJournal(t)
				o := replica.Options{
					Now: newClock().Now, Listener: heard,
					Trusted: func(k record.Key) bool { return k == public(trustedAuthor) },
				}
				s := open(t, log, o)
				add(t, s, nil, c.by)
				s = open(t, log, o)
				if c.holds {
					add(t, s, replica.ErrTakenDown, f)
				} else {
					add(t, s, nil, f)
				}
				checkDown(t, s, f, c.holds)
			})
		})
	}
}

// checkDown looks for f in every index.
func checkDown(t *testing.T, s *replica.Set, f *record.Record, down bool) {
	t.Helper()
	_, ok, err := s.Get(f.ID())
	byCID, err2 := s.ByCID(cidOf(mustFile(t, f).Name))
	if err != nil || err2 != nil || ok == down || (len(byCID) == 0) != down || (s.Count(record.KindFile) == 0) != down {
		t.Fatalf("there: %v, by CID: %d, files: %d, want down: %v (%v, %v)", ok, len(byCID), s.Count(record.KindFile), down, err, err2)
	}
	if n, err := s.TakedownsOf(f.ID()); err != nil || n != 1 {
		t.Fatalf("%d takedowns, %v", n, err)
	}
	if down {
		add(t, s, replica.ErrTakenDown, f)
	} else {
		add(t, s, replica.ErrHave, f)
	}
}

func TestTakedownOfATakedownDoesNothing(t *testing.T) {
	s := open(t, memlog.New(), replica.Options{Now: newClock().Now, Trusted: func(record.Key) bool { return true }})
	f := file(t, 0, epoch, "f")
	down := takedown(t, 0, epoch, f, "")
	add(t, s, nil, f)
	add(t, s, nil, down)
	add(t, s, nil, takedown(t, 0, epoch.Add(1), down, ""))
	add(t, s, replica.ErrTakenDown, f)
	if s.Count(record.KindTakedown) != 2 {
		t.Errorf("%d takedowns", s.Count(record.KindTakedown))
	}
}

func TestTakedownsAreCountedByAuthor(t *testing.T) {
	s := open(t, memlog.New(), replica.Options{Now: newClock().Now})
	f := file(t, 0, epoch, "f")
	add(t, s, nil, f, takedown(t, 1, epoch, f, ""), takedown(t, 1, epoch.Add(time.Second), f, ""), takedown(t, 2, epoch, f, ""))
	if n, err := s.TakedownsOf(f.ID()); err != nil || n != 2 {
		t.Errorf("%d takedowns, %v", n, err)
	}
}

// TestTakedownOutlivesItsTarget: nothing comes back from the dead, and nothing is
// kept for ever.
func TestTakedownOutlivesItsTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New()
		s := open(t, log, replica.Options{})
		stop := run(t, s.Run)
		defer stop()
		m := sign(t, 0, time.Now(), time.Hour, record.Message{Room: "r", Text: "t"})
		add(t, s, nil, m)
		add(t, s, nil, takedown(t, 0, time.Now(), m, ""))
		pass(time.Hour - time.Millisecond)
		add(t, s, replica.ErrTakenDown, m)
		pass(time.Second)
		add(t, s, record.ErrExpired, m)
		if s.Len() != 0 || log.Len() != 0 {
			t.Errorf("%d records, %d keys left", s.Len(), log.Len())
		}
		if n, _ := s.TakedownsOf(m.ID()); n != 0 {
			t.Errorf("%d takedowns", n)
		}
	})
}

func TestRetrust(t *testing.T) {
	onEachLog(t, func(t *testing.T, log replica.Log) {
		var moderator record.Key
		heard := newJournal(t)
		s := open(t, log, replica.Options{
			Now: newClock().Now, Listener: heard,
			Trusted: func(k record.Key) bool { return k == moderator },
		})
		var files, downs []*record.Record
		for i := range 700 { // more than one page
			f := file(t, 0, epoch, fmt.Sprint(i))
			files = append(files, f)
			downs = append(downs, takedown(t, 1, epoch, f, ""))
		}
		add(t, s, nil, files...)
		add(t, s, nil, downs...)
		add(t, s, nil, takedown(t, 0, epoch, files[0], "")) // holds whoever is trusted
		heard.take()
		moderator = public(1)
		if err := s.Retrust(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, removed := heard.take()
		same(t, "removed", newestFirst(removed...), newestFirst(files[1:]...)...)
		add(t, s, replica.ErrTakenDown, files...)
		moderator = public(2)
		if err := s.Retrust(t.Context()); err != nil {
			t.Fatal(err)
		}
		add(t, s, replica.ErrTakenDown, files[0])
		add(t, s, nil, files[1:]...)
	})
}

// TestRunJudgesAgain: who is trusted may change while the node is off.
func TestRunJudgesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New()
		s := open(t, log, replica.Options{})
		f := sign(t, 0, time.Now(), day, record.Message{Room: "r", Text: "t"})
		add(t, s, nil, f, takedown(t, 1, time.Now(), f, ""))
		s = open(t, log, replica.Options{Trusted: func(k record.Key) bool { return k == public(1) }})
		stop := run(t, s.Run)
		defer stop()
		synctest.Wait()
		if _, ok, _ := s.Get(f.ID()); ok {
			t.Error("still there")
		}
	})
}
