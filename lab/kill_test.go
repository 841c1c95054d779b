//go:build lab

package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestKillEachInTurn pulls every box's plug in the middle of a transfer, while
// people go on dropping. What any of them was told is saved is on every box at
// the end, bit for bit.
func TestKillEachInTurn(t *testing.T) {
	l := NewLan(t, "kill", 3, V4Only)
	boxes := []*Box{StartBox(t, l.Hosts[0], "ancre"), StartBox(t, l.Hosts[1], "boussole"), StartBox(t, l.Hosts[2], "cap")}
	for _, b := range boxes {
		eventually(t, 10*time.Second, "boxes meet", func() error { return b.ReachesAll(boxes...) })
	}
	said := make(chan string, 64)
	saved := &ledger{}
	for round, victim := range boxes {
		source := boxes[(round+1)%len(boxes)]
		if round == len(boxes)-1 {
			source = victim // once the sender dies, else a receiver
		}
		film := Input{Seed: uint64(10 + round)}.noise(fmt.Sprintf("film %d.bin", round), 160<<20)
		l.Slow("200mbit")
		mustDrop(t, saved, source, film)
		sink := boxes[(round+2)%len(boxes)]
		if source != victim {
			sink = victim
		}
		eventually(t, 30*time.Second, "the transfer is under way", func() error { return midway(sink, film.Name) })

		people := startPeople(t, saved, boxes, uint64(100*round))
		eventually(t, 10*time.Second, "people drop", func() error { return people.atLeast(10) })
		victim.Kill()
		text := fmt.Sprintf("%s is dark", victim.Name)
		boxes[(round+1)%len(boxes)].MustCLI("chat", text)
		said <- text
		victim.Start()
		people.stop()
		l.Fast()
	}
	close(said)

	var lines []string
	for text := range said {
		lines = append(lines, text)
	}
	for _, b := range boxes {
		took := eventually(t, 90*time.Second, "everything on "+b.Name, func() error { return holds(b, saved, lines) })
		t.Logf("%s holds all %d files after another %v", b.Name, len(saved.items), took)
	}
	for _, b := range boxes {
		saved.compare(t, b)
	}
}

// ledger is what boxes said is saved.
type ledger struct {
	mu    sync.Mutex // guards items
	items []Item
}

func (l *ledger) add(i Item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, i)
}

// compare reads every saved file from the box's disk.
func (l *ledger) compare(t *testing.T, b *Box) {
	t.Helper()
	found := make(map[[sha256.Size]byte]bool)
	for _, sum := range b.OnDisk() {
		found[sum] = true
	}
	for _, i := range l.items {
		if !found[i.Sum()] {
			t.Errorf("box %s does not hold the bytes of %q", b.Name, i.Name)
		}
	}
	if len(found) != len(l.items) {
		t.Logf("box %s holds %d files, %d were acknowledged", b.Name, len(found), len(l.items))
	}
}

func mustDrop(t *testing.T, saved *ledger, b *Box, i Item) {
	t.Helper()
	if _, err := b.Self().Drop(i.Name, i.Open()); err != nil {
		t.Fatal(err)
	}
	saved.add(i)
}

// midway fails unless some but not all bytes of name have landed.
func midway(b *Box, name string) error {
	f, err := b.Finds(name)
	if err == nil && f.Landed == 0 {
		err = errors.New("nothing has landed yet")
	}
	if err == nil && f.Here {
		return nil // it was quick; the plug is pulled all the same
	}
	return err
}

// holds fails unless the box has every saved file and has heard every line.
func holds(b *Box, saved *ledger, lines []string) error {
	all, err := b.Ls()
	if err != nil {
		return err
	}
	here := make(map[string]bool)
	for _, f := range all {
		here[f.Name] = f.Here
	}
	for _, i := range saved.items {
		if !here[i.Name] {
			return fmt.Errorf("box %s has not got %q", b.Name, i.Name)
		}
	}
	for _, text := range lines {
		if err := b.Heard(text); err != nil {
			return err
		}
	}
	return nil
}

// people drop small files at all boxes, one person to a box.
type people struct {
	saved *ledger
	first int                // how many were saved before
	leave context.CancelFunc // asks them to go
	all   sync.WaitGroup
}

func startPeople(t *testing.T, saved *ledger, boxes []*Box, seed uint64) *people {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	p := &people{saved: saved, first: len(saved.items), leave: leave}
	t.Cleanup(p.stop)
	for n, b := range boxes {
		p.all.Go(func() { p.visit(ctx, b, seed, n) })
	}
	return p
}

// visit drops one file after the other, and writes down those that the box said
// are saved.
func (p *people) visit(ctx context.Context, b *Box, seed uint64, n int) {
	v := b.Self()
	defer v.Close()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		item := Input{Seed: seed}.noise(fmt.Sprintf("%d-%d-%05d.txt", seed, n, i), 3000)
		if _, err := v.Drop(item.Name, item.Open()); err == nil {
			p.saved.add(item)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// atLeast fails unless n files were saved since the people came.
func (p *people) atLeast(n int) error {
	p.saved.mu.Lock()
	defer p.saved.mu.Unlock()
	if got := len(p.saved.items) - p.first; got < n {
		return fmt.Errorf("%d files dropped", got)
	}
	return nil
}

func (p *people) stop() {
	p.leave()
	p.all.Wait()
}
