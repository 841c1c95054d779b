package node

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// clockDisciplined reports whether something keeps the system's clock right, as
// the kernel says: NTP, PTP or a receiver of time signals (adjtimex(2),
// STA_UNSYNC).
func clockDisciplined() bool {
	var t unix.Timex // no mode: nothing is changed, and no privilege needed
	state, err := unix.Adjtimex(&t)
	const timeError = 5 // TIME_ERROR: the clock is not synchronised
	return err == nil && state != timeError && t.Status&unix.STA_UNSYNC == 0
}

// clockHasBattery reports whether the system's clock was set from a hardware
// clock when the machine started (Linux, Documentation/ABI/testing/rtc-cdev and
// sysfs-class-rtc, hctosys).
func clockHasBattery() bool {
	files, err := filepath.Glob("/sys/class/rtc/rtc*/hctosys")
	if err != nil {
		return false
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(b)) == "1" {
			return true
		}
	}
	return false
}
