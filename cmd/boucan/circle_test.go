package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// tell is do with something on standard input.
func tell(t *testing.T, dir, input string, args ...string) (out, errOut string, code int) {
	t.Helper()
	cmd := command(t, dir, args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &o, &e
	code = exitOf(t, cmd.Run())
	return o.String(), e.String(), code
}

// TestCircleFromBoxToBox makes a circle on a running box and enters it on a
// stopped one and on another running one.
func TestCircleFromBoxToBox(t *testing.T) {
	a, c := start(t, t.TempDir(), "Alpha"), start(t, t.TempDir(), "Gamma")
	a.mustDo("chat", "--nick", "x", "said in the open mesh")
	key, said, code := tell(t, a.dir, "", "circle", "new", "--qr", "never")
	if code != 0 || len(key) != 80 || strings.Contains(said, key[:9]) {
		t.Fatalf("new: %q, %q, exit %d", key, said, code)
	}
	if out := a.mustDo("circle"); !strings.Contains(out, "0 other boxes") {
		t.Errorf("circle: %q", out)
	}
	if shown := a.mustDo("circle", "show"); shown != key {
		t.Errorf("show: %q, new said %q", shown, key)
	}
	if out := a.mustDo("circle", "show", "--qr", "always"); !strings.Contains(out, "█") {
		t.Errorf("no picture in %q", out)
	}
	if out := a.mustDo("chat", "--no-wait", "--last", "10"); strings.Contains(out, "open mesh") {
		t.Errorf("the circle heard %q", out)
	}

	dir := t.TempDir()
	typo := []byte(key)
	if typo[1]++; typo[1] == 'I' || typo[1] == 'L' || typo[1] == 'O' || typo[1] == 'U' || typo[1] == ':' || typo[1] == '[' {
		typo[1] = 'A'
	}
	if _, said, code := tell(t, dir, string(typo), "circle", "join"); code != exitFailed || !strings.Contains(said, "group 1 of 8") {
		t.Errorf("join with a typing error: %q, exit %d", said, code)
	}
	if _, said, code := tell(t, dir, "", "circle", "join"); code != exitFailed || !strings.Contains(said, "no key was given") {
		t.Errorf("join with nothing: %q, exit %d", said, code)
	}
	if _, said, code := tell(t, dir, strings.ToLower(key), "circle", "join"); code != 0 || !strings.Contains(said, "from its next start") {
		t.Errorf("join: %q, exit %d", said, code)
	}
	if out, _, code := do(t, dir, "circle"); code != 0 || !strings.Contains(out, "not running") {
		t.Errorf("circle: %q, exit %d", out, code)
	}
	b := start(t, dir, "Beta")
	if _, said, code := tell(t, c.dir, key, "circle", "join"); code != 0 || !strings.Contains(said, "stays out of the circle") {
		t.Errorf("join: %q, exit %d", said, code)
	}
	near := func(x *box, want string) bool { return strings.Contains(x.mustDo("circle"), want) }
	for _, x := range []*box{a, b, c} {
		eventually(t, "the circle is whole", func() bool { return near(x, "2 other boxes") })
	}
	id := a.mustDo("id")
	if fingerprint := strings.Fields(a.mustDo("circle"))[1]; !strings.Contains(id, fingerprint) || strings.Contains(id, key[:9]) {
		t.Errorf("id: %q, the circle is %s", id, fingerprint)
	}
	if _, said, code := tell(t, a.dir, "", "circle", "new"); code != exitFailed || !strings.Contains(said, "circle leave") {
		t.Errorf("a second circle: %q, exit %d", said, code)
	}

	a.mustDo("circle", "leave")
	if out := a.mustDo("chat", "--no-wait", "--last", "10"); !strings.Contains(out, "said in the open mesh") {
		t.Errorf("back in the open mesh it says %q", out)
	}
	if _, said, code := tell(t, a.dir, "", "circle", "show"); code != exitFailed || !strings.Contains(said, "in no circle") {
		t.Errorf("show: %q, exit %d", said, code)
	}
	eventually(t, "the others miss it", func() bool { return near(b, "1 other box\n") })
	if code := b.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if _, said, code := do(t, dir, "circle", "leave", "--forget"); code != 0 {
		t.Errorf("leave: %q, exit %d", said, code)
	}
	if list, err := os.ReadDir(dir + "/circles"); err != nil || len(list) != 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
	for _, x := range []*box{a, c} {
		if code := x.stop(); code != 0 {
			t.Errorf("exit %d", code)
		}
	}
}
