package clean

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// itemKept are the kinds of items that stay in HEIC and AVIF: pictures and how they
// are put together. Exif, XMP and all that is not known go.
var itemKept = among("hvc1 lhv1 av01 avc1 vvc1 jpeg j2k1 unci grid iovl iden tmap")

// propertyGone are the properties of pictures that go: names and remarks, times,
// and what programs put there.
var propertyGone = among("udes altt crtt mdft itai uuid")

// maxItems is how many items a picture may have: tiles are items.
const maxItems = 1 << 13

// isPicture reports whether a meta box describes pictures.
func (m *media) isPicture(x box) (bool, error) {
	pict := false
	err := m.each(x, 4, 1, func(x box) error {
		if x.kind == "hdlr" {
			pict = m.in.has(x.body+8, "pict")
		}
		return nil
	})
	return pict, err
}

// picture cleans the description of pictures in place (ISO 14496-12, section 8.11;
// ISO 23008-12): items that go are taken out of the lists, which a free box fills up.
func (m *media) picture(x box) error {
	var lists [3]box       // iinf, iref, iloc
	var store, primary box // idat, pitm
	err := m.each(x, 4, 1, func(x box) error {
		switch x.kind {
		case "hdlr":
			return m.name(x)
		case "dinf", "ipro", "grpl":
			return nil
		case "pitm":
			primary = x
		case "iprp":
			return m.properties(x)
		case "iinf":
			lists[0] = x
		case "iref":
			lists[1] = x
		case "iloc":
			lists[2] = x
		case "idat":
			store = x
			m.data = append(m.data, span{x.body, x.end})
		default:
			return m.free(x)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(m.data, func(a, b span) int { return cmp.Compare(a.at, b.at) })
	if lists[0].end == 0 || lists[2].end == 0 {
		return errBroken
	}
	all, err := m.readItems(lists[0])
	if err != nil {
		return err
	}
	if primary.end > 0 {
		if all.primary, err = m.itemID(primary); err != nil {
			return err
		}
	}
	if lists[1].end > 0 {
		if err := m.itemRefs(lists[1], all); err != nil {
			return err
		}
	}
	if err := m.itemInfo(lists[0], all); err != nil {
		return err
	}
	if err := m.itemPlaces(lists[2], store, all); err != nil {
		return err
	}
	slices.SortFunc(m.items, func(a, b span) int { return cmp.Compare(a.at, b.at) })
	return nil
}

// properties frees those that go. Their places in the list are counted, so that
// they stay.
func (m *media) properties(x box) error {
	return m.each(x, 0, 2, func(x box) error {
		if x.kind != "ipco" {
			return nil
		}
		return m.each(x, 0, 3, func(x box) error {
			if propertyGone[x.kind] {
				return m.free(x)
			}
			return nil
		})
	})
}

// shrink writes the list with a free box behind it.
func (m *media) shrink(x box, head, kept []byte) error {
	content := int64(len(head) + len(kept))
	rest := x.end - x.body - content
	if rest == 0 {
		return nil
	}
	if rest < 8 || x.body != x.at+8 || rest >= 1<<32 || content+8 >= 1<<32 {
		return errors.New("a list leaves no room for what fills it up")
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(8+content))
	b = append(append(append(b, x.kind...), head...), kept...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(rest)), "free"...)
	at := x.at + int64(len(b))
	if err := m.replace(x.at, int64(len(b)), b); err != nil {
		return err
	}
	return m.blank(at, x.end-at)
}
