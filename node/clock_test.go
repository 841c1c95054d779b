package node

import (
	"errors"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boucan/replica"
	"boucan/store"
)

// memoryTable keeps what is written, or refuses it.
type memoryTable struct {
	saved  []byte
	refuse error
}

func (m *memoryTable) Get([]byte) ([]byte, bool, error) { return m.saved, m.saved != nil, nil }

func (m *memoryTable) Write(pairs iter.Seq2[[]byte, []byte]) error {
	for _, value := range pairs {
		if m.refuse == nil {
			m.saved = value
		}
	}
	return m.refuse
}

// machine is what a clock stands on: a system clock that is off, and a disk.
type machine struct {
	t     *testing.T
	table *memoryTable

	mu   sync.Mutex    // guards what follows
	off  time.Duration // of the system's clock from the true time
	kept bool          // NTP keeps it right
}

// turn changes a machine whose clock runs.
func (m *machine) turn(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *machine) isKept() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept
}

func (m *machine) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept {
		return time.Now()
	}
	return time.Now().Add(m.off)
}

// opened is a clock that runs, and how to stop it.
type opened struct {
	*clock
	stop func()
}

// start starts a clock in the bubble of the test, whose own time is the true one.
func (m *machine) start() opened {
	m.t.Helper()
	c, err := openClock(m.table, m.now, m.isKept, slog.New(slog.DiscardHandler))
	if err != nil {
		m.t.Fatal(err)
	}
	tick := time.NewTicker(clockLookEvery)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-tick.C:
				c.look()
			case <-done:
				return
			}
		}
	}()
	return opened{c, func() {
		tick.Stop()
		close(done)
		<-ended
		if err := c.save(); err != nil {
			m.t.Error(err)
		}
	}}
}

// in1970 is how far off the clock of a machine without a battery is.
func in1970() time.Duration { return time.Until(time.Unix(60, 0)) }

// true2030 brings the bubble to a time after the program was built.
func true2030() { time.Sleep(time.Until(time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC))) }

// off is how far a clock is from the true time.
func off(c opened) time.Duration { return c.Now().Sub(time.Now()) }

func wantWithin(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got.Abs() > want {
		t.Errorf("%s: off by %v, want no more than %v", what, got, want)
	}
}

func TestClockDoesNotGoBackBetweenStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		m := &machine{t: t, table: &memoryTable{}}
		c := m.start()
		wantWithin(t, "with the system's time", off(c), 0)
		c.stop()
		m.turn(func() { m.off = in1970() })
		time.Sleep(time.Hour)
		c = m.start()
		wantWithin(t, "after an hour without power", off(c)+time.Hour, time.Second)
		if _, source, _ := c.said(); source != replica.ClockGuess {
			t.Errorf("it says it knows the time by %v", source)
		}
		m.turn(func() { m.off = 0 }) // somebody set the system's clock
		wantWithin(t, "when the system's clock was set", off(c), 0)
		c.stop()
	})
}

func TestClockIsNotBeforeTheProgram(t *testing.T) {
	system := func() time.Time { return time.Unix(0, 0) }
	c, err := openClock(&memoryTable{}, system, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if c.Now().Year() < 2026 {
		t.Errorf("it is %v", c.Now())
	}
}

func TestOnlyABrokenStoreEndsTheRun(t *testing.T) {
	table := &memoryTable{refuse: store.ErrFull}
	c, err := openClock(table, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.save(); err != nil {
		t.Errorf("a full disk: %v", err)
	}
	table.refuse = store.ErrFailed
	if err := c.save(); !errors.Is(err, store.ErrFailed) {
		t.Errorf("a failed disk: %v", err)
	}
}

// TestATimeSavedUnderAWrongClockDoesNotStay: the box thought it was 2099.
func TestATimeSavedUnderAWrongClockDoesNotStay(t *testing.T) {
	for what, mend := range map[string]func(*machine, opened){
		"NTP": func(m *machine, c opened) { m.turn(func() { m.kept = true }) },
		"peers": func(m *machine, c opened) {
			for i := range byte(3) {
				c.heard(peerNo(i), addrNo(i), replica.Hello{Clock: time.Now().UnixMilli(), Source: replica.ClockSynced})
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				true2030()
				m := &machine{t: t, table: &memoryTable{}, off: 69 * 365 * day}
				c := m.start()
				time.Sleep(time.Hour)
				c.stop()
				m.turn(func() { m.off = in1970() })
				c = m.start()
				if off(c) < 68*365*day {
					t.Fatal("the saved time did not hold")
				}
				mend(m, c)
				time.Sleep(time.Minute)
				wantWithin(t, "mended", off(c), time.Second)
				if after := c.Settled().Sub(time.Now()); after > 0 {
					t.Errorf("things are forgotten as of %v ahead", after)
				}
				c.stop()
				m.turn(func() { m.kept, m.off = false, in1970() })
				c = m.start()
				wantWithin(t, "after another start", off(c), time.Second)
				c.stop()
			})
		})
	}
}

