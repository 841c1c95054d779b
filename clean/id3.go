package clean

import (
	"bytes"
	"encoding/binary"
)

// id3Kept are the frames of ID3v2 that stay: titles, artists, album, numbers and
// kind, by the names of version 2.2 and of 2.3 and 2.4.
var id3Kept = map[string]bool{
	"TT2": true, "TP1": true, "TP2": true, "TAL": true, "TRK": true, "TPA": true, "TCO": true,
	"TIT2": true, "TPE1": true, "TPE2": true, "TALB": true, "TRCK": true, "TPOS": true, "TCON": true,
}

// id3 reads the tag that begins at an offset: ID3v2, or APE. n is its length, 0
// where there is none; kept is what stays of it, nil for nothing.
func (p *Plan) id3(at int64) (n int64, kept []byte, err error) {
	b, err := p.in.upTo(at, 32)
	if err != nil || len(b) < 10 {
		return 0, nil, err
	}
	if err := p.part(); err != nil {
		return 0, nil, err
	}
	switch {
	case len(b) == 32 && bytes.HasPrefix(b, []byte("APETAGEX")):
		n = 32 + int64(binary.LittleEndian.Uint32(b[12:]))
	case bytes.HasPrefix(b, []byte("ID3")):
		n = 10 + synchsafe(b[6:10])
		if b[3] == 4 && b[5]&0x10 != 0 {
			n += 10 // a footer
		}
	default:
		return 0, nil, nil
	}
	if n > p.in.size-at {
		return 0, nil, errShort
	}
	version, flags := b[3], b[5]
	// What is hidden from decoders by bytes put between (unsynchronised), and
	// tags of other versions, are not taken apart: they go whole.
	if b[0] == 'I' && version >= 2 && version <= 4 && flags&^0x10 == 0 {
		kept, err = p.id3Frames(at+10, at+n, version)
	}
	return n, kept, err
}

// id3Frames makes a tag of the frames that stay. What cannot be read ends it.
func (p *Plan) id3Frames(at, end int64, version byte) ([]byte, error) {
	head := 10
	if version == 2 {
		head = 6
	}
	var music []byte
	artist := false
	for at+int64(head) <= end {
		if err := p.part(); err != nil {
			return nil, err
		}
		b, err := p.in.bytes(at, head)
		if err != nil {
			return nil, err
		}
		var name string
		var n int64
		plain := true
		if version == 2 {
			name, n = string(b[:3]), int64(b[3])<<16|int64(b[4])<<8|int64(b[5])
		} else {
			name, n = string(b[:4]), int64(binary.BigEndian.Uint32(b[4:]))
			if version == 4 {
				n = synchsafe(b[4:])
			}
			plain = b[9] == 0 // neither packed nor scrambled
		}
		if b[0] == 0 || at+int64(head)+n > end {
			break // padding, or no frame any more
		}
		whole := int(int64(head) + n)
		if id3Kept[name] && plain && n > 1 && n <= maxTag && len(music)+whole <= maxTags {
			frame, err := p.in.bytes(at, whole)
			if err != nil {
				return nil, err
			}
			music = append(music, frame...)
			artist = artist || name == "TPE1" || name == "TP1"
		}
		at += int64(whole)
	}
	if !artist {
		return nil, nil
	}
	n := len(music)
	tag := []byte{'I', 'D', '3', version, 0, 0, byte(n >> 21 & 0x7f), byte(n >> 14 & 0x7f), byte(n >> 7 & 0x7f), byte(n & 0x7f)}
	return append(tag, music...), nil
}

// id3v1 is what stays of the old tag at the end: nil where it names no artist.
func (p *Plan) id3v1(at int64) ([]byte, error) {
	b, err := p.in.bytes(at, 128)
	if err != nil {
		return nil, err
	}
	tag := bytes.Clone(b)
	if len(bytes.Trim(tag[33:63], "\x00 ")) == 0 {
		return nil, nil
	}
	clear(tag[93:97]) // the year
	number := tag[126]
	if tag[125] != 0 {
		number = 0
	}
	clear(tag[97:127]) // the comment, but for the number at its end
	tag[126] = number
	return tag, nil
}
