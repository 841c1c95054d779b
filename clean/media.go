package clean

import (
	"errors"
	"fmt"
)

// Limits of films and of pictures in boxes.
const (
	maxTracks = 64
	maxSpans  = 1 << 14 // of items and of places that hold data
)

// span is a part of the file.
type span struct{ at, end int64 }

// media cleans what is built of boxes: films, sound, HEIC and AVIF. Nothing moves,
// since offsets are told in many places: what goes becomes a free box of zeros.
// Data that no picture, sound or text points at become zeros too.
type media struct {
	*Plan
	data       []span // contents of boxes that hold data
	tracks     []*track
	items      []span // data of pictures, by their place in the file
	removed    bool   // a track goes
	fragmented bool
	music      bool // sound only: its tags may stay
}

// begins are the boxes that a file may begin with.
var begins = among("ftyp moov mdat wide free skip pnot")

func isMedia(head []byte) bool { return len(head) >= 8 && begins[string(head[4:8])] }

// known are the boxes that may stand at the top. A file that ends within one of
// them was cut off.
var known = among("ftyp styp moov mdat meta moof mfra sidx ssix free skip wide uuid udta pnot PICT emsg prft")

func (p *Plan) media() error {
	m := &media{Plan: p}
	if err := m.brand(); err != nil {
		return err
	}
	var moov, meta box
	for at := int64(0); at < p.in.size; {
		x, err := p.box(at, p.in.size)
		if errors.Is(err, errNoBox) {
			// Cameras and phones leave things behind the last box.
			if len(m.data) == 0 || moov.end+meta.end == 0 || known[x.kind] {
				return err
			}
			if err := p.remove(at, p.in.size-at); err != nil {
				return err
			}
			break
		}
		if err != nil {
			return err
		}
		switch x.kind {
		case "ftyp", "styp", "mfra", "sidx", "ssix":
		case "mdat":
			m.data = append(m.data, span{x.body, x.end})
		case "moov":
			if moov.end > 0 {
				return errBroken
			}
			moov = x
		case "meta":
			if meta.end > 0 {
				return errBroken
			}
			meta = x
		case "moof":
			m.fragmented = true
			err = m.fragment(x)
		default:
			err = p.free(x)
		}
		if err != nil {
			return err
		}
		if len(m.data) > maxSpans {
			return errTooMany
		}
		at = x.end
	}
	return m.clean(moov, meta)
}

// clean cleans what was found.
func (m *media) clean(moov, meta box) error {
	if moov.end > 0 {
		if err := m.moov(moov); err != nil {
			return err
		}
	}
	if meta.end > 0 {
		pict, err := m.isPicture(meta)
		if err != nil {
			return err
		}
		if pict {
			err = m.picture(meta)
		} else {
			err = m.free(meta)
		}
		if err != nil {
			return err
		}
	}
	if m.fragmented {
		if m.removed || len(m.items) > 0 {
			return errors.New("a track of metadata runs through its fragments")
		}
		return nil
	}
	if len(m.tracks) == 0 && len(m.items) == 0 {
		return errBroken
	}
	return m.blankRest()
}

// brand reads what the file says it is.
func (m *media) brand() error {
	if !m.in.has(4, "ftyp") {
		m.Format = "MOV"
		return nil
	}
	x, err := m.box(0, m.in.size)
	if err != nil {
		return err
	}
	b, err := m.in.upTo(x.body, int(min(x.end-x.body, 256)))
	if err != nil {
		return err
	}
	for i := 0; i+4 <= len(b); i += 4 {
		if i == 4 {
			continue // the version
		}
		switch string(b[i : i+4]) {
		case "crx ", "jp2 ", "jpx ", "jxl ":
			m.Format = ""
			return errFormat
		case "avif", "avis":
			m.Format = "AVIF"
			return nil
		case "heic", "heix", "hevc", "hevx", "heim", "heis":
			m.Format = "HEIC"
			return nil
		case "mif1", "msf1":
			m.Format = "HEIF"
		case "qt  ":
			m.Format = "MOV"
		case "M4A ", "M4B ":
			m.Format = "M4A"
		}
	}
	return nil
}

// fragment cleans a moof box.
func (m *media) fragment(x box) error {
	return m.each(x, 0, 1, func(x box) error {
		switch x.kind {
		case "mfhd":
			return nil
		case "traf":
			return m.each(x, 0, 2, func(x box) error {
				if trafKept[x.kind] {
					return nil
				}
				return m.free(x)
			})
		}
		return m.free(x)
	})
}

var trafKept = among("tfhd tfdt trun sbgp sgpd subs saiz saio senc")

// blankRest makes zeros of all data that no kept track or picture points at.
func (m *media) blankRest() error {
	var all []chunks
	for _, t := range m.tracks {
		c, err := m.chunksOf(t)
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	if len(m.items) > 0 {
		all = append(all, &itemChunks{left: m.items})
	}
	merged, err := merge(all)
	if err != nil {
		return err
	}
	r := rest{m: m}
	for {
		c, ok, err := merged.next()
		if err != nil {
			return err
		}
		if !ok {
			return r.until(m.in.size)
		}
		if c.skip || c.at == c.end {
			continue
		}
		end := c.end
		if c.open {
			end = merged.following(m.in.size)
		}
		if err := r.keep(c.at, end, c.open); err != nil {
			return err
		}
	}
}

// rest goes through the data in the order of the file.
type rest struct {
	m    *media
	i    int   // the data box that is looked at
	done int64 // up to here it is decided
}

// keep leaves a range alone, after what is not kept before it. The range must lie
// in one data box; an open one ends with it.
func (r *rest) keep(at, end int64, open bool) error {
	if err := r.until(at); err != nil {
		return err
	}
	if r.i == len(r.m.data) || at < r.m.data[r.i].at {
		return fmt.Errorf("%w: data lie where none should be", errBroken)
	}
	if d := r.m.data[r.i]; end > d.end {
		if !open {
			return errShort
		}
		end = d.end
	}
	r.done = max(r.done, end)
	return nil
}

// until blanks what is not decided before an offset.
func (r *rest) until(at int64) error {
	for ; r.i < len(r.m.data); r.i++ {
		d := r.m.data[r.i]
		from, to := max(r.done, d.at), min(at, d.end)
		if from < to {
			if err := r.m.blank(from, to-from); err != nil {
				return err
			}
		}
		r.done = max(r.done, to)
		if at < d.end {
			return nil
		}
	}
	return nil
}
