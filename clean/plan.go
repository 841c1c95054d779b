package clean

import (
	"bytes"
	"cmp"
	"io"
	"slices"
)

// Plan is what has to be changed in a file. It never makes the file longer, up to
// no point of it. It is read-only and may be used from many goroutines.
type Plan struct {
	Format   string // as people call it: JPEG, MP4
	Location bool   // what goes holds a position, as far as can be told

	in    *input
	edits []edit // by place in the file; they do not overlap
	size  int64  // of what comes out, bytes
	parts int
}

// edit puts data and then zeros in the place of n bytes at an offset: n or fewer.
type edit struct {
	at, n int64
	data  []byte
	zeros int64
}

func (e edit) out() int64 { return int64(len(e.data)) + e.zeros }

// Dirty reports whether there is anything to remove.
func (p *Plan) Dirty() bool { return len(p.edits) > 0 }

// Size is the length of the cleaned file in bytes.
func (p *Plan) Size() int64 { return p.size }

// Same reports whether a range of the cleaned file is the same as that of the
// file before, in the same place.
func (p *Plan) Same(at, n int64) bool {
	for _, e := range p.edits {
		switch {
		case e.at >= at+n:
			return true
		case e.out() < e.n || e.at+e.n > at:
			return false
		}
	}
	return true
}

// File is what [Plan.Apply] changes. *os.File is one.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
}

// Apply cleans the file that was looked at in place. After an error the file is
// neither the old nor the new one. It takes 128 KiB of memory.
func (p *Plan) Apply(f File) error {
	buf := make([]byte, min(2*window, p.in.size))
	var from, to int64 // read up to here, written up to here; to is never ahead
	move := func(n int64) error {
		if from == to {
			from, to = from+n, to+n
			return nil
		}
		for n > 0 {
			b := buf[:min(n, int64(len(buf)))]
			if k, err := f.ReadAt(b, from); k < len(b) {
				return unexpected(err)
			}
			if _, err := f.WriteAt(b, to); err != nil {
				return err
			}
			from, to, n = from+int64(len(b)), to+int64(len(b)), n-int64(len(b))
		}
		return nil
	}
	for _, e := range p.edits {
		if err := move(e.at - from); err != nil {
			return err
		}
		if len(e.data) > 0 {
			if _, err := f.WriteAt(e.data, to); err != nil {
				return err
			}
			to += int64(len(e.data))
		}
		if e.zeros > 0 {
			clear(buf)
		}
		for left := e.zeros; left > 0; {
			b := buf[:min(left, int64(len(buf)))]
			if _, err := f.WriteAt(b, to); err != nil {
				return err
			}
			to, left = to+int64(len(b)), left-int64(len(b))
		}
		from = e.at + e.n
	}
	if err := move(p.in.size - from); err != nil {
		return err
	}
	if p.size == p.in.size {
		return nil
	}
	return f.Truncate(p.size)
}

func unexpected(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Reader yields the cleaned bytes of the file that was looked at.
func (p *Plan) Reader(src io.ReaderAt) io.Reader {
	var parts []io.Reader
	var from int64
	for _, e := range p.edits {
		parts = append(parts, io.NewSectionReader(src, from, e.at-from), bytes.NewReader(e.data), io.LimitReader(zeros{}, e.zeros))
		from = e.at + e.n
	}
	return io.MultiReader(append(parts, io.NewSectionReader(src, from, p.in.size-from))...)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// part counts one more chunk, box, block or frame.
func (p *Plan) part() error {
	if p.parts++; p.parts > maxParts {
		return errTooMany
	}
	return nil
}

// remove takes n bytes out.
func (p *Plan) remove(at, n int64) error { return p.replace(at, n, nil) }

// replace puts data in the place of n bytes. Where data is as long and the same,
// nothing is changed.
func (p *Plan) replace(at, n int64, data []byte) error {
	if n <= 0 {
		return nil
	}
	if int64(len(data)) > n {
		return errBroken // what is kept is longer than what it was kept from
	}
	if int64(len(data)) == n {
		if b, err := p.in.bytes(at, len(data)); err == nil && bytes.Equal(b, data) {
			return nil
		}
	}
	return p.add(edit{at: at, n: n, data: data})
}

// blank puts zeros in the place of n bytes, where there are not only zeros.
func (p *Plan) blank(at, n int64) error {
	was, err := p.in.blank(at, n)
	if err != nil || was {
		return err
	}
	return p.add(edit{at: at, n: n, zeros: n})
}

func (p *Plan) add(e edit) error {
	if err := p.sniff(e.at, e.n); err != nil {
		return err
	}
	if k := len(p.edits) - 1; k >= 0 {
		l := &p.edits[k]
		if l.at+l.n == e.at && len(e.data) == 0 && (e.zeros == 0) == (l.zeros == 0) && (l.zeros > 0 || len(l.data) == 0) {
			l.n, l.zeros = l.n+e.n, l.zeros+e.zeros
			return nil
		}
	}
	if len(p.edits) == maxEdits {
		return errTooMany
	}
	p.edits = append(p.edits, e)
	return nil
}

// marks stand where a position is told.
var marks = [][]byte{[]byte("GPS"), []byte("\xa9xyz"), []byte("loci"), []byte("ISO6709"), []byte("geo:"), []byte("LOCATION="), []byte("location")}

// sniff looks for a position in what goes.
func (p *Plan) sniff(at, n int64) error {
	if p.Location || n < 8 {
		return nil
	}
	b, err := p.in.bytes(at, int(min(n, sniffed)))
	if err != nil {
		return err
	}
	for _, m := range marks {
		p.Location = p.Location || bytes.Contains(b, m)
	}
	return nil
}

// finish puts the edits in order and holds them to what Plan promises.
func (p *Plan) finish() error {
	slices.SortFunc(p.edits, func(a, b edit) int { return cmp.Compare(a.at, b.at) })
	p.size = p.in.size
	var end int64
	for _, e := range p.edits {
		if e.at < end || e.n <= 0 || e.out() > e.n || e.at > p.in.size-e.n {
			return errBroken
		}
		end = e.at + e.n
		p.size += e.out() - e.n
	}
	return nil
}
