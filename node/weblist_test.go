package node

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
)

// web asks the box's page for something.
func (b *testBox) web(path string) (int, []byte) {
	b.t.Helper()
	res, err := http.Get(b.url + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatalf("%s: %v", path, err)
	}
	return res.StatusCode, body
}

// zip asks for an archive and unpacks it.
func (b *testBox) zip(query url.Values) map[string]string {
	b.t.Helper()
	status, body := b.web("/zip?" + query.Encode())
	if status != http.StatusOK {
		b.t.Fatalf("status %d: %s", status, body)
	}
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	files := make(map[string]string)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			b.t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			b.t.Fatalf("%s: %v", f.Name, err)
		}
		files[f.Name] = string(text)
	}
	return files
}

// TestZIPOfWhatIsListed: by entry, so that each has the name that was ticked although
// two share their bytes; by folder, whatever the case; and from a box that has to
// fetch it all.
func TestZIPOfWhatIsListed(t *testing.T) {
	a := newBox(t, "a")
	a.put("Trip/day 1/one.txt", "the same")
	a.put("Trip/two.txt", "the same")
	a.put("tripod.txt", "another")
	eventually(t, "a lists its files", func() bool { return a.has("Trip/day 1/one.txt", "Trip/two.txt", "tripod.txt") })
	log := &testLog{}
	c := config(filepath.Join(t.TempDir(), "b"), log)
	c.Policy.Mirror = MirrorNone
	b := startWith(t, c)
	eventually(t, "b lists them", func() bool { return b.lists("Trip/day 1/one.txt", "Trip/two.txt", "tripod.txt") })
	for _, box := range []*testBox{a, b} {
		_, body := box.web("/api/v1/files")
		var list struct {
			Files []struct{ ID, Name, CID string }
		}
		if err := json.Unmarshal(body, &list); err != nil {
			t.Fatal(err)
		}
		ticked := url.Values{}
		for _, f := range list.Files {
			if f.Name != "Trip/day 1/one.txt" {
				ticked.Add("f", f.ID)
			}
			if status, page := box.web("/file/" + f.CID + "?name=" + url.QueryEscape(f.Name)); status != 200 || !bytes.Contains(page, []byte(filepath.Base(f.Name)+"</bdi></h1>")) {
				t.Errorf("the page of %s: %d", f.Name, status)
			}
		}
		if got := box.zip(ticked); len(got) != 2 || got["Trip/two.txt"] != "the same" || got["tripod.txt"] != "another" {
			t.Errorf("%s: ticked: %q", box.dir, got)
		}
		if got := box.zip(url.Values{"folder": {"trip"}}); len(got) != 2 || got["Trip/two.txt"] != "the same" || got["Trip/day 1/one.txt"] != "the same" {
			t.Errorf("%s: folder: %q", box.dir, got)
		}
	}
	a.rm("tripod.txt")
	eventually(t, "it is gone", func() bool { return a.lists("Trip/day 1/one.txt", "Trip/two.txt") })
	if status, _ := a.web("/zip?folder=tripod.txt"); status != http.StatusNotFound {
		t.Errorf("no folder: %d", status)
	}
}
