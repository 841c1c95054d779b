//go:build !linux

package dropdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Without Linux the folder is served with what every system has: quiet time
// instead of leases, links instead of exclusive renames, no reserve of room.

const (
	openFlags  = 0
	directFlag = 0
)

// Boot names the run of the system, where that can be told.
func Boot() string { return "" }

func findTraits(*os.File) traits { return traits{} }

func syncWhole(*os.File) error { return errors.ErrUnsupported }

func findSpace(*os.File) (Space, error) { return Space{Free: 1 << 62, Total: 1 << 62}, nil }

func renameNew(*os.File, string, *os.File, string) error { return errors.ErrUnsupported }

func lease(*os.File) (free, known bool) { return false, false }

func exclude(*os.File) (end func(), err error) { return func() {}, nil }

func exchange(*os.File, string, *os.File, string) error { return errors.ErrUnsupported }

func preallocate(*os.File, int64) (bool, error) { return false, nil }

func isHole(*os.File, int64, int64) bool { return false }

func startFlush(*os.File, int64, int64) {}

func dropCache(*os.File, int64, int64) {}

func list(root *os.Root, add func(name string, folder bool)) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	const readAtOnce = 256
	for {
		entries, err := f.ReadDir(readAtOnce)
		for _, e := range entries {
			if e.IsDir() || e.Type().IsRegular() {
				add(e.Name(), e.IsDir())
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func details(fs.FileInfo) (inode uint64, changed time.Time) { return 0, time.Time{} }

func allocated(fi fs.FileInfo) int64 { return fi.Size() }

func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case IsFault(err):
		return fmt.Errorf("%w: %w", ErrFailing, err)
	}
	return err
}

// IsFault reports whether an error of reading says that the disk is broken there.
func IsFault(err error) bool { return errors.Is(err, syscall.EIO) }

func isInvalid(err error) bool   { return errors.Is(err, syscall.EINVAL) }
func isNotFolder(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

func isOddName(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENAMETOOLONG)
}
