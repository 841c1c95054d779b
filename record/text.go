package record

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// CleanLine makes s one line of at most most bytes: valid UTF-8, no control or
// direction-changing characters, no white space at the ends. Line breaks and
// tabs become spaces. It is idempotent, and its result is what bodies accept as
// a line of that length (spec/records.md, section 5).
func CleanLine(s string, most int) string { return clean(s, most, ' ', ' ') }

// CleanText is CleanLine for text of several lines: tabs stay, and line breaks
// of every kind become line feeds.
func CleanText(s string, most int) string { return clean(s, most, '\n', '\t') }

func clean(s string, most int, lineBreak, tab rune) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case isBreak(r):
			return lineBreak
		case r == '\t':
			return tab
		case isControl(r):
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) > most {
		s = strings.TrimSpace(cut(s, most))
	}
	return s
}

// cut keeps the first most bytes of s, fewer where a character would break.
func cut(s string, most int) string {
	keep := min(max(most, 0), len(s))
	for keep > 0 && keep < len(s) && !utf8.RuneStart(s[keep]) {
		keep--
	}
	return s[:keep]
}

// checkLine reports ErrBody unless s is what CleanLine makes, between least and
// most bytes long.
func checkLine(what, s string, least, most int) error {
	return checkClean(what, s, least, most, CleanLine)
}

// checkText is checkLine for text of several lines.
func checkText(what, s string, least, most int) error {
	return checkClean(what, s, least, most, CleanText)
}

func checkClean(what, s string, least, most int, clean func(string, int) string) error {
	switch {
	case len(s) < least:
		return fmt.Errorf("%w: %s is empty", ErrBody, what)
	case len(s) > most:
		return fmt.Errorf("%w: %s is longer than %d bytes", ErrBody, what, most)
	case s != "" && clean(s, most) != s:
		return fmt.Errorf("%w: %s has characters or white space that do not belong", ErrBody, what)
	}
	return nil
}

// isBreak is true for what ends a line (Unicode, section 5.8, table 5-1).
func isBreak(r rune) bool {
	return r >= '\n' && r <= '\r' || r == 0x85 || r == 0x2028 || r == 0x2029
}

// isControl is true for C0, DEL and C1 controls, line and paragraph
// separators, byte-order marks, the characters that turn the direction of the
// text around them (Unicode UAX #9, section 2) and those that are deprecated
// (Unicode, section 23.3) or annotate (section 23.8). The joiners that Persian
// and emoji need are not among them.
func isControl(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff:
		return true
	case r == 0x61c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x206f:
		return true
	case r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe001f:
		return true
	}
	return false
}
