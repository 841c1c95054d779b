package circle_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"boucan/circle"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors reads what another implementation of spec/circle.md made.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("../spec/vectors/circle.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Keys   []struct{ Key, Text, Fingerprint, Network, Announcements string }
		Typed  []struct{ Key, Text string }
		Bad    []struct{ Text, Says string }
		Sealed struct{ Key, Nonce, Plain, Packet string }
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Keys) == 0 || len(v.Typed) == 0 || len(v.Bad) == 0 {
		t.Fatal("vectors are missing")
	}
	for _, c := range v.Keys {
		k := circle.Key(unhex(t, c.Key))
		if k.Text() != c.Text || k.Fingerprint() != c.Fingerprint || hex.EncodeToString(k.Network()) != c.Network {
			t.Errorf("key %s: text %q, fingerprint %s, network %x; want %+v", c.Key, k.Text(), k.Fingerprint(), k.Network(), c)
		}
		if got, err := circle.Parse(c.Text); err != nil || got != k {
			t.Errorf("%q: %v", c.Text, err)
		}
	}
	for _, c := range v.Typed {
		if got, err := circle.Parse(c.Text); err != nil || got != circle.Key(unhex(t, c.Key)) {
			t.Errorf("%q: %v", c.Text, err)
		}
	}
	for _, c := range v.Bad {
		if _, err := circle.Parse(c.Text); err == nil || !strings.Contains(err.Error(), c.Says) {
			t.Errorf("%.80q: %v, want %q", c.Text, err, c.Says)
		}
	}
	s := circle.Key(unhex(t, v.Sealed.Key)).Sealer()
	if plain, ok := s.Open(unhex(t, v.Sealed.Packet)); !ok || hex.EncodeToString(plain) != v.Sealed.Plain {
		t.Errorf("opened as %x, %v", plain, ok)
	}
}
