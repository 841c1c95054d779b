package record

import "testing"

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"", "a", "../../etc/passwd", "CON", "con.txt", "a<b>.html", ". .", "a. ", "\u202ephoto.gpj.exe", "é", "e\u0301", "日本.txt"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := CleanName(s)
		if err := CheckName(c); err != nil {
			t.Fatalf("CleanName(%q) = %q: %v", s, c, err)
		}
		if CleanName(c) != c {
			t.Fatalf("CleanName is not idempotent on %q: %q then %q", s, c, CleanName(c))
		}
	})
}
