package webui_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"boucan/record"
	"boucan/webui"
	"boucan/webui/testdata/membox"
)

// unpacked reads an archive: its files' contents by name, and their order.
func unpacked(t testing.TB, body string) (map[string]string, []string) {
	t.Helper()
	z, err := zip.NewReader(strings.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	files, order := make(map[string]string), []string(nil)
	for _, f := range z.File {
		if f.Method != zip.Store {
			t.Errorf("%s is not stored", f.Name)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if _, twice := files[f.Name]; twice {
			t.Errorf("%s is there twice", f.Name)
		}
		files[f.Name] = string(b)
		order = append(order, f.Name)
	}
	return files, order
}

// ticked is the address that the list's form makes of some files.
func ticked(files ...webui.File) string {
	q := url.Values{}
	for _, f := range files {
		q.Add("f", f.ID.String())
	}
	return "/zip?" + q.Encode()
}

func TestTickedFilesAsZIP(t *testing.T) {
	s := start(t, webui.Options{})
	a := s.put(t, "trip/day 1/carte été.pdf", "", strings.Repeat("a", 200_000))
	b := s.put(t, "خريطة الحي.txt", "", "")
	s.put(t, "not ticked.txt", "", "no")
	got := s.get(t, ticked(a, b, a)).wants(t, 200)
	if got.ContentLength != int64(len(got.body)) || len(got.TransferEncoding) > 0 {
		t.Errorf("length is said to be %d, and is %d", got.ContentLength, len(got.body))
	}
	for key, want := range map[string]string{
		"Content-Type": "application/zip", "Content-Disposition": `attachment; filename="Le Radeau.zip"; filename*=UTF-8''Le%20Radeau.zip`,
	} {
		if got.Header.Get(key) != want {
			t.Errorf("%s is %s", key, got.Header.Get(key))
		}
	}
	files, _ := unpacked(t, got.body)
	if len(files) != 2 || files[a.Name] != strings.Repeat("a", 200_000) || files[b.Name] != "" {
		t.Errorf("holds %d files", len(files))
	}
	one := s.get(t, ticked(a)).wants(t, 200)
	if d := one.Header.Get("Content-Disposition"); !strings.Contains(d, "carte%20%C3%A9t%C3%A9.zip") {
		t.Errorf("one file: %s", d)
	}
	if head := s.do(t, "HEAD", ticked(a, b), nil).wants(t, 200); head.ContentLength != got.ContentLength || head.body != "" {
		t.Error("HEAD is wrong")
	}
}

func TestFolderAsZIP(t *testing.T) {
	s := start(t, webui.Options{})
	s.put(t, "trip/map.pdf", "", "map")
	s.put(t, "trip/day 1/song.mp3", "", "song")
	s.put(t, "tripod.txt", "", "no")
	got := s.get(t, "/zip?folder=trip").wants(t, 200)
	files, _ := unpacked(t, got.body)
	if len(files) != 2 || files["trip/map.pdf"] != "map" || files["trip/day 1/song.mp3"] != "song" {
		t.Errorf("holds %v", files)
	}
	if d := got.Header.Get("Content-Disposition"); !strings.Contains(d, `"trip.zip"`) {
		t.Errorf("it is called %s", d)
	}
}

// TestZIPNamesAreForEverySystem: no two files meet where case is not told apart, and
// none meets a folder.
func TestZIPNamesAreForEverySystem(t *testing.T) {
	s := start(t, webui.Options{})
	var all []webui.File
	for i, name := range []string{"a.txt", "A.TXT", "a.txt", "b", "b/c.txt", "B/d.txt", "e/f", "E", "aux.txt", "dots...", `back\slash`, "ÉTÉ.txt", "été.txt"} {
		f := s.put(t, name, "", name+strings.Repeat(" ", i))
		all = append(all, f)
	}
	files, order := unpacked(t, s.get(t, ticked(all...)).wants(t, 200).body)
	want := []string{"a.txt", "A (2).TXT", "a (3).txt", "b", "b (2)/c.txt", "B (2)/d.txt", "e/f", "E (2)", "_aux.txt", "dots", "back/slash", "ÉTÉ.txt", "été (2).txt"}
	if strings.Join(order, "|") != strings.Join(want, "|") || len(files) != len(all) {
		t.Errorf("names are %q", order)
	}
	for _, name := range order {
		if record.CheckName(name) != nil {
			t.Errorf("%q is no portable name", name)
		}
	}
}

func TestZIPFetchesWhatIsElsewhereAndNamesWhatCannotBeHad(t *testing.T) {
	s := start(t, webui.Options{})
	phare := webui.BoxRef{ID: membox.Key(2), Name: "Le Phare", Seen: time.Now().Add(-2 * time.Hour)}
	far := webui.File{ID: membox.ID(), CID: membox.CID(1), Name: "far.txt", Size: 5000, Added: time.Now(), From: webui.BoxRef{ID: membox.Key(3)}}
	gone := webui.File{ID: membox.ID(), CID: membox.CID(2), Name: "gone.txt", Size: 4, Added: time.Now(), From: phare}
	gone2 := webui.File{ID: membox.ID(), CID: membox.CID(3), Name: "gone too.txt", Size: 4, Added: time.Now(), From: phare}
	asked := 0
	s.Far(func(cid record.CID) (webui.Content, error) {
		if cid == far.CID {
			return content(strings.Repeat("f", 5000)), nil
		}
		asked++
		return nil, webui.ErrNotHere
	})
	for _, f := range []webui.File{far, gone, gone2} {
		s.Add(f)
	}
	here := s.put(t, "here.txt", "", "here")
	got := s.get(t, ticked(gone, gone2, far, here)).wants(t, 200)
	if got.ContentLength != -1 {
		t.Error("a length is promised that nobody knows")
	}
	files, order := unpacked(t, got.body)
	if strings.Join(order, "|") != "here.txt|far.txt|NOT IN THIS ZIP.txt" || len(files["far.txt"]) != 5000 || files["here.txt"] != "here" {
		t.Fatalf("holds %q", order)
	}
	for _, part := range []string{"gone.txt", "gone too.txt", "Le Phare", "2 h ago"} {
		if !strings.Contains(files["NOT IN THIS ZIP.txt"], part) {
			t.Errorf("the list of what is missing does not say %q: %s", part, files["NOT IN THIS ZIP.txt"])
		}
	}
	if asked != 1 {
		t.Errorf("a box that did not have its file was asked for %d", asked)
	}
	if ar, _ := unpacked(t, s.get(t, ticked(gone)+"&lang=ar").wants(t, 200).body); ar["ملفات غير موجودة هنا.txt"] == "" {
		t.Errorf("in Arabic it holds %v", ar)
	}
}

// TestZIPIsNeverSilentlyShort: where a file ends early, so does the connection.
func TestZIPIsNeverSilentlyShort(t *testing.T) {
	s := start(t, webui.Options{})
	far := webui.File{ID: membox.ID(), CID: membox.CID(1), Name: "far.txt", Size: 10, Added: time.Now(), From: webui.BoxRef{ID: membox.Key(2)}}
	s.Add(far)
	for name, come := range map[string]webui.Content{
		"ends early": content("short"), "breaks": broken{content("0123456789")},
	} {
		s.Far(func(record.CID) (webui.Content, error) { return come, nil })
		res, err := http.Get(s.http.URL + ticked(far))
		if err != nil {
			continue // it broke before the first byte went out
		}
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: the answer ended as if it were whole", name)
		}
		res.Body.Close()
	}
}

// broken fails in its middle.
type broken struct{ webui.Content }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Content.Read(p[:min(len(p), 5)])
	if err == nil {
		return n, errors.New("the link broke")
	}
	return n, err
}

