//go:build lab

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPartitionAndHeal cuts four boxes into two halves that go on living, each
// with drops, talk and removals of its own, some of the same file on both sides.
// After healing all four hold the same, and what was removed is nowhere.
func TestPartitionAndHeal(t *testing.T) {
	l := NewLan(t, "split", 4, V4Only)
	var boxes []*Box
	for i, name := range []string{"aube", "brume", "crue", "digue"} {
		boxes = append(boxes, StartBox(t, l.Hosts[i], name))
	}
	for _, b := range boxes {
		eventually(t, 10*time.Second, "boxes meet", func() error { return b.ReachesAll(boxes...) })
	}
	in := Input{Seed: 80}
	before := in.noise("before.bin", 3<<20)
	exchange(t, boxes[0], boxes[3], before, "we are whole")
	byHand := in.noise("doomed.bin", 1<<20)
	if err := byHand.Write(boxes[1].FilesDir()); err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		eventually(t, 30*time.Second, "the doomed file is everywhere", func() error { return b.Has(byHand.Name) })
	}

	l.Split(l.Hosts[2], l.Hosts[3])
	saved := &ledger{items: []Item{before}}
	lines := []string{"we are whole"}
	for i, b := range boxes {
		// Of one name on all sides; of one content on two of them.
		mustDrop(t, saved, b, Input{Seed: uint64(81 + i)}.noise("the same name.bin", 700_000))
		mustDrop(t, saved, b, in.noise(fmt.Sprintf("cut off %d.bin", i), 2<<20))
		line := fmt.Sprintf("%s is cut off", b.Name)
		b.MustCLI("chat", line)
		lines = append(lines, line)
	}
	both := in.noise("both found it.bin", 900_000)
	mustDrop(t, saved, boxes[0], both)
	mustDrop(t, &ledger{}, boxes[3], both)
	if err := os.Remove(filepath.Join(boxes[1].FilesDir(), byHand.Name)); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "brume withdraws its file", func() error { return listsNot(boxes[1], byHand.Name) })
	boxes[2].Kill() // a plug is pulled on the far side as well
	boxes[2].Start()

	l.Hosts[2].Heal()
	l.Hosts[3].Heal()
	for _, b := range boxes {
		took := eventually(t, 90*time.Second, "all is one again on "+b.Name, func() error {
			if err := listsNot(b, byHand.Name); err != nil {
				return err
			}
			return holdsBytes(b, saved, lines)
		})
		t.Logf("%s is in step %v after the last look", b.Name, took.Round(time.Millisecond))
	}
	want, err := boxes[0].Ls()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		saved.compare(t, b)
		if got, err := b.Ls(); err != nil || len(got) != len(want) {
			t.Errorf("%s lists %d files, %v; %s lists %d", b.Name, len(got), err, boxes[0].Name, len(want))
		}
		if _, err := os.Stat(filepath.Join(b.FilesDir(), byHand.Name)); err == nil {
			t.Errorf("%s still holds the bytes of what was removed", b.Name)
		}
	}
}

// listsNot fails while the box lists name.
func listsNot(b *Box, name string) error {
	all, err := b.Ls()
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Name == name {
			return fmt.Errorf("%s lists %q", b.Name, name)
		}
	}
	return nil
}

// holdsBytes fails unless the box lists as here, under whatever name, as many
// files as were saved and has heard every line.
func holdsBytes(b *Box, saved *ledger, lines []string) error {
	all, err := b.Ls()
	if err != nil {
		return err
	}
	here := 0
	for _, f := range all {
		if f.Here {
			here++
		}
	}
	if here < len(saved.items) {
		return fmt.Errorf("%s has %d of %d files", b.Name, here, len(saved.items))
	}
	for _, text := range lines {
		if err := b.Heard(text); err != nil {
			return err
		}
	}
	return nil
}

// TestCorruptSender lets the only box that has a file hold a rotten copy of it.
// No other box takes a wrong byte; when one that is whole comes, all get it from
// there.
func TestCorruptSender(t *testing.T) {
	l := NewLan(t, "rot", 3, V4Only)
	film := Input{Seed: 90}.noise("film.bin", 40<<20)
	note := Input{Seed: 90}.noise("note.bin", 5000)
	l.Hosts[2].Cut()
	rotten := StartBox(t, l.Hosts[0], "pourri")
	whole := StartBox(t, l.Hosts[1], "entier")
	for _, i := range []Item{film, note} {
		deposit(t, rotten, i, "dropped "+i.Name)
		receive(t, whole, i, "dropped "+i.Name)
	}
	whole.Stop()
	for _, i := range []Item{film, note} {
		spoil(t, filepath.Join(rotten.FilesDir(), i.Name), i.Size/2)
	}

	late := StartBox(t, l.Hosts[2], "tardif")
	l.Hosts[2].Heal()
	eventually(t, 20*time.Second, "the late box hears of both", func() error {
		_, err := late.Finds(film.Name)
		if err == nil {
			_, err = late.Finds(note.Name)
		}
		return err
	})
	eventually(t, 30*time.Second, "the late box refuses a wrong chunk", func() error {
		if !strings.Contains(late.Log(), "do not match their name") {
			return errors.New("nothing is said of wrong bytes")
		}
		return nil
	})
	for name, sum := range late.OnDisk() {
		if sum != film.Sum() && sum != note.Sum() {
			t.Errorf("the late box shares wrong bytes as %q", name)
		}
	}
	whole.Start()
	for _, i := range []Item{film, note} {
		eventually(t, 2*time.Minute, "the late box gets it from the whole one", func() error { return late.Has(i.Name) })
	}
	sums := late.OnDisk()
	for _, i := range []Item{film, note} {
		if sums[i.Name] != i.Sum() {
			t.Errorf("the late box holds other bytes of %q", i.Name)
		}
	}
}

