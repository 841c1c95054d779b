package webui_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"boucan/webui"
)

var tusHeaders = []string{"Tus-Resumable", "1.0.0"}

// metadata makes an Upload-Metadata header of keys and values.
func metadata(pairs ...string) string {
	var out []string
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return strings.Join(out, ",")
}

// begin begins an upload and returns its address.
func (s *site) begin(t testing.TB, size int, pairs ...string) string {
	t.Helper()
	a := s.do(t, "POST", "/api/v1/uploads", nil, append([]string{"Upload-Length", fmt.Sprint(size), "Upload-Metadata", metadata(pairs...)}, tusHeaders...)...)
	a.wants(t, 201)
	if a.Header.Get("Tus-Resumable") != "1.0.0" || a.Header.Get("Upload-Expires") == "" {
		t.Errorf("headers %v", a.Header)
	}
	return a.Header.Get("Location")
}

func (s *site) patch(t testing.TB, to string, offset int, data string, header ...string) answer {
	t.Helper()
	h := append([]string{"Upload-Offset", fmt.Sprint(offset), "Content-Type", "application/offset+octet-stream"}, tusHeaders...)
	return s.do(t, "PATCH", to, strings.NewReader(data), append(h, header...)...)
}

// offset asks how far an upload is.
func (s *site) offset(t testing.TB, at string) string {
	t.Helper()
	return s.do(t, "HEAD", at, nil, tusHeaders...).wants(t, 200).Header.Get("Upload-Offset")
}

func TestUploadInPieces(t *testing.T) {
	s := start(t, webui.Options{})
	at := s.begin(t, 11, "filename", "trip/été.txt", "filetype", "text/plain", "description", "two\r\nlines", "days", "7", "unknown", "")
	if got := s.offset(t, at); got != "0" {
		t.Errorf("begins at %s", got)
	}
	if a := s.patch(t, at, 0, "hello").wants(t, 204); a.Header.Get("Upload-Offset") != "5" {
		t.Errorf("then at %q", a.Header.Get("Upload-Offset"))
	}
	s.get(t, at).wants(t, 200, `"offset":5,"size":11`).lacks(t, "dropped")
	s.patch(t, at, 4, "o worl").wants(t, 409, `"code":"offset"`)
	h := s.do(t, "HEAD", at, nil, tusHeaders...)
	if h.Header.Get("Upload-Length") != "11" || h.Header.Get("Upload-Metadata") == "" || h.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h.Header)
	}
	s.patch(t, at, 5, " world").wants(t, 204)
	var first, again struct {
		Dropped struct {
			Undo string
			Days int
			File struct{ Name, CID, Description string }
		}
	}
	for _, into := range []any{&first, &again} {
		if err := json.Unmarshal([]byte(s.get(t, at).wants(t, 200).body), into); err != nil {
			t.Fatal(err)
		}
	}
	d := first.Dropped
	if first != again || d.File.Name != "trip/été.txt" || d.File.Description != "two\nlines" || d.Days != 7 {
		t.Errorf("became %+v, then %+v", first, again)
	}
	s.patch(t, at, 11, "").wants(t, 204) // a client that lost the answer
	if files := s.Files(); len(files) != 1 || s.get(t, "/f/"+d.File.CID+"/x").body != "hello world" {
		t.Errorf("listed %+v", files)
	}
	s.get(t, "/undo/"+d.Undo).wants(t, 200, "trip/été.txt")
}

