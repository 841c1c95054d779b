package replica_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// among has node 0 connected with others, and returns how many streams there were between
// any two.
func among(w *network, peers int) (streams func() int) {
	for i := range peers {
		w.connect(0, i+1)
	}
	return func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		n := 0
		for _, l := range w.links {
			n += len(l.pipes) / 2
		}
		return n
	}
}

// TestPushIsConfirmedBySome: with many peers, what was pushed is compared with some of
// them, others every time.
func TestPushIsConfirmedBySome(t *testing.T) {
	for peers, want := range map[int]int{4: 4, 8: 8, 9: 8, 24: 8} {
		synctest.Test(t, func(t *testing.T) {
			w := newNetwork(t, peers+1)
			w.nodes[0].options.Pusher = &pushes{}
			w.start()
			defer w.stop()
			streams := among(w, peers)
			pass(30 * time.Second)
			for round := range 3 {
				before := streams()
				if err := w.nodes[0].set.Publish(t.Context(), messages(t, 0, round, 1)...); err != nil {
					t.Fatal(err)
				}
				pass(9 * time.Second)
				if got := streams() - before; got != want {
					t.Errorf("with %d peers %d were compared with, want %d", peers, got, want)
				}
			}
			lacking := 0
			for _, n := range w.nodes {
				if n.set.Len() != 3 {
					lacking++
				}
			}
			if peers == 24 && lacking != 24-8 { // who was asked third knows all three
				t.Errorf("%d of %d lack something, want %d", lacking, peers, 24-8)
			}
			pass(20 * time.Minute)
			w.alike()
		})
	}
}

// TestManyPeersAreComparedWithInTurn: how often a node compares while nothing is new does
// not follow the number of its peers.
func TestManyPeersAreComparedWithInTurn(t *testing.T) {
	hourly := func(peers int) (streams int) {
		synctest.Test(t, func(t *testing.T) {
			w := newNetwork(t, peers+1).start()
			defer w.stop()
			count := among(w, peers)
			for i := range peers {
				for j := range i {
					w.connect(i+1, j+1)
				}
			}
			pass(10 * time.Minute)
			before := count()
			pass(2 * time.Hour)
			streams = (count() - before) / (peers + 1) // of one node
		})
		return streams
	}
	two, eight, twenty := hourly(2), hourly(8), hourly(20)
	if two < 25 || two > 40 {
		t.Errorf("with two peers %d sessions in two hours", two)
	}
	if eight < 3*two {
		t.Errorf("with eight peers %d sessions in two hours, with two %d", eight, two)
	}
	if twenty > eight*5/4 {
		t.Errorf("with twenty peers %d sessions in two hours, with eight %d", twenty, eight)
	}
}
