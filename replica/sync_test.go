package replica_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
)

// TestChainDelivers: A and C never meet.
func TestChainDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3).start()
		defer w.stop()
		w.connect(0, 1)
		w.connect(1, 2)
		pass(10 * time.Second)
		m := messages(t, 0, 0, 1)
		if err := w.nodes[0].set.Publish(t.Context(), m...); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if _, ok, _ := w.nodes[2].set.Get(m[0].ID()); !ok {
			t.Error("the far end does not have it")
		}
	})
}

// TestPushIsConfirmed: a push may be lost, and then comparing brings it soon.
func TestPushIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 2)
		w.nodes[0].options.Pusher = &pushes{}
		w.start()
		defer w.stop()
		w.connect(0, 1)
		pass(10 * time.Second)
		m := messages(t, 0, 0, 1)
		if err := w.nodes[0].set.Publish(t.Context(), m...); err != nil {
			t.Fatal(err)
		}
		pass(8 * time.Second)
		if _, ok, _ := w.nodes[1].set.Get(m[0].ID()); !ok {
			t.Error("lost with its push")
		}
	})
}

// TestRelayedPushIsConfirmed: what came by a push and is passed on by one may be
// lost on the way to the next.
func TestRelayedPushIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3).start()
		defer w.stop()
		w.connect(1, 2)
		pass(10 * time.Second)
		m := messages(t, 0, 0, 1)[0]
		if added, err := w.nodes[1].set.Receive(t.Context(), m.Encode()); !added || err != nil {
			t.Fatal(added, err)
		}
		pass(8 * time.Second)
		if _, ok, _ := w.nodes[2].set.Get(m.ID()); !ok {
			t.Error("lost with the push that should have passed it on")
		}
	})
}

// TestNewsIsPushedOn: what one peer brought is pushed to the others, if it is little.
func TestNewsIsPushedOn(t *testing.T) {
	for _, c := range []struct{ news, pushed int }{{1, 1}, {replica.MaxPush, replica.MaxPush}, {replica.MaxPush + 1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			w := newNetwork(t, 2)
			p := &pushes{}
			w.nodes[1].options.Pusher = p
			w.start()
			defer w.stop()
			add(t, w.nodes[0].set, nil, messages(t, 0, 0, c.news)...)
			w.connect(0, 1)
			pass(2 * time.Second)
			if len(p.raws) != c.pushed {
				t.Errorf("%d pushed of %d, want %d", len(p.raws), c.news, c.pushed)
			}
		})
	}
}

// TestBothSidesMeet: whichever side knows of the other, they meet, and go on
// meeting.
func TestBothSidesMeet(t *testing.T) {
	for _, knows := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newNetwork(t, 2).start()
			defer w.stop()
			w.join(0, 1)
			w.nodes[knows].syncer.PeerUp(public(1 - knows))
			m := messages(t, 0, 0, 2)
			add(t, w.nodes[0].set, nil, m[0])
			pass(7 * time.Second)
			if w.nodes[1].set.Len() != 1 {
				t.Error("they have not met")
			}
			add(t, w.nodes[0].set, nil, m[1]) // as if a push had been lost elsewhere
			pass(6 * time.Minute)
			if w.nodes[1].set.Len() != 2 {
				t.Error("they have not met again")
			}
			m = messages(t, 0, 10, 1)
			add(t, w.nodes[0].set, nil, m...)
			w.nodes[knows].syncer.Nudge()
			pass(2 * time.Second)
			if w.nodes[1].set.Len() != 3 {
				t.Error("a nudge does nothing")
			}
		})
	}
}

// TestHello: both sides hear each other, and a card comes along.
func TestHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 2)
		var mu sync.Mutex
		heard := make(map[record.Key]replica.Hello)
		hear := func(k record.Key, h replica.Hello) {
			mu.Lock()
			defer mu.Unlock()
			heard[k] = h
		}
		card := sign(t, 0, time.Now(), day, record.Card{Name: "zero"})
		said := replica.Hello{Clock: time.Now().UnixMilli(), Source: replica.ClockPeers, Hops: 2, Software: "boucan 1", Card: card.Encode()}
		w.nodes[0].sync = replica.SyncOptions{Hello: func() replica.Hello { return said }, Heard: hear}
		w.nodes[1].sync = replica.SyncOptions{Heard: hear}
		w.start()
		defer w.stop()
		w.connect(0, 1)
		pass(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if got := heard[public(0)]; got.Clock != said.Clock || got.Source != said.Source || got.Hops != said.Hops || got.Software != said.Software || string(got.Card) != string(said.Card) {
			t.Errorf("heard %+v", got)
		}
		if got := heard[public(1)]; got.Clock != time.Now().Add(-time.Second).UnixMilli() && got.Clock == 0 || len(got.Card) != 0 {
			t.Errorf("heard %+v", got)
		}
		if c, ok := w.nodes[1].set.Card(public(0)); !ok || c.Name != "zero" {
			t.Errorf("card %v, %v", c, ok)
		}
	})
}

