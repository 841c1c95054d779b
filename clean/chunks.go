package clean

import (
	"encoding/binary"
	"errors"
)

// chunk is where some samples of a track lie.
type chunk struct {
	span
	skip bool // of a track that goes
	open bool // how long it is, is not sure: it runs to the next one
}

// chunks yields the chunks of a track in the order of its tables.
type chunks interface {
	next() (chunk, bool, error)
}

type itemChunks struct{ left []span }

func (i *itemChunks) next() (chunk, bool, error) {
	if len(i.left) == 0 {
		return chunk{}, false, nil
	}
	s := i.left[0]
	i.left = i.left[1:]
	return chunk{span: s}, true, nil
}

var errOrder = errors.New("its data lie in no order that can be followed")

// merged yields the chunks of all tracks in the order of the file.
type merged struct {
	from  []chunks
	heads []chunk
	last  int64
}

func merge(all []chunks) (*merged, error) {
	m := &merged{}
	for _, c := range all {
		head, ok, err := c.next()
		if err != nil {
			return nil, err
		}
		if ok {
			m.from, m.heads = append(m.from, c), append(m.heads, head)
		}
	}
	return m, nil
}

func (m *merged) next() (chunk, bool, error) {
	if len(m.heads) == 0 {
		return chunk{}, false, nil
	}
	k := 0
	for i := range m.heads {
		if m.heads[i].at < m.heads[k].at {
			k = i
		}
	}
	c := m.heads[k]
	if c.at < m.last {
		return chunk{}, false, errOrder
	}
	m.last = c.at
	head, ok, err := m.from[k].next()
	if err != nil {
		return chunk{}, false, err
	}
	if ok {
		m.heads[k] = head
	} else {
		m.heads = append(m.heads[:k], m.heads[k+1:]...)
		m.from = append(m.from[:k], m.from[k+1:]...)
	}
	return c, true, nil
}

// following is where the next chunk begins, or end.
func (m *merged) following(end int64) int64 {
	for _, h := range m.heads {
		end = min(end, h.at)
	}
	return end
}

// column reads numbers of one size from a table, one after another.
type column struct {
	in    *input
	at    int64
	left  int64 // numbers
	width int   // bytes of one
	store []byte
	buf   []byte // what of store was not given out
}

const columnBuffer = 2 << 10 // bytes

func (c *column) next() (uint64, bool, error) {
	if c.left == 0 {
		return 0, false, nil
	}
	if len(c.buf) == 0 {
		n := int(min(c.left*int64(c.width), columnBuffer))
		b, err := c.in.bytes(c.at, n)
		if err != nil {
			return 0, false, err
		}
		c.store = append(c.store[:0], b...)
		c.buf = c.store
		c.at += int64(n)
	}
	c.left--
	b := c.buf[:c.width]
	c.buf = c.buf[c.width:]
	switch c.width {
	case 1:
		return uint64(b[0]), true, nil
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), true, nil
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), true, nil
	}
	return binary.BigEndian.Uint64(b), true, nil
}

// trackChunks follows the tables of one track (ISO 14496-12, section 8.7).
type trackChunks struct {
	in      *input
	t       *track
	offsets column
	runs    column // first chunk, samples in each, description: three numbers each
	sizes   column
	same    int64 // bytes of every sample, 0 where sizes tells
	samples int64 // that are left

	number         int64 // of the chunk, from 1
	each, nextFrom int64 // samples in each chunk, up to chunk nextFrom
	nextEach       int64
}

func (c *trackChunks) next() (chunk, bool, error) {
	offset, ok, err := c.offsets.next()
	if err != nil || !ok {
		return chunk{}, false, err
	}
	c.number++
	for c.number == c.nextFrom {
		c.each = c.nextEach
		if err := c.run(); err != nil {
			return chunk{}, false, err
		}
	}
	if c.each == 0 || offset > uint64(c.in.size) {
		return chunk{}, false, errBroken
	}
	// Players stop where the sizes end, whatever the chunk says.
	n := min(c.each, c.samples)
	c.samples -= n
	var length int64
	if c.same > 0 {
		if n > c.in.size/c.same {
			return chunk{}, false, errBroken
		}
		length = n * c.same
	} else {
		for range n {
			size, ok, err := c.sizes.next()
			if err != nil {
				return chunk{}, false, err
			}
			if !ok || size > uint64(c.in.size) || length > c.in.size {
				return chunk{}, false, errBroken
			}
			length += int64(size)
		}
	}
	at := int64(offset)
	return chunk{span{at, at + length}, !c.t.keep, c.same > 0 && c.t.handler == "soun"}, true, nil
}

// run reads the next line of the table of chunks.
func (c *trackChunks) run() error {
	first, ok, err := c.runs.next()
	if err != nil {
		return err
	}
	if !ok {
		c.nextFrom = 0 // never
		return nil
	}
	each, _, err := c.runs.next()
	if err != nil {
		return err
	}
	if _, _, err := c.runs.next(); err != nil {
		return err
	}
	if int64(first) <= c.number {
		return errBroken
	}
	c.nextFrom, c.nextEach = int64(first), int64(each)
	return nil
}

// chunksOf opens the tables of a track.
func (m *media) chunksOf(t *track) (chunks, error) {
	if t.auxiliary {
		return nil, errors.New("it is encrypted, or in some such way more than its tables say")
	}
	c := &trackChunks{in: m.in, t: t}
	var err error
	switch t.offsets.kind {
	case "":
		return &itemChunks{}, nil // a track without data
	case "stco":
		c.offsets, err = m.column(t.offsets, 4, 4, 1)
	default:
		c.offsets, err = m.column(t.offsets, 4, 8, 1)
	}
	if err != nil {
		return nil, err
	}
	if c.offsets.left == 0 {
		return &itemChunks{}, nil
	}
	if t.sizes.kind == "" || t.runs.kind == "" {
		return nil, errBroken
	}
	if c.runs, err = m.column(t.runs, 4, 4, 3); err != nil {
		return nil, err
	}
	if err := c.run(); err != nil {
		return nil, err
	}
	how, err := m.in.u32(t.sizes.body + 4)
	if err != nil {
		return nil, err
	}
	if t.sizes.kind == "stz2" {
		width := int(how & 0xff)
		if width != 8 && width != 16 {
			return nil, errors.New("its sizes are told in a way that is not known here")
		}
		c.sizes, err = m.column(t.sizes, 8, width/8, 1)
		c.samples = c.sizes.left
		return c, err
	}
	if c.same = int64(how); c.same > 0 {
		n, err := m.in.u32(t.sizes.body + 8)
		c.samples = int64(n)
		return c, err
	}
	c.sizes, err = m.column(t.sizes, 8, 4, 1)
	c.samples = c.sizes.left
	return c, err
}

// column opens the table in a box: how many lines it has stands at an offset of
// its content, the lines behind it.
func (m *media) column(x box, at int64, width, each int) (column, error) {
	n, err := m.in.u32(x.body + at)
	if err != nil {
		return column{}, err
	}
	c := column{in: m.in, at: x.body + at + 4, left: int64(n) * int64(each), width: width}
	if c.at+c.left*int64(width) > x.end {
		return column{}, errShort
	}
	return c, nil
}
