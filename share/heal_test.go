package share_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"boucan/share"
)

// Boxes whose copies rotted in different places give one another what is good,
// and nothing else: all of them become whole, although none was.
func TestRottenCopiesHealOneAnother(t *testing.T) {
	const chunks = 24
	for _, c := range []struct {
		name string
		bad  [][]int // chunks, by box
	}{
		{"one each", [][]int{{3}, {17}}},
		// What the one needs first the other lacks, and more of it than is asked for at a time.
		{"half each", [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20}, {10, 11, 12, 13, 14, 15, 16, 17, 18, 23}}},
		{"three boxes", [][]int{{0, 1, 2, 12}, {2, 3, 4, 13}, {4, 5, 6, 14, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				data := noise(9, chunks*share.ChunkSize-5)
				var boxes []*box
				var w share.Wanted
				for i, bad := range c.bad {
					b := newBox(n)
					w = b.drop(fmt.Sprint("film ", i), data)
					for _, chunk := range bad {
						b.corrupt(w.CID, int64(chunk)*share.ChunkSize+int64(i))
					}
					b.scrubbed()
					if b.blobs.Has(w.CID) {
						t.Fatal("its damage was not found")
					}
					boxes = append(boxes, b)
				}
				for i, b := range boxes {
					for _, o := range boxes[:i] {
						n.connect(o, b)
					}
				}
				for i, b := range boxes {
					wait(t, 3*time.Hour, fmt.Sprint("box ", i, " is whole"), func() bool { return b.has(w) })
					if !bytes.Equal(b.read(w.CID), data) || len(b.damages()) != 0 {
						t.Errorf("box %d: damaged: %q", i, b.damages())
					}
					if b.logs.count("is cut off") != 0 {
						t.Errorf("box %d was sent what is wrong: %q", i, b.logs.all())
					}
				}
			})
		})
	}
}

// A chunk that rotted since the damage was found is not given either.
func TestFreshRotOfADamagedFileIsNotGiven(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		data := noise(9, 6*share.ChunkSize)
		a, b := newBox(n), newBox(n)
		w := a.drop("film", data)
		b.drop("film", data)
		a.corrupt(w.CID, 4*share.ChunkSize)
		a.corrupt(w.CID, 2*share.ChunkSize) // which stays, in both
		b.corrupt(w.CID, 2*share.ChunkSize)
		b.corrupt(w.CID, 0)
		a.scrubbed()
		b.scrubbed()
		a.corruptPath("film", 0) // both have it wrong now
		n.connect(a, b)
		wait(t, 3*time.Hour, "what can be is repaired", func() bool {
			got, _ := a.content("film")
			return bytes.Equal(got[3*share.ChunkSize:], data[3*share.ChunkSize:])
		})
		time.Sleep(time.Hour)
		if got := a.damages(); len(got) != 1 || got[0] != "film 2" {
			t.Errorf("known to be damaged: %q", got)
		}
		if a.blobs.Has(w.CID) || b.blobs.Has(w.CID) {
			t.Error("whole by nobody's help")
		}
		if n := b.logs.count("is cut off"); n != 0 {
			t.Errorf("what is wrong was sent: %q", b.logs.all())
		}
	})
}

// What nobody has whole does not keep back what somebody has.
func TestWhatCanBeHealedIs(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		data := noise(9, 24*share.ChunkSize)
		a, b := newBox(n), newBox(n)
		w := a.drop("film", data)
		b.drop("film", data)
		for i := range int64(12) {
			a.corrupt(w.CID, i*share.ChunkSize)
			b.corrupt(w.CID, i*share.ChunkSize)
		}
		a.corrupt(w.CID, 20*share.ChunkSize)
		a.scrubbed()
		b.scrubbed()
		n.connect(a, b)
		wait(t, time.Minute, "the one chunk comes", func() bool {
			got, _ := a.content("film")
			return bytes.Equal(got[12*share.ChunkSize:], data[12*share.ChunkSize:])
		})
		wait(t, time.Hour, "and is known to have", func() bool { return a.damages()[0] == "film 12" })
		if opened := n.opened(a.key, b.key); opened > 100 {
			t.Errorf("asked on %d streams for what is not to be had", opened)
		}
	})
}

// Who has some chunks of a file has not got the file: it is no reason for others
// to let go of theirs.
func TestDamagedCopyCountsForNone(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		data := noise(9, 40*share.ChunkSize)
		a, b := newBox(n), newBox(n)
		w := a.drop("film", data)
		b.drop("film", data)
		n.setLink(a.key, b.key, true)
		if held, err := a.blobs.HeldBy(t.Context(), b.key, w.CID); err != nil || len(held) != 1 {
			t.Fatalf("of a whole copy: %v, %v", held, err)
		}
		b.corrupt(w.CID, 5)
		b.scrubbed()
		for range 8 { // a chunk by chance each
			time.Sleep(time.Second)
			if held, err := a.blobs.HeldBy(t.Context(), b.key, w.CID); err != nil || len(held) != 0 {
				t.Fatalf("of a damaged one: %v, %v", held, err)
			}
			if !b.blobs.Damaged(w.CID) {
				t.Fatal("repaired meanwhile")
			}
		}
	})
}
