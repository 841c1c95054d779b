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

// Only so many blobs, and so many readers, are served at a time; what is left
// makes room.
func TestStreamLimits(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		ws := a.dropMany(share.MaxDemands+1, func(i int) (string, []byte) { return fmt.Sprintf("%d", i), noise(uint64(i), 100<<20) })
		n.connect(a, b)
		var readers []*share.Reader
		for _, w := range ws[:share.MaxDemands] {
			readers = append(readers, b.stream(w))
		}
		if r, err := b.blobs.Stream(t.Context(), ws[share.MaxDemands]); !errors.Is(err, share.ErrBusy) {
			t.Errorf("one blob too many: %v, %v", r, err)
		}
		readers[0].Close()
		readers[0] = b.stream(ws[share.MaxDemands])
		for len(readers) < share.MaxReaders {
			readers = append(readers, b.stream(ws[1]))
		}
		if r, err := b.blobs.Stream(t.Context(), ws[1]); !errors.Is(err, share.ErrBusy) {
			t.Errorf("one reader too many: %v, %v", r, err)
		}
		if x := b.blobs.Bounds(); x.Slabs > 12 || x.Pulls > 64+share.MaxDemands {
			t.Errorf("out of bounds: %+v", x)
		}
		for _, r := range readers {
			r.Close()
		}
		b.stream(ws[1]).Close()
		time.Sleep(share.LingerTime + time.Minute)
		if x := b.blobs.Bounds(); x.Wishes != 0 || x.Pulls != 0 {
			t.Errorf("left behind: %+v", x)
		}
	})
}

// A reader that waits ends with its context.
func TestStreamEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		data := noise(13, 4<<20)
		m := manifestOf(data)
		b := newBox(n)
		key := n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error {
			return answering(func(s share.Stream, it share.AskItem) error {
				if it.Manifest {
					return send(s, share.AppendManifest(nil, m))
				}
				time.Sleep(24 * time.Hour)
				return io.EOF
			})(s)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, err := b.blobs.Stream(ctx, share.Wanted{CID: m.CID, Size: m.Size, Name: "x", From: key})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) || time.Since(began) > 6*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		stalled, err := b.blobs.Stream(t.Context(), share.Wanted{CID: m.CID, Size: m.Size, Name: "x", From: key})
		if err != nil {
			t.Fatal(err)
		}
		defer stalled.Close()
		began = time.Now()
		if _, err := stalled.Read(make([]byte, 1)); !errors.Is(err, share.ErrSlow) && !errors.Is(err, share.ErrNotHere) {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if took := time.Since(began); took > 2*share.ReadWait {
			t.Errorf("it took %v to give up a peer that stalls", took)
		}
	})
}

// A peer that is late has not said no, whatever others say who are asked
// meanwhile.
func TestStreamFromAPeerThatIsLate(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		for i, size := range []int{500, 5 << 20} {
			data := noise(uint64(i), size)
			p := &recorder{m: manifestOf(data), data: data}
			late := sync.OnceFunc(func() { time.Sleep(3 * share.UrgentLate) })
			b, none := newBox(n), newBox(n)
			key := n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error {
				return answering(func(s share.Stream, it share.AskItem) error {
					late()
					return p.answer(s, it)
				})(s)
			})
			time.AfterFunc(time.Second, func() { n.connect(none, b) })
			r := b.stream(share.Wanted{CID: p.m.CID, Size: p.m.Size, Name: "late", From: key})
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d of %d bytes: %v", len(got), size, err)
			}
			r.Close()
		}
	})
}
