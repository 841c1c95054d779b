package replica_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"iter"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/replica/testdata/memlog"
)

// sessionSide is one side of the session in spec/vectors/sync.json.
type sessionSide struct {
	Record string
	Frames []string
}

func (s sessionSide) decode(t *testing.T) (rec *record.Record, frames [][]byte) {
	t.Helper()
	raw, err := hex.DecodeString(s.Record)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err = record.Decode(raw); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Frames {
		b, err := hex.DecodeString(f)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, b)
	}
	return rec, frames
}

// TestSessionVector plays both sides of the session against this implementation,
// which must say the other side's bytes, all of them.
func TestSessionVector(t *testing.T) {
	b, err := os.ReadFile("../spec/vectors/sync.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Session struct{ Initiator, Responder sessionSide }
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	for _, begins := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := v.Session.Responder, v.Session.Initiator
			if begins {
				ours, theirs = theirs, ours
			}
			have, want := ours.decode(t)
			brings, says := theirs.decode(t)
			c := &clock{now: time.UnixMilli(1790000000000)}
			s := open(t, memlog.New(), replica.Options{Now: c.Now})
			add(t, s, nil, have)
			here, there := net.Pipe()
			y := replica.NewSyncer(s, single{here}, replica.SyncOptions{Self: public(0)})
			var got bytes.Buffer
			done := make(chan struct{})
			go func() {
				defer close(done)
				if _, err := io.Copy(&got, there); err != nil {
					t.Error(err)
				}
			}()
			var stop func()
			if begins {
				stop = run(t, y.Run)
				y.PeerUp(public(1))
				pass(7 * time.Second) // whichever key is the lesser
			} else {
				stop = run(t, func(ctx context.Context) error { return y.Serve(ctx, public(1), here) })
			}
			for _, f := range says {
				if _, err := there.Write(f); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // an answer comes after its question
			}
			<-done
			stop()
			if all := slices.Concat(want...); !bytes.Equal(got.Bytes(), all) {
				t.Errorf("said %x, want %x", got.Bytes(), all)
			}
			if _, ok, err := s.Get(brings.ID()); !ok || err != nil {
				t.Errorf("what the peer brought is not there, %v", err)
			}
		})
	}
}

// single opens one stream.
type single struct{ stream replica.Stream }

func (single) Peers() []record.Key                                        { return nil }
func (s single) Open(context.Context, record.Key) (replica.Stream, error) { return s.stream, nil }

// TestAddsQueueBehindASlowListener: they are written together when it is their turn,
// and one whose caller gives up is not written at all.
func TestAddsQueueBehindASlowListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, hold := &writes{Log: memlog.New()}, make(chan struct{})
		s := open(t, log, replica.Options{Listener: holding(hold)})
		recs := messages(t, 0, 0, 12)
		results := make(chan error, len(recs))
		send := func(ctx context.Context, r *record.Record) {
			go func() {
				_, err := s.Receive(ctx, r.Encode())
				results <- err
			}()
		}
		send(t.Context(), recs[0])
		synctest.Wait() // the listener holds the turn
		impatient, giveUp := context.WithCancel(t.Context())
		send(impatient, recs[1])
		for _, r := range recs[2:] {
			send(t.Context(), r)
		}
		synctest.Wait()
		giveUp()
		if err := <-results; err != context.Canceled {
			t.Errorf("gave up with %v", err)
		}
		close(hold)
		for range len(recs) - 1 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if s.Len() != len(recs)-1 || log.n != 2 {
			t.Errorf("%d records in %d writes", s.Len(), log.n)
		}
	})
}

// writes counts the writes of a log.
type writes struct {
	*memlog.Log
	n int
}

func (w *writes) Write(pairs iter.Seq2[[]byte, []byte]) error {
	w.n++
	return w.Log.Write(pairs)
}

// holding is a Listener that does not return until the channel is closed.
type holding chan struct{}

func (h holding) Changed(_, _ []*record.Record) { <-h }

// TestTakenDownIsNotFetched from a peer that has not heard.
func TestTakenDownIsNotFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 2)
		for _, n := range w.nodes {
			n.options.Trusted = func(k record.Key) bool { return n.n == 0 && k == public(8) }
		}
		w.start()
		defer w.stop()
		hidden := messages(t, 5, 0, 200)
		for _, r := range hidden {
			add(t, w.nodes[1].set, nil, r)
			add(t, w.nodes[0].set, nil, r)
			add(t, w.nodes[0].set, nil, takedown(t, 8, time.Now(), r, "")) // holds on 0 only
		}
		w.connect(0, 1)
		pass(time.Minute)
		before := w.bytes.Load()
		for range 3 {
			w.nodes[0].syncer.Nudge()
			pass(time.Minute)
		}
		perMeeting := (w.bytes.Load() - before) / 3
		if w.nodes[0].set.Count(record.KindMessage) != 0 || w.nodes[1].set.Len() != 400 || perMeeting > 16_000 {
			t.Errorf("%d and %d records, %d bytes a meeting", w.nodes[0].set.Len(), w.nodes[1].set.Len(), perMeeting)
		}
	})
}

// TestWhatHasExpiredTakesNoPart in a comparison, on either side, also where nothing
// has removed it yet.
func TestWhatHasExpiredTakesNoPart(t *testing.T) {
	for _, begins := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t) // whose set is not tidied
			old := sign(t, 0, time.Now(), time.Minute, record.Message{Room: "r", Text: "old"})
			add(t, h.set, nil, old)
			<-time.After(time.Minute)
			here, there := net.Pipe()
			h.dial = func() (replica.Stream, error) { return here, nil }
			stop := func() {}
			if begins {
				stop = run(t, h.y.Run)
				h.y.PeerUp(public(66))
			} else {
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); _ = h.y.Serve(ctx, public(66), here) }()
				stop = func() { cancel(); <-ended }
			}
			frames := slices.Concat(frame(hello, helloBytes(t, nil)), frame(reconcile, emptySet))
			if begins {
				frames = nil // it says by itself what it has
			}
			go func() { _, _ = there.Write(frames) }()
			said := make([]byte, 0, 4096)
			for kept := h.kept.ID(); !bytes.Contains(said, kept[:]); {
				n, err := there.Read(said[len(said):cap(said)])
				if err != nil {
					t.Fatalf("begins %v: what lives is not named: %v", begins, err)
				}
				said = said[:len(said)+n]
			}
			if id := old.ID(); bytes.Contains(said, id[:]) {
				t.Errorf("begins %v: what has expired is named", begins)
			}
			there.Close()
			stop()
		})
	}
}
