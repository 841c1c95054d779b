package share_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"boucan/share"
)

// on is the file of a path as it lies on the box's disk.
func (b *box) on(path string) string {
	return filepath.Join(b.dir, "files", filepath.FromSlash(path))
}

// content is what lies at a path, and how old it says it is.
func (b *box) content(path string) ([]byte, time.Time) {
	b.t.Helper()
	data, err := os.ReadFile(b.on(path))
	if err != nil {
		b.t.Fatal(err)
	}
	info, err := os.Stat(b.on(path))
	if err != nil {
		b.t.Fatal(err)
	}
	return data, info.ModTime()
}

// lies lists what the box's folder holds.
func (b *box) lies() (paths []string) {
	b.t.Helper()
	err := filepath.WalkDir(filepath.Join(b.dir, "files"), func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == ".boucan" {
			return filepath.SkipDir
		}
		if err == nil && !e.IsDir() {
			paths = append(paths, e.Name())
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return paths
}

// Wherever a bit is wrong, it is put right from a peer, in the place and with
// the time of the file, and no more is fetched than is wrong.
func TestDamageIsRepairedFromAPeer(t *testing.T) {
	const odd = 6*share.ChunkSize + 77
	for i, c := range []struct {
		size   int
		at     []int64
		chunks int64 // that have to come
	}{
		{1, []int64{0}, 1}, {5000, []int64{4999}, 1}, {share.ChunkSize, []int64{7}, 1},
		{odd, []int64{0}, 1}, {odd, []int64{3*share.ChunkSize + 5}, 1}, {odd, []int64{odd - 1}, 1},
		{odd, []int64{0, 2 * share.ChunkSize, odd - 1}, 3},
	} {
		t.Run(fmt.Sprint(c.size, c.at), func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				a, b := newBox(n), newBox(n)
				data := noise(uint64(i), c.size)
				w := a.drop("albums/film", data)
				b.drop("its own name", data)
				_, was := a.content("albums/film")
				for _, at := range c.at {
					a.corrupt(w.CID, at)
				}
				n.connect(a, b)
				before, _ := n.received(a.key)
				a.scrubbed()
				wait(t, time.Minute, "it is repaired", func() bool { return a.has(w) })
				got, at := a.content("albums/film")
				if !bytes.Equal(got, data) || !at.Equal(was) {
					t.Errorf("%d bytes of %v, which was of %v", len(got), at, was)
				}
				if !bytes.Equal(a.read(w.CID), data) || len(a.damages()) != 0 || a.blobs.Usage().Damaged != 0 {
					t.Errorf("damaged: %q, %+v", a.damages(), a.blobs.Usage())
				}
				if lies := a.lies(); !slices.Equal(lies, []string{"film"}) || len(a.blobs.PartialFiles(t)) != 0 {
					t.Errorf("there lie %q", lies)
				}
				after, _ := n.received(a.key)
				if came := after - before; came > c.chunks*share.ChunkSize+64<<10 {
					t.Errorf("%d bytes came for %d chunks", came, c.chunks)
				}
				if s := a.scrubbed(); s.Found != 0 {
					t.Errorf("the next scrub: %+v", s)
				}
				if a.logs.count("repaired") == 0 {
					t.Errorf("said: %q", a.logs.all())
				}
			})
		})
	}
}

// Without a peer that has it whole a file stays damaged, and is not served; when
// one comes, also after a restart, it is repaired.
func TestDamageWaitsForAPeerThatIsWhole(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, same, good := newBox(n), newBox(n), newBox(n)
		var ws []share.Wanted
		var all [][]byte
		for i, size := range []int{3000, 3*share.ChunkSize + 9} {
			data := noise(uint64(i), size)
			w := a.drop(fmt.Sprint("film ", i), data)
			ws, all = append(ws, w), append(all, data)
			same.drop(fmt.Sprint("film ", i), data)
			good.drop(fmt.Sprint("film ", i), data)
			for _, b := range []*box{a, same} {
				b.corrupt(w.CID, int64(size-1))
			}
		}
		a.scrubbed()
		time.Sleep(time.Hour)
		n.connect(a, same) // which does not know that its own are wrong
		time.Sleep(time.Hour)
		for i, w := range ws {
			if a.blobs.Has(w.CID) {
				t.Errorf("%s counts as here", w.Name)
			}
			if got, _ := a.content(w.Name); bytes.Equal(got, all[i]) {
				t.Errorf("%s is repaired by nobody", w.Name)
			}
			if same.blobs.Has(w.CID) && !same.blobs.Spoiled(w.CID) {
				t.Errorf("the other box still offers its rotten %s", w.Name)
			}
		}
		if len(a.damages()) != 2 {
			t.Errorf("damaged: %q", a.damages())
		}
		a.stop()
		a.start()
		n.connect(a, good)
		wait(t, 15*time.Minute, "both are repaired", func() bool { return a.has(ws...) })
		for i, w := range ws {
			if !bytes.Equal(a.read(w.CID), all[i]) {
				t.Errorf("%s differs", w.Name)
			}
		}
		if len(a.damages()) != 0 || len(a.lies()) != 2 {
			t.Errorf("damaged %q, there lie %q", a.damages(), a.lies())
		}
	})
}

