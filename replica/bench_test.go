package replica_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"boucan/record"
	"boucan/replica"
)

// manyRecords is the size that the figures of spec/sync.md, section 6, speak of.
const manyRecords = 100_000

// filled returns a table on the real store that holds n file records.
func filled(b *testing.B, n int) replica.Log {
	b.Helper()
	log := newStore(b)
	s := open(b, log, replica.Options{Now: newClock().Now})
	k := key(1)
	for n > 0 {
		var recs []*record.Record
		for range min(n, 5000) {
			n--
			name := fmt.Sprintf("photos/2026/IMG_%06d.jpg", n)
			r, err := record.Sign(k, record.Draft{
				Created: epoch.Add(-time.Duration(n) * 13 * time.Second), Life: 90 * day,
				Body: record.File{Name: name, CID: record.NewCID(record.CodecRaw, sha256.Sum256([]byte(name))), Size: uint64(n), MediaType: "image/jpeg"},
			})
			if err != nil {
				b.Fatal(err)
			}
			recs = append(recs, r)
		}
		if err := s.Publish(b.Context(), recs...); err != nil {
			b.Fatal(err)
		}
	}
	return log
}

// cpu is what this process has used, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func BenchmarkOpen(b *testing.B) {
	log := filled(b, manyRecords)
	for b.Loop() {
		if s := open(b, log, replica.Options{Now: newClock().Now}); s.Len() != manyRecords {
			b.Fatal(s.Len())
		}
	}
}

// wire joins two Syncers by a pipe and runs one session at a time.
type wire struct {
	b           *testing.B
	here, there *replica.Syncer
	ended       chan struct{}
	served      sync.WaitGroup
}

func (w *wire) Peers() []record.Key { return nil }
func (w *wire) Open(_ context.Context, _ record.Key) (replica.Stream, error) {
	here, there := net.Pipe()
	w.served.Go(func() {
		if err := w.there.Serve(w.b.Context(), public(0), there); err != nil {
			w.b.Error(err)
		}
		w.ended <- struct{}{}
	})
	return here, nil
}

func join(b *testing.B, here, there *replica.Set) *wire {
	w := &wire{b: b, ended: make(chan struct{}, 1)}
	w.here = replica.NewSyncer(here, w, replica.SyncOptions{}) // the least key begins
	w.there = replica.NewSyncer(there, w, replica.SyncOptions{Self: public(1)})
	return w
}

// BenchmarkSessionWithoutDifference is a whole session, both sides.
func BenchmarkSessionWithoutDifference(b *testing.B) {
	log := filled(b, manyRecords)
	o := replica.Options{Now: newClock().Now}
	w := join(b, open(b, log, o), open(b, log, o))
	stop := run(b, w.here.Run)
	defer stop()
	w.here.PeerUp(public(1))
	<-w.ended
	before := cpu()
	for b.Loop() {
		w.here.Nudge()
		<-w.ended
	}
	b.ReportMetric((cpu()-before)*1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkSessionFromNothing copies every record to an empty node.
func BenchmarkSessionFromNothing(b *testing.B) {
	for _, begins := range []string{"full", "empty"} {
		b.Run(begins+" side begins", func(b *testing.B) {
			log := filled(b, manyRecords)
			o := replica.Options{Now: newClock().Now}
			for b.Loop() {
				b.StopTimer()
				here := &counter{want: manyRecords, reached: make(chan struct{})}
				full := open(b, log, o)
				empty := open(b, newStore(b), replica.Options{Now: newClock().Now, Listener: here})
				w := join(b, full, empty)
				if begins == "empty" {
					w = join(b, empty, full)
				}
				before := cpu()
				b.StartTimer()
				stop := run(b, w.here.Run)
				w.here.PeerUp(public(1))
				<-here.reached
				b.ReportMetric(cpu()-before, "cpu-s/op")
				<-w.ended
				stop()
			}
			b.ReportMetric(float64(manyRecords)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// counter is a Listener that says when so many records have come.
type counter struct {
	want, n int
	reached chan struct{}
}

func (c *counter) Changed(added, _ []*record.Record) {
	if c.n += len(added); c.n == c.want {
		close(c.reached)
	}
}
