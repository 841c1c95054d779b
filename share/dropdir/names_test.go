package dropdir

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"boucan/record"
)

func TestFold(t *testing.T) {
	for _, same := range [][]string{
		{"photo.jpg", "PHOTO.JPG", "Photo.jpg"},
		{"\u00e9", "e\u0301", "\u00c9", "E\u0301"},
		{"Å", "A\u030a", "\u212b", "å"},
		{"k", "K", "\u212a"},
		{"ς", "σ", "Σ"},
		{"Straße", "STRAẞE"},
		{"한글", "\u1112\u1161\u11ab\u1100\u1173\u11af"},
		{"a\xff", "A\xff"},
	} {
		for _, s := range same[1:] {
			if Fold(s) != Fold(same[0]) {
				t.Errorf("%q and %q fold to %q and %q", same[0], s, Fold(same[0]), Fold(s))
			}
		}
	}
	for _, other := range [][2]string{{"a", "b"}, {"e", "é"}, {"a/b", "a_b"}, {"\xff", "\xfe"}, {"日", "目"}, {"a ", "a"}} {
		if Fold(other[0]) == Fold(other[1]) {
			t.Errorf("%q and %q fold alike", other[0], other[1])
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"", "A", "É/e\u0301", "ς", "\xff\xfe", "ΐ", "İı", "ẞß", "\u0345", "한"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		folded := Fold(s)
		if Fold(folded) != folded {
			t.Errorf("%q folds to %q, and that to %q", s, folded, Fold(folded))
		}
		if strings.Count(folded, "/") != strings.Count(s, "/") {
			t.Errorf("%q folds to another depth", s)
		}
	})
}

func TestHiddenAndTemporary(t *testing.T) {
	for _, n := range []string{".", ".boucan", ".x", "lost+found", "System Volume Information", "Thumbs.db", "DESKTOP.INI"} {
		if !Hidden(n) {
			t.Errorf("%q is not hidden", n)
		}
	}
	for _, n := range []string{"a.part", "a.CRDOWNLOAD", "a.tmp", "doc.odt~", "~$doc.docx", "x.partial"} {
		if Hidden(n) || !Temporary(n) {
			t.Errorf("%q is not temporary", n)
		}
	}
	for _, n := range []string{"tmp", "tmpfile", "part.jpg", "a~b", "party", "x"} {
		if Hidden(n) || Temporary(n) {
			t.Errorf("%q is left out", n)
		}
	}
}

func TestTagged(t *testing.T) {
	for in, want := range map[string]string{
		"photo.jpg": "photo (q5l2ya).jpg", "a/b.c/photo": "a/b.c/photo (q5l2ya)", "d.x/.y": "d.x/.y (q5l2ya)",
		strings.Repeat("x", 255):           strings.Repeat("x", 246) + " (q5l2ya)",
		strings.Repeat("é", 125) + ".jpeg": strings.Repeat("é", 120) + " (q5l2ya).jpeg",
		"name." + strings.Repeat("e", 20):  "name." + strings.Repeat("e", 20) + " (q5l2ya)",
	} {
		got := Tagged(in, "q5l2ya")
		if got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}

func FuzzTagged(f *testing.F) {
	f.Add("photo.jpg", 3)
	f.Add(strings.Repeat("日", 85), 0)
	f.Add(strings.Repeat("😀", 63)+".x", 99)
	f.Fuzz(func(t *testing.T, name string, k int) {
		name = record.CleanName(name)
		_, base := split(name)
		for _, tag := range []string{"", "q5l2ya"} {
			got := candidate(base, tag, max(0, k%maxTwins))
			if err := record.CheckName(got); err != nil || len(got) > record.MaxNamePart {
				t.Errorf("%q becomes %q: %v", base, got, err)
			}
			if !utf8.ValidString(got) || len(utf16.Encode([]rune(got))) > 255 {
				t.Errorf("%q is too long for FAT", got)
			}
		}
		if err := record.CheckName(plain(base)); err != nil && plain(base) != "" {
			t.Errorf("%q becomes %q: %v", base, plain(base), err)
		}
	})
}

func TestFirstFree(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 4, 5, 8, 9, 100, 1000, maxTwins} {
		asked := 0
		k, err := firstFree(func(k int) (bool, error) { asked++; return k < n, nil })
		if err != nil || k != n {
			t.Errorf("%d taken: %d %v", n, k, err)
		}
		if asked > 60 {
			t.Errorf("%d taken: asked %d times", n, asked)
		}
	}
	if _, err := firstFree(func(int) (bool, error) { return true, nil }); err == nil {
		t.Error("no end to names")
	}
	bad := errors.New("disk")
	if _, err := firstFree(func(k int) (bool, error) { return true, bad }); !errors.Is(err, bad) {
		t.Errorf("%v", err)
	}
}

func TestShallow(t *testing.T) {
	deep := strings.Repeat("d/", MaxDepth) + "f"
	if got := shallow(deep); strings.Count(got, "/") != MaxDepth-1 || !strings.HasSuffix(got, "/f") {
		t.Errorf("%q", got)
	}
	if got := shallow(deep[2:]); got != deep[2:] {
		t.Errorf("%q", got)
	}
}

func TestVisible(t *testing.T) {
	for path, want := range map[string]bool{
		"a": true, "a/b": true, ".a": false, "a/.b": false, ".boucan/x": false, "a//b": false, "": false,
		strings.Repeat("p", MaxPath): true, strings.Repeat("p", MaxPath+1): false,
		strings.Repeat("d/", MaxDepth-1) + "f": true, strings.Repeat("d/", MaxDepth) + "f": false,
	} {
		if visible(path) != want {
			t.Errorf("%q: %v", path, !want)
		}
	}
}

func ExampleTagged() {
	fmt.Println(Tagged("holiday/photo.jpg", "q5l2ya"))
	// Output: holiday/photo (q5l2ya).jpg
}
