package store

import (
	"fmt"
	"os"
	"syscall"
)

// mappedBytes is how much memory of this process is pages of files (field
// "shared" of proc_pid_statm(5)), 0 where that cannot be known.
func mappedBytes() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident, shared int64
	if _, err := fmt.Sscan(string(b), &size, &resident, &shared); err != nil {
		return 0
	}
	return shared * int64(os.Getpagesize())
}

// advise is madvise(2) on a range of addresses.
func advise(address, size uintptr, advice int) {
	// Advice that is refused, as by an old kernel, is only advice.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, address, size, uintptr(advice))
}
