package circle_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"boucan/circle"
)

func newKey(t testing.TB) circle.Key {
	t.Helper()
	k, err := circle.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTextComesBack(t *testing.T) {
	for range 100 {
		k := newKey(t)
		text := k.Text()
		if circle.Significant(text) != circle.TextSize || strings.Count(text, "\n") != 3 {
			t.Fatalf("text is %q", text)
		}
		for _, typed := range []string{
			text, strings.ToLower(text), strings.ReplaceAll(text, "-", ""), strings.Join(strings.Fields(text), ""),
			strings.ReplaceAll(text, "-", " – "), "\ufeff" + strings.ReplaceAll(text, "\n", "\r\n") + "\r\n",
			strings.NewReplacer("0", "O", "1", "l").Replace(text), strings.NewReplacer("0", "o", "1", "I").Replace(text),
		} {
			if got, err := circle.Parse(typed); err != nil || got != k {
				t.Fatalf("%q: %v", typed, err)
			}
		}
	}
}

// TestEverySingleTypoIsNamed tries every wrong character in every place, and all
// pairs of a group that change places.
func TestEverySingleTypoIsNamed(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	right := []byte(compact(newKey(t).Text()))
	refused := func(what string, at int, typed []byte) {
		t.Helper()
		_, err := circle.Parse(string(typed))
		if err == nil {
			t.Fatalf("%s at %d passes", what, at)
		}
		if want := fmt.Sprintf("group %d of 8", at/8+1); !strings.Contains(err.Error(), want) {
			t.Fatalf("%s at %d is said to be: %v", what, at, err)
		}
	}
	for at := range right {
		for _, c := range []byte(alphabet) {
			if typed := bytes.Clone(right); c != right[at] {
				typed[at] = c
				refused("a wrong character", at, typed)
			}
		}
		for other := at + 1; other < (at/8+1)*8; other++ {
			if typed := bytes.Clone(right); typed[at] != typed[other] {
				typed[at], typed[other] = typed[other], typed[at]
				refused("a swap", at, typed)
			}
		}
	}
	for g := range 7 { // groups that changed places
		if typed := bytes.Clone(right); !bytes.Equal(right[8*g:8*g+8], right[8*g+8:8*g+16]) {
			copy(typed[8*g:], right[8*g+8:8*g+16])
			copy(typed[8*g+8:], right[8*g:8*g+8])
			refused("a swapped group", 8*g, typed)
		}
	}
}

func compact(text string) string {
	return strings.NewReplacer("-", "", " ", "", "\n", "").Replace(text)
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	// Not a new key each time: where a character is missing, the check of the group
	// passes with one key of 32.
	right := compact("0410-610M 50R3-GG2C 8A1C-60TQ 3GF2-08H8 44RM-2MB7 1E60-S388 DHR7-8Y3H WG8M-D6DN")
	for text, want := range map[string]string{
		"":                             "these are 0",
		right[:63]:                     "these are 63",
		right + "7":                    "these are 65",
		right[:8] + "U" + right[9:]:    `'U' in group 2`,
		right[:8] + "*" + right[9:]:    `'*' in group 2`,
		right[:20] + right[21:]:        "group 3 of 8",
		strings.Repeat(" ", 1024):      "these are 0",
		strings.Repeat(" ", 1025):      "longer than 1024 bytes",
		strings.Repeat("0", 64):        "group 1 of 8",
		"https://example.org/\x00\xff": `':' in group 1`,
	} {
		if _, err := circle.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", text, err, want)
		}
	}
}

// TestSeveralErrorsInOneGroup: the character of the group lets one in 32 pass,
// the check of the whole does not.
func TestSeveralErrorsInOneGroup(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	right := compact(newKey(t).Text())
	passed := 0
	for a := range 32 {
		for b := range 32 {
			typed := []byte(right)
			typed[9], typed[12] = alphabet[a], alphabet[b]
			_, err := circle.Parse(string(typed))
			switch {
			case string(typed) == right:
			case err == nil:
				t.Fatalf("%s passes for %s", typed, right)
			case !strings.Contains(err.Error(), "group 2"):
				passed++
			}
		}
	}
	if passed == 0 {
		t.Error("the group's character sees all: nothing tries the check of the whole")
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	k := newKey(t)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k)
	said := log.String() + fmt.Sprint(k) + fmt.Sprintf("%v %+v %#v %s %x %d %q", k, k, k, k, k, k, k)
	for _, secret := range []string{compact(k.Text())[:7], fmt.Sprintf("%x", k[:4]), fmt.Sprint(k[:2])[1:]} {
		if strings.Contains(said, secret) {
			t.Errorf("printed %s", said)
		}
	}
	if n := strings.Count(said, k.Fingerprint()); n != 10 {
		t.Errorf("the fingerprint stands %d times in %s", n, said)
	}
}

func TestCirclesDiffer(t *testing.T) {
	a, b := newKey(t), newKey(t)
	if a.Fingerprint() == b.Fingerprint() || bytes.Equal(a.Network(), b.Network()) || bytes.Equal(a.Network(), a[:]) {
		t.Error("two keys give the same")
	}
	sealed := a.Sealer().Seal([]byte("here I am"))
	if plain, ok := a.Sealer().Open(sealed); !ok || string(plain) != "here I am" {
		t.Errorf("opened as %q, %v", plain, ok)
	}
	if _, ok := b.Sealer().Open(sealed); ok {
		t.Error("another circle opens it")
	}
	if bytes.Equal(sealed, a.Sealer().Seal([]byte("here I am"))) {
		t.Error("two seals are the same")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, ok := a.Sealer().Open(bad); ok {
			t.Errorf("opened with byte %d changed", i)
		}
		if _, ok := a.Sealer().Open(sealed[:i]); ok {
			t.Errorf("opened with %d bytes", i)
		}
	}
}

func FuzzParse(f *testing.F) {
	k := circle.Key{1, 2, 3}
	f.Add(k.Text())
	f.Add(strings.ToLower(k.Text()))
	f.Add("0000-0000")
	f.Add("ÀÉ\xff")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := circle.Parse(text)
		if err != nil {
			if len(err.Error()) > 200 {
				t.Errorf("a long error: %v", err)
			}
			return
		}
		if again, err := circle.Parse(k.Text()); err != nil || again != k {
			t.Errorf("%q: %v", text, err)
		}
	})
}
