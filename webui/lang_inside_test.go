package webui

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	pluralEnd = regexp.MustCompile(`\.(zero|one|two|few|many|other)$`)
	hole      = regexp.MustCompile(`\{[a-z]+\}`)
)

// stemOf is the key of a string without its plural form, which "#" stands for.
func stemOf(key string) string {
	if strings.HasPrefix(key, "js.kind.") {
		return key // "other" is a kind of file there
	}
	return pluralEnd.ReplaceAllString(key, ".#")
}

// TestCataloguesAreComplete holds every catalogue to the keys of the English one,
// each in all the plural forms of its language.
func TestCataloguesAreComplete(t *testing.T) {
	ls, err := loadLanguages()
	if err != nil {
		t.Fatal(err)
	}
	stems := make(map[string]bool)
	for k := range ls.byTag["en"].strings {
		stems[stemOf(k)] = true
	}
	for _, l := range ls.list {
		want := make(map[string]bool)
		for stem := range stems {
			base, counted := strings.CutSuffix(stem, ".#")
			if !counted {
				want[stem] = true
				continue
			}
			for _, form := range pluralForms(l.plural) {
				want[base+"."+form] = true
			}
		}
		for k := range want {
			if l.strings[k] == "" {
				t.Errorf("%s has no %q", l.Code, k)
			}
		}
		for k := range l.strings {
			if !want[k] {
				t.Errorf("%s has %q, which it does not need", l.Code, k)
			}
		}
		if l.Dir != "ltr" && l.Dir != "rtl" || pluralForms(l.plural) == nil {
			t.Errorf("%s has the direction %q and the plural rule %q", l.Code, l.Dir, l.plural)
		}
	}
}

// TestCataloguesSayEachThingOnce: of two strings with one key, one would be lost.
func TestCataloguesSayEachThingOnce(t *testing.T) {
	ls, err := loadLanguages()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range ls.list {
		raw, err := stringFiles.ReadFile("strings/" + l.Code + ".json")
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		for _, m := range regexp.MustCompile(`(?m)^\s*"([^"]+)"\s*:`).FindAllSubmatch(raw, -1) {
			if k := string(m[1]); seen[k] {
				t.Errorf("%s has %q twice", l.Code, k)
			} else {
				seen[k] = true
			}
		}
		if len(seen) != len(l.strings) {
			t.Errorf("%s has %d strings on %d lines: one line a string", l.Code, len(l.strings), len(seen))
		}
	}
}

// TestPlaceholders holds the placeholders of every string to those of the English
// one. Only a plural form that stands for one single number may leave {n} out.
func TestPlaceholders(t *testing.T) {
	ls, err := loadLanguages()
	if err != nil {
		t.Fatal(err)
	}
	english := ls.byTag["en"].strings
	holesOf := func(s string) []string {
		found := hole.FindAllString(s, -1)
		slices.Sort(found)
		return found
	}
	for _, l := range ls.list {
		standsFor := make(map[string]int)
		for n := range 1000 {
			standsFor[pluralForm(l.plural, n)]++
		}
		for k, s := range l.strings {
			model, got := english[k], holesOf(s)
			if stem := stemOf(k); stem != k {
				model = english[strings.TrimSuffix(stem, "#")+"other"]
				form := k[strings.LastIndex(k, ".")+1:]
				if standsFor[form] == 1 && !strings.Contains(s, "{n}") {
					model = strings.ReplaceAll(model, "{n}", "")
				}
			}
			if want := holesOf(model); !slices.Equal(got, want) {
				t.Errorf("%s %q has the placeholders %q, want %q", l.Code, k, got, want)
			}
			if rest := hole.ReplaceAllString(s, ""); strings.ContainsAny(rest, "{}") {
				t.Errorf("%s %q has a brace that is no placeholder: %q", l.Code, k, s)
			}
		}
	}
}

// TestCataloguesAreWellSet looks for what a reader would stumble over in any language.
func TestCataloguesAreWellSet(t *testing.T) {
	ls, err := loadLanguages()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range ls.list {
		for k, s := range l.strings {
			if strings.ContainsAny(s, `"'`) {
				t.Errorf("%s %q has straight quotation marks: %s", l.Code, k, s)
			}
			if strings.TrimSpace(s) != s || strings.Contains(s, "  ") {
				t.Errorf("%s %q has space to spare: %q", l.Code, k, s)
			}
			if strings.Contains(s, "!") || strings.Contains(s, "...") {
				t.Errorf("%s %q shouts, or writes … as three points: %s", l.Code, k, s)
			}
		}
		for sentence, button := range map[string]string{"undo.keep": "undo.link", "js.drop.unreadable": "drop.folder"} {
			if !strings.Contains(l.strings[sentence], l.strings[button]) {
				t.Errorf("%s %q does not name %q as it is called", l.Code, sentence, button)
			}
		}
	}
}

// TestPluralForms holds the rules to CLDR. check-words.mjs makes the table, and
// holds those of the script to the same.
func TestPluralForms(t *testing.T) {
	ls, err := loadLanguages()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("testdata/plurals.json")
	if err != nil {
		t.Fatal(err)
	}
	var table map[string]map[string][]int
	if err := json.Unmarshal(raw, &table); err != nil {
		t.Fatal(err)
	}
	for _, l := range ls.list {
		if len(table[l.Code]) < 2 {
			t.Errorf("%s is not in testdata/plurals.json: run 'node check-words.mjs --write' in webui/", l.Code)
		}
		for form, numbers := range table[l.Code] {
			for _, n := range numbers {
				if got := pluralForm(l.plural, n); got != form || !slices.Contains(pluralForms(l.plural), form) {
					t.Errorf("%s: %d is %q, want %q", l.Code, n, got, form)
				}
			}
		}
	}
}
