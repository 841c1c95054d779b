//go:build lab

package lab

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// kills is how often a plug is pulled in TestTwoHundredKills, shared between
// sender and receiver.
const kills = 200

// TestTwoHundredKills pulls the plugs of a sender and of a receiver at random
// moments, of the start and of the stop as well, while people go on dropping at
// both and a large file is always on its way. At the end both hold every byte
// that either said is saved, and no file that is not one that somebody sent.
func TestTwoHundredKills(t *testing.T) {
	l := NewLan(t, "kills", 2, V4Only)
	l.Slow("200mbit")
	boxes := []*Box{StartBox(t, l.Hosts[0], "source"), StartBox(t, l.Hosts[1], "puits")}
	eventually(t, 10*time.Second, "the boxes meet", func() error { return boxes[0].ReachesAll(boxes...) })

	saved, tried := &ledger{}, &ledger{}
	ctx, leave := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	t.Cleanup(func() { leave(); crowd.Wait() })
	for n, b := range boxes {
		crowd.Go(func() {
			dropAll(ctx, b, saved, tried, Input{Seed: 70}, fmt.Sprintf("note %d", n), 3000, 25*time.Millisecond)
		})
	}
	crowd.Go(func() { dropAll(ctx, boxes[0], saved, tried, Input{Seed: 71}, "film", 24<<20, 3*time.Second) })

	random := rand.New(rand.NewPCG(200, 9))
	pause := time.NewTimer(0)
	defer pause.Stop()
	for n := range kills {
		// Mostly while things move, now and then before the box is up.
		pause.Reset(time.Duration(random.IntN(1200)) * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
		victim := boxes[n%len(boxes)]
		victim.Kill()
		victim.Launch()
	}
	leave()
	crowd.Wait()
	l.Fast()

	for _, b := range boxes {
		b.WaitForPage()
	}
	for _, b := range boxes {
		took := eventually(t, 90*time.Second, "everything on "+b.Name, func() error { return holds(b, saved, nil) })
		t.Logf("%d kills; %s holds all %d acknowledged files %v after the last", kills, b.Name, len(saved.items), took.Round(time.Millisecond))
	}
	for _, b := range boxes {
		saved.compare(t, b)
		tried.onlyThese(t, b)
	}
	if len(saved.items) < kills {
		t.Errorf("only %d files were saved while plugs were pulled: the test tried little", len(saved.items))
	}
}

// dropAll drops files of size bytes at a box, one after the other, whether it
// is up or not. Those that the box said are saved go into saved, those whose
// sending began into tried.
func dropAll(ctx context.Context, b *Box, saved, tried *ledger, in Input, name string, size int64, every time.Duration) {
	v := b.Self()
	defer v.Close()
	pause := time.NewTicker(every)
	defer pause.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		item := in.noise(fmt.Sprintf("%s %05d.bin", name, i), size)
		tried.add(item)
		if _, err := v.Drop(item.Name, item.Open()); err == nil {
			saved.add(item)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// onlyThese fails where the box shares bytes that are none of the ledger's: half
// a file, or a wrong one.
func (l *ledger) onlyThese(t *testing.T, b *Box) {
	t.Helper()
	known := make(map[[sha256.Size]byte]bool)
	for _, i := range l.items {
		known[i.Sum()] = true
	}
	for name, sum := range b.OnDisk() {
		if !known[sum] {
			t.Errorf("box %s shares %q, whose bytes nobody sent", b.Name, filepath.Base(name))
		}
	}
}
