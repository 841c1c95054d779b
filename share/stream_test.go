package share_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"boucan/record"
	"boucan/share"
)

// stream opens a blob for reading that may not be here.
func (b *box) stream(claims ...share.Wanted) *share.Reader {
	b.t.Helper()
	r, err := b.blobs.Stream(b.t.Context(), claims...)
	if err != nil {
		b.t.Fatalf("stream %s: %v", claims[0].Name, err)
	}
	return r
}

// readAt reads size bytes from a place on, as a player that hops does.
func readAt(t *testing.T, r *share.Reader, at int64, size int) []byte {
	t.Helper()
	if _, err := r.Seek(at, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, size)
	if _, err := io.ReadFull(r, p); err != nil {
		t.Fatalf("read %d bytes at %d: %v", size, at, err)
	}
	return p
}

// What nobody copied is read while it comes, whatever its size, and stays.
func TestStreamEverySize(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		n.connect(a, b)
		for i, size := range []int{0, 1, share.ChunkSize, share.ChunkSize + 1, 5<<20 + 7, 33 << 20} {
			data := noise(uint64(i), size)
			w := a.drop(fmt.Sprintf("%d.bin", i), data)
			r := b.stream(w)
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, data) || r.File().Size != int64(size) {
				t.Errorf("%d bytes: read %d, said %d: %v", size, len(got), r.File().Size, err)
			}
			wait(t, 5*time.Second, "it is kept", func() bool { return b.has(w) })
			if got := b.read(w.CID); !bytes.Equal(got, data) {
				t.Errorf("%d bytes: what is kept differs", size)
			}
			if _, err := r.Seek(0, io.SeekStart); err != nil {
				t.Error(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, read again by the same reader: %v", size, err)
			}
			r.Close()
			if _, err := r.Read(make([]byte, 1)); size > 0 && err == nil {
				t.Error("a closed reader reads")
			}
			if r = b.stream(w); r.Here() == nil {
				t.Error("what is here is not read from its file")
			}
			r.Close()
		}
	})
}

// recorder is a peer that has one blob and writes down which chunks it is asked
// for.
type recorder struct {
	m    share.Manifest
	data []byte
	pace time.Duration // of one chunk

	mu    sync.Mutex
	asked []int
}

func (p *recorder) answer(s share.Stream, it share.AskItem) error {
	switch {
	case it.CID != p.m.CID:
		return send(s, share.AppendHead(nil, share.FrameNotHere, 0))
	case it.Manifest:
		return send(s, share.AppendManifest(nil, p.m))
	}
	for i := it.First; i < it.First+max(it.Count, 1); i++ { // a blob of one chunk is asked for whole
		p.mu.Lock()
		p.asked = append(p.asked, i)
		p.mu.Unlock()
		time.Sleep(p.pace)
		offset, length := p.m.Chunk(i)
		if err := send(s, chunkFrames(nil, p.data[offset:offset+int64(length)])); err != nil {
			return err
		}
	}
	return nil
}

// place is when a chunk was asked for, as a number in the order of all, -1 for
// never; last is how many there were.
func (p *recorder) place(chunk int) (at, last int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.asked {
		if c == chunk {
			return i, len(p.asked)
		}
	}
	return -1, len(p.asked)
}

// A player asks for the middle and for the end: what it reads comes next,
// whatever else is wanted.
func TestStreamFollowsTheReader(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		data := noise(1, 200<<20+100)
		p := &recorder{m: manifestOf(data), data: data, pace: 100 * time.Millisecond}
		b := newBox(n)
		key := n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error { return answering(p.answer)(s) })
		w := share.Wanted{CID: p.m.CID, Size: p.m.Size, Name: "film.mp4", From: key}
		r := b.stream(w)
		defer r.Close()
		const window = 5 // chunks that may be on their way when a reader moves
		for _, chunk := range []int{0, 1, 200, 100, 101, 150, 199, 50} {
			_, before := p.place(-1)
			at := int64(chunk) << 20
			size := min(int(p.m.Size-at), 1000)
			if !bytes.Equal(readAt(t, r, at, size), data[at:at+int64(size)]) {
				t.Fatalf("chunk %d differs", chunk)
			}
			if at, _ := p.place(chunk); at > before+window {
				t.Errorf("chunk %d was asked for after %d others", chunk, at-before)
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.asked) > 8*16 {
			t.Errorf("%d chunks were asked for", len(p.asked))
		}
	})
}

