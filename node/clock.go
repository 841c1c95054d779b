package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"time"

	"boucan/store"
)

// clock is this node's idea of the time. Routers have no clock battery: it is
// never earlier than the build of the program, nor than the time last saved,
// and never runs backwards between starts.
type clock struct {
	table   *store.Bucket
	floor   time.Time // what was known at start
	started time.Time // with the monotonic reading
}

// clockSaveInterval spares flash: an hour's error after a power cut is small
// beside the life of a record.
const clockSaveInterval = time.Hour

var clockKey = []byte("clock")

// openClock reads the saved time.
func openClock(table *store.Bucket) (*clock, error) {
	c := &clock{table: table, floor: buildTime(), started: time.Now()}
	b, ok, err := table.Get(clockKey)
	if err != nil {
		return nil, fmt.Errorf("read saved time: %w", err)
	}
	if ok && len(b) == 8 {
		if saved := time.UnixMilli(int64(binary.BigEndian.Uint64(b))); saved.After(c.floor) {
			c.floor = saved
		}
	}
	return c, nil
}

// Now is the node's time: the system's, unless that lags behind what was known
// at start and the time since. Safe for concurrent use.
func (c *clock) Now() time.Time {
	now := time.Now()
	if known := c.floor.Add(now.Sub(c.started)); known.After(now) {
		return known
	}
	return now
}

// guessed reports whether the system's clock is known to be wrong.
func (c *clock) guessed() bool {
	now := time.Now()
	return c.floor.Add(now.Sub(c.started)).After(now)
}

// run saves the time now and then, and when ctx ends.
func (c *clock) run(ctx context.Context) error {
	tick := time.NewTicker(clockSaveInterval)
	defer tick.Stop()
	for {
		if err := c.save(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return c.save()
		case <-tick.C:
		}
	}
}

func (c *clock) save() error {
	b := binary.BigEndian.AppendUint64(nil, uint64(c.Now().UnixMilli()))
	err := c.table.Write(func(yield func([]byte, []byte) bool) { yield(clockKey, b) })
	if err != nil {
		return fmt.Errorf("save time: %w", err)
	}
	return nil
}

// buildTime is when the program's source was committed, the zero time where the
// build does not say.
func buildTime() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return t
			}
		}
	}
	return time.Time{}
}
