package node

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
)

func peerNo(i byte) record.Key { return record.Key{i + 1} }
func addrNo(i byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, i + 1}) }

// gathering is boxes that all meet each other every three minutes.
type gathering struct {
	t     *testing.T
	boxes []opened
	says  []func(now time.Time) replica.Hello // by those that lie
}

// add adds a box on a machine.
func (w *gathering) add(m *machine) opened {
	c := m.start()
	w.boxes, w.says = append(w.boxes, c), append(w.says, nil)
	return c
}

// lie adds a peer that says what it likes of the time.
func (w *gathering) lie(says func(true time.Time) replica.Hello) {
	w.boxes, w.says = append(w.boxes, opened{}), append(w.says, says)
}

// meet lets everybody meet everybody for as long as it takes.
func (w *gathering) meet(long time.Duration) {
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(3*time.Minute + rand.N(time.Minute)) {
		for _, i := range rand.Perm(len(w.boxes)) {
			h := w.hello(i)
			for j, to := range w.boxes {
				if i != j && to.clock != nil {
					to.heard(peerNo(byte(i)), addrNo(byte(i)), h)
				}
			}
		}
	}
}

func (w *gathering) hello(i int) replica.Hello {
	if w.says[i] != nil {
		return w.says[i](time.Now())
	}
	now, source, hops := w.boxes[i].said()
	return replica.Hello{Clock: now.UnixMilli(), Source: source, Hops: hops}
}

func (w *gathering) stop() {
	for _, c := range w.boxes {
		if c.clock != nil {
			c.stop()
		}
	}
}

// liar says that it is so much later than it is, and claims to know.
func liar(by time.Duration) func(time.Time) replica.Hello {
	return func(now time.Time) replica.Hello {
		return replica.Hello{Clock: now.Add(by).UnixMilli(), Source: replica.ClockSynced}
	}
}

// drifter begins right and goes wrong slowly, two hours a day.
func drifter(direction time.Duration) func(time.Time) replica.Hello {
	var since time.Time
	return func(now time.Time) replica.Hello {
		if since.IsZero() {
			since = now
		}
		return liar(direction * now.Sub(since) / 12)(now)
	}
}

// edger says the latest that honest boxes still agree with, by its own reckoning
// of where these are.
func edger(honest opened, ahead time.Duration) func(time.Time) replica.Hello {
	return func(time.Time) replica.Hello {
		return replica.Hello{Clock: honest.Now().Add(ahead).UnixMilli(), Source: replica.ClockSynced}
	}
}

func TestABoxIn1970JoinsOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		w := &gathering{t: t}
		for range 5 {
			w.add(&machine{t: t, table: &memoryTable{}, kept: true})
		}
		m := &machine{t: t, table: &memoryTable{}, off: in1970()}
		late := w.add(m)
		w.meet(10 * time.Minute)
		if now, source, hops := late.said(); source != replica.ClockPeers || hops != 1 || now.Sub(time.Now()).Abs() > time.Second {
			t.Errorf("off by %v, known by %v over %d", now.Sub(time.Now()), source, hops)
		}
		late.stop()
		late = m.start()
		w.boxes[5] = late
		wantWithin(t, "at the next start", off(late), time.Second)
		w.stop()
	})
}

// TestTheTimeGoesFromBoxToBox as far as it may, and not back.
func TestTheTimeGoesFromBoxToBox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		var first []opened
		for range 4 {
			first = append(first, (&machine{t: t, table: &memoryTable{}, kept: true}).start())
		}
		for hops := 1; hops <= clockHops+1; hops++ {
			var next []opened
			for range 4 {
				next = append(next, (&machine{t: t, table: &memoryTable{}, off: in1970()}).start())
			}
			meet := &gathering{t: t, boxes: append(append([]opened{}, first...), next...)}
			meet.says = make([]func(time.Time) replica.Hello, len(meet.boxes))
			meet.meet(20 * time.Minute)
			for _, c := range next {
				switch _, source, got := c.said(); {
				case hops <= clockHops && (source != replica.ClockPeers || got != hops):
					t.Errorf("%d boxes on, the time is known by %v over %d", hops, source, got)
				case hops > clockHops && source != replica.ClockGuess:
					t.Errorf("%d boxes on, the time is known by %v", hops, source)
				}
			}
			for _, c := range first {
				if _, _, got := c.said(); got != hops-1 {
					t.Errorf("who was %d boxes on now is %d", hops-1, got)
				}
				for i := range next {
					c.gone(peerNo(byte(len(first) + i)))
				}
			}
			for _, c := range first {
				c.stop()
			}
			first = next
		}
		for _, c := range first {
			c.stop()
		}
	})
}

