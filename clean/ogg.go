package clean

import (
	"bytes"
	"encoding/binary"
)

// maxComments is how long the comments of one stream may be, pictures among them,
// in bytes, maxStreams how many streams a file may have at one time,
// and maxPages over how many pages its headers may run.
const (
	maxComments = 32 << 20
	maxStreams  = 16
	maxPages    = 8 << 10
)

// oggStream is one stream while its headers are read.
type oggStream struct {
	serial uint32
	blocks bool   // headers are metadata blocks of FLAC
	magic  string // what its comments begin with
	framed bool   // a bit ends the comments
	left   int    // headers that still may be cleaned
	packet oggPacket
	pages  []oggPage // that hold headers
	edits  []edit    // what becomes of them, in their order
}

// ogg cleans the comments of each stream where they lie: what goes becomes zeros
// at the packet's end, so that pages stay where they are and keep their numbers.
// Their checksums are made anew.
func (p *Plan) ogg() error {
	end, err := p.tail(0)
	if err != nil {
		return err
	}
	streams := make(map[uint32]*oggStream)
	for at := int64(0); at < end; {
		if err := p.part(); err != nil {
			return err
		}
		g, err := p.oggPage(at, end)
		if err != nil {
			return err
		}
		if err := p.oggTake(streams, g); err != nil {
			return err
		}
		at = g.end
	}
	for _, s := range streams {
		if s.left > 0 {
			return errShort
		}
	}
	return p.remove(end, p.in.size-end)
}

// oggPage is one page: its header begins at at, its content at body.
type oggPage struct {
	at, body, end int64
	flags         byte
	serial        uint32
	lacing        []byte
}

func (p *Plan) oggPage(at, limit int64) (oggPage, error) {
	head, err := p.in.bytes(at, 27)
	if err != nil {
		return oggPage{}, err
	}
	if !bytes.HasPrefix(head, []byte("OggS\x00")) {
		return oggPage{}, errBroken
	}
	g := oggPage{at: at, flags: head[5], serial: binary.LittleEndian.Uint32(head[14:])}
	n := int(head[26])
	lacing, err := p.in.bytes(at+27, n)
	if err != nil {
		return oggPage{}, err
	}
	g.lacing = bytes.Clone(lacing)
	g.body = at + 27 + int64(n)
	g.end = g.body
	for _, l := range g.lacing {
		g.end += int64(l)
	}
	if g.end > limit {
		return oggPage{}, errShort
	}
	return g, nil
}

// oggTake follows one page.
func (p *Plan) oggTake(streams map[uint32]*oggStream, g oggPage) error {
	s := streams[g.serial]
	if g.flags&2 != 0 { // a stream begins
		if len(streams) == maxStreams {
			return errTooMany
		}
		if s != nil && s.left > 0 {
			return errBroken
		}
		var err error
		if s, err = p.oggBegin(g); err != nil {
			return err
		}
		streams[g.serial] = s
		return nil
	}
	if s == nil {
		return errBroken
	}
	if s.left > 0 {
		if err := p.oggHeaders(s, g); err != nil {
			return err
		}
	}
	if g.flags&4 != 0 && s.left == 0 {
		delete(streams, g.serial)
	}
	return nil
}

// oggBegin tells what a stream holds by its first packet.
func (p *Plan) oggBegin(g oggPage) (*oggStream, error) {
	b, err := p.in.upTo(g.body, int(min(g.end-g.body, 16)))
	if err != nil {
		return nil, err
	}
	is := func(magic string) bool { return bytes.HasPrefix(b, []byte(magic)) }
	s := &oggStream{serial: g.serial, left: 1}
	switch {
	case is("\x01vorbis"):
		s.magic, s.framed = "\x03vorbis", true
	case is("OpusHead"):
		s.magic = "OpusTags"
	case is("\x80theora"):
		s.magic = "\x81theora"
	case is("Speex   "):
	case is("\x7fFLAC") && len(b) >= 9:
		// How many headers follow; 0 where nobody counted.
		if s.left = int(binary.BigEndian.Uint16(b[7:])); s.left == 0 {
			return nil, errBroken
		}
		s.blocks = true
	default:
		return nil, errFormat
	}
	return s, nil
}

// oggHeaders collects the packets of a page that still are headers, and cleans
// each when it has come whole.
func (p *Plan) oggHeaders(s *oggStream, g oggPage) error {
	if len(s.pages) == maxPages {
		return errTooMany
	}
	lacing := g.lacing
	g.lacing = nil
	s.pages = append(s.pages, g)
	at := g.body
	for i := 0; i < len(lacing) && s.left > 0; {
		from, whole := at, false
		for i < len(lacing) && !whole {
			at += int64(lacing[i])
			whole = lacing[i] < 255
			i++
		}
		if err := s.packet.add(from, at-from); err != nil {
			return err
		}
		if !whole {
			return nil
		}
		if err := p.oggClean(s); err != nil {
			return err
		}
		s.left--
		s.packet = oggPacket{}
	}
	if s.left == 0 {
		return p.oggChange(s)
	}
	return nil
}

// oggClean cleans one header packet.
func (p *Plan) oggClean(s *oggStream) error {
	k := &s.packet
	k.in = p.in
	if s.blocks {
		return p.oggFLAC(s)
	}
	head, err := k.bytes(0, len(s.magic))
	if err != nil {
		return err
	}
	if string(head) != s.magic {
		return errBroken
	}
	at := int64(len(s.magic))
	kept, _, err := p.vorbisComments(k, at, k.size-at)
	if err != nil {
		return err
	}
	out := append([]byte(s.magic), kept...)
	if s.framed {
		out = append(out, 1)
	}
	return s.rewrite(out)
}

// oggFLAC cleans a packet that is one metadata block of FLAC.
func (p *Plan) oggFLAC(s *oggStream) error {
	k := &s.packet
	b, err := k.bytes(0, 4)
	if err != nil {
		return err
	}
	head := binary.BigEndian.Uint32(b)
	n := int64(head & 0xffffff)
	if n != k.size-4 {
		return errBroken
	}
	switch head >> 24 & 0x7f {
	case flacSeek:
		return nil
	case flacComments:
		kept, _, err := p.vorbisComments(k, 4, n)
		if err != nil {
			return err
		}
		return s.rewrite(append(binary.BigEndian.AppendUint32(nil, head), kept...))
	}
	return s.rewrite(binary.BigEndian.AppendUint32(nil, head&0x80ffffff|flacPadding<<24))
}
