package share_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"boucan/record"
	"boucan/share"
)

// expect reads what a box is to answer, and fails where it answers otherwise.
func expect(t *testing.T, s io.Reader, what string, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(s, got)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes of %d, beginning %x, %v", what, n, len(want), got[:min(n, 16)], err)
	}
}

// ended reads until the box closes the stream, and returns what came before.
func ended(t *testing.T, s share.Stream) []byte {
	t.Helper()
	b, err := io.ReadAll(s)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the stream ended with %v", err)
	}
	return b
}

// chunkOf reads the frames of one chunk.
func chunkOf(t *testing.T, s io.Reader) (data []byte) {
	t.Helper()
	for {
		var head [5]byte
		if _, err := io.ReadFull(s, head[:]); err != nil {
			t.Fatal(err)
		}
		size := int(head[1])<<24 | int(head[2])<<16 | int(head[3])<<8 | int(head[4])
		if head[0] != share.FramePiece && head[0] != share.FrameLast || size > share.MaxPiece {
			t.Fatalf("head %x", head)
		}
		piece := make([]byte, size)
		if _, err := io.ReadFull(s, piece); err != nil {
			t.Fatal(err)
		}
		if data = append(data, piece...); head[0] == share.FrameLast {
			return data
		}
	}
}

// What a box answers is what the specification says.
func TestServeAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		small, large := noise(1, 1000), noise(2, 3<<20+99)
		m := manifestOf(large)
		ws, wl, empty := a.drop("small", small), a.drop("large", large), a.drop("empty", nil)
		s := n.ask(newKey(), a)
		defer s.Close()
		other := manifestOf(noise(9, 7)).CID

		go func() {
			// All in one go: questions are answered in their order.
			b := share.AppendAsk(nil, ws.CID, 0, 0)
			b = share.AppendAsk(b, other, 0, 0)
			b = share.AppendAsk(b, wl.CID, 0, 0)
			b = share.AppendHave(b, other)
			b = share.AppendAsk(b, empty.CID, 0, 0)
			b = share.AppendAsk(b, wl.CID, 1, 3)
			b = share.AppendAsk(b, manifestOf(noise(9, 2<<20)).CID, 0, 1)
			_, _ = s.Write(b) // a failure shows in what is read
		}()
		expect(t, s, "a small blob", chunkFrames(nil, small))
		expect(t, s, "an unknown one", share.AppendHead(nil, share.FrameNotHere, 0))
		expect(t, s, "a manifest", share.AppendManifest(nil, m))
		expect(t, s, "an empty blob", chunkFrames(nil, nil))
		for i := 1; i < 4; i++ {
			offset, length := m.Chunk(i)
			if got := chunkOf(t, s); !bytes.Equal(got, large[offset:int(offset)+length]) {
				t.Errorf("chunk %d: %d bytes", i, len(got))
			}
		}
		expect(t, s, "an unknown large one", share.AppendHead(nil, share.FrameNotHere, 0))
		if lines := a.logs.all(); len(lines) != 0 {
			t.Errorf("log: %q", lines)
		}
	})
}

// Askers that make no sense are hung up on, with one line.
func TestServeBadAskers(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		w := a.drop("large", noise(2, 3<<20))
		cases := map[string][]byte{
			"noise":                 bytes.Repeat([]byte{0xee}, 100),
			"a frame too long":      share.AppendHead(nil, share.FrameAsk, 64<<10+1),
			"a claim of all":        share.AppendHead(nil, share.FrameHave, 0xffffffff),
			"an item of no kind":    append(share.AppendHead(nil, share.FrameAsk, 37), make([]byte, 37)...),
			"a chunk past the last": share.AppendAsk(nil, w.CID, 2, 2),
			"chunks far past":       share.AppendAsk(nil, w.CID, 200_000, 1),
			"an answer":             share.AppendHead(nil, share.FrameNotHere, 0),
		}
		lines := 0
		for what, raw := range cases {
			s := n.ask(newKey(), a)
			go func() { _, _ = s.Write(raw) }() // the box hangs up before it has read all
			answer := ended(t, s)
			if what != "a chunk past the last" && len(answer) != 0 {
				t.Errorf("%s: answered %x", what, answer)
			}
			time.Sleep(time.Second)
			lines++
			if got := a.logs.count("makes no sense"); got != lines || len(a.logs.all()) != lines {
				t.Errorf("%s: log %q", what, a.logs.all())
			}
			s.Close()
		}
		// A frame that never ends is given up.
		s := n.ask(newKey(), a)
		_ = send(s, share.AppendHead(nil, share.FrameAsk, 37)[:3])
		began := time.Now()
		ended(t, s)
		if took := time.Since(began); took > share.ServeIdle+time.Second {
			t.Errorf("half a frame was waited for %v", took)
		}
	})
}

// An asker that stops reading is hung up on, and so is one that asks nothing,
// whatever else it sends.
func TestServeIdleAskers(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		w := a.drop("large", noise(2, 3<<20))
		s := n.ask(newKey(), a)
		_ = send(s, share.AppendAsk(nil, w.CID, 0, 3))
		time.Sleep(share.ServeWrite + time.Second)
		if a.blobs.Bounds().Served != 0 || a.logs.count("stopped reading") != 1 {
			t.Errorf("still served, log %q", a.logs.all())
		}
		s.Close()

		// Notices do not buy time for one that does not read.
		s = n.ask(newKey(), a)
		_ = send(s, share.AppendAsk(nil, w.CID, 0, 3))
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			for send(s, share.AppendHave(nil, w.CID)) == nil {
				time.Sleep(10 * time.Second)
			}
		}()
		time.Sleep(share.ServeWrite + time.Second)
		if a.blobs.Bounds().Served != 0 {
			t.Error("notices keep a stream open that is not read")
		}
		s.Close()
		<-stop

		s = n.ask(newKey(), a)
		began := time.Now()
		ended(t, s)
		if took := time.Since(began); took < share.ServeIdle-time.Second || took > share.ServeIdle+time.Second {
			t.Errorf("an idle stream was closed after %v", took)
		}
		s.Close()
	})
}

