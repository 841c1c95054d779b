package dropdir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// openFlags keep an open from hanging on a pipe or from following a link that
// was put in the file's place.
const openFlags = unix.O_NONBLOCK | unix.O_NOFOLLOW

// directFlag makes reads go past the system's cache (open(2), O_DIRECT).
const directFlag = unix.O_DIRECT

// File systems told apart, by their magic numbers (linux/magic.h and the file
// systems' own sources).
const (
	magicFAT   = 0x4d44
	magicExFAT = 0x2011bab0
	magicNFS   = 0x6969
	magicSMB   = 0x517b
	magicCIFS  = 0xff534d42
	magicSMB2  = 0xfe534d42
	magic9P    = 0x01021997
	magicFUSE  = 0x65735546
	magicAFS   = 0x5346414f
	magicCeph  = 0x00c36400
	magicExt   = 0xef53
	magicXFS   = 0x58465342
	magicBtrfs = 0x9123683e
	magicF2FS  = 0xf2f52010
	magicTmpfs = 0x01021994
)

// findTraits asks what the file system under dir can do. What cannot be found
// out counts as not possible.
func findTraits(dir *os.File) traits {
	var st unix.Statfs_t
	if onDescriptor(dir, func(fd int) error { return unix.Fstatfs(fd, &st) }) != nil {
		return traits{}
	}
	t := traits{leases: true, inodes: true, wholeSync: reportsSync()}
	switch uint32(st.Type) {
	case magicFAT:
		t.fat, t.inodes, t.maxFile = true, false, 4<<30-1
	case magicExFAT:
		t.fat, t.inodes = true, false
	case magicNFS, magicSMB, magicCIFS, magicSMB2, magic9P, magicFUSE, magicAFS, magicCeph:
		// Others write there unseen by this kernel's leases.
		t.leases, t.inodes, t.wholeSync = false, false, false
	case magicExt, magicXFS, magicBtrfs, magicF2FS, magicTmpfs:
		t.preallocate = true
	}
	return t
}

// reportsSync is true where syncfs(2) reports write errors: since Linux 5.8.
func reportsSync() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var major, minor int
	if n, _ := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); n != 2 {
		return false
	}
	return major > 5 || major == 5 && minor >= 8
}

func syncWhole(dir *os.File) error {
	return onDescriptor(dir, unix.Syncfs)
}

func findSpace(dir *os.File) (Space, error) {
	var st unix.Statfs_t
	if err := onDescriptor(dir, func(fd int) error { return unix.Fstatfs(fd, &st) }); err != nil {
		return Space{}, fmt.Errorf("find free space: %w", err)
	}
	unit := int64(st.Bsize)
	if st.Frsize > 0 {
		unit = int64(st.Frsize)
	}
	return Space{Free: int64(st.Bavail) * unit, Total: int64(st.Blocks) * unit}, nil
}

// renameNew is renameat2(2) with RENAME_NOREPLACE. It fails with
// errors.ErrUnsupported where kernel or file system do not have it.
func renameNew(from *os.File, name string, to *os.File, base string) error {
	err := onDescriptor(from, func(a int) error {
		return onDescriptor(to, func(b int) error {
			return unix.Renameat2(a, name, b, base, unix.RENAME_NOREPLACE)
		})
	})
	if errors.Is(err, unix.EINVAL) && !strings.ContainsAny(base, "\x00/") || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}

// lease asks the kernel whether anybody has the file open for writing:
// a read lease is granted only when nobody has (fcntl(2), "Leases"). known is
// false where it cannot tell.
func lease(f *os.File) (free, known bool) {
	err := onDescriptor(f, func(fd int) error {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
			return err
		}
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
		return err
	})
	switch {
	case err == nil:
		return true, true
	case errors.Is(err, unix.EAGAIN):
		return false, true
	}
	return false, false
}

// exclude keeps everybody else from opening f, which nobody else may have open,
// until end is called: a write lease (fcntl(2), "Leases"). It fails with
// ErrInUse; where there are no leases it does nothing.
func exclude(f *os.File) (end func(), err error) {
	set := func(kind int) error {
		return onDescriptor(f, func(fd int) error {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, kind)
			return err
		})
	}
	switch err := set(unix.F_WRLCK); {
	case err == nil:
		return func() { _ = set(unix.F_UNLCK) }, nil // closing would end it, too
	case errors.Is(err, unix.EAGAIN):
		return nil, ErrInUse
	}
	return func() {}, nil
}

// exchange swaps two files (renameat2(2), RENAME_EXCHANGE). It fails with
// errors.ErrUnsupported where kernel or file system do not have it.
func exchange(from *os.File, name string, to *os.File, base string) error {
	err := onDescriptor(from, func(a int) error {
		return onDescriptor(to, func(b int) error {
			return unix.Renameat2(a, name, b, base, unix.RENAME_EXCHANGE)
		})
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}

func preallocate(f *os.File, size int64) (bool, error) {
	err := onDescriptor(f, func(fd int) error { return unix.Fallocate(fd, 0, 0, size) })
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, unix.EINVAL):
		return false, nil
	}
	return false, err
}