// What somebody waits for overtakes what is only copied.
func TestStreamGoesBeforeWhatIsCopied(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		copied := a.dropMany(100, func(i int) (string, []byte) { return fmt.Sprintf("%d.iso", i), noise(uint64(i), 2<<20) })
		small, large := a.drop("now.jpg", noise(1000, 3000)), a.drop("now.mp4", noise(1001, 40<<20))
		b.blobs.Want(copied...)
		n.connect(a, b)
		time.Sleep(5 * time.Second)
		for _, w := range []share.Wanted{small, large} {
			began := time.Now()
			r := b.stream(w)
			readAt(t, r, w.Size/2, 1000)
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("%s: the first bytes took %v", w.Name, took)
			}
			r.Close()
		}
		if b.has(copied...) {
			t.Error("all was copied already: this shows nothing")
		}
		wait(t, 5*time.Minute, "what is copied comes too", func() bool { return b.has(copied...) })
	})
}

// Not one wrong byte is handed out, and another peer goes on.
func TestStreamPastACorruptPeer(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b, c := newBox(n), newBox(n), newBox(n)
		data := noise(2, 20<<20)
		w := a.drop("film.mp4", data)
		c.drop("film.mp4", data)
		a.corrupt(w.CID, 5<<20+77)
		n.connect(a, b)
		r := b.stream(w)
		defer r.Close()
		if !bytes.Equal(readAt(t, r, 0, 5<<20), data[:5<<20]) {
			t.Error("the good part differs")
		}
		time.AfterFunc(3*time.Second, func() { n.connect(b, c) })
		rest, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(rest, data[5<<20:]) {
			t.Errorf("%d bytes after the wrong chunk: %v", len(rest), err)
		}
		if b.logs.count("do not match") != 1 {
			t.Errorf("the log says %q", b.logs.all())
		}
	})
}

// A peer that goes takes the blob with it: the reader is told after a moment in
// which it may come back, and what has landed is not fetched again.
func TestStreamWhenThePeerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		data := noise(3, 60<<20)
		w := a.drop("film.mp4", data)
		n.connect(a, b)
		r := b.stream(w)
		readAt(t, r, 0, 6<<20)
		n.part(a, b)
		time.AfterFunc(share.GoneWait/2, func() { n.connect(a, b) })
		if !bytes.Equal(readAt(t, r, 6<<20, 10<<20), data[6<<20:16<<20]) {
			t.Error("what came after the peer was back differs")
		}
		n.part(a, b)
		if !bytes.Equal(readAt(t, r, 0, 16<<20), data[:16<<20]) {
			t.Error("what has landed differs")
		}
		began := time.Now()
		_, err := io.ReadAll(r)
		if took := time.Since(began); !errors.Is(err, share.ErrNotHere) || took > 2*share.GoneWait {
			t.Errorf("after %v: %v", took, err)
		}
		r.Close()
		if _, err := b.blobs.Stream(t.Context(), w); !errors.Is(err, share.ErrNotHere) {
			t.Errorf("with no peer: %v", err)
		}
		b.stop()
		b.start()
		n.connect(a, b)
		again := b.stream(w)
		defer again.Close()
		if got, err := io.ReadAll(again); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes after a restart: %v", len(got), err)
		}
		if got, _ := n.received(b.key); got > w.Size+8<<20 {
			t.Errorf("%d bytes were sent for %d", got, w.Size)
		}
	})
}

// Many readers of one blob cost one transfer.
func TestStreamsShareThePull(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		data := noise(4, 24<<20)
		w := a.drop("film.mp4", data)
		n.connect(a, b)
		var reading sync.WaitGroup
		for i := range 20 {
			reading.Go(func() {
				time.Sleep(time.Duration(i) * 200 * time.Millisecond)
				r, err := b.blobs.Stream(t.Context(), w)
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Close()
				if i%3 == 0 {
					return // leaves at once
				}
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
					t.Errorf("reader %d: %d bytes, %v", i, len(got), err)
				}
			})
		}
		reading.Wait()
		if got, _ := n.received(b.key); got > w.Size+w.Size/50 {
			t.Errorf("%d bytes came for %d", got, w.Size)
		}
	})
}

// A reader that stalls holds up nobody. When it leaves, a blob that nothing else
// wants is left off, and what has landed waits a while for the next.
func TestStreamThatStallsOrIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		w := a.drop("film.mp4", noise(5, 400<<20))
		n.connect(a, b)
		r := b.stream(w)
		readAt(t, r, 100<<20, 1000)
		copied := a.dropMany(20, func(i int) (string, []byte) { return fmt.Sprintf("%d", i), noise(uint64(i), 3<<20) })
		b.blobs.Want(copied...)
		wait(t, 2*time.Minute, "others come while one stalls", func() bool { return b.has(copied...) })
		r.Close()
		time.Sleep(share.LingerTime + 3*time.Second)
		before, _ := n.received(b.key)
		time.Sleep(time.Minute)
		after, _ := n.received(b.key)
		if wanting, _ := b.blobs.Wanting(); wanting != 0 || after-before > 1000 || b.blobs.Has(w.CID) {
			t.Errorf("%d blobs are still wanted, %d bytes came", wanting, after-before)
		}
		if parts := b.blobs.PartialFiles(t); len(parts) != 1 {
			t.Errorf("what has landed is gone: %v", parts)
		}
		x := b.blobs.Bounds()
		if x.Pulls != 0 || x.LeafBytes != 0 || x.Slabs != 0 {
			t.Errorf("left behind: %+v", x)
		}
		r = b.stream(w)
		readAt(t, r, 100<<20, 1000)
		r.Close()
		if got, _ := n.received(b.key); got-after > 40<<20 {
			t.Errorf("%d bytes came for what had landed", got-after)
		}
	})
}

