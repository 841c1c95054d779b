//go:build !boltstore && !386 && !arm && !mips && !mipsle

package store

import (
	"errors"
	"os"
	"syscall"
)

// reserve makes the file at path take up size bytes of the disk, without
// writing them (fallocate(2)). Where that fails, the file is removed.
func reserve(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, size), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
