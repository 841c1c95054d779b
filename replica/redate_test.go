package replica_test

import (
	"testing"
	"time"

	"boucan/record"
	"boucan/replica"
)

func TestRedate(t *testing.T) {
	onEachLog(t, func(t *testing.T, log replica.Log) {
		now, heard := newClock(), newJournal(t)
		s := open(t, log, replica.Options{Now: now.Now, Listener: heard, Limits: replica.Limits{AuthorRecords: 3}})
		old := []*record.Record{file(t, 0, epoch, "a"), file(t, 0, epoch.Add(time.Second), "b"), file(t, 0, epoch.Add(2*time.Second), "c")}
		add(t, s, nil, old...)
		other := file(t, 1, epoch, "d")
		add(t, s, nil, other)
		heard.take()
		now.advance(day)
		var pairs []replica.Redated
		var fresh []*record.Record
		for i, r := range old {
			n := file(t, 0, epoch.Add(day+time.Duration(i)), string(rune('a'+i)))
			pairs, fresh = append(pairs, replica.Redated{Old: r, New: n}), append(fresh, n)
		}
		never := file(t, 0, epoch, "never here")
		gone, err := s.Redate(t.Context(), append(pairs, replica.Redated{Old: never, New: file(t, 0, epoch.Add(day), "x")}, pairs[0]))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "gone", gone, old...)
		added, removed := heard.take()
		same(t, "added", added, fresh...)
		same(t, "removed", removed, old...)
		again := open(t, log, replica.Options{Now: now.Now})
		for _, s := range []*replica.Set{s, again} {
			same(t, "files", newest(t, s, record.KindFile), newestFirst(append(fresh, other)...)...)
			ids, err := s.IDsBy(public(0), record.KindFile, epoch.Add(day).UnixMilli())
			if err != nil || len(ids) != 3 {
				t.Errorf("%d ids, %v", len(ids), err)
			}
		}
	})
}

func TestRecall(t *testing.T) {
	onEachLog(t, func(t *testing.T, log replica.Log) {
		now := newClock()
		s := open(t, log, replica.Options{Now: now.Now, Settled: newClock().Now})
		at := epoch.Add(400 * day)
		mine, right := file(t, 0, at, "mine"), file(t, 1, epoch.Add(record.MaxSkew), "right")
		add(t, s, nil, right)
		now.advance(400 * day)
		add(t, s, nil, mine)
		add(t, s, nil, file(t, 1, at, "ahead"), message(t, 2, at, "r", "ahead"))
		now.advance(-400 * day)
		add(t, s, record.ErrFuture, file(t, 1, epoch.Add(record.MaxSkew+time.Second), "a little ahead"))
		if n, err := s.Recall(t.Context(), public(0)); n != 2 || err != nil {
			t.Errorf("%d records went, %v", n, err)
		}
		same(t, "files", newest(t, s, record.KindFile), mine, right)
		same(t, "messages", newest(t, s, record.KindMessage))
	})
}