// TestTakedownTravels: to those who have the target, and to those who get it later.
func TestTakedownTravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 3).start()
		defer w.stop()
		target := messages(t, 0, 0, 1)[0]
		for _, n := range w.nodes {
			add(t, n.set, nil, target)
		}
		add(t, w.nodes[0].set, nil, takedown(t, 0, time.Now(), target, ""))
		w.connect(0, 1)
		w.connect(1, 2)
		pass(5 * time.Second)
		if held := w.alike(); len(held) != 1 || held[target.ID()] {
			t.Errorf("%d records, target there: %v", len(held), held[target.ID()])
		}
	})
}

// TestBlockedIsNotFetchedAgain: a peer that holds what this node refuses is not
// asked for it at every meeting.
func TestBlockedIsNotFetchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 2).start()
		defer w.stop()
		unwanted := messages(t, 5, 0, 300)
		add(t, w.nodes[1].set, nil, unwanted...)
		if err := w.nodes[0].set.BlockAuthor(t.Context(), public(5)); err != nil {
			t.Fatal(err)
		}
		w.connect(0, 1)
		pass(5 * time.Second)
		first := w.bytes.Load()
		w.nodes[0].syncer.Nudge() // it asks, so it would fetch
		pass(5 * time.Second)
		if again := w.bytes.Load() - first; w.nodes[0].set.Len() != 0 || again > first/2 {
			t.Errorf("%d bytes at first, %d again", first, again)
		}
		if err := w.nodes[0].set.UnblockAuthor(t.Context(), public(5)); err != nil {
			t.Fatal(err)
		}
		w.nodes[0].syncer.Nudge()
		pass(5 * time.Second)
		if w.nodes[0].set.Len() != len(unwanted) {
			t.Errorf("%d records after unblocking", w.nodes[0].set.Len())
		}
	})
}

// TestManySourcesOneFetch: a node that meets several full peers at once does not
// fetch everything from each.
func TestManySourcesOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1500
		w := newNetwork(t, 4).start()
		defer w.stop()
		recs := messages(t, 9, 0, n)
		size := 0
		for _, r := range recs {
			size += len(r.Encode())
		}
		fresh := 0 // the one that begins with all: the least key
		for i := range w.nodes {
			a, b := public(i), public(fresh)
			if string(a[:]) < string(b[:]) {
				fresh = i
			}
		}
		for i, node := range w.nodes {
			if i != fresh {
				add(t, node.set, nil, recs...)
			}
		}
		for i := range w.nodes {
			if i != fresh {
				w.connect(i, fresh)
			}
		}
		pass(20 * time.Second)
		w.alike()
		if sent := w.bytes.Load(); sent > int64(size)*3/2 {
			t.Errorf("%d bytes for %d of records", sent, size)
		}
	})
}

// TestNodesOnTheRealStore meet, are switched off and meet again.
func TestNodesOnTheRealStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 2)
		for _, n := range w.nodes {
			n.log = newStore(t)
		}
		w.start()
		defer w.stop()
		both := messages(t, 9, 0, 300)
		add(t, w.nodes[0].set, nil, append(messages(t, 0, 0, 50), both...)...)
		add(t, w.nodes[1].set, nil, append(messages(t, 1, 0, 400), both...)...)
		w.connect(0, 1)
		pass(5 * time.Second)
		w.cut(0, 1)
		w.nodes[1].halt()
		w.nodes[1].start()
		add(t, w.nodes[0].set, nil, takedown(t, 9, time.Now(), both[0], ""))
		w.connect(0, 1)
		pass(10 * time.Second)
		if held := w.alike(); len(held) != 750 || held[both[0].ID()] {
			t.Errorf("%d records, what was taken down there: %v", len(held), held[both[0].ID()])
		}
	})
}

// TestClocksFarApart: nodes whose clocks differ by a month do not send each other
// everything over and over, and become alike when the clock is set.
func TestClocksFarApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lag atomic.Int64
		lag.Store(int64(30 * day))
		w := newNetwork(t, 2)
		w.nodes[1].options.Now = func() time.Time { return time.Now().Add(-time.Duration(lag.Load())) }
		w.start()
		defer w.stop()
		recs := messages(t, 0, 0, 3000)
		size := 0
		for _, r := range recs {
			size += len(r.Encode())
		}
		add(t, w.nodes[0].set, nil, recs...)
		w.connect(0, 1)
		pass(15 * time.Minute)
		if sent := w.bytes.Load(); w.nodes[1].set.Len() != 0 || sent > int64(8*size) {
			t.Errorf("%d records, %d bytes sent for %d", w.nodes[1].set.Len(), sent, size)
		}
		lag.Store(0)
		pass(10 * time.Minute)
		if held := w.alike(); len(held) != len(recs) {
			t.Errorf("%d records", len(held))
		}
	})
}

// TestBothBeginAtOnce, again and again.
func TestBothBeginAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t, 2).start()
		defer w.stop()
		w.connect(0, 1)
		for i := range 40 {
			add(t, w.nodes[i%2].set, nil, messages(t, i%2, i, 1)...)
			w.nodes[0].syncer.Nudge()
			w.nodes[1].syncer.Nudge()
			pass(4 * time.Second)
			if held := w.alike(); len(held) != i+1 {
				t.Fatalf("%d records after %d", len(held), i+1)
			}
		}
	})
}
