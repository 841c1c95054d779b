package record

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// CheckName reports ErrBody, wrapped with the reason, unless name is one that
// every file system and every page can carry: a relative path with forward
// slashes, no element of which is empty, hidden, reserved or over MaxNamePart
// bytes, without control characters, direction overrides or the characters that
// FAT refuses. CleanName makes such a name from any other.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: file has no name", ErrBody)
	}
	if len(name) > MaxName {
		return fmt.Errorf("%w: name is longer than %d bytes", ErrBody, MaxName)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || len(part) > MaxNamePart || cleanPart(part) != part {
			return fmt.Errorf("%w: name is not portable", ErrBody)
		}
	}
	return nil
}

// CleanName turns any string into one that CheckName accepts, changing as
// little as it can. Backslashes count as separators, "." and ".." elements are
// dropped, long elements are cut before their extension, and what has nothing
// left is called "unnamed".
func CleanName(name string) string {
	if len(name) > 8*MaxName {
		name = name[len(name)-8*MaxName:] // the end holds the file's own name
	}
	name = strings.ToValidUTF8(name, "_")
	name = strings.ReplaceAll(name, `\`, "/")
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			continue
		}
		if part = cleanPart(part); part != "" {
			parts = append(parts, part)
		}
	}
	for len(parts) > 1 && len(strings.Join(parts, "/")) > MaxName {
		parts = parts[1:]
	}
	if len(parts) == 0 {
		return "unnamed"
	}
	return strings.Join(parts, "/")
}

// cleanPart cleans one path element. It is idempotent, which CheckName needs.
func cleanPart(part string) string {
	part = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || isControl(r):
			return -1
		case strings.ContainsRune(`<>:"|?*\/`, r):
			return '_'
		}
		return r
	}, strings.ToValidUTF8(part, ""))
	part = TrimPart(part, MaxNamePart)
	part = strings.TrimRight(strings.TrimLeft(part, " ."), " .")
	if isReserved(part) {
		part = "_" + part
		part = strings.TrimRight(TrimPart(part, MaxNamePart), " .")
	}
	return part
}

// TrimPart cuts one path element to most bytes without breaking a character,
// keeping a short extension.
func TrimPart(part string, most int) string {
	if len(part) <= most {
		return part
	}
	const longestExt = 16
	stem, ext := SplitExt(part)
	if len(ext) > longestExt || len(ext) >= most {
		stem, ext = part, ""
	}
	keep := most - len(ext)
	for keep > 0 && !utf8.RuneStart(stem[keep]) {
		keep--
	}
	return stem[:keep] + ext
}

// SplitExt splits a path element before the last dot that has something on
// both sides, as "photo" and ".jpg".
func SplitExt(part string) (stem, ext string) {
	if i := strings.LastIndexByte(part, '.'); i > 0 && i < len(part)-1 {
		return part[:i], part[i:]
	}
	return part, ""
}

// CleanLine makes s one line of at most most bytes: valid UTF-8, no control or
// direction-changing characters, no space at the ends.
func CleanLine(s string, most int) string {
	return clean(s, most, func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	})
}

// CleanText is CleanLine for text of several lines: line feeds and tabs stay.
func CleanText(s string, most int) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return clean(s, most, func(r rune) rune { return r })
}

func clean(s string, most int, white func(rune) rune) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return white(r)
		}
		if isControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.TrimSpace(s)
	if len(s) > most {
		keep := most
		for keep > 0 && !utf8.RuneStart(s[keep]) {
			keep--
		}
		s = strings.TrimSpace(s[:keep])
	}
	return s
}

// isControl is true for C0, DEL and C1 controls, line and paragraph
// separators, byte-order marks and the characters that turn the direction of
// the text around them (Unicode UAX #9, section 2).
func isControl(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff:
		return true
	case r == 0x61c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	case r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe001f:
		return true
	}
	return false
}

// isReserved is true for the names that Windows keeps for devices, with any
// extension (Microsoft, "Naming Files, Paths, and Namespaces").
func isReserved(part string) bool {
	stem, _, _ := strings.Cut(part, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, p := range []string{"COM", "LPT"} {
		if rest, ok := strings.CutPrefix(stem, p); ok {
			switch rest {
			case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
				return true
			}
		}
	}
	return false
}
