package share_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"boucan/share"
)

// damages lists the damaged files of a box: path and number of bad chunks.
func (b *box) damages() []string {
	b.t.Helper()
	var out []string
	seq, end := b.blobs.Damages()
	for d := range seq {
		out = append(out, fmt.Sprintf("%s %d", d.Path, d.Chunks))
	}
	if err := end(); err != nil {
		b.t.Error(err)
	}
	slices.Sort(out)
	return out
}

// scrubbed has all of a box read, and waits for it.
func (b *box) scrubbed() share.Scrub {
	b.t.Helper()
	if err := b.blobs.StartScrub(); err != nil {
		b.t.Fatal(err)
	}
	wait(b.t, 24*time.Hour, "the scrub comes to its end", func() bool { return b.blobs.Scrub().State != share.ScrubRunning })
	return b.blobs.Scrub()
}

// One wrong bit anywhere is found, and nothing else is taken for damaged.
func TestScrubFindsEveryWrongBit(t *testing.T) {
	const odd = 3*share.ChunkSize + 77
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		var ws, good []share.Wanted
		var want []string
		for i, c := range []struct {
			size int
			at   []int64
		}{
			{1, []int64{0}}, {5000, []int64{0}}, {5000, []int64{2500}}, {5000, []int64{4999}},
			{share.ChunkSize, []int64{share.ChunkSize - 1}}, {share.ChunkSize + 1, []int64{share.ChunkSize}},
			{odd, []int64{0}}, {odd, []int64{2 * share.ChunkSize}}, {odd, []int64{odd - 1}},
			{odd, []int64{5, share.ChunkSize - 1}}, {odd, []int64{0, odd - 1}},
			{0, nil}, {1, nil}, {odd, nil},
		} {
			w := a.drop(fmt.Sprintf("%02d", i), noise(uint64(i), c.size))
			chunks := map[int64]bool{}
			for _, at := range c.at {
				a.corrupt(w.CID, at)
				chunks[at/share.ChunkSize] = true
			}
			if len(chunks) > 0 {
				ws, want = append(ws, w), append(want, fmt.Sprintf("%s %d", w.Name, len(chunks)))
			} else {
				good = append(good, w)
			}
		}
		end := a.scrubbed()
		if got := a.damages(); !slices.Equal(got, want) {
			t.Errorf("damaged:\n%q, want\n%q", got, want)
		}
		for _, w := range ws {
			if a.blobs.Has(w.CID) || !a.blobs.Damaged(w.CID) {
				t.Errorf("%s is still offered", w.Name)
			}
		}
		for _, w := range good {
			if !a.blobs.Has(w.CID) || a.blobs.Damaged(w.CID) {
				t.Errorf("%s is not offered any more", w.Name)
			}
		}
		if end.State != share.ScrubResting || end.Files != len(ws)+len(good) || end.Found != len(ws) || end.Finished.IsZero() {
			t.Errorf("%+v", end)
		}
		if u := a.blobs.Usage(); u.Damaged != len(ws) || u.Missing != 0 || u.Files != len(good) {
			t.Errorf("%+v", u)
		}
		if n := a.logs.count("does not read as it was stored"); n != len(ws) {
			t.Errorf("said %d times", n)
		}
		a.stop()
		a.start()
		if again := a.scrubbed(); again.Found != 0 || !slices.Equal(a.damages(), want) {
			t.Errorf("after a restart: %+v, %q", again, a.damages())
		}
	})
}

// Damage that goes away by itself, as that of a bad cable, is none any more.
func TestScrubFindsFilesWholeAgain(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		w, small := a.drop("film", noise(1, 5*share.ChunkSize)), a.drop("note", noise(2, 9))
		path, _ := a.blobs.Path(w.CID)
		a.corrupt(w.CID, 3*share.ChunkSize)
		a.corrupt(small.CID, 3)
		a.scrubbed()
		if got := a.damages(); len(got) != 2 {
			t.Fatalf("damaged: %q", got)
		}
		a.corruptPath(path, 3*share.ChunkSize)
		a.corruptPath("note", 3)
		a.scrubbed()
		if got := a.damages(); len(got) != 0 || !a.blobs.Has(w.CID) || !a.blobs.Has(small.CID) || a.blobs.Usage().Damaged != 0 {
			t.Errorf("still damaged: %q, %+v", got, a.blobs.Usage())
		}
	})
}

// A damaged file that is taken down goes from the disk like any other.
func TestDamagedFileIsReleased(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		w := a.drop("film", noise(1, 2*share.ChunkSize))
		a.corrupt(w.CID, 7)
		a.scrubbed()
		if err := a.blobs.Release(t.Context(), w.CID); err != nil {
			t.Fatal(err)
		}
		u := a.blobs.Usage() // once: the room on the disk is others' too
		if got := a.damages(); len(got) != 0 || a.exists("film") || u != empty(u) {
			t.Errorf("left: %q, %+v", got, u)
		}
	})
}

func empty(u share.Usage) share.Usage {
	return share.Usage{Free: u.Free, Total: u.Total, Reserve: u.Reserve}
}

