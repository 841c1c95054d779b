package clean

import (
	"encoding/binary"
	"errors"
)

// box is one box of the ISO base media file format (ISO 14496-12, section 4.2), or
// atom of QuickTime: its header begins at at, its content lies from body to end.
type box struct {
	kind          string
	at, body, end int64
}

// errNoBox says that no box begins where one should.
var errNoBox = errors.New("it is damaged: no box where one should be")

// box reads the header at an offset of what ends at end.
func (p *Plan) box(at, end int64) (box, error) {
	if err := p.part(); err != nil {
		return box{}, err
	}
	if end-at < 8 {
		return box{}, errNoBox
	}
	b, err := p.in.bytes(at, 8)
	if err != nil {
		return box{}, err
	}
	x := box{kind: string(b[4:]), at: at, body: at + 8}
	n := int64(binary.BigEndian.Uint32(b))
	switch {
	case n == 1 && end-at >= 16:
		long, err := p.in.u64(at + 8)
		if err != nil {
			return box{}, err
		}
		if n = 1<<63 - 1; long < 1<<63 {
			n = int64(long)
		}
		x.body = at + 16
	case n == 0 && end == p.in.size:
		n = end - at // the last one may say so
	}
	if n < x.body-at || n > end-at {
		return x, errNoBox
	}
	x.end = at + n
	return x, nil
}

// boxes calls visit for each box of a range. Where one ends with less than a
// header, or with zeros, as QuickTime ends lists, that is passed over.
func (p *Plan) boxes(at, end int64, visit func(box) error) error {
	for at < end {
		if end-at < 8 {
			return p.blank(at, end-at)
		}
		x, err := p.box(at, end)
		if errors.Is(err, errNoBox) {
			if blank, blankErr := p.in.blank(at, end-at); blankErr != nil || blank {
				return blankErr
			}
		}
		if err != nil {
			return err
		}
		if err := visit(x); err != nil {
			return err
		}
		at = x.end
	}
	return nil
}

// each calls visit for each box within x, skip bytes into it.
func (p *Plan) each(x box, skip, depth int, visit func(box) error) error {
	if depth > maxDepth {
		return errTooMany
	}
	if x.body+int64(skip) > x.end {
		return errShort
	}
	return p.boxes(x.body+int64(skip), x.end, visit)
}

// placeBoxes are boxes that tell where something was filmed.
var placeBoxes = map[string]bool{"\xa9xyz": true, "loci": true, "gps ": true, "GPMF": true, "gpmd": true}

// free makes of a box one that holds nothing, of the same length.
func (p *Plan) free(x box) error {
	p.Location = p.Location || placeBoxes[x.kind]
	if x.kind != "free" && x.kind != "skip" && x.kind != "wide" {
		if err := p.replace(x.at+4, 4, []byte("free")); err != nil {
			return err
		}
	}
	return p.blank(x.body, x.end-x.body)
}

// among makes a set of four-letter names that stand in one string.
func among(names string) map[string]bool {
	set := make(map[string]bool)
	for ; len(names) >= 4; names = names[min(5, len(names)):] {
		set[names[:4]] = true
	}
	return set
}
