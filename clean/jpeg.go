package clean

import "bytes"

// Markers of JPEG (ITU-T T.81, table B.1).
const (
	jpegEOI  = 0xd9
	jpegSOS  = 0xda
	jpegAPP0 = 0xe0
	jpegAPP1 = 0xe1
	jpegAPP2 = 0xe2
	jpegAdob = 0xee
	jpegAPPF = 0xef
	jpegCOM  = 0xfe
)

// jpeg keeps what decoding needs, the orientation and the colour profile. What
// follows the end of the image goes: trailers of phones, films in photos, a second
// image in a larger or smaller size.
func (p *Plan) jpeg() error {
	in, at := p.in, int64(2)
	oriented := false
	for seen := false; ; {
		if err := p.part(); err != nil {
			return err
		}
		marker, next, err := p.jpegMarker(at)
		if err != nil {
			return err
		}
		if marker == jpegEOI {
			if !seen {
				return errBroken
			}
			return p.remove(next, in.size-next)
		}
		length, err := in.u16(next)
		if err != nil {
			return err
		}
		end := next + int64(length)
		if length < 2 || end > in.size {
			return errShort
		}
		switch {
		case marker >= jpegAPP0 && marker <= jpegAPPF:
			// Fill bytes before the marker stay with it.
			if err := p.jpegAPP(marker, at, next+2, end, &oriented); err != nil {
				return err
			}
		case marker == jpegCOM:
			if err := p.remove(at, end-at); err != nil {
				return err
			}
		case marker == jpegSOS:
			seen = true
			if end, err = p.jpegScan(end); err != nil {
				return err
			}
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc8, marker >= 0xdb && marker <= 0xdf:
		default:
			return errBroken
		}
		at = end
	}
}

// jpegMarker reads the marker at an offset; next is behind it.
func (p *Plan) jpegMarker(at int64) (marker byte, next int64, err error) {
	if b, err := p.in.u8(at); err != nil {
		return 0, 0, err
	} else if b != 0xff {
		return 0, 0, errBroken
	}
	for next = at + 1; ; next++ {
		if marker, err = p.in.u8(next); err != nil {
			return 0, 0, err
		}
		if marker != 0xff {
			return marker, next + 1, nil
		}
		if err := p.part(); err != nil {
			return 0, 0, err
		}
	}
}

// jpegScan passes over compressed data and returns where the next marker begins.
func (p *Plan) jpegScan(at int64) (int64, error) {
	for {
		var err error
		if at, err = p.in.find(at, 0xff); err != nil {
			return 0, err
		}
		b, err := p.in.u8(at + 1)
		switch {
		case err != nil:
			return 0, err
		case b == 0xff:
			at++
		case b == 0, b >= 0xd0 && b <= 0xd7: // a byte of data, or a restart
			at += 2
		default:
			return at, nil
		}
	}
}

// jpegAPP keeps of one application segment what the colours or the orientation
// need. Its content lies from at to end; from is where its marker begins.
func (p *Plan) jpegAPP(marker byte, from, at, end int64, oriented *bool) error {
	b, err := p.in.upTo(at, int(min(end-at, 40)))
	if err != nil {
		return err
	}
	starts := func(s string) bool { return bytes.HasPrefix(b, []byte(s)) }
	switch {
	case marker == jpegAPP0 && starts("JFIF\x00") && len(b) >= 14:
		// Version, density; then the size of a thumbnail, and the thumbnail.
		small := append([]byte{0xff, jpegAPP0, 0, 16}, b[:14]...)
		small[16], small[17] = 0, 0
		return p.replace(from, end-from, small)
	case marker == jpegAPP1 && starts("Exif\x00"):
		found, err := p.exif(at+6, end-at-6)
		if err != nil {
			return err
		}
		if found.orientation == 0 || *oriented {
			return p.remove(from, end-from)
		}
		*oriented = true
		small := append([]byte{0xff, jpegAPP1, 0, 34, 'E', 'x', 'i', 'f', 0, 0}, smallExif(found.orientation)...)
		return p.replace(from, end-from, small)
	case marker == jpegAPP2 && starts("ICC_PROFILE\x00"):
		return nil
	case marker == jpegAdob && starts("Adobe") && len(b) >= 12:
		// How the colours are to be turned back.
		return p.replace(from, end-from, append([]byte{0xff, jpegAdob, 0, 14}, b[:12]...))
	}
	return p.remove(from, end-from)
}
