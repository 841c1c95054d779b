package webui_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"boucan/record"
	"boucan/webui"
	"boucan/webui/testdata/membox"
)

func at(f webui.File) string { return "/f/" + f.CID.String() + "/" + url.PathEscape(f.Name) }

func TestDownloadWholeAndInParts(t *testing.T) {
	s := start(t, webui.Options{})
	data := make([]byte, 3<<20+17) // more than ten steps of the paced writer
	rand.Read(data)
	f := s.put(t, "film.mp4", "", string(data))
	whole := s.get(t, at(f)).wants(t, 200)
	if whole.body != string(data) || whole.ContentLength != int64(len(data)) || whole.Header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("%d bytes came, of %d", len(whole.body), len(data))
	}
	etag := whole.Header.Get("ETag")
	if etag != `"`+f.CID.String()+`"` {
		t.Errorf("ETag is %s", etag)
	}
	for _, c := range []struct {
		rng      string
		from, to int
	}{{"bytes=0-0", 0, 1}, {"bytes=1000000-1999999", 1000000, 2000000}, {"bytes=-5", len(data) - 5, len(data)}, {"bytes=262144-", 262144, len(data)}} {
		part := s.get(t, at(f), "Range", c.rng).wants(t, http.StatusPartialContent)
		if part.body != string(data[c.from:c.to]) {
			t.Errorf("%s: %d wrong bytes", c.rng, len(part.body))
		}
	}
	s.get(t, at(f), "Range", "bytes=1-1", "If-Range", etag).wants(t, 206)
	s.get(t, at(f), "Range", "bytes=1-1", "If-Range", `"other"`).wants(t, 200)
	s.get(t, at(f), "Range", "bytes=99999999-").wants(t, 416)
	s.get(t, at(f), "If-None-Match", etag).wants(t, 304)
	s.get(t, at(f), "If-None-Match", `"x", `+etag).wants(t, 304)
	s.get(t, at(f), "If-Match", `"x"`).wants(t, 412)
	if head := s.do(t, "HEAD", at(f), nil).wants(t, 200); head.body != "" || head.ContentLength != int64(len(data)) {
		t.Error("HEAD is wrong")
	}
	two := s.get(t, at(f), "Range", "bytes=0-9,100-109").wants(t, 206)
	if !strings.Contains(two.body, string(data[100:110])) {
		t.Error("two ranges: the second is missing")
	}
}

func TestTypesAndDispositions(t *testing.T) {
	s := start(t, webui.Options{})
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("\x00", 30)
	const text, bin = "text/plain; charset=utf-8", "application/octet-stream"
	for i, c := range []struct{ name, claim, data, contentType, disposition string }{
		{"a.jpg", "", "x", "image/jpeg", "inline"},
		{"a.JPG", "text/html", "x", "image/jpeg", "inline"},
		{"a.txt", "", "x", text, "inline"},
		{"a.md", "", "<script>", text, "inline"},
		{"a.pdf", "", "x", "application/pdf", "inline"},
		{"a.zip", "", "x", "application/zip", "attachment"},
		{"a.apk", "", "x", "application/vnd.android.package-archive", "attachment"},
		{"a.html", "text/html", "<script>alert(1)</script>", bin, "attachment"},
		{"a.svg", "image/svg+xml", "<svg onload=alert(1)>", bin, "attachment"},
		{"a.xml", "application/xml", "<x/>", bin, "attachment"},
		{"a.js", "text/javascript", "alert(1)", bin, "attachment"},
		{"a.xhtml", "image/png", "<html/>", bin, "attachment"},
		{"a", "text/html", "<html><script>alert(1)</script>", bin, "attachment"},
		{"a.mp3", "", "x", "audio/mpeg", "inline"},
		{"a.webm", "", "x", "video/webm", "inline"},
		{"b", "", "<html><script>alert(1)</script>", bin, "attachment"},
		{"c", "image/png", "x", "image/png", "inline"},
		{"d", "", png, "image/png", "inline"},
		{"e", "", "plain words", text, "inline"},
		{"f", "", "\x00\x01\x02", bin, "attachment"},
		{"g", "", strings.Repeat("x", 511) + "é and more", text, "inline"},
		{"h", "text/markdown; charset=latin1", "x", text, "inline"},
		{"i", "not a type", "\xff\xfe", bin, "attachment"},
		{"j.unknownext", "video/mp4", "x", "video/mp4", "inline"},
		{"k", "", "%PDF-1.4", "application/pdf", "inline"},
		{"l", "", "", text, "inline"},
	} {
		f := s.put(t, c.name, c.claim, c.data+strings.Repeat(" ", i)) // distinct bytes
		a := s.get(t, at(f)).wants(t, 200)
		kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Disposition"))
		if err != nil || kind != c.disposition || a.Header.Get("Content-Type") != c.contentType {
			t.Errorf("%s (%s): %s, %s, %v", c.name, c.claim, a.Header.Get("Content-Type"), a.Header.Get("Content-Disposition"), err)
		}
		csp := a.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "script-src") || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: policy %q", c.name, csp)
		}
		sandbox := "sandbox"
		switch kind, _, _ := strings.Cut(c.contentType, "/"); {
		case c.contentType == "application/pdf":
			sandbox = "form-action 'none'"
		case kind == "video" || kind == "audio":
			sandbox = "sandbox allow-same-origin"
		}
		if !strings.HasSuffix(csp, "; "+sandbox) {
			t.Errorf("%s: policy %q does not end with %s", c.name, csp, sandbox)
		}
		saved := s.get(t, at(f)+"?dl=1").wants(t, 200)
		if !strings.HasPrefix(saved.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: saved as %s", c.name, saved.Header.Get("Content-Disposition"))
		}
	}
}

