package node

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
)

// say has visitors say how far off their clocks are, one after the other.
func say(c *opened, visitors string, off time.Duration) {
	for _, v := range visitors {
		c.visited(string(v), time.Now().Add(off))
	}
}

// inTheDark runs test with a box that woke in 1970, alone.
func inTheDark(t *testing.T, test func(t *testing.T, m *machine, c *opened)) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		m := &machine{t: t, table: &memoryTable{}, off: in1970()}
		c := m.start()
		if !c.asks() || off(c) > -day {
			t.Fatalf("the box is off by %v and asks %v", off(c), c.asks())
		}
		test(t, m, &c)
		c.stop()
	})
}

func TestVisitorsTellTheTime(t *testing.T) {
	inTheDark(t, func(t *testing.T, m *machine, c *opened) {
		wrong := off(*c)
		say(c, "aaabb", 0)
		time.Sleep(2 * visitorGoodFor)
		say(c, "c", 0) // the others' words have run out
		time.Sleep(time.Minute)
		wantWithin(t, "with one or two", off(*c)-wrong, time.Second)
		say(c, "ab", 0)
		wantWithin(t, "at once", off(*c)-wrong, time.Second)
		time.Sleep(time.Minute)
		wantWithin(t, "with three", off(*c), time.Second)
		if _, source, _ := c.said(); source != replica.ClockGuess || !c.asks() {
			t.Errorf("peers are told that the time is known by %v", source)
		}
		if c.Settled().Sub(time.Now()) > -day {
			t.Error("things are forgotten by what visitors said before anything was dated anew")
		}
		if e, ok := c.erred(); !ok || e.by < day {
			t.Errorf("what was made before is not dated anew: %+v", e)
		}
		c.mended()
		if _, ok := c.erred(); ok {
			t.Error("it is dated anew twice")
		}
		c.stop()
		*c = m.start()
		wantWithin(t, "after another start", off(*c), time.Second)
		for i := range byte(3) {
			c.heard(peerNo(i), addrNo(i), replica.Hello{Clock: time.Now().Add(time.Hour).UnixMilli(), Source: replica.ClockSynced})
		}
		time.Sleep(time.Minute)
		wantWithin(t, "peers count for more", off(*c)-time.Hour, time.Second)
		say(c, "abcdefgh", 0)
		time.Sleep(time.Minute)
		wantWithin(t, "visitors count for less", off(*c)-time.Hour, time.Second)
		if c.asks() {
			t.Error("who knows asks")
		}
	})
}

func TestVisitorsWhoLie(t *testing.T) {
	const lie = 10 * 365 * day
	inTheDark(t, func(t *testing.T, _ *machine, c *opened) {
		say(c, "lmn", lie)
		say(c, "abcdefg", 0)
		time.Sleep(time.Minute)
		wantWithin(t, "three of ten", off(*c), time.Second)
	})
	inTheDark(t, func(t *testing.T, _ *machine, c *opened) {
		wrong := off(*c)
		say(c, "lmn", lie)
		say(c, "abc", 0)
		time.Sleep(time.Minute)
		wantWithin(t, "half of six", off(*c)-wrong, time.Second)
	})
	inTheDark(t, func(t *testing.T, _ *machine, c *opened) {
		wrong := off(*c)
		say(c, "lmn", -60*365*day)
		say(c, "opq", 30*365*day)
		time.Sleep(time.Minute)
		wantWithin(t, "before the program was made, and decades after", off(*c)-wrong, time.Second)
	})
	inTheDark(t, func(t *testing.T, _ *machine, c *opened) {
		say(c, "lmn", lie) // alone with them
		time.Sleep(time.Minute)
		wantWithin(t, "alone with liars", off(*c)-lie, time.Second)
		c.mended()
		say(c, "abcdefg", 0)
		time.Sleep(visitorsEvery / 2)
		wantWithin(t, "records are not written anew at every word", off(*c)-lie, time.Second)
		say(c, "abcdefg", 0)
		time.Sleep(visitorsEvery)
		wantWithin(t, "when most say otherwise", off(*c), time.Second)
	})
	inTheDark(t, func(t *testing.T, _ *machine, c *opened) {
		for i := range 2 * maxVisitorVotes {
			c.visited(fmt.Sprint(i), time.Now())
		}
		if got := len(c.guests.by); got != maxVisitorVotes {
			t.Errorf("%d visitors are remembered", got)
		}
	})
}

// tellTime says the time to a box from an address of its own.
func (b *testBox) tellTime(address string) {
	b.t.Helper()
	client := http.Client{Transport: &http.Transport{
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext,
		DisableKeepAlives: true,
	}}
	body := strings.NewReader(fmt.Sprintf(`{"now": %d}`, time.Now().UnixMilli()))
	resp, err := client.Post(b.url+"/api/v1/time", "application/json", body)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		b.t.Fatalf("saying the time: %s", resp.Status)
	}
}

// TestWhatWasMadeBeforeVisitorsToldTheTime is dated anew once, and not again when the
// time is known for good.
func TestWhatWasMadeBeforeVisitorsToldTheTime(t *testing.T) {
	b := wrongBox(t, filepath.Join(t.TempDir(), "wrong"), in1970())
	b.fill()
	b.node.clock.mu.Lock()
	b.node.clock.stands = 0
	b.node.clock.mu.Unlock()
	for _, visitor := range []string{"127.0.0.2", "127.0.0.2", "127.0.0.3"} {
		b.tellTime(visitor)
	}
	if off := time.Until(b.node.clock.Now()); off > -day {
		t.Fatalf("two visitors moved the clock: it is off by %v", off)
	}
	b.tellTime("127.0.0.4")
	wantWithin(t, "what three visitors say", time.Until(b.node.clock.Now()), time.Minute)
	b.checkDates()
	eventually(t, "nothing is to be dated anew", func() bool { _, undone := b.node.clock.erred(); return !undone })
	if _, err := b.SetClock(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "again nothing is", func() bool { _, dated := b.node.clock.dated(); return dated })
	b.checkDates()
	for kind, want := range map[record.Kind]int{record.KindFile: 4, record.KindMessage: 1} {
		if ids, err := b.node.records.IDsBy(b.node.key.Key(), kind, 0); err != nil || len(ids) != want {
			t.Errorf("%d records of kind %d are left, want %d, %v", len(ids), kind, want, err)
		}
	}
}
