package clean

import "encoding/binary"

// Kinds of FLAC's metadata blocks (RFC 9639, section 8.1).
const (
	flacInfo     = 0
	flacPadding  = 1
	flacSeek     = 3
	flacComments = 4
)

// flac keeps what playing and seeking need, and the tags of music. What stands
// before the file, at, goes: tags of another format.
func (p *Plan) flac(from int64) error {
	in := p.in
	if err := p.remove(0, from); err != nil {
		return err
	}
	last, lastEdit := int64(-1), -1 // the last block that stays, and the edit that makes it
	ended := false
	at := from + 4
	for first := true; !ended; first = false {
		if err := p.part(); err != nil {
			return err
		}
		head, err := in.u32(at)
		if err != nil {
			return err
		}
		kind, n := head>>24&0x7f, int64(head&0xffffff)
		ended = head>>31 == 1
		end := at + 4 + n
		switch {
		case end > in.size:
			return errShort
		case first != (kind == flacInfo), first && n != 34, kind == 127:
			return errBroken
		case kind == flacInfo, kind == flacSeek:
			last, lastEdit = at, -1
		case kind == flacComments:
			kept, _, err := p.vorbisComments(in, at+4, n)
			if err != nil {
				return err
			}
			block := binary.BigEndian.AppendUint32(nil, flacComments<<24|uint32(len(kept)))
			block = append(block, kept...)
			block[0] |= byte(head >> 24 & 0x80)
			before := len(p.edits)
			if err := p.replace(at, end-at, block); err != nil {
				return err
			}
			last, lastEdit = at, -1
			if len(p.edits) > before {
				lastEdit = before
			}
		default:
			if err := p.remove(at, end-at); err != nil {
				return err
			}
		}
		at = end
	}
	if b, err := in.upTo(at, 2); err != nil || len(b) < 2 || b[0] != 0xff || b[1]&0xfe != 0xf8 {
		return errBroken // no sound follows
	}
	// The last block says that it is.
	if lastEdit >= 0 {
		p.edits[lastEdit].data[0] |= 0x80
	} else if b, err := in.u8(last); err != nil {
		return err
	} else if err := p.replace(last, 1, []byte{b | 0x80}); err != nil {
		return err
	}
	end, err := p.tail(at)
	if err != nil {
		return err
	}
	return p.remove(end, in.size-end)
}