func TestHostileNamesInHeaders(t *testing.T) {
	s := start(t, webui.Options{})
	f := s.put(t, "x.bin", "", "data")
	for _, name := range append(hostile, "a\r\nSet-Cookie: x=1", "quote\".txt", `back\slash.txt`, "semi;colon", "per%41cent", strings.Repeat("é", 3000), "..", "日本.txt") {
		a := s.get(t, "/f/"+f.CID.String()+"/"+url.PathEscape(name))
		if name == ".." { // cleaned away by the client or the server: no such page
			continue
		}
		a.wants(t, 200)
		d := a.Header.Get("Content-Disposition")
		_, params, err := mime.ParseMediaType(d)
		if err != nil || len(a.Cookies()) != 0 || strings.ContainsAny(d, "\r\n") || len(d) > 2000 {
			t.Errorf("%.40q: %q, %v", name, d, err)
			continue
		}
		if got := params["filename"]; got == "" || len(got) > record.MaxNamePart || strings.ContainsAny(got, "/\\\u202e\u2066") {
			t.Errorf("%.40q is saved as %q", name, got)
		}
	}
	_, params, err := mime.ParseMediaType(s.get(t, "/f/"+f.CID.String()+"/"+url.PathEscape("Zoé’s 日本 (1).txt")).Header.Get("Content-Disposition"))
	if err != nil || params["filename"] != "Zoé’s 日本 (1).txt" {
		t.Errorf("saved as %q, %v", params["filename"], err)
	}
}

func TestFilesThatAreNotHere(t *testing.T) {
	s := start(t, webui.Options{})
	seen := time.Now().Add(-3*time.Hour - time.Minute)
	away := webui.File{ID: membox.ID(), CID: membox.CID(7), Name: "far.txt", From: webui.BoxRef{ID: membox.Key(2), Name: "Le <Phare>", Seen: seen}}
	s.Add(away)
	a := s.get(t, at(away)+"?dl=1&lang=en").wants(t, 503, "Le &lt;Phare&gt;", "last seen \u20683 h ago", "No box in reach", `href="/f/`+away.CID.String()+`/far.txt?dl=1&amp;lang=en"`)
	if a.Header.Get("Retry-After") == "" || strings.Contains(a.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("headers %v", a.Header)
	}
	s.get(t, at(away), "Accept", "application/json").wants(t, 503, `"code":"not_here"`)
	s.get(t, at(away), "If-None-Match", `"`+away.CID.String()+`"`).wants(t, 304)
	s.get(t, at(away), "Accept-Language", "fr").wants(t, 503, "Hors de portée", "vue \u2068il y a 3 h")
	s.get(t, at(away), "Accept-Language", "ar").wants(t, 503, `dir="rtl"`)
	own := webui.File{ID: membox.ID(), CID: membox.CID(9), Name: "own.txt", From: webui.BoxRef{ID: membox.Key(1), Name: "self", Self: true, Seen: seen}}
	s.Add(own)
	s.get(t, at(own)).wants(t, 503, "No box in reach").lacks(t, "last seen")
	for _, c := range []struct {
		err    error
		status int
		say    string
	}{
		{webui.ErrBusy, 503, "Many people"}, {webui.ErrFull, 507, "no room"}, {webui.ErrRemoved, 410, "Whoever keeps this box"},
		{webui.ErrLied, 404, "not the one that was announced"}, {webui.ErrTooLarge, 413, "larger"}, {webui.ErrNotHere, 503, "No box in reach"},
	} {
		s.Far(func(record.CID) (webui.Content, error) { return nil, fmt.Errorf("fetch: %w", c.err) })
		s.get(t, at(away)).wants(t, c.status, c.say)
	}
	s.get(t, "/f/"+membox.CID(8).String()+"/x").wants(t, 404, "Nothing here")
	for _, bad := range []string{"x", "..", strings.Repeat("b", 5000), "bafk%00", strings.ToUpper(away.CID.String())} {
		if a := s.get(t, "/f/"+bad+"/x"); a.StatusCode != 404 && a.StatusCode != 307 {
			t.Errorf("%.20s: status %d", bad, a.StatusCode)
		}
	}
	s.Fail(webui.ErrAway)
	s.get(t, at(away)).wants(t, 503, "unplugged")
	s.Fail(membox.ErrBroken)
	s.get(t, at(away)).wants(t, 500, "not your fault").lacks(t, "strange noise")
	s.get(t, "/").wants(t, 500).lacks(t, "strange noise")
}

