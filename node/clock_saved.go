package node

import (
	"encoding/binary"
	"fmt"
	"iter"
	"runtime/debug"
	"time"

	"boucan/replica"
)

// clockTable is where the time is saved.
type clockTable interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Write(pairs iter.Seq2[[]byte, []byte]) error
}

var clockKey = []byte("clock")

// savedClock is what a restart must know of the time. How the time was known is
// in least: what was only heard may be undone by what is heard later.
type savedClock struct {
	time    time.Time     // the latest
	least   time.Time     // the latest known at first hand; peers set no clock back beyond it
	settled time.Time     // by which things have been forgotten
	lent    time.Duration // by which guesses have gone forward with single peers
	doubt   time.Time     // since when, by this clock, the time was not known; zero if it was
}

// clockRecord is a savedClock on disk, its times in Unix milliseconds, big
// endian. Earlier programs wrote only the first of them.
type clockRecord struct{ Time, Least, Settled, Lent, Doubt int64 }

func loadClock(table clockTable) (savedClock, error) {
	b, ok, err := table.Get(clockKey)
	if err != nil {
		return savedClock{}, fmt.Errorf("read saved time: %w", err)
	}
	if !ok {
		return savedClock{}, nil
	}
	zero := time.Time{}.UnixMilli()
	r := clockRecord{Time: zero, Least: zero, Settled: zero, Doubt: zero}
	fields := []*int64{&r.Time, &r.Least, &r.Settled, &r.Lent, &r.Doubt}
	for i, f := range fields[:min(len(fields), len(b)/8)] {
		*f = int64(binary.BigEndian.Uint64(b[8*i:]))
	}
	return savedClock{
		time: timeOf(r.Time), least: timeOf(r.Least), settled: timeOf(r.Settled),
		lent: time.Duration(r.Lent) * time.Millisecond, doubt: timeOf(r.Doubt),
	}, nil
}

func (s savedClock) write(table clockTable) error {
	b, err := binary.Append(nil, binary.BigEndian, clockRecord{
		s.time.UnixMilli(), s.least.UnixMilli(), s.settled.UnixMilli(), s.lent.Milliseconds(), s.doubt.UnixMilli(),
	})
	if err != nil {
		return fmt.Errorf("write the time: %w", err)
	}
	return table.Write(func(yield func([]byte, []byte) bool) { yield(clockKey, b) })
}

// sourceName is how a log names a source.
func sourceName(s replica.ClockSource) string {
	switch s {
	case replica.ClockSynced:
		return "system"
	case replica.ClockOperator:
		return "operator"
	case replica.ClockPeers:
		return "peers"
	case replica.ClockVisitor:
		return "visitor"
	}
	return "guess"
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
