package circle

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// The text form (spec/circle.md, section 2): the key and three bytes that check
// the whole, in Crockford's base32, eight groups of eight characters of which
// the last checks the group.
const (
	alphabet  = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	checkSize = 3 // bytes that check the whole
	groups    = 8
	groupSize = 8 // characters, with the one that checks the group
	// TextSize is the number of letters and digits of the text form.
	TextSize = groups * groupSize
	// MaxText bounds a text that is read, in bytes: the form with all that people
	// put between its characters.
	MaxText = 1024

	checkLabel = "boucan circle v1 text"
)

// check is the first bytes of SHA-256 over a label and the key.
func (k Key) check() []byte {
	sum := sha256.Sum256(append([]byte(checkLabel), k[:]...))
	return sum[:checkSize]
}

// Text writes the key for people: four lines of two groups, each group with a
// dash in its middle.
func (k Key) Text() string {
	var out strings.Builder
	bits, have := uint64(0), 0
	bytes := append(k[:], k.check()...)
	for g := range groups {
		var chars [groupSize]byte
		for i := range groupSize - 1 {
			if have < 5 {
				bits, have = bits<<8|uint64(bytes[0]), have+8
				bytes = bytes[1:]
			}
			have -= 5
			chars[i] = byte(bits >> have & 31)
		}
		chars[groupSize-1] = groupCheck(g, chars[:groupSize-1])
		for i := range chars {
			if i == groupSize/2 {
				out.WriteByte('-')
			}
			out.WriteByte(alphabet[chars[i]])
		}
		switch {
		case g == groups-1:
		case g%2 == 1:
			out.WriteByte('\n')
		default:
			out.WriteByte(' ')
		}
	}
	return out.String()
}

// groupCheck is a polynomial over GF(32) (modulus x⁵+x²+1) with the group's
// number as its first coefficient: it changes with any one character, with any
// two that change places, and with groups that do.
func groupCheck(group int, chars []byte) byte {
	c := byte(group + 1)
	for _, d := range chars {
		c = double(c) ^ d
	}
	return double(c)
}

func double(c byte) byte {
	if c <<= 1; c&32 != 0 {
		c ^= 0b100101
	}
	return c
}

// Significant counts the letters and digits of a text: TextSize for a whole key.
func Significant(text string) int {
	n := 0
	for _, r := range text {
		if !between(r) {
			n++
		}
	}
	return n
}

// between is true for what may stand between the characters: spaces, line ends
// and the dashes that phones and word processors make of one.
func between(r rune) bool {
	switch r {
	case ' ', '\t', '\r', '\n', '\u00a0', '\u202f', '\ufeff', '-', '_', '.', ',', '·', '‐', '‑', '‒', '–', '—', '−':
		return true
	}
	return false
}

// value reads one character: in either case, O for zero, I and L for one
// (Crockford's base32).
func value(r rune) (byte, bool) {
	switch {
	case 'a' <= r && r <= 'z':
		r += 'A' - 'a'
	}
	switch r {
	case 'O':
		r = '0'
	case 'I', 'L':
		r = '1'
	}
	if i := strings.IndexRune(alphabet, r); i >= 0 {
		return byte(i), true
	}
	return 0, false
}

// Parse reads a key from its text form. Its errors are for whoever typed it and
// say where to look; they never hold more of the text than one group.
func Parse(text string) (Key, error) {
	if len(text) > MaxText {
		return Key{}, fmt.Errorf("this is no circle's key: it is longer than %d bytes", MaxText)
	}
	var chars []byte
	for _, r := range text {
		if between(r) {
			continue
		}
		v, ok := value(r)
		if !ok {
			return Key{}, fmt.Errorf("%q in group %d is in no circle's key", r, len(chars)/groupSize+1)
		}
		chars = append(chars, v)
	}
	for g := range min(groups, len(chars)/groupSize) {
		group := chars[g*groupSize:][:groupSize]
		if groupCheck(g, group[:groupSize-1]) != group[groupSize-1] {
			return Key{}, typo(g, group, len(chars))
		}
	}
	if len(chars) != TextSize {
		return Key{}, fmt.Errorf("a circle's key has %d letters and digits, in %d groups of %d; these are %d", TextSize, groups, groupSize, len(chars))
	}
	var k Key
	bytes := make([]byte, 0, KeySize+checkSize)
	bits, have := uint64(0), 0
	for i, v := range chars {
		if i%groupSize == groupSize-1 {
			continue
		}
		if bits, have = bits<<5|uint64(v), have+5; have >= 8 {
			have -= 8
			bytes = append(bytes, byte(bits>>have))
		}
	}
	copy(k[:], bytes)
	if string(bytes[KeySize:]) != string(k.check()) {
		return Key{}, fmt.Errorf("this is no circle's key, or more than one character of a group is wrong: compare it again")
	}
	return k, nil
}

// typo names a group that is wrong. Where the length is too, one is missing or
// too many there.
func typo(g int, group []byte, count int) error {
	var shown [groupSize]byte
	for i, v := range group {
		shown[i] = alphabet[v]
	}
	what := "has a typing error"
	if count != TextSize {
		what = fmt.Sprintf("has a typing error, or a character is missing or too many by then (%d of %d)", count, TextSize)
	}
	return fmt.Errorf("group %d of %d, %s-%s, %s", g+1, groups, shown[:groupSize/2], shown[groupSize/2:], what)
}
