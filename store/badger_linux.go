//go:build !boltstore && !386 && !arm && !mips && !mipsle

package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// adviceReclaim is MADV_PAGEOUT (Linux 5.4).
const adviceReclaim = 21

// forget gives back the pages of the tables. Logs stay: they are being written.
//
// MADV_DONTNEED only makes the next look at a page fetch it from the kernel's
// cache again, but must not fall on addresses at which Badger has unmapped a
// table and the Go runtime mapped memory, between the reading of the list and
// the advice. That is what the lock is for. While Badger compacts, it unmaps
// when it likes; then the advice is one that loses nothing wherever it falls,
// though it takes pages out of the kernel's cache too.
func (e *badgerEngine) forget() {
	e.maps.Lock()
	defer e.maps.Unlock()
	advice := syscall.MADV_DONTNEED
	if e.compacting {
		advice = adviceReclaim
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		var from, to uintptr
		if !strings.HasSuffix(line, ".sst") || !strings.Contains(line, e.dir) {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err == nil && to > from {
			advise(from, to-from, advice)
		}
	}
}

// allocate makes the first size bytes of the file at path take up room on the
// disk, without writing them (fallocate(2)). It fails with
// errors.ErrUnsupported where the file system cannot.
func allocate(path string, flags int, size int64) error {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, size), f.Close())
}
