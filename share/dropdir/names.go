package dropdir

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"boucan/record"

	"golang.org/x/text/unicode/norm"
)

// Limits of what is shared. What lies beyond them stays where it is, unseen.
const (
	// MaxPath is the longest path in bytes. Index keys hold whole paths.
	MaxPath = 1100
	// MaxDepth is how many folders deep a file may lie. Each is an open file
	// during a walk.
	MaxDepth = 64
)

// maxTwins is how many files of one name are told apart by a number.
const maxTwins = 1 << 24

// Fold is the form of a path in which two that are equal cannot both exist on
// every file system: FAT and macOS do not tell upper from lower case, nor
// composed from decomposed characters (Unicode UAX #15; simple case folding,
// Unicode section 5.18). It is for comparing only.
func Fold(p string) string {
	ascii := true
	for i := range len(p) {
		ascii = ascii && p[i] < utf8.RuneSelf
	}
	if ascii {
		return strings.ToLower(p)
	}
	var b strings.Builder
	s := norm.NFD.String(p)
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			b.WriteByte(s[0])
		} else {
			b.WriteRune(foldRune(r))
		}
		s = s[n:]
	}
	return norm.NFC.String(norm.NFD.String(b.String()))
}

// foldRune is one representative, lower case in ASCII, for all runes that
// differ by case only.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		return unicode.ToLower(r)
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return unicode.ToLower(least)
}

// Hidden reports whether a path element is nobody's file: dot-files, and what
// systems leave on every stick.
func Hidden(name string) bool {
	if strings.HasPrefix(name, ".") {
		return true
	}
	switch strings.ToLower(name) {
	case "lost+found", "system volume information", "$recycle.bin", "thumbs.db", "desktop.ini":
		return true
	}
	return false
}

// Temporary reports whether a path element looks like what a program is still
// at: a download under way, an editor's copy.
func Temporary(name string) bool {
	if strings.HasPrefix(name, "~$") || strings.HasSuffix(name, "~") {
		return true
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".part", ".partial", ".crdownload", ".download", ".opdownload", ".tmp":
		return true
	}
	return false
}

// tagged puts a tag before the extension of a file name, as in "photo (2).jpg",
// and cuts the stem where the name would be longer than a file system allows:
// 255 bytes of UTF-8, which are never more than FAT's 255 UTF-16 units.
func tagged(base, tag string) string {
	tag = " (" + tag + ")"
	const longestExt = 16
	stem, ext := record.SplitExt(base)
	if len(ext) > longestExt {
		stem, ext = base, ""
	}
	stem = record.TrimPart(stem, record.MaxNamePart-len(tag)-len(ext))
	return stem + tag + ext
}

// candidate is the name to try when k others like it are taken. A file that a
// visitor dropped is numbered; one with a tag carries that, so that the same
// file has the same name on every box where it met another.
func candidate(base, tag string, k int) string {
	switch {
	case k == 0:
		return base
	case tag == "":
		return tagged(base, fmt.Sprint(k+1))
	case k == 1:
		return tagged(base, tag)
	default:
		return tagged(base, fmt.Sprintf("%s %d", tag, k))
	}
}

// firstFree finds a k that is not taken, near the least one: a thousand
// pictures called image.jpg cost ten looks each, not a thousand.
func firstFree(taken func(k int) (bool, error)) (int, error) {
	const oneByOne = 4
	for k := range oneByOne {
		if used, err := taken(k); err != nil || !used {
			return k, err
		}
	}
	low, high := oneByOne-1, 2*oneByOne
	for {
		used, err := taken(high)
		if err != nil {
			return 0, err
		}
		if !used {
			break
		}
		if high >= maxTwins {
			return 0, fmt.Errorf("too many files of one name")
		}
		low, high = high, 2*high
	}
	for high-low > 1 {
		k := (low + high) / 2
		used, err := taken(k)
		if err != nil {
			return 0, err
		}
		if used {
			low = k
		} else {
			high = k
		}
	}
	return high, nil
}

// plain is a name that the poorest file system takes: ASCII and short.
func plain(base string) string {
	const short = 100 // bytes; some encrypting file systems stop at 143
	base = strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '_'
		}
		return r
	}, base)
	return strings.TrimRight(record.TrimPart(base, short), " .")
}

// shallow drops the outermost folders of a path that is deeper than MaxDepth.
func shallow(p string) string {
	parts := strings.Split(p, "/")
	if len(parts) > MaxDepth {
		parts = parts[len(parts)-MaxDepth:]
	}
	return strings.Join(parts, "/")
}

func join(dir, base string) string {
	if dir == "" {
		return base
	}
	return dir + "/" + base
}

func split(p string) (dir, base string) {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i], p[i+1:]
	}
	return "", p
}

// rooted is path as os.Root wants it.
func rooted(p string) string {
	if p == "" {
		return "."
	}
	return p
}

// Tagged puts a tag before the extension of the last element of a path, as
// Place does for a name that is taken: "a/photo.jpg" becomes
// "a/photo (q5l2ya).jpg".
func Tagged(p, tag string) string {
	dir, base := split(p)
	return join(dir, tagged(base, tag))
}
