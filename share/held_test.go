package share_test

import (
	"slices"
	"testing"

	"boucan/record"
	"boucan/share"
)

func TestHeldBy(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		var both, mine []record.CID
		for i, size := range []int{0, 1, share.ChunkSize, share.ChunkSize + 1, 5*share.ChunkSize + 7, 100} {
			data := noise(uint64(i), size)
			w := a.drop("x", data)
			b.drop("y", data)
			both = append(both, w.CID)
			mine = append(mine, a.drop("mine", noise(uint64(100+i), size+2)).CID)
		}
		n.setLink(a.key, b.key, true)
		all := slices.Concat(mine, both)
		got, err := a.blobs.HeldBy(t.Context(), b.key, all...)
		if err != nil || !slices.Equal(got, both) {
			t.Fatalf("%d of %d shown, %v", len(got), len(both), err)
		}
		absent := manifestOf([]byte("not here")).CID
		if got, err := a.blobs.HeldBy(t.Context(), b.key, absent); err != nil || len(got) > 0 {
			t.Errorf("what is not here: %v, %v", got, err)
		}
		for _, cid := range both {
			if f, ok := b.blobs.Lookup(cid); ok && f.Size > 0 {
				for at := int64(0); at < f.Size; at += share.ChunkSize {
					b.corrupt(cid, at)
				}
			}
		}
		for _, cid := range both {
			f, _ := a.blobs.Lookup(cid)
			if got, err := a.blobs.HeldBy(t.Context(), b.key, cid); f.Size > 0 && (err == nil || len(got) > 0) {
				t.Errorf("rotten bytes of %d are taken for a copy: %v", f.Size, err)
			}
		}
		n.setLink(a.key, b.key, false)
		if got, err := a.blobs.HeldBy(t.Context(), b.key, both...); err == nil || len(got) > 0 {
			t.Errorf("nobody is there: %v, %v", got, err)
		}
	})
}
