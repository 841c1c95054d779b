package node

import (
	"errors"
	"iter"
	"log/slog"
	"testing"
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

func TestClockDoesNotGoBackBetweenStarts(t *testing.T) {
	at := time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)
	system := func() time.Time { return at }
	table := &memoryTable{}
	open := func() *clock {
		t.Helper()
		c, err := openClock(table, system, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	if !c.Now().Equal(at) {
		t.Errorf("it is %v, want the system's time", c.Now())
	}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	knew := at
	at = time.Date(1970, 1, 1, 0, 3, 0, 0, time.UTC) // a router without a battery
	c = open()
	if now := c.Now(); now.Before(knew) || now.After(knew.Add(time.Minute)) {
		t.Errorf("it is %v, want %v and a moment", now, knew)
	}
	if c.source() != replica.ClockGuess {
		t.Errorf("it says it knows the time by %v", c.source())
	}
	at = knew.Add(time.Hour) // somebody set the system's clock
	if !c.Now().Equal(at) {
		t.Errorf("it is %v, want the system's time %v", c.Now(), at)
	}
}

func TestClockIsNotBeforeTheProgram(t *testing.T) {
	system := func() time.Time { return time.Unix(0, 0) }
	c, err := openClock(&memoryTable{}, system, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if c.Now().Year() < 2026 {
		t.Errorf("it is %v", c.Now())
	}
}

func TestOnlyABrokenStoreEndsTheRun(t *testing.T) {
	table := &memoryTable{refuse: store.ErrFull}
	c, err := openClock(table, nil, slog.New(slog.DiscardHandler))
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

// TestASyncedClockIsBelieved although a wrong time was saved once.
func TestASyncedClockIsBelieved(t *testing.T) {
	table := &memoryTable{}
	wrong, err := openClock(table, later(80*365*day), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong.save(); err != nil {
		t.Fatal(err)
	}
	c, err := openClock(table, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c.synced.Store(false)
	if c.Now().Before(time.Now().Add(79 * 365 * day)) {
		t.Error("a clock that nothing keeps right was believed against the saved time")
	}
	c.synced.Store(true)
	if d := time.Until(c.Now()); d > time.Minute || d < -time.Minute {
		t.Errorf("the system's clock is right and %v off is believed", d)
	}
	if c.source() != replica.ClockSynced {
		t.Errorf("it says it knows the time by %v", c.source())
	}
}
