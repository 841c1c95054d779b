package clean

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// maxJunk is how far the next frame may be from the end of one before, in bytes.
const maxJunk = 1 << 20

// mp3 keeps the frames of sound and, of the tags, those of music. What lies between
// frames and is none of them goes.
func (p *Plan) mp3() error {
	in, at := p.in, int64(0)
	named := false // there is a tag that names the music
	for {
		n, kept, err := p.id3(at)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if named {
			kept = nil
		}
		if err := p.replace(at, n, kept); err != nil {
			return err
		}
		named = named || kept != nil
		at += n
	}
	if in.has(at, "fLaC") {
		p.edits = p.edits[:0] // one removal in the place of all
		p.Format = "FLAC"
		return p.flac(at)
	}
	end, err := p.tail(at)
	if err != nil {
		return err
	}
	if err := p.mp3Frames(at, end); err != nil {
		return err
	}
	if !named && end <= in.size-128 && in.has(in.size-128, "TAG") {
		small, err := p.id3v1(in.size - 128)
		if err != nil {
			return err
		}
		if small != nil {
			if err := p.remove(end, in.size-128-end); err != nil {
				return err
			}
			return p.replace(in.size-128, 128, small)
		}
	}
	return p.remove(end, in.size-end)
}

// mp3Frames walks over the frames and takes out what lies between them. All are of
// one kind. Where much is none of them, the file is taken for something else.
func (p *Plan) mp3Frames(at, end int64) error {
	f := frames{p: p, end: end}
	var sound, junk int64
	count := 0
	for at < end {
		n, err := f.length(at)
		if err != nil {
			return err
		}
		if n == 0 || f.kind == 0 {
			next, err := f.resync(at)
			if err != nil {
				return err
			}
			if err := p.remove(at, next-at); err != nil {
				return err
			}
			junk += next - at
			at = next
			continue
		}
		count++
		sound += n
		at += n
	}
	if count < 3 || junk > maxJunk && junk > sound/8 || junk > sound {
		return errFormat
	}
	return nil
}

// frames finds the frames of one file.
type frames struct {
	p    *Plan
	end  int64
	kind uint16 // version, layer and rate of all; 0 while none was found
}

// length is that of the frame at an offset, or of what is left of it before the
// end; 0 where there is none.
func (f *frames) length(at int64) (int64, error) {
	if f.end-at < 4 {
		return 0, nil
	}
	b, err := f.p.in.bytes(at, 4)
	if err != nil {
		return 0, err
	}
	if f.kind != 0 && f.kind != frameKind(b) {
		return 0, nil
	}
	return min(int64(mpegFrame(b)), f.end-at), nil
}

// frameKind is never 0 for a frame.
func frameKind(b []byte) uint16 { return uint16(b[1]&0xfe)<<8 | uint16(b[2]&0x0c) }

// resync finds where frames begin, or go on: two of a kind after one another, or
// the end.
func (f *frames) resync(at int64) (int64, error) {
	if n, _, err := f.p.id3(at); err != nil || n > 0 {
		return at + n, err
	}
	known := f.kind
	for from := at; ; at++ {
		if at-from > maxJunk {
			return 0, errFormat
		}
		var err error
		if at, err = f.p.in.find(at, 0xff); err != nil || at >= f.end {
			return f.end, err
		}
		f.kind = known
		n, err := f.length(at)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			continue
		}
		b, err := f.p.in.bytes(at, 4)
		if err != nil {
			return 0, err
		}
		f.kind = frameKind(b)
		if more, err := f.length(at + n); err != nil || more > 0 {
			return at, err
		}
	}
}

// mpegFrame is the length in bytes of the frame with this header, 0 where it is
// none (ISO 11172-3, 2.4.2.3; ISO 13818-3). Frames of free length are not known.
func mpegFrame(b []byte) int {
	if b[0] != 0xff || b[1]&0xe0 != 0xe0 {
		return 0
	}
	version, layer := b[1]>>3&3, 4-int(b[1]>>1&3) // version 0 is 2.5, 2 is 2, 3 is 1
	rate, hertz, pad := int(b[2]>>4), int(b[2]>>2&3), int(b[2]>>1&1)
	if version == 1 || layer == 4 || rate == 0 || rate == 15 || hertz == 3 {
		return 0
	}
	row := layer - 1
	if version != 3 {
		row = min(layer+2, 4)
	}
	bits := mpegRates[row][rate-1] * 1000
	hz := []int{44100, 48000, 32000}[hertz]
	switch version {
	case 0:
		hz /= 4
	case 2:
		hz /= 2
	}
	switch {
	case layer == 1:
		return (12*bits/hz + pad) * 4
	case layer == 3 && version != 3:
		return 72*bits/hz + pad
	}
	return 144*bits/hz + pad
}

// mpegRates are kilobits a second: layers 1 to 3 of MPEG-1, then layer 1 and the
// others of MPEG-2.
var mpegRates = [5][14]int{
	{32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
	{32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
	{32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	{32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
	{8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

// tail finds where tags at the end of a sound file begin: ID3v1, Lyrics3, APE and
// ID3v2, in any order. It is the file's end where there are none; never before low.
func (p *Plan) tail(low int64) (int64, error) {
	for end := p.in.size; ; {
		next, err := p.tailTag(end)
		if err != nil {
			return 0, err
		}
		if next < low || next >= end {
			return end, nil
		}
		if err := p.part(); err != nil {
			return 0, err
		}
		end = next
	}
}

// tailTag is where the tag that ends at end begins, or end.
func (p *Plan) tailTag(end int64) (int64, error) {
	b, err := p.in.bytes(max(0, end-128), int(min(end, 128)))
	if err != nil {
		return 0, err
	}
	last := func(n int) []byte { return b[max(0, len(b)-n):] }
	switch {
	case len(b) == 128 && bytes.HasPrefix(b, []byte("TAG")):
		if p.in.has(end-128-227, "TAG+") {
			return end - 128 - 227, nil
		}
		return end - 128, nil
	case bytes.HasSuffix(b, []byte("LYRICS200")):
		n, err := strconv.ParseUint(string(last(15)[:6]), 10, 32)
		if err == nil && p.in.has(end-15-int64(n), "LYRICSBEGIN") {
			return end - 15 - int64(n), nil
		}
	case bytes.HasPrefix(last(32), []byte("APETAGEX")) && len(last(32)) == 32:
		f := last(32)
		n := int64(binary.LittleEndian.Uint32(f[12:]))
		if n >= 32 && f[23]&0x80 != 0 {
			n += 32 // a header stands before
		}
		return end - max(n, 32), nil
	case bytes.HasPrefix(last(10), []byte("3DI")) && len(last(10)) == 10:
		return end - 20 - synchsafe(last(4)), nil
	}
	return end, nil
}

// synchsafe reads four bytes of seven bits.
func synchsafe(b []byte) int64 {
	return int64(b[0]&0x7f)<<21 | int64(b[1]&0x7f)<<14 | int64(b[2]&0x7f)<<7 | int64(b[3]&0x7f)
}
