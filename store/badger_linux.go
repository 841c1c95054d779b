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

// adviceReclaim is MADV_PAGEOUT (Linux 5.4). Badger may unmap a table and the
// Go runtime take its addresses while this list of maps is being read; unlike
// MADV_DONTNEED, this advice loses nothing whatever it falls on.
const adviceReclaim = 21

// forget gives back the pages of the tables. Logs stay: they are being written.
func (e *badgerEngine) forget() {
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
			advise(from, to-from, adviceReclaim)
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