// A blob that is wanted anyhow goes on when its reader leaves.
func TestStreamOfWhatIsWantedAnyhow(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		w := a.drop("film.mp4", noise(6, 64<<20))
		n.tap = func(s *tap) { s.bend = slowly(s) }
		n.connect(a, b)
		r := b.stream(w)
		b.blobs.Want(w)
		r.Close()
		wait(t, time.Minute, "it is kept", func() bool { return b.has(w) })
	})
}

func TestStreamThatNobodyCanGive(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		data := noise(7, 3<<20)
		large, small := a.drop("large", data), a.drop("small", noise(8, 500))
		tried := func(what string, most time.Duration, want error, claims ...share.Wanted) {
			t.Helper()
			began := time.Now()
			r, err := b.blobs.Stream(t.Context(), claims...)
			if err == nil {
				_, err = io.ReadAll(r)
				r.Close()
			}
			if took := time.Since(began); !errors.Is(err, want) || took > most {
				t.Errorf("%s, after %v: %v, want %v", what, took, err, want)
			}
			time.Sleep(time.Minute)
			if wanting, _ := b.blobs.Wanting(); wanting != 0 {
				t.Errorf("%s: %d blobs are still wanted", what, wanting)
			}
		}
		tried("no peers", 0, share.ErrNotHere, large)
		tried("no peers", 0, share.ErrNotHere, small)
		tried("no claims", 0, share.ErrNotHere)
		none := newBox(n)
		n.connect(none, b)
		tried("a peer without it", time.Second, share.ErrNotHere, large)
		tried("a peer without it", time.Second, share.ErrNotHere, small)

		silent := n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error {
			_, err := io.Copy(io.Discard, s)
			return err
		})
		large.From, small.From = silent, silent
		tried("a peer that says nothing", share.StartWait, share.ErrSlow, large)
		time.Sleep(time.Hour)
		b.blobs.PeerDown(silent)
		b.blobs.PeerUp(silent)
		n.connect(a, b)
		tried("one that says nothing, and one that has it", 3*share.UrgentLate, nil, small)
		tried("the same", 3*share.UrgentLate, nil, large)

		lie := a.drop("lie", noise(9, 5<<20))
		said := lie
		said.Size += 3 << 20
		tried("a record that lies", time.Minute, share.ErrLied, said)
		tried("the same again", 0, share.ErrLied, said)
		tried("a record that lies and one that does not", time.Minute, nil, said, lie)

		gone := a.drop("gone", noise(10, 5<<20))
		if err := b.blobs.Refuse(gone.CID); err != nil {
			t.Fatal(err)
		}
		tried("what was removed by hand", 0, share.ErrRefused, gone)
	})
}

// A disk without room says so at once, and so does a folder that is away.
func TestStreamWithoutRoom(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		large, small := a.drop("large", noise(11, 3<<20)), a.drop("small", noise(12, 500))
		n.connect(a, b)
		// More than the disk has, and more than may be taken of it.
		huge := share.NewManifest(record.MaxBlob, noise(14, record.MaxBlob/share.ChunkSize*32))
		key := n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error {
			return answering((&recorder{m: huge}).answer)(s)
		})
		for _, c := range []struct {
			reserve int64
			w       share.Wanted
		}{
			{1 << 60, large}, {1 << 60, small},
			{max(0, b.blobs.Usage().Free-100<<30), share.Wanted{CID: huge.CID, Size: huge.Size, Name: "huge", From: key}},
		} {
			b.stop()
			b.reserve = c.reserve
			b.start()
			b.blobs.PeerUp(a.key)
			b.blobs.PeerUp(key)
			if r, err := b.blobs.Stream(t.Context(), c.w); !errors.Is(err, share.ErrFull) {
				t.Errorf("%s: %v, %v", c.w.Name, r, err)
			}
		}
		b.stop()
		b.reserve = 0
		b.start()
		b.blobs.PeerUp(a.key)
		if err := os.Rename(b.dir+"/files", b.dir+"/elsewhere"); err != nil {
			t.Fatal(err)
		}
		if r, err := b.blobs.Stream(t.Context(), small); !errors.Is(err, share.ErrAway) {
			t.Errorf("%v, %v", r, err)
		}
	})
}
