//go:build boltstore || 386 || arm || mips || mipsle

package store

import (
	"os"
	"syscall"
)

// forget gives back the pages of the file. The map is of the file, shared, and
// stays where it is for as long as the store is open (see maxFile), so that
// MADV_DONTNEED only makes the next look at a page fetch it from the kernel's
// cache again.
func (e *boltEngine) forget() {
	info, err := os.Stat(e.db.Path())
	if err != nil {
		return
	}
	advise(e.db.Info().Data, uintptr(info.Size()), syscall.MADV_DONTNEED)
}
