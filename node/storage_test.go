package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boucan/webui"
)

// TestStickOfABox: the operator, the page and whoever drops are told what is in the
// place of the shared folder; no record is withdrawn, and all goes on when the right
// stick is back.
func TestStickOfABox(t *testing.T) {
	a := newBox(t, "a")
	a.put("photo.jpg", "a photo")
	eventually(t, "it is listed", func() bool { return a.has("photo.jpg") })
	at := filepath.Join(a.dir, filesDir)
	if err := os.Rename(at, at+".pulled"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		put     func() error
		storage string
		trouble error
	}{
		{func() error { return os.Mkdir(at, 0o755) }, "unplugged", webui.ErrAway},
		{func() error { return os.WriteFile(filepath.Join(at, "other.jpg"), nil, 0o644) }, "unmarked", webui.ErrOther},
	} {
		if err := c.put(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is "+c.storage, func() bool { return a.node.Identity().Storage == c.storage })
		if got := (box{a.node}).Usage().Trouble; !errors.Is(got, c.trouble) {
			t.Errorf("%s: the page says %v", c.storage, got)
		}
		if _, err := (files{a.node}).Drop(t.Context(), "x", strings.NewReader("x"), webui.DropOptions{Size: -1}); !errors.Is(err, c.trouble) {
			t.Errorf("%s: drop: %v", c.storage, err)
		}
		if f, listed := a.ls()["photo.jpg"]; !listed || f.Here {
			t.Errorf("%s: listed %v, %+v", c.storage, listed, f)
		}
	}
	if err := errors.Join(os.RemoveAll(at), os.Rename(at+".pulled", at)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is back", func() bool { return a.has("photo.jpg") && a.node.Identity().Storage == "" })
	if got := (box{a.node}).Usage().Trouble; got != nil {
		t.Errorf("back: the page says %v", got)
	}
}
