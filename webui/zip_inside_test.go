package webui

import (
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// TestZIPLengthIsWhatIsWritten also where an archive needs the fields of 64 bits.
// Its gigabytes are zeros that nobody keeps.
func TestZIPLengthIsWhatIsWritten(t *testing.T) {
	for name, sizes := range map[string][]int64{
		"nothing": {}, "one empty": {0}, "some": {1, 70_000, 0},
		"the largest without": {math.MaxUint32 - 1}, "one beyond, and offsets": {math.MaxUint32, 1, 1},
	} {
		var written counted
		z := newZipWriter(&written)
		var n zipLength
		for i, size := range sizes {
			entry := zipEntry{File{Size: size, Added: time.Unix(1780000000, 0)}, strings.Repeat("é", i+1) + ".bin"}
			if err := z.add(entry, zeros(size)); err != nil {
				t.Fatal(err)
			}
			n.add(entry.name, size)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if n.total() != int64(written) {
			t.Errorf("%s: %d bytes were written, %d foretold", name, written, n.total())
		}
	}
}

type counted int64

func (c *counted) Write(b []byte) (int, error) {
	*c += counted(len(b))
	return len(b), nil
}

// zeros is a file of so many zeros.
func zeros(size int64) Content { return nopCloser{io.NewSectionReader(void{}, 0, size)} }

type void struct{}

func (void) ReadAt(b []byte, _ int64) (int, error) { return len(b), nil }
