package clean

import "encoding/binary"

// exifFound is what is kept of Exif.
type exifFound struct {
	orientation byte // 2 to 8; 0 where the picture stands upright or nothing says how
}

// Tags of an Exif directory that are looked at (Exif 2.32, section 4.6).
const (
	tagOrientation = 0x0112
	tagGPS         = 0x8825
)

// exif reads the first directory of a TIFF structure that takes n bytes. What is
// broken in it is passed over: all of it goes but for the orientation.
func (p *Plan) exif(at, n int64) (exifFound, error) {
	var found exifFound
	head, err := p.in.upTo(at, int(min(n, 8)))
	if err != nil || len(head) < 8 {
		return found, err
	}
	var order binary.ByteOrder
	switch string(head[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return found, nil
	}
	dir := int64(order.Uint32(head[4:]))
	if dir+2 > n {
		return found, nil
	}
	b, err := p.in.bytes(at+dir, 2)
	if err != nil {
		return found, err
	}
	entries := int64(order.Uint16(b))
	for i := int64(0); i < entries && dir+2+12*(i+1) <= n; i++ {
		e, err := p.in.bytes(at+dir+2+12*i, 12)
		if err != nil {
			return found, err
		}
		switch order.Uint16(e) {
		case tagOrientation:
			if v := order.Uint16(e[8:]); order.Uint16(e[2:]) == 3 && v >= 2 && v <= 8 {
				found.orientation = byte(v)
			}
		case tagGPS:
			p.Location = true
		}
	}
	return found, nil
}

// smallExif is a TIFF structure that says how the picture stands and nothing else.
func smallExif(orientation byte) []byte {
	return []byte{
		'M', 'M', 0, '*', 0, 0, 0, 8, // big-endian, the directory comes next
		0, 1, // one entry
		tagOrientation >> 8, tagOrientation & 0xff, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, // one 16-bit number
		0, 0, 0, 0, // no further directory
	}
}