func TestUploadIsRefused(t *testing.T) {
	s := start(t, webui.Options{})
	create := func(length, meta string) answer {
		return s.do(t, "POST", "/api/v1/uploads", nil, append([]string{"Upload-Length", length, "Upload-Metadata", meta}, tusHeaders...)...)
	}
	for _, length := range []string{"", "-1", "+1", "01", "1.5", "0x1", "99999999999999999999", " 1 1"} {
		create(length, "").wants(t, 400, `"malformed"`)
	}
	for _, meta := range []string{
		"filename", "filename !!!", "filename YQ==,filename YQ==", "a,,b", "days " + base64.StdEncoding.EncodeToString([]byte("91")),
		metadata("days", "0"), metadata("days", "soon"), metadata("filename", strings.Repeat("n", 9000)), strings.Repeat("k,", 20), "a " + strings.Repeat("A", 17<<10),
	} {
		create("5", meta).wants(t, 400)
	}
	create(fmt.Sprint(int64(1)<<60), "").wants(t, 413, `"too_large"`)
	s.SetUsage(webui.Usage{Room: 4})
	create("5", "").wants(t, 507, `"full"`)
	s.SetUsage(webui.Usage{Trouble: webui.ErrAway})
	create("5", "").wants(t, 503, `"away"`)
	s.SetUsage(webui.Usage{Room: 1 << 30})

	at := s.begin(t, 5, "filename", "a")
	s.do(t, "PATCH", at, strings.NewReader("hello"), append([]string{"Upload-Offset", "0"}, tusHeaders...)...).wants(t, 415)
	for _, offset := range []int{-1, 5, 1 << 60} {
		if a := s.patch(t, at, offset, "hello"); a.StatusCode != 400 && a.StatusCode != 409 {
			t.Errorf("offset %d: %d", offset, a.StatusCode)
		}
	}
	s.patch(t, at, 0, "hello and more").wants(t, 413)
	s.do(t, "PATCH", at, strings.NewReader("hello"), "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream").wants(t, 412)
	if v := s.do(t, "HEAD", at, nil).wants(t, 412).Header.Get("Tus-Version"); v != "1.0.0" {
		t.Errorf("version %q", v)
	}
	s.patch(t, at, 0, "hello", "Origin", "http://elsewhere.example").wants(t, 403)
	// Nobody goes on with what they have not begun.
	for _, other := range []string{at[:len(at)-1] + "!", at + "A", "/api/v1/uploads/" + strings.Repeat("A", 26), "/api/v1/uploads/x"} {
		s.patch(t, other, 0, "hello").wants(t, 404, `"no_upload"`)
		s.do(t, "HEAD", other, nil, tusHeaders...).wants(t, 404)
		s.do(t, "DELETE", other, nil, tusHeaders...).wants(t, 404)
		s.get(t, other).wants(t, 404)
	}
	if got := s.offset(t, at); got != "0" || len(s.Files()) != 0 {
		t.Errorf("%s bytes were kept, %d files", got, len(s.Files()))
	}
	s.do(t, "DELETE", at, nil, tusHeaders...).wants(t, 204)
	s.do(t, "HEAD", at, nil, tusHeaders...).wants(t, 404)
}

func TestUploadTellsWhatItCan(t *testing.T) {
	s := start(t, webui.Options{})
	h := s.do(t, "OPTIONS", "/api/v1/uploads", nil).wants(t, 204).Header
	if h.Get("Tus-Version") != "1.0.0" || h.Get("Tus-Extension") != "creation,expiration,termination" || h.Get("Tus-Max-Size") == "" {
		t.Errorf("says %v", h)
	}
	at := s.begin(t, 3)
	over := append([]string{"X-HTTP-Method-Override", "PATCH", "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"}, tusHeaders...)
	s.do(t, "POST", at, strings.NewReader("abc"), over...).wants(t, 204)
	s.begin(t, 0, "filename", "empty.txt")
	if files := s.Files(); len(files) != 2 || files[0].Name != "empty.txt" || files[1].Name != "unnamed" {
		t.Errorf("listed %+v", files)
	}
}

// TestUploadIsTakenOver: the sender's link broke, but the box does not know. What
// came counts, and the sender goes on over another connection.
func TestUploadIsTakenOver(t *testing.T) {
	s := start(t, webui.Options{})
	at := s.begin(t, 10, "filename", "a")
	to, _ := url.Parse(s.http.URL)
	c, err := net.Dial("tcp", to.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: %s\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n", at, to.Host)
	br := bufio.NewReader(c)
	if line, err := br.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("answered %q %v", line, err) // the box reads now
	}
	io.WriteString(c, "four")
	got := s.offset(t, at)
	if got != "0" && got != "4" {
		t.Errorf("%s bytes are said to have come", got)
	}
	from := 0
	fmt.Sscan(got, &from)
	s.patch(t, at, from, "fourandsix"[from:]).wants(t, 204)
	if files := s.Files(); len(files) != 1 || files[0].Size != 10 {
		t.Errorf("listed %+v", files)
	}
}

func TestFormWishes(t *testing.T) {
	s := start(t, webui.Options{})
	a := s.drop(t, nil, formFile{"description", "-", "for\tall "}, formFile{"days", "-", "1"}, formFile{"file", "one.txt", "1"}, formFile{"file", "two.txt", "2"})
	s.get(t, a.wants(t, 303).Header.Get("Location")).wants(t, 200, "one day")
	for _, f := range s.Files() {
		if f.Description != "for\tall" || f.Expires.Sub(f.Added).Round(time.Second) != 24*time.Hour {
			t.Errorf("%+v", f)
		}
	}
	s.drop(t, wantJSON, formFile{"days", "-", "400"}, formFile{"file", "three.txt", "3"}).wants(t, 400)
	s.do(t, "POST", "/api/v1/files?name=four.txt&days=30&description=four", strings.NewReader("4")).wants(t, 201, `"days":30`, `"description":"four"`)
	s.do(t, "POST", "/api/v1/files?name=five.txt&days=x", strings.NewReader("5")).wants(t, http.StatusBadRequest)
}
