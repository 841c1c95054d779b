package share_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"boucan/record"
	"boucan/share"
)

// A disk that is full keeps what it has, says so once in a while, asks for
// little, and goes on when there is room.
func TestFullReceiver(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		first := a.dropMany(3, func(i int) (string, []byte) { return "first", noise(uint64(i), 5000+i*2<<20) })
		rest := a.dropMany(6, func(i int) (string, []byte) { return "rest", noise(uint64(10+i), 5000+i*1<<20) })
		n.setLink(a.key, b.key, true)
		b.blobs.Want(first...)
		b.blobs.PeerUp(a.key)
		wait(t, time.Minute, "the first arrive", func() bool { return b.has(first...) })

		b.stop()
		b.reserve = 1 << 60
		b.start()
		b.blobs.Want(rest...)
		before, _ := n.received(b.key)
		time.Sleep(2 * time.Hour)
		if b.has(rest[0]) || !b.has(first...) {
			t.Error("a full disk takes more, or lost what it held")
		}
		lines := b.logs.count("no room")
		if lines != 2 || lines != len(b.logs.all()) { // one for the small, one for the large
			t.Errorf("%d lines in two hours: %q", lines, b.logs.all())
		}
		after, _ := n.received(b.key)
		t.Logf("%d bytes in vain in two hours, %d lines", after-before, lines)
		if after-before > 80*10_000 {
			t.Errorf("%d bytes were fetched in vain", after-before)
		}
		if !bytes.Equal(b.read(first[2].CID), a.read(first[2].CID)) {
			t.Error("what it held differs")
		}

		b.stop()
		b.reserve = 0
		b.start()
		b.blobs.Want(rest...)
		wait(t, time.Minute, "the rest arrive when there is room", func() bool { return b.has(rest...) })
	})
}

// A record that lies about the size costs one try. A record that does not gets
// the blob all the same.
func TestRecordsThatLie(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		small, large := a.drop("small", noise(1, 4000)), a.drop("large", noise(2, 5<<20))
		huge := a.drop("huge", noise(3, 900_000))
		for _, w := range []share.Wanted{small, large, huge} {
			lie := w
			if lie.Size += 1; w.CID == huge.CID {
				lie.Size = 100
			}
			b.blobs.Want(lie)
		}
		impossible := large
		impossible.Size = 1 << 62
		b.blobs.Want(impossible)
		n.connect(a, b)
		wait(t, time.Minute, "nothing is wanted", func() bool { wanting, _ := b.blobs.Wanting(); return wanting == 0 })
		if b.arrivals() != 0 {
			t.Errorf("%d arrived", b.arrivals())
		}
		if lines := b.logs.all(); b.logs.count("a record lies") != 4 || len(lines) != 4 {
			t.Errorf("log: %q", lines)
		}
		before, _ := n.received(b.key)
		time.Sleep(time.Hour)
		if after, _ := n.received(b.key); after != before {
			t.Errorf("%d bytes were fetched for lies", after-before)
		}
		b.blobs.Want(small, large, huge)
		wait(t, time.Minute, "the truth arrives", func() bool { return b.has(small, large, huge) })
	})
}

// What is wanted no more is not fetched, and what had landed of it is deleted.
func TestUnwant(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		large, other := a.drop("large", noise(1, 40<<20)), a.drop("other", noise(2, 3<<20))
		b.blobs.Want(large)
		n.connect(a, b)
		wait(t, time.Minute, "some of it lands", func() bool {
			list := b.blobs.Transfers()
			return len(list) == 1 && list[0].Landed > 4<<20 && list[0].Peers == 1 && list[0].Name == "large"
		})
		b.blobs.Unwant(large.CID)
		b.blobs.Want(other)
		wait(t, time.Minute, "the other arrives", func() bool { return b.has(other) })
		time.Sleep(time.Minute)
		if b.has(large) || len(b.blobs.Transfers()) != 0 || len(b.blobs.PartialFiles(t)) != 0 {
			t.Errorf("left: %v, %v", b.blobs.Transfers(), b.blobs.PartialFiles(t))
		}
		b.blobs.Want(large)
		wait(t, time.Minute, "it arrives after all", func() bool { return b.has(large) })
	})
}

// Sizes take turns: a thousand photos are not kept waiting by one film, nor the
// film by them.
func TestSizesTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		film := a.drop("film", noise(1, 60<<20))
		photos := a.dropMany(100, func(i int) (string, []byte) { return "photo", noise(uint64(10+i), 100_000) })
		b.blobs.Want(film)
		b.blobs.Want(photos...)
		n.connect(a, b)
		took := wait(t, time.Minute, "the photos arrive", func() bool { return b.has(photos...) })
		list := b.blobs.Transfers()
		if b.has(film) || len(list) != 1 || list[0].Landed < 4<<20 || list[0].Landed > 20<<20 {
			t.Errorf("after %v: %+v", took, list)
		}
	})
}

