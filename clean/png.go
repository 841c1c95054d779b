package clean

import (
	"encoding/binary"
	"hash/crc32"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

// pngKept are the chunks that stay (PNG third edition, section 11; APNG): what
// pixels, colours and animation need.
var pngKept = map[string]bool{
	"IHDR": true, "PLTE": true, "IDAT": true, "IEND": true,
	"tRNS": true, "cHRM": true, "gAMA": true, "iCCP": true, "sBIT": true, "sRGB": true,
	"cICP": true, "mDCV": true, "cLLI": true, "bKGD": true, "hIST": true, "pHYs": true,
	"acTL": true, "fcTL": true, "fdAT": true,
}

// png keeps the chunks that pixels, colours and animation need, and of Exif the
// orientation.
func (p *Plan) png() error {
	in, at := p.in, int64(len(pngMagic))
	oriented := false
	for first := true; ; first = false {
		if err := p.part(); err != nil {
			return err
		}
		b, err := in.bytes(at, 8)
		if err != nil {
			return err
		}
		n, kind := int64(binary.BigEndian.Uint32(b)), string(b[4:8])
		end := at + 12 + n
		switch {
		case end > in.size:
			return errShort
		case first != (kind == "IHDR"), first && n != 13:
			return errBroken
		case kind == "IEND":
			if n != 0 {
				return errBroken
			}
			return p.remove(end, in.size-end)
		case pngKept[kind]:
		case kind[0]&0x20 == 0:
			return errBroken // needed for decoding, and not known
		case kind == "eXIf":
			err = p.pngExif(at, n, &oriented)
		default:
			err = p.remove(at, end-at)
		}
		if err != nil {
			return err
		}
		at = end
	}
}

func (p *Plan) pngExif(at, n int64, oriented *bool) error {
	found, err := p.exif(at+8, n)
	if err != nil {
		return err
	}
	if found.orientation == 0 || *oriented {
		return p.remove(at, n+12)
	}
	*oriented = true
	small := append([]byte("\x00\x00\x00\x1aeXIf"), smallExif(found.orientation)...)
	return p.replace(at, n+12, binary.BigEndian.AppendUint32(small, crc32.ChecksumIEEE(small[4:])))
}
