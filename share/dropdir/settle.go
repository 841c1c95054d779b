package dropdir

import (
	"os"
	"time"
)

const (
	// quietTime is how long a file must lie unchanged where nothing tells
	// whether somebody writes it.
	quietTime = 5 * time.Second
	// grain is the coarsest step of modification times, so that a second
	// change within one step is not missed: a timer tick, and two seconds on
	// FAT.
	grain    = 20 * time.Millisecond
	grainFAT = 2100 * time.Millisecond
)

// Settled reports whether nobody is writing the open file that lies as e at
// the moment. unchanged is how long the caller knows it to lie like that.
// Nothing tells of a writer who closed the file and will open it again; what
// such a one adds is a new version.
func (d *Dir) Settled(f *os.File, e Entry, now time.Time, unchanged time.Duration) bool {
	t := d.current.Load().traits
	step := grain
	if t.fat {
		step = grainFAT
	}
	// Boxes without a clock battery see times from the future; those tell
	// nothing, and the caller's own patience counts.
	if age := now.Sub(e.Changed); age > unchanged {
		unchanged = age
	}
	if t.leases {
		if free, known := lease(f); known {
			return free && (unchanged >= step || now.Before(e.Modified))
		}
	}
	return unchanged >= quietTime
}
