package record_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"boucan/record"
)

// textVector is one line of spec/vectors/names.json.
type textVector struct {
	In   string
	Hex  bin `json:"in_hex"`
	Most int
	Out  string
}

func (v textVector) in() string {
	if v.Hex != nil {
		return string(v.Hex)
	}
	return v.In
}

type nameVectors struct{ Names, Lines, Texts []textVector }

func readNameVectors(tb testing.TB) nameVectors {
	tb.Helper()
	var v nameVectors
	readVectors(tb, "names.json", &v)
	if len(v.Names) == 0 || len(v.Lines) == 0 || len(v.Texts) == 0 {
		tb.Fatal("names.json: a table is empty")
	}
	return v
}

func TestNameVectors(t *testing.T) {
	for _, v := range readNameVectors(t).Names {
		got := record.CleanName(v.in())
		if got != v.Out {
			t.Errorf("CleanName(%q) = %q, want %q", v.in(), got, v.Out)
		}
		if err := record.CheckName(got); err != nil {
			t.Errorf("CheckName(%q): %v", got, err)
		}
		err := record.CheckName(v.in())
		if want := v.in() == v.Out; (err == nil) != want || err != nil && !errors.Is(err, record.ErrBody) {
			t.Errorf("CheckName(%q) = %v, want accepted: %v", v.in(), err, want)
		}
	}
}

func TestTextVectors(t *testing.T) {
	vectors := readNameVectors(t)
	for _, v := range vectors.Lines {
		if got := record.CleanLine(v.in(), v.Most); got != v.Out {
			t.Errorf("CleanLine(%q, %d) = %q, want %q", v.in(), v.Most, got, v.Out)
		}
	}
	for _, v := range vectors.Texts {
		if got := record.CleanText(v.in(), v.Most); got != v.Out {
			t.Errorf("CleanText(%q, %d) = %q, want %q", v.in(), v.Most, got, v.Out)
		}
	}
}

func TestNamesThatDifferInCaseOrNormalisationStayApart(t *testing.T) {
	for _, pair := range [][2]string{{"Photo.jpg", "photo.jpg"}, {"é.txt", "e\u0301.txt"}, {"ﬁ", "fi"}, {"A/b", "a/b"}} {
		if record.CleanName(pair[0]) == record.CleanName(pair[1]) {
			t.Errorf("%q and %q became one name", pair[0], pair[1])
		}
	}
}

// Spaces before a name once pushed the name itself out of the cut.
func TestCutKeepsWhatMatters(t *testing.T) {
	if got := record.CleanName(strings.Repeat(" ", 5000) + "photo.jpg"); got != "photo.jpg" {
		t.Errorf("got %q", got)
	}
}

// A hostile path of thousands of elements once cost the square of its length.
func TestDeepPathsAreCheap(t *testing.T) {
	deep := strings.Repeat("a/", 1<<20)
	if n := testing.AllocsPerRun(1, func() { record.CleanName(deep) }); n > 50 {
		t.Errorf("%v allocations", n)
	}
	if got := record.CleanName(deep); len(got) != record.MaxName-1 || strings.Trim(got, "a/") != "" {
		t.Errorf("kept %d bytes", len(got))
	}
}

func TestTrimPart(t *testing.T) {
	for _, c := range []struct {
		part string
		most int
		want string
	}{
		{"photo.jpg", 9, "photo.jpg"},
		{"photo.jpg", 8, "phot.jpg"},
		{"photo.jpg", 5, "p.jpg"},
		{"photo.jpg", 4, "phot"}, // nothing of the stem would be left
		{"été.jpg", 6, "\u00e9.jpg"},
		{"日本", 5, "日"},
		{"日本", 2, ""},
		{"a", 0, ""},
		{"a", -1, ""},
		{"", -1, ""},
		{"a.b.c", 4, "a..c"},
		{".hidden", 3, ".hi"},
		{"a.", 1, "a"},
		{"abcdefg.0123456789abcde", 20, "abcd.0123456789abcde"},  // 16 bytes are an extension
		{"abcdefg.0123456789abcdef", 20, "abcdefg.0123456789ab"}, // 17 are not
		{"\x80\x80\x80", 2, ""},
	} {
		if got := record.TrimPart(c.part, c.most); got != c.want {
			t.Errorf("TrimPart(%q, %d) = %q, want %q", c.part, c.most, got, c.want)
		}
	}
}