// TestLiarsMoveNobody by more than the bound, one or three of ten, together or
// each for itself, at once or slowly, whatever the seven others know.
func TestLiarsMoveNobody(t *testing.T) {
	lies := map[string]func(honest opened) func(time.Time) replica.Hello{
		"years ahead":    func(opened) func(time.Time) replica.Hello { return liar(70 * 365 * day) },
		"years back":     func(opened) func(time.Time) replica.Hello { return liar(-3 * 365 * day) },
		"a drift ahead":  func(opened) func(time.Time) replica.Hello { return drifter(1) },
		"a drift back":   func(opened) func(time.Time) replica.Hello { return drifter(-1) },
		"the edge":       func(h opened) func(time.Time) replica.Hello { return edger(h, clockAgree-time.Second) },
		"the lower edge": func(h opened) func(time.Time) replica.Hello { return edger(h, -clockAgree+time.Second) },
	}
	for what, lie := range lies {
		for _, liars := range []int{1, 3} {
			for _, know := range []int{7, 4, 0} { // of the others; the rest begins three months back
				t.Run(fmt.Sprintf("%d with %s, %d know", liars, what, know), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { tenWithLiars(t, liars, know, lie) })
				})
			}
		}
	}
}

func tenWithLiars(t *testing.T, liars, know int, lie func(opened) func(time.Time) replica.Hello) {
	true2030()
	w := &gathering{t: t}
	var follower opened
	for i := range 10 - liars {
		m := &machine{t: t, table: &memoryTable{}, kept: i < know}
		if i >= know {
			m.turn(func() { m.off = -90 * day })
		}
		follower = w.add(m)
	}
	if know > 0 {
		w.meet(10 * time.Minute) // the honest first
	}
	before := make([]time.Duration, len(w.boxes))
	for i, c := range w.boxes {
		before[i] = off(c)
	}
	for range liars {
		w.lie(lie(follower))
	}
	w.meet(6 * time.Hour)
	for i, c := range w.boxes[:10-liars] {
		moved, most := off(c)-before[i], time.Duration(clockBound)
		switch {
		case i < know:
			most = 0
		case know == 0:
			most = clockLend
		}
		if moved.Abs() > most+time.Second {
			t.Errorf("box %d was moved by %v", i, moved)
		}
	}
	w.stop()
}

// TestLiarsWhoComeFirst are undone by those who come later.
func TestLiarsWhoComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		w := &gathering{t: t}
		late := w.add(&machine{t: t, table: &memoryTable{}, off: in1970()})
		for i := range byte(3) {
			late.heard(peerNo(100+i), addrNo(100+i), liar(70*365*day)(time.Now()))
		}
		time.Sleep(clockStands - 2*time.Second)
		if off(late) > 0 {
			t.Error("whoever was first decided")
		}
		for range 7 {
			w.add(&machine{t: t, table: &memoryTable{}, kept: true})
		}
		w.meet(10 * time.Minute)
		wantWithin(t, "among seven who know", off(late), clockBound)
		w.stop()
	})
}

// TestManyKeysBehindOneAddress are one voice.
func TestManyKeysBehindOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		m := &machine{t: t, table: &memoryTable{}}
		c := m.start()
		for i := range byte(200) {
			c.heard(peerNo(i), addrNo(i%2), liar(100*365*day)(time.Now()))
		}
		time.Sleep(time.Hour)
		wantWithin(t, "with 200 keys behind two addresses", off(c), clockLend)
		c.gone(peerNo(0))
		c.heard(peerNo(201), addrNo(201), liar(100*365*day)(time.Now()))
		for i := range byte(200) {
			c.gone(peerNo(i))
		}
		time.Sleep(time.Hour)
		wantWithin(t, "with one address after the other", off(c), clockLend)
		c.stop()
	})
}

// TestNoPeerMovesAClockThatIsKnown at first hand, nor one back beyond what was.
func TestNoPeerMovesAClockThatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		w := &gathering{t: t}
		m := &machine{t: t, table: &memoryTable{}, kept: true}
		c := w.add(m)
		for range 9 {
			w.lie(liar(-100 * day))
		}
		w.meet(day)
		wantWithin(t, "with NTP, against nine", off(c), 0)
		c.stop()
		m.turn(func() { m.kept, m.off = false, in1970() })
		w.boxes[0] = m.start()
		w.meet(day)
		wantWithin(t, "when NTP had been there, against nine", off(w.boxes[0]), time.Second)
		w.stop()
	})
}

// TestTwoBoxesIn1970 understand each other, and those who know when they meet them.
func TestTwoBoxesIn1970(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		w := &gathering{t: t}
		first := w.add(&machine{t: t, table: &memoryTable{}, off: in1970()})
		time.Sleep(5 * time.Hour)
		second := w.add(&machine{t: t, table: &memoryTable{}, off: in1970()})
		w.meet(10 * time.Minute)
		wantWithin(t, "between the two", first.Now().Sub(second.Now()), time.Minute)
		if _, source, _ := first.said(); source != replica.ClockGuess {
			t.Errorf("they think they know the time, by %v", source)
		}
		for range 3 {
			w.add(&machine{t: t, table: &memoryTable{}, kept: true})
		}
		w.meet(10 * time.Minute)
		wantWithin(t, "the first", off(first), time.Second)
		wantWithin(t, "the second", off(second), time.Second)
		w.stop()
	})
}