// Streams are limited, of one peer and in all. Beyond that a newcomer takes the
// place of one that is idle, or hears that the box is busy.
func TestServeLimits(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		w := a.drop("large", noise(2, 3<<20))
		busy := share.AppendHead(nil, share.FrameBusy, 0)
		one := newKey()
		var open []share.Stream
		for range share.MaxServedPeer {
			open = append(open, n.ask(one, a))
		}
		time.Sleep(time.Second)
		if got := ended(t, n.ask(one, a)); !bytes.Equal(got, busy) {
			t.Errorf("one past the limit of a peer: %x", got)
		}
		for i := range share.MaxServed - share.MaxServedPeer {
			if i%2 == 0 {
				one = newKey()
			}
			open = append(open, n.ask(one, a))
		}
		time.Sleep(time.Second)
		if x := a.blobs.Bounds(); x.Served != share.MaxServed {
			t.Errorf("%d streams served", x.Served)
		}
		// All but the third are asked something and do not read it.
		for i, s := range open {
			if i != 2 {
				_ = send(s, share.AppendAsk(nil, w.CID, 0, 3))
			}
		}
		time.Sleep(time.Second)
		newcomer := n.ask(newKey(), a)
		if err := send(newcomer, share.AppendAsk(nil, w.CID, 0, 0)); err != nil {
			t.Error(err)
		}
		expect(t, newcomer, "a newcomer in the place of the idle", share.AppendManifest(nil, manifestOf(noise(2, 3<<20))))
		if got := ended(t, open[2]); len(got) != 0 {
			t.Errorf("the idle one got %x", got)
		}
		_ = send(newcomer, share.AppendAsk(nil, w.CID, 0, 3))
		time.Sleep(time.Second)
		if got := ended(t, n.ask(newKey(), a)); !bytes.Equal(got, busy) {
			t.Errorf("one past the limit with all at work: %x", got)
		}
		// Those that have not read for a while give way.
		time.Sleep(15 * time.Second)
		late := n.ask(newKey(), a)
		if err := send(late, share.AppendAsk(nil, w.CID, 0, 0)); err != nil {
			t.Error(err)
		}
		expect(t, late, "a newcomer in the place of the stuck", share.AppendManifest(nil, manifestOf(noise(2, 3<<20))))
		for _, s := range append(open, newcomer, late) {
			s.Close()
		}
		time.Sleep(time.Second)
		if x := a.blobs.Bounds(); x.Served != 0 {
			t.Errorf("%d streams served after all are closed", x.Served)
		}
	})
}

// Notices cost nothing that lasts: neither CIDs that nobody wants, nor chunks
// called wrong that are right.
func TestServeNotices(t *testing.T) {
	alone(t, func(t *testing.T, n *network) {
		a := newBox(n)
		w := a.drop("large", noise(2, 3<<20))
		s := n.ask(newKey(), a)
		defer s.Close()
		var cids []record.CID
		for i := range 1024 {
			cids = append(cids, manifestOf(noise(uint64(i), 3)).CID)
		}
		frame := share.AppendHave(nil, cids...)
		for range 100 {
			frame = share.AppendWrong(frame, w.CID, 2)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range 50 {
			if err := send(s, frame); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
			t.Errorf("%d bytes kept", grown)
		}
		if a.blobs.Spoiled(w.CID) || len(a.logs.all()) != 0 {
			t.Errorf("a sound blob is not offered, log %q", a.logs.all())
		}
	})
}

// A file that shrinks under the reader is refused in the place of the chunk, and
// the stream goes on.
func TestServeUnreadable(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		small := noise(1, 1000)
		w, ws := a.drop("large", noise(2, 3<<20)), a.drop("small", small)
		s := n.ask(newKey(), a)
		defer s.Close()
		go func() {
			_ = send(s, share.AppendAsk(nil, w.CID, 0, 1)) // a failure shows in what is read
		}()
		chunkOf(t, s) // the file is open now
		path, _ := a.blobs.Path(w.CID)
		if err := os.Truncate(filepath.Join(a.dir, "files", path), 1<<20+5); err != nil {
			t.Fatal(err)
		}
		_ = send(s, append(share.AppendAsk(nil, w.CID, 1, 2), share.AppendAsk(nil, ws.CID, 0, 0)...))
		// What lay before the cut may come; the rest of the item does not.
		head := make([]byte, 5)
		if _, err := io.ReadFull(s, head); err != nil || (head[0] != share.FrameGone && head[0] != share.FrameUnreadable) {
			t.Errorf("%x, %v", head, err)
		}
		expect(t, s, "what is asked next", chunkFrames(nil, small))
	})
}

func TestServeEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		w := a.drop("large", noise(2, 3<<20))
		ctx, cancel := context.WithCancel(context.Background())
		near, far, err := n.pair()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- a.blobs.Serve(ctx, newKey(), far) }()
		_ = send(near, share.AppendAsk(nil, w.CID, 0, 3))
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ended with %v", err)
		}
		near.Close()
	})
}
