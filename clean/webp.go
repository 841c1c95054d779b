package clean

import "encoding/binary"

// Flags of a VP8X chunk (RFC 9649, section 2.7).
const (
	webpXMP  = 0x04
	webpExif = 0x08
)

// webp keeps pixels, animation and colour profile, and of Exif the orientation.
func (p *Plan) webp() error {
	in := p.in
	b, err := in.bytes(4, 4)
	if err != nil {
		return err
	}
	end := 8 + int64(binary.LittleEndian.Uint32(b))
	if end > in.size || end < 12 {
		return errShort
	}
	before := len(p.edits)
	var flags int64 // where they stand; 0 for nowhere
	oriented := false
	image := false
	removed, err := p.webpChunks(12, end, func(kind string, at, n int64) (int64, error) {
		switch kind {
		case "VP8X":
			if flags == 0 && n >= 1 {
				flags = at + 8
			}
		case "VP8 ", "VP8L":
			image = true
		case "ANMF":
			image = true
			return p.webpFrame(at, n)
		case "ANIM", "ALPH", "ICCP":
		case "EXIF":
			return p.webpExif(at, n, &oriented)
		default:
			return n + n&1 + 8, p.remove(at, n+n&1+8)
		}
		return 0, nil
	})
	if err != nil {
		return err
	}
	if !image {
		return errBroken
	}
	if flags > 0 {
		v, err := in.u8(flags)
		if err != nil {
			return err
		}
		want := v &^ (webpXMP | webpExif)
		if oriented {
			want |= webpExif
		}
		if err := p.replace(flags, 1, []byte{want}); err != nil {
			return err
		}
	}
	if err := p.remove(end, in.size-end); err != nil {
		return err
	}
	if len(p.edits) == before {
		return nil
	}
	return p.replace(4, 4, binary.LittleEndian.AppendUint32(nil, uint32(end-8-removed)))
}

// webpChunks calls visit for each chunk from at to end, with where its header
// begins and how long its content is, and adds up what visit says it took out.
func (p *Plan) webpChunks(at, end int64, visit func(kind string, at, n int64) (int64, error)) (removed int64, err error) {
	for at < end {
		if err := p.part(); err != nil {
			return 0, err
		}
		b, err := p.in.bytes(at, 8)
		if err != nil {
			return 0, err
		}
		kind, n := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:]))
		if at+8+n+n&1 > end {
			return 0, errShort
		}
		gone, err := visit(kind, at, n)
		if err != nil {
			return 0, err
		}
		removed += gone
		at += 8 + n + n&1
	}
	return removed, nil
}

// webpFrame cleans one picture of an animation.
func (p *Plan) webpFrame(at, n int64) (int64, error) {
	const head = 16 // place, size and duration
	if n < head {
		return 0, errBroken
	}
	removed, err := p.webpChunks(at+8+head, at+8+n, func(kind string, at, n int64) (int64, error) {
		if kind == "ALPH" || kind == "VP8 " || kind == "VP8L" {
			return 0, nil
		}
		return n + n&1 + 8, p.remove(at, n+n&1+8)
	})
	if err != nil || removed == 0 {
		return 0, err
	}
	return removed, p.replace(at+4, 4, binary.LittleEndian.AppendUint32(nil, uint32(n-removed)))
}

func (p *Plan) webpExif(at, n int64, oriented *bool) (int64, error) {
	tiff := at + 8
	if p.in.has(tiff, "Exif\x00\x00") {
		tiff += 6
	}
	found, err := p.exif(tiff, at+8+n-tiff)
	if err != nil {
		return 0, err
	}
	whole := 8 + n + n&1
	if found.orientation == 0 || *oriented {
		return whole, p.remove(at, whole)
	}
	*oriented = true
	small := append([]byte("EXIF\x1a\x00\x00\x00"), smallExif(found.orientation)...)
	return whole - int64(len(small)), p.replace(at, whole, small)
}
