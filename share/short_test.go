package share_test

import (
	"bytes"
	"os"
	"slices"
	"testing"
	"time"

	"boucan/share"
)

// What a check of the file system left of a file, shorter and with the time that it
// had, is damaged and no edit: it keeps its name and its record, gets its length
// back and what is missing from a peer.
func TestFileThatWasCutShort(t *testing.T) {
	const odd = 5*share.ChunkSize + 77
	for _, c := range []struct {
		name       string
		size, left int64
		bad        string // chunks
	}{
		{"to nothing", 5000, 0, "film 1"},
		{"one chunk", 5000, 4096, "film 1"},
		{"in the middle of a chunk", odd, 2*share.ChunkSize + 5, "film 4"},
		{"between two chunks", odd, 3 * share.ChunkSize, "film 3"},
		{"the last byte", odd, odd - 1, "film 1"},
		{"so that one chunk is left", odd, share.ChunkSize, "film 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				a, b := newBox(n), newBox(n)
				data := noise(3, int(c.size))
				w := a.drop("film", data)
				b.drop("film", data)
				_, was := a.content("film")
				if err := os.Truncate(a.on("film"), c.left); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(a.on("film"), time.Time{}, was); err != nil {
					t.Fatal(err)
				}
				a.blobs.LookThrough(t.Context())
				if got := a.damages(); !slices.Equal(got, []string{c.bad}) {
					t.Fatalf("damaged: %q", got)
				}
				got, at := a.content("film")
				if int64(len(got)) != c.size || !at.Equal(was) || !bytes.Equal(got[:c.left], data[:c.left]) {
					t.Errorf("%d bytes of %v, which was of %v", len(got), at, was)
				}
				n.connect(a, b)
				before, _ := n.received(a.key)
				wait(t, time.Hour, "it is repaired", func() bool { return a.has(w) })
				got, at = a.content("film")
				if !bytes.Equal(got, data) || !at.Equal(was) || len(a.damages()) != 0 {
					t.Errorf("%d bytes of %v, which was of %v; damaged %q", len(got), at, was, a.damages())
				}
				after, _ := n.received(a.key)
				if came := after - before; came > c.size-c.left+share.ChunkSize+64<<10 {
					t.Errorf("%d bytes came", came)
				}
			})
		})
	}
}
