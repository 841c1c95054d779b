package clean

import (
	"bytes"
	"encoding/binary"
)

// ilstKept are the tags of music that stay, by the names of iTunes: title, artists,
// album, number, kind; ilstNeeded those that playing goes by.
var (
	ilstKept   = among("\xa9nam \xa9ART aART \xa9alb trkn disk \xa9gen gnre")
	ilstNeeded = among("pgap cpil")
)

// udta keeps of what is said of a piece of music its tags.
func (m *media) udta(x box) error {
	return m.each(x, 0, 2, func(x box) error {
		if x.kind != "meta" {
			return m.free(x)
		}
		if name, err := m.in.upTo(x.body, 16); err != nil || len(name) < 16 || string(name[8:12]) != "hdlr" {
			return m.free(x) // QuickTime's, which has no version
		}
		return m.each(x, 4, 3, func(x box) error {
			switch x.kind {
			case "hdlr":
				return nil // it says how the tags are written
			case "ilst":
				return m.ilst(x)
			}
			return m.free(x)
		})
	})
}

// ilst moves the tags that stay to the front, and a free box behind them.
func (m *media) ilst(x box) error {
	var music, needed []byte
	artist := false
	err := m.each(x, 0, 4, func(x box) error {
		n := x.end - x.at
		b, err := m.in.upTo(x.at, int(min(n, maxTag)))
		if err != nil {
			return err
		}
		switch {
		case n > maxTag || int64(len(music)+len(needed))+n > maxTags:
		case ilstKept[x.kind]:
			music = append(music, b...)
			artist = artist || x.kind == "\xa9ART" || x.kind == "aART"
		case ilstNeeded[x.kind], x.kind == "----" && n <= 256 && bytes.Contains(b, []byte("iTunSMPB")):
			needed = append(needed, b...) // how much silence the encoder added
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !artist {
		music = nil
	}
	kept := append(music, needed...)
	rest := x.end - x.body - int64(len(kept))
	if rest == 0 {
		return nil
	}
	if rest < 8 || x.body != x.at+8 || rest >= 1<<32 {
		return errBroken
	}
	list := binary.BigEndian.AppendUint32(nil, uint32(8+len(kept)))
	list = append(append(list, "ilst"...), kept...)
	list = append(binary.BigEndian.AppendUint32(list, uint32(rest)), "free"...)
	at := x.at + int64(len(list))
	if err := m.replace(x.at, int64(len(list)), list); err != nil {
		return err
	}
	return m.blank(at, x.end-at)
}