// The scrub keeps to its rate, is slower while others use the disk, and rests
// for the month.
func TestScrubPace(t *testing.T) {
	const chunks = 40
	bubble(t, func(t *testing.T, n *network) {
		a := &box{t: t, n: n, key: newKey(), dir: t.TempDir(), logs: &logbook{}, scrub: share.ChunkSize}
		a.start()
		t.Cleanup(func() { a.stop() })
		w := a.drop("film", noise(1, chunks*share.ChunkSize))
		began := time.Now()
		wait(t, time.Hour, "the first scrub begins", func() bool { return a.blobs.Scrub().State == share.ScrubRunning })
		if waited := time.Since(began); waited < 9*time.Minute {
			t.Errorf("it begins after %v", waited)
		}
		began = time.Now()
		wait(t, time.Hour, "it ends", func() bool { return !a.blobs.Scrub().Finished.IsZero() })
		if took := time.Since(began); took < (chunks-2)*time.Second || took > 2*chunks*time.Second {
			t.Errorf("%d MiB at 1 MiB/s took %v", chunks, took)
		}
		first := a.blobs.Scrub()
		if first.Done != chunks*share.ChunkSize || first.Next.Sub(first.Begun) != share.ScrubPeriod {
			t.Errorf("%+v", first)
		}
		for _, c := range []struct {
			ahead time.Duration
			state share.ScrubState
		}{
			{share.ScrubPeriod - 2*time.Hour, share.ScrubResting},
			{-10 * share.ScrubPeriod, share.ScrubResting},
			{share.ScrubPeriod, share.ScrubRunning},
		} {
			a.stop()
			a.ahead = c.ahead
			a.start()
			time.Sleep(10*time.Minute + time.Second)
			s := a.blobs.Scrub()
			if s.State != c.state {
				t.Errorf("%v later it is %+v", c.ahead, s)
			}
			if s.State == share.ScrubResting && time.Until(s.Next) > share.ScrubPeriod+c.ahead.Abs() {
				t.Errorf("%v later the next is due in %v", c.ahead, time.Until(s.Next))
			}
		}
		began = time.Now()
		wait(t, time.Hour, "it ends while somebody reads", func() bool {
			f, _, err := a.blobs.Open(w.CID)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			return a.blobs.Scrub().State != share.ScrubRunning
		})
		if took := time.Since(began); took < 3*chunks*time.Second {
			t.Errorf("with somebody else at the disk it took %v", took)
		}
	})
}

// Pauses last across restarts, and what was read is not read again.
func TestScrubIsPausedAndGoesOn(t *testing.T) {
	const files, size = 6, 5*share.ChunkSize + 10
	bubble(t, func(t *testing.T, n *network) {
		a := &box{t: t, n: n, key: newKey(), dir: t.TempDir(), logs: &logbook{}, scrub: share.ChunkSize}
		a.start()
		t.Cleanup(func() { a.stop() })
		var last share.Wanted
		for i := range files {
			last = a.drop(fmt.Sprint("film ", i), noise(uint64(i), size))
		}
		a.corrupt(last.CID, 0)
		if err := a.blobs.StartScrub(); err != nil {
			t.Fatal(err)
		}
		var done int64
		for _, restart := range []bool{false, true} {
			done += 8 * share.ChunkSize // in the middle of a file
			wait(t, time.Hour, "a part is read", func() bool { return a.blobs.Scrub().Done >= done })
			if err := a.blobs.PauseScrub(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			done = a.blobs.Scrub().Done
			if restart {
				a.stop()
				a.start()
			}
			time.Sleep(48 * time.Hour)
			if s := a.blobs.Scrub(); s.State != share.ScrubPaused || s.Done != done {
				t.Fatalf("paused at %d: %+v", done, s)
			}
			if err := a.blobs.ResumeScrub(); err != nil {
				t.Fatal(err)
			}
		}
		a.stop() // without a pause
		at := a.blobs.Scrub().Done
		a.start()
		if s := a.blobs.Scrub(); s.Done < at || s.State != share.ScrubRunning {
			t.Errorf("after a restart at %d: %+v", at, s)
		}
		wait(t, time.Hour, "it ends", func() bool { return a.blobs.Scrub().State != share.ScrubRunning })
		if s := a.blobs.Scrub(); s.Done != files*size || s.Files != files || s.Found != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// One damaged file after the other is no rot: the scrub stops and says so.
func TestScrubStopsWhereEverythingIsDamaged(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		for i := range 3 * share.ScrubSuspicious {
			a.corrupt(a.drop(fmt.Sprintf("%03d", i), noise(uint64(i), 10)).CID, 3)
		}
		if s := a.scrubbed(); s.State != share.ScrubAlarmed || s.Found != share.ScrubSuspicious {
			t.Errorf("%+v", s)
		}
		if a.logs.count("one file after the other") != 1 {
			t.Errorf("%q", strings.Join(a.logs.all(), "\n"))
		}
		a.stop()
		a.start()
		if s := a.blobs.Scrub(); s.State != share.ScrubAlarmed {
			t.Errorf("after a restart: %+v", s)
		}
		if err := a.blobs.ResumeScrub(); err != nil {
			t.Fatal(err)
		}
		wait(t, time.Hour, "it goes on to the next", func() bool { return a.blobs.Scrub().Found == 2*share.ScrubSuspicious })
	})
}

// A folder that is away stops the scrub, and nothing is taken for damaged.
func TestScrubWaitsForTheFolder(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := newBox(n)
		for i := range 3 {
			a.drop(fmt.Sprint(i), noise(uint64(i), 10))
		}
		back := a.away()
		if s := a.begunScrub(); s.State != share.ScrubWaiting {
			t.Errorf("%+v", s)
		}
		back()
		wait(t, time.Hour, "it ends", func() bool { a.blobs.LookForFolder(); return a.blobs.Scrub().State == share.ScrubResting })
		if s := a.blobs.Scrub(); s.Files != 3 || s.Found != 0 || len(a.damages()) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// begunScrub begins a scrub and tells of it a while later.
func (b *box) begunScrub() share.Scrub {
	b.t.Helper()
	if err := b.blobs.StartScrub(); err != nil {
		b.t.Fatal(err)
	}
	time.Sleep(time.Minute)
	return b.blobs.Scrub()
}
