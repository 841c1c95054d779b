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
// FAT refuses (spec/records.md, section 5). CleanName makes such a name from
// any other.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: file has no name", ErrBody)
	}
	if len(name) > MaxName {
		return fmt.Errorf("%w: name is longer than %d bytes", ErrBody, MaxName)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || cleanPart(part) != part {
			return fmt.Errorf("%w: name is not portable", ErrBody)
		}
	}
	return nil
}

// CleanName turns any string into one that CheckName accepts, changing as
// little as it can. Backslashes count as separators, "." and ".." elements are
// dropped, long elements are cut before their extension, folders go from the
// front where the whole is too long, and what has nothing left is called
// "unnamed". It is idempotent.
func CleanName(name string) string {
	const longest = 8 * MaxName
	if len(name) > longest { // the end holds the file's own name
		name = name[len(name)-longest:]
		for name != "" && !utf8.RuneStart(name[0]) {
			name = name[1:]
		}
	}
	var parts []string
	size := -1 // of the parts with a slash between any two
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part = cleanPart(part); part != "" {
			parts = append(parts, part)
			size += 1 + len(part)
		}
	}
	if len(parts) == 0 {
		return "unnamed"
	}
	for size > MaxName {
		size -= len(parts[0]) + 1
		parts = parts[1:]
	}
	return strings.Join(parts, "/")
}

// cleanPart cleans one path element; the result may be empty. It is idempotent,
// which CheckName needs.
func cleanPart(part string) string {
	part = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || strings.ContainsRune(`<>:"|?*\/`, r):
			return '_'
		case isControl(r):
			return -1
		}
		return r
	}, part)
	part = shorten(strings.Trim(part, " ."))
	if isReserved(part) { // only now: cutting can make a reserved name
		part = shorten("_" + part)
	}
	return part
}

func shorten(part string) string {
	return strings.TrimRight(TrimPart(part, MaxNamePart), " .")
}

// TrimPart cuts one path element to most bytes without breaking a character,
// keeping an extension of up to 16 bytes.
func TrimPart(part string, most int) string {
	if len(part) <= most {
		return part
	}
	const longestExt = 16
	stem, ext := SplitExt(part)
	if len(ext) > longestExt || len(ext) >= most {
		stem, ext = part, ""
	}
	return cut(stem, most-len(ext)) + ext
}

// SplitExt splits a path element before the last dot that has something on
// both sides, as "photo" and ".jpg".
func SplitExt(part string) (stem, ext string) {
	if i := strings.LastIndexByte(part, '.'); i > 0 && i < len(part)-1 {
		return part[:i], part[i:]
	}
	return part, ""
}

// isReserved is true for the names that Windows keeps for devices, with any
// extension (Microsoft, "Naming Files, Paths, and Namespaces").
func isReserved(part string) bool {
	stem, _, _ := strings.Cut(part, ".")
	stem = strings.TrimRight(stem, " ")
	for _, name := range []string{"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} {
		if equalASCII(stem, name) {
			return true
		}
	}
	if len(stem) < 4 || !equalASCII(stem[:3], "COM") && !equalASCII(stem[:3], "LPT") {
		return false
	}
	switch stem[3:] {
	case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
		return true
	}
	return false
}

// equalASCII reports whether s is name, which is in upper case, in any case of
// its ASCII letters.
func equalASCII(s, name string) bool {
	if len(s) != len(name) {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		if b != name[i] {
			return false
		}
	}
	return true
}
