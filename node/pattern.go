package node

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"boucan/share/dropdir"
)

// Limits of patterns, so that matching one name costs at most about a
// millisecond, whatever the name is.
const (
	maxPatterns = 64  // of each kind
	maxPattern  = 256 // bytes
)

// patterns are compiled patterns of one kind.
type patterns []pattern

// pattern is one pattern, folded and cut at its slashes. Without a slash it is
// for any one part of a name: a file or a folder.
type pattern []string

// anyParts in a pattern stands for any number of parts of a name.
const anyParts = "**"

// compile reads patterns. They compare as names do, without regard to case and
// Unicode normal form. "*" stands for anything within one part of a name, "?" for
// one character, "[a-z]" for one of several, "**" for any number of parts. A
// pattern that matches a folder matches all that is in it.
func compile(texts []string) (patterns, error) {
	if len(texts) > maxPatterns {
		return nil, fmt.Errorf("%d patterns are more than the %d there may be", len(texts), maxPatterns)
	}
	var all patterns
	for _, text := range texts {
		folded := dropdir.Fold(strings.Trim(text, "/"))
		if folded == "" || len(text) > maxPattern || !utf8.ValidString(text) {
			return nil, fmt.Errorf("pattern %.40q is empty, not UTF-8 or longer than %d bytes", text, maxPattern)
		}
		p := pattern(strings.Split(folded, "/"))
		for _, part := range p {
			if _, err := path.Match(part, ""); err != nil || part == "" {
				return nil, fmt.Errorf("pattern %q is not understood: \"*\", \"?\" and \"[a-z]\" stand for others, \"\\\" before one for itself", text)
			}
		}
		if !strings.Contains(strings.TrimRight(text, "/"), "/") {
			p = pattern{anyParts, p[0]}
		}
		all = append(all, p)
	}
	return all, nil
}

// match reports whether any of the patterns matches the name or a folder above
// it.
func (ps patterns) match(name string) bool {
	if len(ps) == 0 {
		return false
	}
	parts := strings.Split(dropdir.Fold(name), "/")
	for _, p := range ps {
		if p.match(parts) {
			return true
		}
	}
	return false
}

// match goes through the name once, with the set of places that the pattern may
// have reached: no name makes it go back.
func (p pattern) match(parts []string) bool {
	at := make([]bool, len(p)+1)
	at[0] = true
	for _, part := range parts {
		for i, any := range p { // "**" may stand for nothing
			at[i+1] = at[i+1] || any == anyParts && at[i]
		}
		next := make([]bool, len(p)+1)
		for i, want := range p {
			switch {
			case !at[i]:
			case want == anyParts:
				next[i] = true
			default:
				ok, _ := path.Match(want, part) // compile has looked at it
				next[i+1] = next[i+1] || ok
			}
		}
		if at = next; at[len(p)] {
			return true
		}
	}
	return p[len(p)-1] == anyParts && at[len(p)-1]
}
