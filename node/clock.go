package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"boucan/replica"
	"boucan/store"
)

// clock is this node's idea of the time. Routers have no clock battery: it is
// never earlier than the build of the program, nor than the time last saved,
// unless the system's clock is known to be right.
type clock struct {
	table   clockTable
	system  func() time.Time
	log     *slog.Logger
	floor   time.Time // what was known at start
	started time.Time // when that was, for how long ago it is
	real    bool      // system is the machine's own clock
	synced  atomic.Bool
}

// clockTable is where the time is saved.
type clockTable interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Write(pairs iter.Seq2[[]byte, []byte]) error
}

const (
	// clockSaveEvery spares flash: an hour's error after a power cut is small
	// beside the life of a record.
	clockSaveEvery = time.Hour
	// clockLookEvery is how often the system is asked whether its clock is right.
	clockLookEvery = 20 * time.Second
)

var clockKey = []byte("clock")

// openClock reads the saved time. system is the system's clock, nil for the
// real one.
func openClock(table clockTable, system func() time.Time, log *slog.Logger) (*clock, error) {
	c := &clock{table: table, system: system, log: log, floor: buildTime(), started: time.Now(), real: system == nil}
	if c.real {
		c.system = time.Now
	}
	b, ok, err := table.Get(clockKey)
	if err != nil {
		return nil, fmt.Errorf("read saved time: %w", err)
	}
	if ok && len(b) == 8 {
		if saved := time.UnixMilli(int64(binary.BigEndian.Uint64(b))); saved.After(c.floor) {
			c.floor = saved
		}
	}
	c.look()
	return c, nil
}

// Now is the node's time: the system's, unless that lags behind what was known
// at start and the time since, and nobody sets it right. Safe for concurrent use.
func (c *clock) Now() time.Time {
	now := c.system()
	if known := c.known(); known.After(now) && !c.synced.Load() {
		return known
	}
	return now
}

// known is the earliest that it can be. Setting the system's clock does not
// move it.
func (c *clock) known() time.Time { return c.floor.Add(time.Since(c.started)) }

// look asks the system whether its clock is kept right.
func (c *clock) look() { c.synced.Store(c.real && clockDisciplined()) }

// source says how the time is known, as far as this node can tell: a clock that
// something keeps right, or one with a battery that set the system's and does
// not lag behind what is known.
func (c *clock) source() replica.ClockSource {
	lags := c.known().After(c.system())
	if c.synced.Load() || c.real && !lags && clockHasBattery() {
		return replica.ClockSynced
	}
	return replica.ClockGuess
}

// run saves the time now and then, and when ctx ends.
func (c *clock) run(ctx context.Context) error {
	save, look := time.NewTicker(clockSaveEvery), time.NewTicker(clockLookEvery)
	defer save.Stop()
	defer look.Stop()
	if err := c.save(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return c.save()
		case <-look.C:
			c.look()
		case <-save.C:
			if err := c.save(); err != nil {
				return err
			}
		}
	}
}

// save fails where the store does. A disk that is full is no such failure: it
// may have room again.
func (c *clock) save() error {
	b := binary.BigEndian.AppendUint64(nil, uint64(c.Now().UnixMilli()))
	err := c.table.Write(func(yield func([]byte, []byte) bool) { yield(clockKey, b) })
	if errors.Is(err, store.ErrFull) {
		c.log.Warn("the disk is full: the time is not saved")
		return nil
	}
	if err != nil {
		return fmt.Errorf("the store takes nothing any more: %w", err)
	}
	return nil
}

// buildTime is when the program's source was committed; where the build does
// not say, when this was written.
func buildTime() time.Time {
	written := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return written
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return t
			}
		}
	}
	return written
}
