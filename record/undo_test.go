package record_test

import (
	"strings"
	"testing"

	"boucan/record"
)

func TestUndoCodeHasOneForm(t *testing.T) {
	id := record.ID{1, 2, 3, 4, 5, 6, 7, 8, 9}
	code := record.UndoCodeFor(id, record.NewSecret())
	text := code.String()
	if len(text) != 39 || code.Record != [8]byte(id[:]) || code == record.UndoCodeFor(id, record.NewSecret()) {
		t.Fatalf("code %q", text)
	}
	for _, form := range []string{text, strings.ToUpper(text)} {
		if got, err := record.ParseUndoCode(form); err != nil || got != code {
			t.Errorf("%q: %v", form, err)
		}
	}
	// The last character carries four of its five bits; the fifth must be zero.
	last := strings.IndexByte("abcdefghijklmnopqrstuvwxyz234567", text[38])
	other := text[:38] + "abcdefghijklmnopqrstuvwxyz234567"[last|1:][:1]
	for _, form := range []string{"", text[1:], text + "a", text + "=", text[:38] + "1", text[:38] + "\n", other, strings.Repeat("a", 1<<20)} {
		if got, err := record.ParseUndoCode(form); err == nil {
			t.Errorf("%.60q is read as %v", form, got)
		}
	}
}

func FuzzUndoCode(f *testing.F) {
	f.Add(record.UndoCodeFor(record.ID{}, [16]byte{}).String())
	f.Add("aa\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := record.ParseUndoCode(s); err == nil && c.String() != strings.ToLower(s) {
			t.Errorf("%q is read as %q", s, c)
		}
	})
}
