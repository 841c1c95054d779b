package webui

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed strings/*.json
var stringFiles embed.FS

// Directional isolates (Unicode UAX #9, section 2.7) go around every inserted
// text, so that a name in another script cannot turn the sentence around it.
const (
	isolate    = "\u2068"
	isolateEnd = "\u2069"
)

// languages are the catalogues of the page's words, one for each file in strings/.
type languages struct {
	list  []*language // English first, then by code
	byTag map[string]*language
}

// language is one catalogue. It is immutable.
type language struct {
	Code, Dir, Name string
	plural          string            // the rule in pluralForm
	strings         map[string]string // by key
	script          map[string]string // the keys beginning with "js.", for the script
}

// loadLanguages reads the catalogues. A catalogue is one flat JSON object; its
// keys "_dir", "_name" and "_plural" describe the language.
func loadLanguages() (*languages, error) {
	entries, err := stringFiles.ReadDir("strings")
	if err != nil {
		return nil, err
	}
	ls := &languages{byTag: make(map[string]*language)}
	for _, e := range entries {
		code := strings.TrimSuffix(e.Name(), ".json")
		raw, err := stringFiles.ReadFile("strings/" + e.Name())
		if err != nil {
			return nil, err
		}
		l := &language{Code: code, script: make(map[string]string)}
		if err := json.Unmarshal(raw, &l.strings); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		l.Dir, l.Name, l.plural = l.strings["_dir"], l.strings["_name"], l.strings["_plural"]
		for k, v := range l.strings {
			if short, ok := strings.CutPrefix(k, "js."); ok {
				l.script[short] = v
			}
		}
		l.script["_plural"] = l.plural
		ls.list = append(ls.list, l)
		ls.byTag[code] = l
	}
	if ls.byTag["en"] == nil {
		return nil, fmt.Errorf("no English catalogue")
	}
	slices.SortFunc(ls.list, func(a, b *language) int {
		if (a.Code == "en") != (b.Code == "en") {
			return map[bool]int{true: -1, false: 1}[a.Code == "en"]
		}
		return strings.Compare(a.Code, b.Code)
	})
	return ls, nil
}

// of is the language to answer r in: ?lang= where it names one, else the best
// of Accept-Language, else English.
func (ls *languages) of(r *http.Request) *language {
	if l := ls.byTag[chosenLang(r)]; l != nil {
		return l
	}
	const longestHeader = 512
	header := r.Header.Get("Accept-Language")
	best, bestQ := ls.byTag["en"], 0.0
	for part := range strings.SplitSeq(header[:min(len(header), longestHeader)], ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil || q > 1 {
				continue
			}
		}
		if l := ls.byTag[primary]; l != nil && q > bestQ {
			best, bestQ = l, q
		}
	}
	return best
}

// chosenLang is the language named in the address, which every link of a page
// carries on: there is no cookie to remember it.
func chosenLang(r *http.Request) string { return r.URL.Query().Get("lang") }

// T is the string of a key. The arguments are pairs of a placeholder's name and
// its value: T("files.from", "box", name). Text values are isolated.
func (l *language) T(key string, pairs ...any) string {
	s, ok := l.strings[key]
	if !ok {
		return key
	}
	return l.fill(s, pairs)
}

// N is the string of a key in the form that n takes, with {n} filled in.
func (l *language) N(key string, n int, pairs ...any) string {
	return l.T(key+"."+pluralForm(l.plural, n), append(pairs, "n", n)...)
}

func (l *language) fill(s string, pairs []any) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		value, ok := pairs[i+1].(string)
		if ok {
			value = isolate + value + isolateEnd
		} else {
			value = fmt.Sprint(pairs[i+1])
		}
		s = strings.ReplaceAll(s, "{"+fmt.Sprint(pairs[i])+"}", value)
	}
	return s
}

// pluralForm is the CLDR plural category of n for whole numbers that are not
// negative (CLDR, "Language Plural Rules"), by the rule that a catalogue names.
// ts/words.ts has the same rules.
func pluralForm(rule string, n int) string {
	million := n != 0 && n%1_000_000 == 0
	switch rule {
	case "es": // Spanish, Italian
		switch {
		case n == 1:
			return "one"
		case million:
			return "many"
		}
		return "other"
	case "fr": // French, Portuguese
		switch {
		case n < 2:
			return "one"
		case million:
			return "many"
		}
		return "other"
	case "uk": // Ukrainian; "other" is for fractions
		switch {
		case n%10 == 1 && n%100 != 11:
			return "one"
		case n%10 >= 2 && n%10 <= 4 && (n%100 < 12 || n%100 > 14):
			return "few"
		}
		return "many"
	case "ar":
		switch {
		case n == 0:
			return "zero"
		case n == 1:
			return "one"
		case n == 2:
			return "two"
		case n%100 >= 3 && n%100 <= 10:
			return "few"
		case n%100 >= 11:
			return "many"
		}
		return "other"
	}
	if n == 1 { // "one": English, German, Dutch, Turkish
		return "one"
	}
	return "other"
}

// pluralForms are the categories that CLDR knows for a rule; none for a rule that
// is unknown here.
func pluralForms(rule string) []string {
	switch rule {
	case "one":
		return []string{"one", "other"}
	case "es", "fr":
		return []string{"one", "many", "other"}
	case "uk":
		return []string{"one", "few", "many", "other"}
	case "ar":
		return []string{"zero", "one", "two", "few", "many", "other"}
	}
	return nil
}

// Size writes a number of bytes for people, in powers of a thousand as phones do.
func (l *language) Size(n int64) string {
	if n < 1000 {
		return l.T("js.size.b", "n", n)
	}
	value, unit := float64(n)/1000, 0
	units := []string{"kb", "mb", "gb", "tb"}
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	digits := strconv.FormatFloat(value, 'f', 0, 64)
	if value < 9.95 {
		digits = strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0")
		digits = strings.Replace(digits, ".", l.strings["js.decimal"], 1)
	}
	return strings.ReplaceAll(l.strings["js.size."+units[unit]], "{n}", digits)
}

// Age writes how long ago t was. What is dated ahead of now is "just now": the
// boxes' clocks do not agree to the second.
func (l *language) Age(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return l.T("js.age.now")
	case d < time.Hour:
		return l.T("js.age.minutes", "n", int(d/time.Minute))
	case d < 48*time.Hour:
		return l.T("js.age.hours", "n", int(d/time.Hour))
	}
	return l.T("js.age.days", "n", int(d/(24*time.Hour)))
}