// TestWhatNTPSaidStaysGoodForAWhile: a laptop walks out of reach of its network.
func TestWhatNTPSaidStaysGoodForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		m := &machine{t: t, table: &memoryTable{}, kept: true, off: in1970()}
		c := m.start()
		time.Sleep(time.Minute)
		m.turn(func() { m.kept = false })
		time.Sleep(6 * day)
		if now, source, _ := c.said(); source != replica.ClockSynced || now.Sub(time.Now()).Abs() > time.Second {
			t.Errorf("after six days it is off by %v and known by %v", now.Sub(time.Now()), source)
		}
		time.Sleep(2 * day)
		if now, source, _ := c.said(); source != replica.ClockGuess || now.Sub(time.Now()).Abs() > time.Second {
			t.Errorf("after eight days it is off by %v and known by %v", now.Sub(time.Now()), source)
		}
		c.stop()
	})
}

// TestForgettingFollowsHearsaySlowly: what a lie makes a node forget would be
// gone for good.
func TestForgettingFollowsHearsaySlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		m := &machine{t: t, table: &memoryTable{}}
		c := m.start()
		for i := range byte(3) { // all there are
			c.heard(peerNo(i), addrNo(i), replica.Hello{Clock: time.Now().Add(1000 * day).UnixMilli(), Source: replica.ClockSynced})
		}
		time.Sleep(time.Minute)
		if off(c) < 999*day {
			t.Fatal("peers are not heard")
		}
		for range 24 {
			time.Sleep(time.Hour)
			c.stop()
			c = m.start() // no way around it
		}
		if ahead := c.Settled().Sub(time.Now()); ahead < day || ahead > settleRate*day {
			t.Errorf("after a day things are forgotten as of %v ahead", ahead)
		}
		m.turn(func() { m.kept = true })
		time.Sleep(time.Minute)
		wantWithin(t, "when NTP spoke, forgetting", c.Settled().Sub(time.Now()), time.Second)
		m.turn(func() { m.kept, m.off = false, 0 })
		c.stop()
	})
}

// TestForgettingFollowsNTPAtOnce where the box was off for long.
func TestForgettingFollowsNTPAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		true2030()
		m := &machine{t: t, table: &memoryTable{}, off: in1970()}
		c := m.start()
		if ahead := c.Settled().Sub(c.Now()); ahead != 0 {
			t.Errorf("a new box forgets as of %v", ahead)
		}
		if _, dated := c.dated(); !dated {
			t.Error("a box that does not know the time waits for it")
		}
		m.turn(func() { m.kept = true })
		time.Sleep(time.Minute)
		if c.Settled().Sub(time.Now()) > -day {
			t.Error("things are forgotten before what was made under the wrong clock is dated anew")
		}
		if _, dated := c.dated(); dated {
			t.Error("what was made under the wrong clock counts as dated already")
		}
		c.mended()
		if _, dated := c.dated(); !dated {
			t.Error("what was dated anew counts as still to be")
		}
		wantWithin(t, "forgetting", c.Settled().Sub(time.Now()), time.Second)
		c.stop()
	})
}