// spoil changes one byte of a file and leaves size and times as they were.
func spoil(t *testing.T, path string, at int64) {
	t.Helper()
	was, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), os.Chtimes(path, was.ModTime(), was.ModTime())); err != nil {
		t.Fatal(err)
	}
}

// TestReceiverRunsFull lets more come than fits. What fits is taken, the reserve
// is left, the list stays whole, and when room is made the rest comes.
func TestReceiverRunsFull(t *testing.T) {
	const reserve, slack = 64 << 20, 8 << 20 // bytes
	l := NewLan(t, "brim", 2, V4Only)
	home := t.TempDir()
	dir := filepath.Join(home, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-t", "tmpfs", "-o", "size=200m", "boucan-lab", dir)
	t.Cleanup(func() { run(t, "umount", "--lazy", dir) })
	full := newBoxIn(t, l.Hosts[0], "verre", home, dir)
	source := StartBox(t, l.Hosts[1], "tonneau")
	saved := &ledger{}
	for n := range 12 {
		mustDrop(t, saved, source, Input{Seed: 95}.noise(fmt.Sprintf("barrel %02d.bin", n), 16<<20))
	}
	full.Start()
	eventually(t, 60*time.Second, "what fits has come", func() error {
		all, err := full.Ls()
		if err != nil {
			return err
		}
		here := 0
		for _, f := range all {
			if f.Here {
				here++
			}
		}
		if len(all) != len(saved.items) || here < 3 {
			return fmt.Errorf("%d of %d listed, %d here", len(all), len(saved.items), here)
		}
		return nil
	})
	// Small things still pass a box that is full, both ways.
	exchange(t, source, full, Input{Seed: 96}.noise("a drop.txt", 900), "it is full")
	if free := freeBytes(t, dir); free < reserve-slack {
		t.Errorf("%d MiB are free; the reserve was eaten", free>>20)
	}
	run(t, "mount", "-o", "remount,size=400m", dir)
	for _, i := range saved.items {
		eventually(t, 3*time.Minute, "the rest comes when there is room", func() error { return full.Has(i.Name) })
	}
	saved.compare(t, full)
}

// TestSlowAndLossyLink: eight megabits a second, one frame in twenty lost, and the
// link goes away for a while. Talk arrives while a film is on its way; the film
// arrives bit for bit, and little of it is sent twice.
func TestSlowAndLossyLink(t *testing.T) {
	l := NewLan(t, "lossy", 2, V4Only)
	l.Slow("8mbit")
	l.Lossy(5)
	a, b := StartBox(t, l.Hosts[0], "phare"), StartBox(t, l.Hosts[1], "barque")
	eventually(t, 60*time.Second, "the boxes meet", func() error { return a.ReachesAll(b) })
	film := Input{Seed: 97}.noise("film.bin", 12<<20)
	mustDrop(t, &ledger{}, a, film)
	eventually(t, 60*time.Second, "the film is on its way", func() error { return midway(b, film.Name) })
	for n := range 3 {
		line := fmt.Sprintf("between two waves %d", n)
		b.MustCLI("chat", line)
		took := eventually(t, 30*time.Second, "talk passes beside it", func() error { return a.Heard(line) })
		t.Logf("a line took %v", took.Round(time.Millisecond))
	}
	l.Hosts[1].Cut()
	eventually(t, 60*time.Second, "the boat is out of reach", func() error {
		met, err := a.Reaches()
		if err == nil && len(met) > 0 {
			err = errors.New("it is still connected")
		}
		return err
	})
	l.Hosts[1].Heal()
	took := eventually(t, 4*time.Minute, "the film arrives", func() error { return b.Has(film.Name) })
	sent := l.Hosts[0].Sent()
	t.Logf("the film arrived %v after the link came back; %.2f times its size was sent", took.Round(time.Millisecond), float64(sent)/float64(film.Size))
	if sum := b.OnDisk()[film.Name]; sum != film.Sum() {
		t.Error("the film is another one")
	}
	// One frame in twenty is sent again by TCP, and at most a chunk a stream by us.
	if most := film.Size*125/100 + 4<<20; sent > most {
		t.Errorf("%d bytes were sent for a film of %d", sent, film.Size)
	}
}