// Chunks of one blob come from many peers at once.
func TestManyPeersFeedOneBlob(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		b := newBox(n)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		data := noise(1, 40<<20)
		var w share.Wanted
		var from []*box
		for range 4 {
			a := newBox(n)
			w = a.drop("film", data)
			from = append(from, a)
			n.connect(a, b)
		}
		b.blobs.Want(w)
		took := wait(t, time.Minute, "it arrives", func() bool { return b.has(w) })
		got, _ := n.received(b.key)
		t.Logf("took %v, %d bytes beside", took, got-w.Size)
		if alone := 10 * time.Second; took > alone/2 || got-w.Size > 100_000 {
			t.Errorf("took %v from four peers at 4 MiB/s each, %d bytes beside", took, got-w.Size)
		}
		for _, a := range from {
			if n.opened(b.key, a.key) != 1 {
				t.Error("a peer was not asked")
			}
		}
	})
}

// More peers than are asked at once: the one that has the blob gets its turn.
func TestMorePeersThanSlots(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		w := a.drop("rare", noise(1, 3<<20))
		w.From = record.Key{}
		b.blobs.Want(w)
		for range share.MaxSources + 10 {
			n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error {
				return refusing(share.FrameNotHere)(s)
			})
		}
		n.connect(a, b)
		took := wait(t, 5*time.Minute, "the last peer is asked", func() bool { return b.has(w) })
		t.Logf("took %v", took)
		time.Sleep(time.Hour)
		got, sent := n.received(b.key)
		if sent > 1000*int64(share.MaxSources+11) {
			t.Errorf("%d bytes asked, %d received", sent, got)
		}
	})
}

// A peer that leaves in the middle is made up for by another.
func TestPeerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, c, b := newBox(n), newBox(n), newBox(n)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		w := a.drop("film", noise(1, 30<<20))
		c.drop("film", noise(1, 30<<20))
		b.blobs.Want(w)
		n.connect(a, b)
		wait(t, time.Minute, "some lands", func() bool { got, _ := n.received(b.key); return got > 10<<20 })
		n.part(a, b)
		time.Sleep(5 * time.Minute)
		if x := b.blobs.Bounds(); x.Pulls != 0 || x.LeafBytes != 0 {
			t.Errorf("held open for nobody: %+v", x)
		}
		n.connect(c, b)
		wait(t, time.Minute, "the rest comes from another", func() bool { return b.has(w) })
		if got, _ := n.received(b.key); got > w.Size+share.ChunkSize+100_000 {
			t.Errorf("%d bytes for %d", got, w.Size)
		}
	})
}

// A box may come and go while everything is under way, and nothing is left
// behind.
func TestStopInTheMiddle(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		ws := a.dropMany(40, func(i int) (string, []byte) { return fmt.Sprint(i), noise(uint64(i), 1000+i*100_000) })
		n.setLink(a.key, b.key, true)
		for i := range 10 {
			b.blobs.Want(ws...)
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
			b.stop()
			if x := b.blobs.Bounds(); x.Slabs != 0 || x.Pulls != 0 || x.Turns != 0 || x.Sessions != 0 {
				t.Errorf("stop %d leaves %+v", i, x)
			}
			b.start()
		}
		b.blobs.Want(ws...)
		wait(t, time.Minute, "all arrive in the end", func() bool { return b.has(ws...) })
		if lines := b.logs.all(); len(lines) != 0 {
			t.Errorf("log: %q", lines)
		}
	})
}

// Before Run and after it, what is wanted is only noted.
func TestWantWithoutRun(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		w := a.drop("x", noise(1, 10))
		b.stop()
		b.blobs.Want(w, w)
		b.blobs.PeerUp(a.key)
		b.blobs.PeerDown(a.key)
		if wanting, room := b.blobs.Wanting(); wanting > 1 || wanting+room != 1<<18 {
			t.Errorf("%d wanted, room for %d", wanting, room)
		}
		b.blobs.Unwant(w.CID)
		if err := b.blobs.Serve(context.Background(), a.key, closedStream{}); err == nil {
			t.Error("a closed stream was served")
		}
	})
}

// closedStream has ended.
type closedStream struct{}

func (closedStream) Read([]byte) (int, error)    { return 0, io.ErrClosedPipe }
func (closedStream) Write([]byte) (int, error)   { return 0, io.ErrClosedPipe }
func (closedStream) Close() error                { return nil }
func (closedStream) SetDeadline(time.Time) error { return io.ErrClosedPipe }
