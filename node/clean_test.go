package node

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"boucan/record"
)

// TestDropsAreCleaned: a visitor's drop, through the door, loses what identifies
// before it is named, and its record says so; what an operator adds stays.
func TestDropsAreCleaned(t *testing.T) {
	b := newBox(t, "clean")
	var plain bytes.Buffer
	if err := png.Encode(&plain, image.NewGray(image.Rect(0, 0, 9, 9))); err != nil {
		t.Fatal(err)
	}
	const head = 8 + 25 // signature and size
	told := string(plain.Bytes()[:head]) + "\x00\x00\x00\x0atEXtAuthor\x00Ada\x00\x00\x00\x00" + string(plain.Bytes()[head:])
	drop := func(query, content string) (cid record.CID, cleaned string) {
		t.Helper()
		resp, err := http.Post(b.url+"/api/v1/files?name="+query, "image/png", strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var d struct {
			File    struct{ CID string }
			Cleaned string
		}
		if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
			t.Fatal(err)
		}
		if cid, err = record.ParseCID(d.File.CID); err != nil {
			t.Fatal(err)
		}
		return cid, d.Cleaned
	}
	says := func(cid record.CID, want record.Cleaned) {
		t.Helper()
		recs, err := b.node.records.ByCID(cid)
		if err != nil || len(recs) != 1 {
			t.Fatalf("%d records, %v", len(recs), err)
		}
		if f, err := recs[0].File(); err != nil || f.Cleaned != want {
			t.Errorf("the record says %d, not %d: %v", f.Cleaned, want, err)
		}
	}
	cid, word := drop("a.png", told)
	if word != "removed" || !b.node.blobs.Has(cid) {
		t.Errorf("cleaned: %q", word)
	}
	says(cid, record.CleanedDone)
	if again, word := drop("b.png", plain.String()); again != cid || word != "nothing" {
		t.Errorf("what is clean has another name, %q", word)
	}
	kept, word := drop("c.png&keep-metadata=1", told)
	if kept == cid || word != "kept" {
		t.Errorf("kept: %q", word)
	}
	says(kept, record.CleanedKept)
	text, word := drop("d.txt", "by Ada")
	if word != "cannot" {
		t.Errorf("a text: %q", word)
	}
	says(text, record.CleanedCannot)
	if _, err := b.Drop(t.Context(), "mine.txt", strings.NewReader("by its operator")); err != nil {
		t.Fatal(err)
	}
}