func TestSplitExt(t *testing.T) {
	for _, c := range [][3]string{
		{"photo.jpg", "photo", ".jpg"}, {"a.tar.gz", "a.tar", ".gz"}, {"photo", "photo", ""},
		{".jpg", ".jpg", ""}, {"photo.", "photo.", ""}, {"", "", ""}, {".", ".", ""}, {"a..b", "a.", ".b"},
	} {
		stem, ext := record.SplitExt(c[0])
		if stem != c[1] || ext != c[2] {
			t.Errorf("SplitExt(%q) = %q, %q", c[0], stem, ext)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, v := range readNameVectors(f).Names {
		if len(v.in()) < 400 {
			f.Add(v.in())
		}
	}
	f.Add("CON" + strings.Repeat(" ", 260) + "x.jpg") // the cut makes a device name
	f.Add(strings.Repeat("日", 90) + ".jpg")
	f.Fuzz(func(t *testing.T, s string) {
		c := record.CleanName(s)
		if err := record.CheckName(c); err != nil {
			t.Fatalf("CleanName(%q) = %q: %v", s, c, err)
		}
		if again := record.CleanName(c); again != c {
			t.Fatalf("not idempotent on %q: %q then %q", s, c, again)
		}
		if accepted := record.CheckName(s) == nil; accepted != (c == s) {
			t.Fatalf("CheckName(%q) accepts: %v, but CleanName makes %q", s, accepted, c)
		}
		if strings.Contains(c, "..") && strings.Contains("/"+c+"/", "/../") || strings.ContainsAny(c, "\\\x00") {
			t.Fatalf("%q is no safe name", c)
		}
	})
}

func FuzzCleanText(f *testing.F) {
	vectors := readNameVectors(f)
	for _, v := range append(vectors.Lines, vectors.Texts...) {
		f.Add(v.in(), v.Most)
	}
	f.Add("a", -1)
	f.Fuzz(func(t *testing.T, s string, most int) {
		line, text := record.CleanLine(s, most), record.CleanText(s, most)
		for _, c := range []string{line, text} {
			if len(c) > max(most, 0) || !utf8.ValidString(c) || strings.TrimSpace(c) != c || strings.ContainsRune(c, '\r') {
				t.Fatalf("%q, at most %d, became %q", s, most, c)
			}
		}
		if strings.ContainsAny(line, "\n\t") {
			t.Fatalf("%q became the line %q", s, line)
		}
		if again := record.CleanLine(line, most); again != line {
			t.Fatalf("CleanLine is not idempotent on %q: %q then %q", s, line, again)
		}
		if again := record.CleanText(text, most); again != text {
			t.Fatalf("CleanText is not idempotent on %q: %q then %q", s, text, again)
		}
		cleanFitsBody(t, s)
	})
}

// cleanFitsBody holds cleaning and checking together: what is cleaned to a
// body's limit is what that body takes, unless nothing is left.
func cleanFitsBody(t *testing.T, s string) {
	t.Helper()
	m := record.Message{Room: record.CleanLine(s, record.MaxRoom), Text: record.CleanText(s, record.MaxMessage)}
	if err := m.Check(); (err == nil) != (m.Text != "" && m.Room != "") {
		t.Fatalf("%q, cleaned, is refused: %v", s, err)
	}
	raw := record.Message{Room: "lobby", Text: s}
	if err := raw.Check(); (err == nil) != (s != "" && m.Text == s) {
		t.Fatalf("%q: Check says %v, CleanText %q", s, err, m.Text)
	}
}
