package share_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"boucan/share"
)

// bubble runs a test in a time of its own: what waits there is over at once. It
// runs beside others, for most of it is waiting for the disk.
func bubble(t *testing.T, test func(t *testing.T, n *network)) {
	t.Parallel()
	alone(t, test)
}

// alone is bubble for a test that measures memory.
func alone(t *testing.T, test func(t *testing.T, n *network)) {
	synctest.Test(t, func(t *testing.T) { test(t, newNetwork(t)) })
}

// Every size around the edges of a chunk arrives as it was, under its name.
func TestFetchEverySizeAndName(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		names := []string{"empty.txt", "one", "صورة.jpg", "照片.jpg", "🏴‍☠️.png", "a/b/c.bin", "long" + string(bytes.Repeat([]byte("é"), 120)) + ".mp4"}
		sizes := []int{0, 1, share.ChunkSize - 1, share.ChunkSize, share.ChunkSize + 1, 5*share.ChunkSize + 12345, 33 << 20}
		var ws []share.Wanted
		want := map[string]share.Wanted{}
		for i, size := range sizes {
			data := noise(uint64(i), size)
			w := a.drop(names[i], data)
			ws = append(ws, w)
			want[sum(data)] = w
		}
		b.blobs.Want(ws...)
		n.connect(a, b)
		wait(t, time.Minute, "all arrive", func() bool { return b.has(ws...) })
		for s, w := range want {
			if sum(b.read(w.CID)) != s {
				t.Errorf("%s differs", w.Name)
			}
			if path, _ := b.blobs.Path(w.CID); path != w.Name {
				t.Errorf("%s is called %s", w.Name, path)
			}
		}
		if got := b.arrivals(); got != len(ws) {
			t.Errorf("%d arrivals told of, want %d", got, len(ws))
		}
		if wanting, _ := b.blobs.Wanting(); wanting != 0 || len(b.blobs.Transfers()) != 0 {
			t.Errorf("still wanting %d", wanting)
		}
		if lines := b.logs.all(); len(lines) > 0 {
			t.Errorf("log: %q", lines)
		}
	})
}

func (b *box) arrivals() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.arrived)
}

// Small files travel many to a round trip: few frames, little overhead.
func TestFetchManySmall(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		ws := a.dropMany(1000, func(i int) (string, []byte) {
			return fmt.Sprintf("small/%d.txt", i), noise(uint64(i), 100+i)
		})
		var total int64
		for _, w := range ws {
			total += w.Size
		}
		b.blobs.Want(ws...)
		n.connect(a, b)
		wait(t, time.Minute, "all arrive", func() bool { return b.has(ws...) })
		got, sent := n.received(b.key)
		if over := got + sent - total; over > 64*int64(len(ws)) {
			t.Errorf("%d bytes beside the content of %d files", over, len(ws))
		}
		if opened := n.opened(b.key, a.key); opened != 1 {
			t.Errorf("%d streams", opened)
		}
	})
}

// A and C never meet. C asks B, is told no, and hears when B has it.
func TestFetchChain(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b, c := newBox(n), newBox(n), newBox(n)
		n.connect(b, c)
		var ws []share.Wanted
		for i := range 20 {
			ws = append(ws, a.drop(fmt.Sprintf("%d.bin", i), noise(uint64(i), 1+i*150_000)))
		}
		b.blobs.Want(ws...)
		c.blobs.Want(ws...)
		time.Sleep(20 * time.Minute) // the rounds are far apart by now
		n.connect(a, b)
		took := wait(t, 10*time.Second, "all reach the end of the chain", func() bool { return c.has(ws...) })
		t.Logf("reached the end of the chain after %v", took)
	})
}

// Only one of two sources is sound. Its chunks fill what the other spoilt, the
// other is cut off, is told, and stops offering what it has.
func TestFetchTwoSourcesOneCorrupt(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, c, b, d := newBox(n), newBox(n), newBox(n), newBox(n)
		data := noise(1, 24<<20)
		w := a.drop("film.mp4", data)
		small := a.drop("note.txt", noise(2, 5000))
		c.drop("film.mp4", data)
		c.drop("note.txt", noise(2, 5000))
		a.corrupt(w.CID, 0)
		a.corrupt(small.CID, 17)
		b.blobs.Want(w, small)
		n.connect(a, b)
		wait(t, time.Minute, "the corrupt source is cut off", func() bool { return b.logs.count("is cut off") == 1 })
		n.connect(c, b)
		wait(t, time.Minute, "all arrive", func() bool { return b.has(w, small) })
		if !bytes.Equal(b.read(w.CID), data) || !bytes.Equal(b.read(small.CID), noise(2, 5000)) {
			t.Error("the bytes differ")
		}
		if a.logs.count("does not hold what it held") != 1 {
			t.Errorf("the corrupt source looked at its disk? log: %q", a.logs.all())
		}
		if b.logs.count("is cut off") != 1 || b.blobs.Bounds().QuietTo < 30*time.Second {
			t.Errorf("cut off how? log: %q", b.logs.all())
		}
		// Somebody else is not given what is wrong; what was repaired may come.
		bad := small
		if !a.blobs.Spoiled(small.CID) {
			bad = w
		}
		d.blobs.Want(bad)
		n.connect(a, d)
		time.Sleep(time.Minute)
		if d.logs.count("is cut off") > 0 || d.blobs.Has(bad.CID) && a.blobs.Damaged(bad.CID) {
			t.Errorf("still offered: %q", d.logs.all())
		}
	})
}
