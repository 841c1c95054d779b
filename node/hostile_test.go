package node

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"boucan/record"
)

// publish has a box say what it likes.
func (b *testBox) publish(files ...record.File) []*record.Record {
	b.t.Helper()
	var recs []*record.Record
	for _, f := range files {
		// Each in a millisecond of its own: what is older has the name.
		b.published = timeOf(max(time.Now().UnixMilli(), b.published.UnixMilli()+1))
		recs = append(recs, b.sign(record.Draft{Created: b.published, Life: fileLife, Body: f}))
	}
	if err := b.node.records.Publish(b.t.Context(), recs...); err != nil {
		b.t.Fatal(err)
	}
	return recs
}

func cidOf(codec byte, content string) record.CID {
	return record.NewCID(codec, sha256.Sum256([]byte(content)))
}

func TestLyingRecordsDoNoHarm(t *testing.T) {
	a, b, liar := newBox(t, "a"), newBox(t, "b"), newBox(t, "liar")
	const honest = "what is true"
	raw := cidOf(record.CodecRaw, honest)
	tree := cidOf(record.CodecDagPB, "nothing hashes to this")
	liar.publish(
		record.File{Name: "impossible.iso", CID: raw, Size: 5 << 30},
		record.File{Name: "impossible.txt", CID: tree, Size: 12},
		record.File{Name: "longer.txt", CID: raw, Size: 1 << 20},
		record.File{Name: "shorter.txt", CID: raw, Size: 1},
		record.File{Name: "honest.txt", CID: raw, Size: 3},
		record.File{Name: "nowhere.txt", CID: cidOf(record.CodecRaw, "nobody has this"), Size: 15},
	)
	eventually(t, "b has heard the lies", func() bool { return b.lists("honest.txt", "longer.txt", "nowhere.txt", "shorter.txt") })
	a.add("honest.txt", honest)
	eventually(t, "b has the honest bytes all the same", func() bool {
		return b.has("honest.txt", "longer.txt", "shorter.txt")
	})
	for _, name := range []string{"honest.txt", "longer.txt", "shorter.txt"} {
		if got := b.get(name); got != honest {
			t.Errorf("%s: %q", name, got)
		}
		resp, err := http.Get(b.url + "/f/" + raw.String() + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != honest {
			t.Errorf("page gives %s as %q, %v", name, got, err)
		}
	}
	waiting, giveUp := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer giveUp()
	if body, err := b.Get(waiting, "nowhere.txt"); err == nil {
		body.Close()
		t.Error("got what nobody has")
	}
	if len(b.folder()) != 1 {
		t.Errorf("b stored %v", b.folder())
	}
}

// TestSizesThatLieDoNotBreakTheSums: one blob, several sizes, going one after
// the other.
func TestSizesThatLieDoNotBreakTheSums(t *testing.T) {
	a, liar := newBox(t, "a"), newBox(t, "liar")
	a.add("honest.txt", "honest")
	tree := cidOf(record.CodecDagPB, "nothing hashes to this")
	recs := liar.publish(
		record.File{Name: "small.bin", CID: tree, Size: 2 << 20},
		record.File{Name: "large.bin", CID: tree, Size: 200 << 30},
		record.File{Name: "large.bin", CID: tree, Size: 3 << 20},
	)
	eventually(t, "a lists them", func() bool { return a.lists("honest.txt", "large.bin", "small.bin") })
	for _, r := range recs {
		down := liar.sign(record.Draft{Created: time.Now(), Expires: timeOf(r.Expires), Body: record.Takedown{Target: r.ID()}})
		if err := liar.node.records.Publish(t.Context(), down); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "they are gone", func() bool { return a.lists("honest.txt") })
	id, err := a.Identity(t.Context())
	if err != nil || id.Files != 1 || id.Bytes != uint64(len("honest")) {
		t.Errorf("files %d, bytes %d, %v", id.Files, id.Bytes, err)
	}
}

func TestAnImitatedNameIsStillOneName(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.publish(record.File{Name: "photo.jpg", CID: cidOf(record.CodecRaw, "first"), Size: 5})
	second := cidOf(record.CodecRaw, "second")
	other := cidOf(record.CodecRaw, "imitation")
	tagged := "photo (" + second.Short() + ").jpg"
	eventually(t, "the first is older", func() bool { return b.lists("photo.jpg") })
	a.publish(record.File{Name: "photo.jpg", CID: second, Size: 6})
	eventually(t, "the second carries its tag", func() bool { return b.lists(tagged, "photo.jpg") })
	recs := a.publish(record.File{Name: strings.ToUpper(tagged), CID: other, Size: 9})
	for _, box := range []*testBox{a, b} {
		eventually(t, "all three have names of their own", func() bool { return len(box.ls()) == 3 })
		if got := box.ls()[strings.ToUpper(tagged)]; got.CID != other.String() {
			t.Errorf("what is really called so is not: %v", box.ls())
		}
		if f, err := box.Lookup(t.Context(), tagged); err != nil || f.CID != other.String() {
			t.Errorf("the name leads to %v, %v", f, err)
		}
		long := second.String()
		if f, err := box.Lookup(t.Context(), "photo ("+long[len(long)-12:]+").jpg"); err != nil || f.CID != long {
			t.Errorf("the longer tag leads to %v, %v", f, err)
		}
	}
	down := a.sign(record.Draft{Created: time.Now(), Expires: timeOf(recs[0].Expires), Body: record.Takedown{Target: recs[0].ID()}})
	if err := a.node.records.Publish(t.Context(), down); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the tag is as it was", func() bool { return b.lists(tagged, "photo.jpg") })
}
