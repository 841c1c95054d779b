package node

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// randomText is size bytes that nothing else has.
func randomText(seed byte, size int) string {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return string(b)
}

// newCaller starts a box that copies nothing by itself.
func newCaller(t *testing.T, dir string) *testBox {
	t.Helper()
	log := &testLog{}
	c := config(dir, log)
	c.Policy.Mirror = MirrorNone
	b := startWith(t, c)
	b.log = log
	return b
}

// page asks for a listed file as a browser does, with headers in pairs.
func (b *testBox) page(name string, headers ...string) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+"/f/"+b.ls()[name].CID+"/"+url.PathEscape(name), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Errorf("%s: %v", name, err)
	}
	return resp, string(body)
}

// A box that copies nothing lists what others have, gives it to whoever asks,
// keeps it, and says whose it was when the other box is gone.
func TestVisitorsGetWhatIsNotCopied(t *testing.T) {
	a := newBox(t, "lighthouse")
	film, song, words := randomText(1, 24<<20+99), randomText(2, 3<<20), "a few words"
	a.put("film.mp4", film)
	a.put("song.mp3", song)
	a.put("words.txt", words)
	a.put("never.txt", "nobody asked for it")
	dir := t.TempDir() + "/raft"
	b := newCaller(t, dir)
	eventually(t, "b lists it all", func() bool { return b.lists("film.mp4", "never.txt", "song.mp3", "words.txt") })
	eventually(t, "b sees that the other box is near", func() bool {
		_, list := get(t, b.url+"/api/v1/files")
		return strings.Count(list, `"state":"near"`) == 4
	})

	// As players do: the beginning, the end, the middle, then on from there.
	for _, part := range []struct{ from, to int }{{0, 100}, {len(film) - 1000, len(film)}, {12 << 20, 13<<20 + 5}, {13<<20 + 5, 16 << 20}, {100, 200}} {
		resp, body := b.page("film.mp4", "Range", fmt.Sprintf("bytes=%d-%d", part.from, part.to-1))
		if resp.StatusCode != http.StatusPartialContent || body != film[part.from:part.to] {
			t.Errorf("%d to %d: %s, %d bytes", part.from, part.to, resp.Status, len(body))
		}
	}
	for name, want := range map[string]string{"words.txt": words, "song.mp3": song, "film.mp4": film} {
		resp, body := b.page(name)
		if resp.StatusCode != http.StatusOK || body != want || resp.ContentLength != int64(len(want)) {
			t.Errorf("%s: %s, %d bytes of %d", name, resp.Status, len(body), resp.ContentLength)
		}
	}
	eventually(t, "what was asked for is kept", func() bool { return b.has("film.mp4", "song.mp3", "words.txt") })

	a.stop()
	eventually(t, "b knows that the other box is gone", func() bool { return b.node.peers.connected() == 0 })
	for range 2 {
		resp, body := b.page("never.txt", "Accept-Language", "en")
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" ||
			!strings.Contains(body, "lighthouse") || !strings.Contains(body, "last seen \u2068just now") {
			t.Errorf("%s, %v: %s", resp.Status, resp.Header, body)
		}
		if _, body := get(t, b.url+"/?lang=en"); !strings.Contains(body, "on \u2068lighthouse\u2069, seen \u2068just now\u2069") {
			t.Error("the list does not say where the file is")
		}
		if _, body := b.page("film.mp4"); body != film {
			t.Error("what is kept differs")
		}
		b.stop()
		b = newCaller(t, dir) // and so it is after a restart, with nobody near
	}
	a = startBox(t, a.dir, nil)
	eventually(t, "it comes when the box is back", func() bool {
		resp, body := b.page("never.txt")
		return resp.StatusCode == http.StatusOK && body == "nobody asked for it"
	})

	// What came for a visitor is a guest: it goes with the record that named it.
	a.rm("song.mp3")
	eventually(t, "what is withdrawn goes", func() bool { return b.lists("film.mp4", "never.txt", "words.txt") && len(b.folder()) == 3 })
}

// get is a GET whose answer may be anything.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// The command line's get reads while it comes, and waits where the box that has
// it went away in the middle.
func TestGetOutlivesTheBoxThatHasIt(t *testing.T) {
	a := newBox(t, "a")
	film := randomText(3, 64<<20)
	a.put("film.mp4", film)
	b := newCaller(t, t.TempDir()+"/b")
	eventually(t, "b lists it", func() bool { return b.lists("film.mp4") })
	body, err := b.Get(t.Context(), "film.mp4")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got := make([]byte, len(film))
	if _, err := io.ReadFull(body, got[:8<<20]); err != nil {
		t.Fatal(err)
	}
	a.stop()
	startBox(t, a.dir, nil)
	if n, err := io.ReadFull(body, got[8<<20:]); err != nil || string(got) != film {
		t.Errorf("%d bytes after the first part, %v", n, err)
	}
}
