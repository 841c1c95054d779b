package clean

import (
	"bytes"
	"errors"
	"slices"
)

// track is what is known of one track of a film.
type track struct {
	handler              string // what it holds: vide, soun, text
	keep                 bool
	auxiliary            bool // there are data that the tables below do not tell of
	offsets, runs, sizes box  // tables; kind is empty where there is none
}

// handlers are the kinds of tracks that stay: pictures, sound and text. Positions,
// movements of the camera and time codes are of other kinds.
var handlers = among("vide soun auxv pict subt sbtl text clcp")

// Boxes that stay, by where they stand (ISO 14496-12; QuickTime File Format).
var (
	moovKept = among("iods pssh ctab clip")
	trakKept = among("edts load tapt clip matt kmat imap")
	mdiaKept = among("elng")
	minfKept = among("vmhd smhd hmhd nmhd sthd gmhd")
	stblKept = among("stts ctts cslg stsc stsz stz2 stco co64 stss stps stsh sdtp sbgp sgpd subs padb saiz saio stdp")
	trefKept = among("chap subt folw forc hint fall auxl vdep thmb sync")
)

// moov cleans a film's description.
func (m *media) moov(x box) error {
	m.music = true
	err := m.each(x, 0, 1, func(x box) error {
		switch x.kind {
		case "cmov":
			return errors.New("its description is packed")
		case "mvex":
			m.fragmented = true
		case "trak":
			t, err := m.readTrack(x)
			if err != nil {
				return err
			}
			if len(m.tracks) == maxTracks {
				return errTooMany
			}
			m.tracks = append(m.tracks, t)
			m.removed = m.removed || !t.keep
			m.music = m.music && (!t.keep || t.handler == "soun" || t.handler == "text")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(m.tracks, func(t *track) bool { return t.keep }) {
		return errors.New("it has neither picture nor sound")
	}
	i := 0
	return m.each(x, 0, 1, func(x box) error {
		switch {
		case x.kind == "mvhd":
			return m.times(x)
		case x.kind == "trak":
			t := m.tracks[i]
			if i++; !t.keep {
				return m.free(x)
			}
			return m.trak(x, t.handler)
		case x.kind == "udta" && m.music:
			return m.udta(x)
		case x.kind == "mvex":
			return m.each(x, 0, 2, func(x box) error {
				if x.kind == "mehd" || x.kind == "trex" || x.kind == "leva" {
					return nil
				}
				return m.free(x)
			})
		case moovKept[x.kind]:
			return nil
		}
		return m.free(x)
	})
}

// readTrack finds out what a track holds and where its tables are.
func (m *media) readTrack(x box) (*track, error) {
	t := &track{}
	var name box
	err := m.each(x, 0, 2, func(x box) error {
		if x.kind != "mdia" {
			return nil
		}
		return m.each(x, 0, 3, func(x box) error {
			switch x.kind {
			case "hdlr":
				name = x
				b, err := m.in.bytes(x.body+8, 4)
				t.handler = string(b)
				return err
			case "minf":
				return m.each(x, 0, 4, func(x box) error {
					if x.kind != "stbl" {
						return nil
					}
					return m.each(x, 0, 5, func(x box) error { return t.table(x) })
				})
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	t.keep = handlers[t.handler]
	if t.keep && (t.handler == "text" || t.handler == "sbtl" || t.handler == "subt") {
		told, err := m.tells(t, name)
		if err != nil {
			return nil, err
		}
		t.keep = !told
	}
	return t, nil
}

func (t *track) table(x box) error {
	switch x.kind {
	case "stco", "co64":
		t.offsets = x
	case "stsc":
		t.runs = x
	case "stsz", "stz2":
		t.sizes = x
	case "saio", "saiz":
		t.auxiliary = true
	}
	return nil
}

// tells reports whether a track of text is one in which a drone or a camera writes
// where it is, by its name and its first sample.
func (m *media) tells(t *track, name box) (bool, error) {
	b, err := m.in.upTo(name.body, int(min(name.end-name.body, 256)))
	if err != nil {
		return false, err
	}
	if bytes.Contains(b, []byte("DJI")) || bytes.Contains(b, []byte("GoPro")) {
		return true, nil
	}
	if t.offsets.kind == "" {
		return false, nil
	}
	c, err := m.chunksOf(t)
	if err != nil {
		return false, err
	}
	first, ok, err := c.next()
	if err != nil || !ok || first.at >= m.in.size {
		return false, err
	}
	if b, err = m.in.upTo(first.at, int(min(first.end-first.at, 4<<10))); err != nil {
		return false, err
	}
	for _, mark := range []string{"GPS", "gps", "latitude", "Latitude", "$GP", "HOME("} {
		if bytes.Contains(b, []byte(mark)) {
			m.Location = true
			return true, nil
		}
	}
	return false, nil
}

// times blanks when something was made and changed: the first two numbers of its
// content, of 8 bytes each in version 1 and of 4 before.
func (m *media) times(x box) error {
	version, err := m.in.u8(x.body)
	if err != nil {
		return err
	}
	n := int64(8)
	if version == 1 {
		n = 16
	}
	if x.body+4+n > x.end {
		return errShort
	}
	return m.blank(x.body+4, n)
}

// name blanks what a handler is called, and by whom.
func (m *media) name(x box) error {
	if x.body+24 > x.end {
		return errShort
	}
	return m.blank(x.body+12, x.end-x.body-12)
}

func (m *media) trak(x box, handler string) error {
	return m.each(x, 0, 2, func(x box) error {
		switch {
		case x.kind == "tkhd":
			return m.times(x)
		case x.kind == "mdia":
			return m.mdia(x, handler)
		case x.kind == "tref":
			return m.each(x, 0, 3, func(x box) error {
				if trefKept[x.kind] {
					return nil
				}
				return m.free(x)
			})
		case trakKept[x.kind]:
			return nil
		}
		return m.free(x)
	})
}

func (m *media) mdia(x box, handler string) error {
	return m.each(x, 0, 3, func(x box) error {
		switch {
		case x.kind == "mdhd":
			return m.times(x)
		case x.kind == "hdlr":
			return m.name(x)
		case x.kind == "minf":
			return m.minf(x, handler)
		case mdiaKept[x.kind]:
			return nil
		}
		return m.free(x)
	})
}

func (m *media) minf(x box, handler string) error {
	return m.each(x, 0, 4, func(x box) error {
		switch {
		case x.kind == "hdlr":
			return m.name(x)
		case x.kind == "dinf":
			return m.each(x, 0, 5, func(x box) error {
				if x.kind == "dref" {
					return m.dref(x)
				}
				return m.free(x)
			})
		case x.kind == "stbl":
			return m.each(x, 0, 5, func(x box) error {
				if x.kind == "stsd" {
					return m.each(x, 8, 6, func(x box) error { return m.sampleEntry(x, handler) })
				}
				if stblKept[x.kind] {
					return nil
				}
				return m.free(x)
			})
		case minfKept[x.kind]:
			return nil
		}
		return m.free(x)
	})
}

// dref sees to it that the data lie in this file, and blanks the path where it
// says that they once did.
func (m *media) dref(x box) error {
	return m.each(x, 8, 6, func(x box) error {
		flags, err := m.in.u32(x.body)
		if err != nil {
			return err
		}
		if flags&1 == 0 {
			return errors.New("its data lie in another file")
		}
		return m.blank(x.body+4, x.end-x.body-4)
	})
}

// sampleEntry blanks who made the encoder, and what it is called.
func (m *media) sampleEntry(x box, handler string) error {
	const (
		vendor   = 12 // 4 bytes, in pictures and sound
		nameAt   = 42 // 32 bytes, in pictures
		pictures = 78 // where their boxes begin
	)
	if handler != "vide" && handler != "soun" || x.end-x.body < vendor+4 {
		return nil
	}
	if err := m.blank(x.body+vendor, 4); err != nil {
		return err
	}
	if handler != "vide" || x.end-x.body < pictures {
		return nil
	}
	if err := m.blank(x.body+nameAt, 32); err != nil {
		return err
	}
	return m.each(x, pictures, 7, func(x box) error {
		if x.kind == "uuid" || x.kind == "udta" || x.kind == "meta" {
			return m.free(x)
		}
		return nil
	})
}