// TestTwoWhoAgreeAreNotSeveral.
func TestTwoWhoAgreeAreNotSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		w := &gathering{t: t}
		c := w.add(&machine{t: t, table: &memoryTable{}})
		w.lie(liar(50 * day))
		w.lie(liar(50 * day))
		w.meet(day)
		wantWithin(t, "with two liars", off(c), clockLend)
		w.stop()
	})
}

// TestWhenPeersAgree: minutes that peers say, by how they know.
func TestWhenPeersAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const no = -1
		know := func(minutes ...int) (votes []vote) {
			for _, m := range minutes {
				votes = append(votes, vote{word: word{
					time: time.Now().Add(time.Duration(m) * time.Minute), at: time.Now(), source: replica.ClockSynced,
				}})
			}
			return votes
		}
		guess := func(n int) []vote {
			votes := know(make([]int, n)...)
			for i := range votes {
				votes[i].source = replica.ClockGuess
			}
			return votes
		}
		heard := func(hops int, minutes ...int) []vote {
			votes := know(minutes...)
			for i := range votes {
				votes[i].source, votes[i].hops = replica.ClockPeers, hops
			}
			return votes
		}
		worse := word{source: replica.ClockPeers, hops: 2}
		for _, c := range []struct {
			what    string
			votes   []vote
			have    word
			minutes int // no for no agreement
			hops    int
		}{
			{"nobody", nil, word{}, no, 0},
			{"two", know(5, 5), word{}, no, 0},
			{"three", know(5, 6, 7), word{}, 6, 1},
			{"three a minute too far apart", know(5, 6, 8), word{}, no, 0},
			{"three against one", know(5, 5, 5, 100), word{}, 5, 1},
			{"three against two", know(5, 5, 5, 100, 0), word{}, 5, 1},
			{"half", know(5, 5, 5, 100, 0, 200), word{}, no, 0},
			{"three against three", know(5, 5, 5, 100, 100, 100), word{}, no, 0},
			{"those who guess have no say", append(know(5, 5, 5), guess(5)...), word{}, 5, 1},
			{"but are counted", append(know(5, 5, 5), guess(6)...), word{}, no, 0},
			{"four of ten", append(know(5, 5, 5, 5), guess(6)...), word{}, 5, 1},
			{"by others", heard(2, 5, 5, 5), word{}, 5, 3},
			{"by too many others", heard(3, 5, 5, 5), word{}, no, 0},
			{"at first hand before others", append(know(5, 5, 5), heard(1, 7, 7, 7, 7)...), word{}, 5, 1},
			{"by others with one who knows", append(know(5), heard(1, 5, 5)...), word{}, 5, 2},
			{"no better than what is known", heard(2, 5, 5, 5), worse, no, 0},
			{"as good as what is known", heard(1, 5, 5, 5), worse, 5, 2},
		} {
			got, ok := agree(c.votes, c.have)
			minutes := int(got.time.Sub(time.Now()) / time.Minute)
			if ok != (c.minutes != no) || ok && (minutes != c.minutes || got.hops != c.hops) {
				t.Errorf("%s: %v, %d minutes, %d hops", c.what, ok, minutes, got.hops)
			}
		}
	})
}

// TestABoxWithoutATimeAmongOthers with a real network between them.
func TestABoxWithoutATimeAmongOthers(t *testing.T) {
	known := func(off time.Duration, kept bool, name string) *testBox {
		log := &testLog{}
		c := config(filepath.Join(t.TempDir(), name), log)
		c.system, c.kept = later(off), func() bool { return kept }
		b := startWith(t, c)
		b.log = log
		return b
	}
	late := known(in1970(), false, "late")
	late.node.clock.mu.Lock()
	late.node.clock.stands = 0
	late.node.clock.mu.Unlock()
	var others []*testBox
	for i := range 3 {
		others = append(others, known(0, true, fmt.Sprint("other ", i)))
	}
	others[0].add("news.txt", "of today")
	eventually(t, "the news is there", func() bool { return late.has("news.txt") })
	now, source, _ := late.node.clock.said()
	if source != replica.ClockPeers || time.Until(now).Abs() > clockAgree {
		t.Errorf("off by %v, known by %v", time.Until(now), source)
	}
	late.add("answer.txt", "of today too")
	eventually(t, "the answer is there", func() bool { return others[1].has("answer.txt", "news.txt") })
}