// A chunk that a peer calls wrong, and is, is damage found without a scrub: it is
// repaired from somebody else, and then both have it.
func TestComplaintOfAPeerLeadsToRepair(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b, good := newBox(n), newBox(n), newBox(n)
		data := noise(1, 4*share.ChunkSize+5)
		w := a.drop("film", data)
		good.drop("film", data)
		a.corrupt(w.CID, 2*share.ChunkSize)
		n.connect(a, b)
		b.blobs.Want(w)
		wait(t, time.Minute, "the damage is found", func() bool { return len(a.damages()) == 1 })
		if got := a.damages(); !slices.Equal(got, []string{"film 1"}) {
			t.Errorf("damaged: %q", got)
		}
		n.connect(a, good)
		wait(t, 3*time.Hour, "both have it", func() bool { return a.has(w) && b.has(w) })
		if !bytes.Equal(a.read(w.CID), data) || !bytes.Equal(b.read(w.CID), data) || len(a.damages()) != 0 {
			t.Errorf("damaged: %q", a.damages())
		}
	})
}

// A damaged file is not handed out: who asks for it gets what a peer sends in
// the place of what is wrong, or nothing.
func TestDamagedFileIsReadWhileItIsRepaired(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		data := noise(1, 20*share.ChunkSize+3)
		w := a.drop("film", data)
		b.drop("film", data)
		a.corrupt(w.CID, 19*share.ChunkSize)
		a.scrubbed()
		if _, _, err := a.blobs.Open(w.CID); !errors.Is(err, share.ErrNotHere) {
			t.Errorf("open: %v", err)
		}
		if _, err := a.blobs.Stream(t.Context(), w); !errors.Is(err, share.ErrNotHere) {
			t.Errorf("stream without a peer: %v", err)
		}
		n.connect(a, b)
		r := a.stream(w)
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if got, _ := n.received(a.key); got > 2*share.ChunkSize {
			t.Errorf("%d bytes came", got)
		}
	})
}

// What somebody did to a damaged file by hand is not undone by its repair.
func TestRepairLeavesEdits(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		var ws []share.Wanted
		for i, size := range []int{900, 2*share.ChunkSize + 1} {
			data := noise(uint64(i), size)
			w := a.drop(fmt.Sprint("film ", i), data)
			b.drop(fmt.Sprint("film ", i), data)
			a.corrupt(w.CID, 3)
			ws = append(ws, w)
		}
		a.scrubbed()
		for _, w := range ws {
			if err := os.WriteFile(a.on(w.Name), []byte("edited"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		n.connect(a, b)
		time.Sleep(time.Hour)
		for _, w := range ws {
			if got, _ := a.content(w.Name); string(got) != "edited" {
				t.Errorf("%s holds %d bytes", w.Name, len(got))
			}
		}
	})
}

// A file that somebody has open for writing is repaired later.
func TestRepairWaitsForWhoeverIsAtTheFile(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		var ws []share.Wanted
		var open []*os.File
		for i, size := range []int{900, 2*share.ChunkSize + 1} {
			data := noise(uint64(i), size)
			w := a.drop(fmt.Sprint("film ", i), data)
			b.drop(fmt.Sprint("film ", i), data)
			a.corrupt(w.CID, 3)
			ws = append(ws, w)
		}
		a.scrubbed()
		for _, w := range ws {
			f, err := os.OpenFile(a.on(w.Name), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			open = append(open, f)
		}
		rotten := [][]byte{nil, nil}
		for i, w := range ws {
			rotten[i], _ = a.content(w.Name)
		}
		n.connect(a, b)
		time.Sleep(10 * time.Minute)
		for i, w := range ws {
			if got, _ := a.content(w.Name); !bytes.Equal(got, rotten[i]) {
				t.Errorf("%s was written under somebody's hands", w.Name)
			}
			open[i].Close()
		}
		wait(t, 3*time.Hour, "both are repaired", func() bool { return len(a.damages()) == 0 })
		for i, w := range ws {
			if got, _ := a.content(w.Name); bytes.Equal(got, rotten[i]) || !bytes.Equal(got, b.read(w.CID)) {
				t.Errorf("%s is still rotten", w.Name)
			}
		}
	})
}
