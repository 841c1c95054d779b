package replica_test

import (
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/replica/testdata/memlog"
)

// TestOneAuthorsPushesAreLimited, and nobody else's.
func TestOneAuthorsPushesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memlog.New(), replica.Options{})
		taken, n := 0, 0
		push := func(author int) error {
			n++
			_, err := s.Receive(t.Context(), message(t, author, time.Now(), "r", fmt.Sprint(n)).Encode())
			return err
		}
		for range 1000 {
			switch err := push(0); {
			case err == nil:
				taken++
			case !errors.Is(err, replica.ErrRate) || replica.Judge(err) != replica.Ignore:
				t.Fatal(err)
			}
		}
		if taken != 256 {
			t.Errorf("%d of one author's pushes were taken in", taken)
		}
		if err := push(1); err != nil {
			t.Errorf("another author: %v", err)
		}
		add(t, s, nil, message(t, 0, time.Now(), "r", "found by comparing"))
		time.Sleep(time.Second)
		for i := range 5 {
			if err := push(0); (err == nil) != (i < 4) {
				t.Errorf("push %d a second later: %v", i, err)
			}
		}
	})
}

// slowLog is a disk that takes its time.
type slowLog struct{ *memlog.Log }

func (l slowLog) Write(pairs iter.Seq2[[]byte, []byte]) error {
	time.Sleep(10 * time.Millisecond)
	return l.Log.Write(pairs)
}

// TestPushesThatComeTogetherAreLimited while none of them is on disk yet.
func TestPushesThatComeTogetherAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, slowLog{memlog.New()}, replica.Options{})
		var taken atomic.Int64
		var all sync.WaitGroup
		for n := range 1000 {
			raw := message(t, 0, time.Now(), "r", fmt.Sprint(n)).Encode()
			all.Go(func() {
				if added, err := s.Receive(t.Context(), raw); added {
					taken.Add(1)
				} else if !errors.Is(err, replica.ErrRate) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if taken.Load() != 256 {
			t.Errorf("%d of one author's pushes were taken in", taken.Load())
		}
	})
}

// TestWhatAnAuthorReplacesIsLimited: a share of short-lived records fits again and
// again, and would keep every disk busy.
func TestWhatAnAuthorReplacesIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memlog.New(), replica.Options{Limits: replica.Limits{AuthorRecords: 10, AuthorTakedowns: 10}})
		defer run(t, s.Run)()
		taken, n := 0, 0
		bring := func(author, count int) (got int) {
			var recs []*record.Record
			for range count {
				n++
				recs = append(recs, sign(t, author, time.Now(), time.Second, record.Message{Room: "r", Text: fmt.Sprint(n)}))
			}
			errs, err := s.Add(t.Context(), recs)
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range errs {
				switch {
				case err == nil:
					got++
				case !errors.Is(err, replica.ErrRate) || replica.Judge(err) != replica.Ignore:
					t.Fatal(err)
				}
			}
			return got
		}
		for range 10 {
			taken += bring(0, 10)
			pass(2 * time.Second)
		}
		if taken != 40 {
			t.Errorf("%d records of one author were taken in, want twice the share", taken)
		}
		if got := bring(1, 10); got != 10 {
			t.Errorf("%d of another's", got)
		}
		pass(24 * time.Hour)
		taken = 0
		for range 10 {
			taken += bring(0, 10)
			pass(2 * time.Second)
		}
		if taken != 20 {
			t.Errorf("%d a day later, want the share", taken)
		}
	})
}

// TestForgeriesDoNotCount against the author whose name they bear.
func TestForgeriesDoNotCount(t *testing.T) {
	s := open(t, memlog.New(), replica.Options{Limits: replica.Limits{AuthorRecords: 10, AuthorTakedowns: 10}})
	for i := range 100 {
		raw := append([]byte(nil), message(t, 0, time.Now(), "r", fmt.Sprint(i)).Encode()...)
		raw[len(raw)-1] ^= 1
		forged, err := record.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		add(t, s, record.ErrSignature, forged)
	}
	add(t, s, nil, message(t, 0, time.Now(), "r", "genuine"))
}