func TestManyReadersAtOnce(t *testing.T) {
	s := start(t, webui.Options{})
	data := bytes.Repeat([]byte("0123456789abcdef"), 50_000)
	f := s.put(t, "a.bin", "", string(data))
	done := make(chan bool)
	for range 8 {
		go func() { done <- s.get(t, at(f)).body == string(data) }()
	}
	for range 8 {
		if !<-done {
			t.Error("a reader got other bytes")
		}
	}
}

// far is a file that comes from another box: it notes where it was read, and may
// break off.
type far struct {
	*bytes.Reader
	breakAt int64 // the place from which on it fails, 0 for never

	mu     sync.Mutex
	closed int
	reads  []int64
}

func (f *far) Read(p []byte) (int, error) {
	at, _ := f.Seek(0, io.SeekCurrent)
	f.mu.Lock()
	f.reads = append(f.reads, at)
	f.mu.Unlock()
	if f.breakAt > 0 && at+int64(len(p)) > f.breakAt {
		if at >= f.breakAt {
			return 0, errors.New("nobody has the rest")
		}
		p = p[:f.breakAt-at]
	}
	return f.Reader.Read(p)
}

func (f *far) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return nil
}

// What comes from another box is served like what is here: whole, in parts, under
// its own name and tag, and only what is asked for is read.
func TestDownloadWhileItComes(t *testing.T) {
	s := start(t, webui.Options{})
	data := make([]byte, 3<<20+17)
	rand.Read(data)
	file := webui.File{ID: membox.ID(), CID: membox.CID(7), Name: "film.mp4", Size: 5, From: webui.BoxRef{ID: membox.Key(2), Name: "Le Phare"}}
	s.Add(file)
	var last *far
	s.Far(func(record.CID) (webui.Content, error) {
		last = &far{Reader: bytes.NewReader(data)}
		return last, nil
	})
	whole := s.get(t, at(file)).wants(t, 200)
	if whole.body != string(data) || whole.ContentLength != int64(len(data)) || whole.Header.Get("Accept-Ranges") != "bytes" || whole.Header.Get("Content-Type") != "video/mp4" {
		t.Fatalf("%d bytes came, of %d: %v", len(whole.body), len(data), whole.Header)
	}
	etag := whole.Header.Get("ETag")
	if part := s.get(t, at(file), "Range", "bytes=2000000-2000099").wants(t, 206); part.body != string(data[2000000:2000100]) {
		t.Error("a part differs")
	}
	for _, at := range last.reads {
		if at < 2000000 || at > 2000100 {
			t.Errorf("%d was read for a part from 2000000 on", at)
		}
	}
	if part := s.get(t, at(file), "Range", "bytes=-7").wants(t, 206); part.body != string(data[len(data)-7:]) {
		t.Error("the end differs")
	}
	s.get(t, at(file), "Range", "bytes=1-1", "If-Range", etag).wants(t, 206)
	s.get(t, at(file), "Range", "bytes=1-1", "If-Range", `"other"`).wants(t, 200)
	s.get(t, at(file), "Range", "bytes=99999999-").wants(t, 416)
	if head := s.do(t, "HEAD", at(file), nil).wants(t, 200); head.body != "" || head.ContentLength != int64(len(data)) || len(last.reads) != 0 {
		t.Error("HEAD is wrong, or reads")
	}
	if last.closed != 1 {
		t.Errorf("closed %d times", last.closed)
	}
	plain := webui.File{ID: membox.ID(), CID: membox.CID(8), Name: "words", From: file.From}
	s.Add(plain)
	s.Far(func(record.CID) (webui.Content, error) { return &far{Reader: bytes.NewReader([]byte("words"))}, nil })
	if a := s.get(t, at(plain)).wants(t, 200); a.body != "words" || a.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%q, %v", a.body, a.Header)
	}
}

// A download that breaks off in the middle is seen to: the connection ends
// before what was promised.
func TestDownloadThatBreaksOff(t *testing.T) {
	s := start(t, webui.Options{})
	file := webui.File{ID: membox.ID(), CID: membox.CID(7), Name: "film.mp4"}
	s.Add(file)
	s.Far(func(record.CID) (webui.Content, error) {
		return &far{Reader: bytes.NewReader(make([]byte, 1<<20)), breakAt: 300_000}, nil
	})
	resp, err := http.Get(s.http.URL + at(file))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || n > 300_000 || resp.ContentLength != 1<<20 {
		t.Errorf("%d bytes of %d, %v", n, resp.ContentLength, err)
	}
}
