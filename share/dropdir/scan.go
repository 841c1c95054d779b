package dropdir

import (
	"errors"
	"io"
	"os"
)

// scanAlign is what offset, length and memory of a read past the cache must be
// multiples of, bytes: the largest block of common disks.
const scanAlign = 4096

// scanPiece is how much a Scan reads at a time, bytes.
const scanPiece = 128 << 10

// ScanBuffer is memory for Scans, one after the other. Go aligns what is so
// large to pages; if it did not, the system would refuse it and the cache be
// used.
func ScanBuffer() []byte { return make([]byte, scanPiece) }

// Scan is an open file that is read as the disk has it, where the system lets
// one: past the system's cache, which neither answers in the disk's place nor is
// filled with what nobody asked for. It is for one goroutine.
type Scan struct {
	d      *Dir
	file   *os.File
	entry  Entry
	buf    []byte
	direct bool
}

// Scan opens a file and says how it lies. buf is from ScanBuffer. It fails as
// Open does.
func (d *Dir) Scan(path string, buf []byte) (*Scan, Entry, error) {
	f, e, err := d.open(path, directFlag)
	direct := directFlag != 0
	if isInvalid(err) && direct {
		direct = false
		f, e, err = d.open(path, 0)
	}
	if err != nil {
		return nil, Entry{}, err
	}
	return &Scan{d: d, file: f, entry: e, buf: buf, direct: direct}, e, nil
}

// Copy writes a range of the file to w. It fails with io.ErrUnexpectedEOF where
// the file ends before it. Offset is a multiple of 4096.
func (s *Scan) Copy(w io.Writer, offset int64, length int) error {
	defer func() {
		if !s.direct {
			dropCache(s.file, offset, int64(length))
		}
	}()
	for length > 0 {
		n, err := s.read(min(length, len(s.buf)), offset)
		if n > 0 {
			if _, err := w.Write(s.buf[:n]); err != nil {
				return err
			}
		}
		offset, length = offset+int64(n), length-n
		switch {
		case length == 0:
		case errors.Is(err, io.EOF) || err == nil && n == 0:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return nil
}

// read fills the buffer with at most n bytes.
func (s *Scan) read(n int, offset int64) (int, error) {
	if s.direct {
		whole := (n + scanAlign - 1) &^ (scanAlign - 1)
		got, err := s.file.ReadAt(s.buf[:whole], offset)
		switch {
		case got > 0 && isInvalid(err):
			return min(got, n), io.EOF // the file ends within a block, where nothing can be read from
		case !isInvalid(err):
			return min(got, n), err
		}
		// The flag was taken at open and is refused here: so do some file systems.
		if err := s.cached(); err != nil {
			return 0, err
		}
	}
	return s.file.ReadAt(s.buf[:n], offset)
}

// cached goes on through the system's cache.
func (s *Scan) cached() error {
	f, e, err := s.d.open(s.entry.Path, 0)
	if err != nil {
		return err
	}
	if !e.Same(s.entry) {
		f.Close() // was not read
		return io.ErrUnexpectedEOF
	}
	old := s.file
	s.file, s.direct = f, false
	return old.Close()
}

// Still reports whether the file is the one that was opened, unwritten since,
// and nobody is writing it.
func (s *Scan) Still() bool {
	e, err := s.d.Stat(s.entry.Path)
	if err != nil || !e.Same(s.entry) {
		return false
	}
	if !s.d.current.Load().traits.leases {
		return true
	}
	free, known := lease(s.file)
	return free || !known
}

// Close closes the file.
func (s *Scan) Close() error { return s.file.Close() }

// Answers reports whether the disk gives back anything at all. It reads the
// folder's marker, past the cache where that is possible.
func (d *Dir) Answers() bool {
	h, err := d.handle()
	if err != nil {
		return false
	}
	buf := ScanBuffer()
	for _, flag := range []int{directFlag, 0} {
		f, err := h.root.OpenFile(markerName, os.O_RDONLY|openFlags|flag, 0)
		if isInvalid(err) && flag != 0 {
			continue
		}
		if err != nil {
			return false
		}
		n, err := f.ReadAt(buf[:scanAlign], 0)
		f.Close() // was only read
		if isInvalid(err) && flag != 0 {
			continue
		}
		return n > 0 && (err == nil || errors.Is(err, io.EOF))
	}
	return false
}
