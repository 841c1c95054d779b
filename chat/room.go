package chat

import (
	"strings"
	"unicode"

	"boucan/record"
)

// CheckRoom reports ErrRoom unless name may name a room: one to record.MaxRoom
// bytes of letters, digits and marks of any script in lower case, with "-", "_",
// "." or a single space between them, so that two rooms never look alike by case
// or by blanks and every name fits into a URL.
func CheckRoom(name string) error {
	if name == "" || len(name) > record.MaxRoom || name != strings.ToLower(name) ||
		name != record.CleanLine(name, record.MaxRoom) {
		return ErrRoom
	}
	joint := true // a separator may neither begin the name nor follow another
	for _, r := range name {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
			joint = false
		case strings.ContainsRune("-_. ", r) && !joint:
			joint = true
		default:
			return ErrRoom
		}
	}
	if joint {
		return ErrRoom
	}
	return nil
}

// hasInk is true where s shows anything at all when it is drawn.
func hasInk(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsGraphic(r) && !unicode.IsSpace(r)
	})
}
