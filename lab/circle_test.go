//go:build lab

package lab

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCircleShowsNothing captures the link while two boxes of a circle exchange
// all that boxes exchange, beside a box of the open mesh and one of another
// circle. Nothing of it is on the link or on the others' lists. The same without
// a circle shows what can be shown, so that the test would see it.
func TestCircleShowsNothing(t *testing.T) {
	for _, closed := range []bool{false, true} {
		t.Run(map[bool]string{true: "circle", false: "open"}[closed], func(t *testing.T) { captured(t, closed) })
	}
}

const (
	saidAtOnce = "we meet at the third bridge, midnight"
	secretFile = "list of the forty names.odt"
)

func captured(t *testing.T, closed bool) {
	l := NewLan(t, "circle", 4, Both)
	a, b := NewBox(t, l.Hosts[0], "atelier-rouge"), NewBox(t, l.Hosts[1], "bateau-bleu")
	outsider, other := NewBox(t, l.Hosts[2], "dehors"), NewBox(t, l.Hosts[3], "ailleurs")
	var key string
	if closed {
		for _, x := range []*Box{a, b, other} {
			x.Args = []string{"--http="} // the page where it is by itself
		}
		key = a.MustCLI("circle", "new")
		b.MustTell(strings.ToLower(key), "circle", "join")
		other.MustCLI("circle", "new")
		for _, x := range []*Box{a, b} {
			if !strings.Contains(x.MustCLI("circle", "--json"), `"running":false`) {
				t.Errorf("box %s does not say what it is in", x.Name)
			}
		}
	}
	capture := l.Listen()
	for _, x := range []*Box{outsider, other, a, b} {
		x.Start()
	}
	eventually(t, 15*time.Second, "the two meet", func() error { return b.ReachesAll(a) })
	film := Input{Seed: 6}.noise(secretFile, 3<<20)
	exchange(t, a, b, film, saidAtOnce)
	if !closed {
		eventually(t, 30*time.Second, "the outsider has it too", func() error { return outsider.Has(secretFile) })
	}
	secrets := secretsOf(t, key, film, a, b)
	if closed {
		outsiderKnowsNothing(t, outsider, other, a, b)
	}
	a.Stop() // it says goodbye
	b.Stop()
	capture.Stop(t)
	for what, secret := range secrets {
		visible := capture.Shows(secret)
		switch {
		case closed && visible:
			t.Errorf("%s can be read on the link", what)
		case !closed && !visible && (strings.HasPrefix(what, "the name of") || strings.HasPrefix(what, "the id of")):
			t.Errorf("%s is not seen where it must be: the capture sees too little", what)
		}
	}
	for _, word := range []string{"boucan", "BCAN", "_tcp", "multistream"} {
		if visible := capture.Shows([]byte(word), l.Hosts[0], l.Hosts[1]); visible == closed {
			t.Errorf("%q is on the link: %v", word, visible)
		}
	}
	if closed {
		joinsLate(t, outsider, a, key)
	}
}

// secretsOf is what nobody may read, by what it is.
func secretsOf(t *testing.T, key string, film Item, boxes ...*Box) map[string][]byte {
	t.Helper()
	bytesOf, err := io.ReadAll(film.Open())
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{
		"the message": []byte(saidAtOnce), "the file's name": []byte(secretFile),
		"the file's first bytes": bytesOf[:32], "the file's last bytes": bytesOf[len(bytesOf)-32:],
		"the file's middle": bytesOf[len(bytesOf)/2:][:32],
	}
	for _, x := range boxes {
		var id struct{ ID, Folder string }
		if err := json.Unmarshal([]byte(x.MustCLI("id", "--json")), &id); err != nil {
			t.Fatal(err)
		}
		listed, err := x.Finds(film.Name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(filepath.Dir(id.Folder), "identity.key"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		public := ed25519.NewKeyFromSeed(block.Bytes).Public().(ed25519.PublicKey)
		secrets["the name of "+x.Name] = []byte(x.Name)
		secrets["the id of "+x.Name] = []byte(id.ID)
		secrets["the public key of "+x.Name] = public
		secrets["the seed of "+x.Name] = block.Bytes
		secrets["the file's CID at "+x.Name] = []byte(listed.CID)
	}
	for n, group := range strings.Fields(key) {
		secrets[fmt.Sprint("group ", n+1, " of the key")] = []byte(strings.ReplaceAll(group, "-", ""))
		secrets[fmt.Sprint("group ", n+1, " of the key, as it is shown")] = []byte(group)
	}
	return secrets
}

func outsiderKnowsNothing(t *testing.T, outsider, other *Box, members ...*Box) {
	t.Helper()
	for _, x := range []*Box{outsider, other} {
		if met := x.MustCLI("peers", "--json"); met != "" {
			t.Errorf("box %s met %s", x.Name, met)
		}
		if all := x.MustCLI("ls", "--json"); all != "" {
			t.Errorf("box %s lists %s", x.Name, all)
		}
		if err := x.Heard(saidAtOnce); err == nil {
			t.Errorf("box %s heard what was said", x.Name)
		}
	}
	for _, m := range members {
		if _, err := Visit(outsider.Host, m).Get("/"); err == nil {
			t.Errorf("the page of box %s is open to strangers", m.Name)
		}
		met, err := m.Reaches()
		if err != nil || len(met) != len(members)-1 {
			t.Errorf("box %s reaches %v, %v", m.Name, met, err)
		}
		if log := m.Log(); strings.Contains(log, secretFile) {
			t.Errorf("box %s logged the name of a file", m.Name)
		}
		// What a port scan finds: random bytes, or none.
		conn, err := outsider.Dial(t.Context(), "tcp", fmt.Sprintf("%s:%d", m.Addr(), p2pPort(t, m)))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
		_, _ = io.WriteString(conn, "\x13/multistream/1.0.0\n\x07/noise\n")
		said, _ := io.ReadAll(io.LimitReader(conn, 1<<16))
		_ = conn.Close()
		if bytes.Contains(said, []byte("multistream")) || bytes.Contains(said, []byte("noise")) {
			t.Errorf("box %s answers a stranger: %q", m.Name, said)
		}
	}
}

// joinsLate gives a running box the key; it has what the circle has, and nothing
// of what it held before gets there.
func joinsLate(t *testing.T, late, member *Box, key string) {
	t.Helper()
	member.Start()
	if _, err := late.Self().Drop("open.txt", strings.NewReader("for all")); err != nil {
		t.Fatal(err)
	}
	late.MustTell(strings.ReplaceAll(key, "\n", " "), "circle", "join")
	eventually(t, 30*time.Second, "the late one has it", func() error { return late.Has(secretFile) })
	if _, err := late.Finds("open.txt"); err == nil {
		t.Error("what was open went into the circle")
	}
	if said := late.MustCLI("circle"); !strings.Contains(said, "1 other box") {
		t.Errorf("the late one says %q", said)
	}
	late.MustCLI("circle", "leave", "--forget")
	if _, err := late.Finds("open.txt"); err != nil {
		t.Errorf("back in the open mesh: %v", err)
	}
	if _, err := late.Finds(secretFile); err == nil {
		t.Error("what the circle had came along into the open mesh")
	}
}