func isHole(f *os.File, offset, length int64) bool {
	var data int64
	err := onDescriptor(f, func(fd int) (err error) {
		data, err = unix.Seek(fd, offset, unix.SEEK_DATA)
		return err
	})
	return errors.Is(err, unix.ENXIO) || err == nil && data >= offset+length
}

func startFlush(f *os.File, offset, length int64) {
	// A hint: what it cannot do, Sync does and reports.
	_ = onDescriptor(f, func(fd int) error {
		return unix.SyncFileRange(fd, offset, length, unix.SYNC_FILE_RANGE_WRITE)
	})
}

// dropCache lets the system forget what was read of a range.
func dropCache(f *os.File, offset, length int64) {
	// A hint, like startFlush.
	_ = onDescriptor(f, func(fd int) error { return unix.Fadvise(fd, offset, length, unix.FADV_DONTNEED) })
}

// list calls add for each file and folder in root's own folder, in no order.
// It reads the kernel's listing itself, for os.File asks for each name's
// details in a folder that is opened through os.Root, and those are needed once
// at most.
func list(root *os.Root, add func(name string, folder bool)) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return onDescriptor(f, func(fd int) error {
		buf := make([]byte, 32<<10)
		for {
			n, err := unix.ReadDirent(fd, buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n <= 0 {
				return err
			}
			for b := buf[:n]; len(b) > 0; {
				var name string
				var kind byte
				if name, kind, b, err = nextName(b); err != nil {
					return err
				}
				if kind == unix.DT_UNKNOWN {
					kind = findKind(root, name)
				}
				if kind == unix.DT_DIR && name != "." && name != ".." || kind == unix.DT_REG {
					add(name, kind == unix.DT_DIR)
				}
			}
		}
	})
}

// nextName reads one struct linux_dirent64 (getdents(2)): inode, offset, 16 bits
// of length, 8 of type, the name and a zero byte.
func nextName(b []byte) (name string, kind byte, rest []byte, err error) {
	const head = 8 + 8 + 2 + 1
	if len(b) < head {
		return "", 0, nil, errors.New("listing is cut off")
	}
	length := int(binary.NativeEndian.Uint16(b[16:]))
	if length <= head || length > len(b) {
		return "", 0, nil, errors.New("listing is malformed")
	}
	return unix.ByteSliceToString(b[head:length]), b[18], b[length:], nil
}

// findKind asks for what file systems do not list.
func findKind(root *os.Root, name string) byte {
	fi, err := root.Lstat(name)
	switch {
	case err == nil && fi.IsDir():
		return unix.DT_DIR
	case err == nil && !fi.Mode().IsRegular():
		return unix.DT_LNK
	}
	return unix.DT_REG // what cannot be read is met again, and said to be so
}

// details are what fs.FileInfo does not tell.
func details(fi fs.FileInfo) (inode uint64, changed time.Time) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, time.Time{}
	}
	return st.Ino, time.Unix(st.Ctim.Unix())
}

// allocated is the room that a file takes; st_blocks counts 512 bytes always.
func allocated(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return fi.Size()
}

// diskError gives the errors of a disk that takes nothing more the names that
// callers test for.
func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, unix.EFBIG):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case IsFault(err), errors.Is(err, unix.ESHUTDOWN):
		return fmt.Errorf("%w: %w", ErrFailing, err)
	}
	return err
}

// IsFault reports whether an error of reading says that the disk, or what the
// file system keeps on it, is broken there; not that somebody may not read it or
// is at it.
func IsFault(err error) bool {
	for _, fault := range []error{unix.EIO, unix.EUCLEAN, unix.EBADMSG, unix.EREMOTEIO, unix.ENODATA, unix.ENXIO, unix.ENODEV} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}

func isInvalid(err error) bool   { return errors.Is(err, unix.EINVAL) }
func isNotFolder(err error) bool { return errors.Is(err, unix.ENOTDIR) }

// isOddName is true where a file system cannot hold a name as it is.
func isOddName(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EILSEQ) || errors.Is(err, unix.ENAMETOOLONG)
}

// onDescriptor calls fn with the descriptor of f, which stays open meanwhile.
func onDescriptor(f *os.File, fn func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		for {
			if inner = fn(int(fd)); !errors.Is(inner, unix.EINTR) {
				return
			}
		}
	})
	runtime.KeepAlive(f)
	return errors.Join(err, inner)
}

// Boot names the run of the system: another one has forgotten what it had not
// written to a disk yet. It is empty where that cannot be told (proc(5),
// random/boot_id).
var Boot = sync.OnceValue(func() string {
	const longest = 64
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(id) > longest {
		return ""
	}
	return strings.TrimSpace(string(id))
})
