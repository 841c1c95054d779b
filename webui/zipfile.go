package webui

import (
	"archive/zip"
	"io"
	"math"
	"strconv"
	"strings"

	"boucan/record"
)

// zipWriter writes an archive whose files are stored, with their sizes behind
// them (PKWARE, APPNOTE.TXT, 4.3.9): nothing is known of a file before it has
// been read, and nothing is kept of it after.
type zipWriter struct {
	*zip.Writer
	buf []byte
}

func newZipWriter(w io.Writer) *zipWriter {
	return &zipWriter{zip.NewWriter(w), make([]byte, copyBytes)}
}

// add writes one file and closes content. It fails where content has another
// length than the entry says.
func (z *zipWriter) add(e zipEntry, content Content) error {
	defer content.Close() // was only read
	w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: zip.Store, Modified: e.file.Added})
	if err != nil {
		return err
	}
	// Only a Writer and a Reader, so that the buffer is used.
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{content}, z.buf)
	if err == nil && n != e.file.Size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// zipLength counts the bytes of an archive that zipWriter will write.
type zipLength struct {
	offset, directory int64
	entries           int
}

func (l *zipLength) add(name string, size int64) {
	const (
		local, central   = 30, 46 // fixed parts of a file's two headers
		modified         = 9      // the extra field with the time, in both
		descriptor       = 16     // behind the bytes
		descriptor64     = 24
		extra64          = 28
		longestWithout64 = math.MaxUint32 - 1
	)
	at := l.offset
	l.entries++
	l.offset += local + int64(len(name)) + modified + size + descriptor
	l.directory += central + int64(len(name)) + modified
	if size > longestWithout64 {
		l.offset += descriptor64 - descriptor
	}
	if size > longestWithout64 || at > longestWithout64 {
		l.directory += extra64
	}
}

func (l *zipLength) total() int64 {
	const end, end64 = 22, 56 + 20
	n := l.offset + l.directory + end
	if l.offset >= math.MaxUint32 || l.directory >= math.MaxUint32 || l.entries >= math.MaxUint16 {
		n += end64
	}
	return n
}

// zipNames are the names in one archive, without regard to case, as Windows and
// macOS unpack them, and whether each is a folder.
type zipNames map[string]bool

// unique changes a clean name as little as it must to be unlike those before: no
// file twice, and none in the place of a folder or below a file.
func (z zipNames) unique(name string) string {
	parts := strings.Split(name, "/")
	dir := ""
	for i, part := range parts {
		last := i == len(parts)-1
		stem, ext := part, ""
		if last {
			stem, ext = record.SplitExt(part)
		}
		for n := 2; ; n++ {
			folder, taken := z[fold(dir+part)]
			if !taken || folder && !last {
				break
			}
			mark := " (" + strconv.Itoa(n) + ")"
			part = record.TrimPart(stem, record.MaxNamePart-len(mark)-len(ext)) + mark + ext
		}
		parts[i] = part
		z[fold(dir+part)] = !last
		dir += part + "/"
	}
	return strings.Join(parts, "/")
}

// fold makes names equal that differ by case only.
func fold(name string) string { return strings.ToLower(strings.ToUpper(name)) }