type closing struct{ *bytes.Reader }

func (closing) Close() error { return nil }

func content(text string) webui.Content { return closing{bytes.NewReader([]byte(text))} }

func TestZIPRefusals(t *testing.T) {
	s := start(t, webui.Options{})
	f := s.put(t, "d/a.txt", "", "a")
	many := make([]webui.File, webui.MaxPicks+1)
	for i := range many {
		many[i].ID = membox.ID()
	}
	s.get(t, "/zip").wants(t, 422, "Tick one or more")
	s.get(t, "/zip?f=x").wants(t, 400)
	s.get(t, "/zip?f="+strings.Repeat("0", 64)).wants(t, 404)
	s.get(t, "/zip?folder=nowhere").wants(t, 404)
	s.get(t, "/zip?folder=../d").wants(t, 404)
	s.get(t, ticked(many...)).wants(t, 413, "more than one ZIP can hold")
	s.Update(f.ID, func(f *webui.File) { f.Size, f.Here = webui.MaxZipBytes+1, false })
	s.get(t, ticked(f)).wants(t, 413)
	for range webui.MaxZipFiles {
		s.Add(webui.File{ID: membox.ID(), CID: membox.CID(9), Name: "big/" + membox.ID().String(), Added: time.Now()})
	}
	s.get(t, "/folder/big").wants(t, 200, "/zip?folder=big")
	s.Add(webui.File{ID: membox.ID(), CID: membox.CID(9), Name: "big/one more", Added: time.Now()})
	s.get(t, "/zip?folder=big").wants(t, 413, "more than one ZIP can hold")
	s.get(t, "/folder/big").wants(t, 200, "more than one ZIP can hold").lacks(t, "/zip?folder=big")
	s.Fail(webui.ErrAway)
	s.get(t, "/zip?folder=d").wants(t, 503, "unplugged")
}
