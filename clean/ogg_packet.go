package clean

import (
	"bytes"
	"encoding/binary"
)

// oggPacket is a packet in the pages that it runs over.
type oggPacket struct {
	in    *input
	size  int64
	parts []oggPart
	buf   []byte
}

// oggPart is what of a packet lies in one page.
type oggPart struct {
	at, n int64 // in the file
	begin int64 // in the packet
}

func (k *oggPacket) add(at, n int64) error {
	if k.size += n; k.size > maxComments {
		return errTooMany
	}
	k.parts = append(k.parts, oggPart{at, n, k.size - n})
	return nil
}

// bytes reads from the packet; at most a window of it.
func (k *oggPacket) bytes(at int64, n int) ([]byte, error) {
	if at < 0 || n > window || at > k.size-int64(n) {
		return nil, errShort
	}
	k.buf = k.buf[:0]
	// Packets are read from the front, but for the few bytes of a length.
	for _, part := range k.parts[k.partOf(at):] {
		from, to := max(at, part.begin), min(at+int64(n), part.begin+part.n)
		if from >= to {
			break
		}
		b, err := k.in.bytes(part.at+from-part.begin, int(to-from))
		if err != nil {
			return nil, err
		}
		k.buf = append(k.buf, b...)
	}
	return k.buf, nil
}

// partOf finds the part that holds a place in the packet.
func (k *oggPacket) partOf(at int64) int {
	low, high := 0, len(k.parts)
	for low < high {
		if m := (low + high) / 2; k.parts[m].begin+k.parts[m].n <= at {
			low = m + 1
		} else {
			high = m
		}
	}
	return low
}

// rewrite puts out, and zeros up to its end, in the place of a packet.
func (s *oggStream) rewrite(out []byte) error {
	if int64(len(out)) > s.packet.size {
		return errBroken
	}
	for _, part := range s.packet.parts {
		data := out[min(part.begin, int64(len(out))):]
		data = bytes.Clone(data[:min(part.n, int64(len(data)))])
		s.edits = append(s.edits, edit{at: part.at, n: part.n, data: data, zeros: part.n - int64(len(data))})
	}
	return nil
}

// oggChange makes the edits of a stream's headers those of the file, with new
// checksums of the pages that they change.
func (p *Plan) oggChange(s *oggStream) error {
	rest := s.edits
	for _, g := range s.pages {
		page, err := p.in.bytes(g.at, int(g.end-g.at))
		if err != nil {
			return err
		}
		was, page := bytes.Clone(page), bytes.Clone(page)
		var mine []edit
		for len(rest) > 0 && rest[0].at < g.end {
			e := rest[0]
			rest = rest[1:]
			mine = append(mine, e)
			piece := page[e.at-g.at:][:e.n]
			clear(piece[copy(piece, e.data):])
		}
		if bytes.Equal(page, was) {
			continue
		}
		clear(page[22:26])
		if err := p.replace(g.at+22, 4, binary.LittleEndian.AppendUint32(nil, oggSum(page))); err != nil {
			return err
		}
		for _, e := range mine {
			if e.n == 0 {
				continue
			}
			if err := p.add(e); err != nil {
				return err
			}
		}
	}
	s.edits, s.pages = nil, nil
	return nil
}

// oggTable is the CRC of a page's bytes: polynomial 0x04c11db7, highest bit first
// (RFC 3533, section 6).
var oggTable = func() (table [256]uint32) {
	for i := range table {
		r := uint32(i) << 24
		for range 8 {
			if r&0x80000000 != 0 {
				r = r<<1 ^ 0x04c11db7
			} else {
				r <<= 1
			}
		}
		table[i] = r
	}
	return table
}()

func oggSum(page []byte) uint32 {
	var sum uint32
	for _, b := range page {
		sum = sum<<8 ^ oggTable[byte(sum>>24)^b]
	}
	return sum
}
