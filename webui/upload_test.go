package webui_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"boucan/record"
	"boucan/webui"
	"boucan/webui/testdata/membox"
)

// formFile is one part of a form.
type formFile struct{ field, name, data string }

// form makes a multipart body; parts without a name are plain fields.
func form(t testing.TB, parts ...formFile) (*bytes.Buffer, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", `form-data; name="`+p.field+`"`)
		if p.name != "-" {
			h.Set("Content-Disposition", `form-data; name="`+p.field+`"; filename="`+p.name+`"`)
			h.Set("Content-Type", "application/octet-stream")
		}
		part, err := w.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(part, p.data)
	}
	w.Close()
	return &b, w.FormDataContentType()
}

func (s *site) drop(t testing.TB, header []string, parts ...formFile) answer {
	t.Helper()
	body, contentType := form(t, parts...)
	return s.do(t, "POST", "/", body, append([]string{"Content-Type", contentType}, header...)...)
}

var wantJSON = []string{"Accept", "application/json"}

func TestFormDropsAndSays(t *testing.T) {
	s := start(t, webui.Options{})
	a := s.drop(t, nil, formFile{"note", "-", "a field first"}, formFile{"file", "one.txt", "1"}, formFile{"file", "sub dir/two.txt", "2"},
		formFile{"other", "three.txt", "1"}, formFile{"note", "-", "a field last"})
	a.wants(t, 303)
	to := a.Header.Get("Location")
	if !strings.HasPrefix(to, "/dropped/") {
		t.Fatalf("sent to %q", to)
	}
	s.get(t, to).wants(t, 200, "3 files are on the box", "one.txt", "sub dir/two.txt", "was here already")
	s.get(t, to+"?lang=fr").wants(t, 200, "3 fichiers")
	s.get(t, "/dropped/unknown").wants(t, 303)
	files := s.Files()
	if len(files) != 2 || files[0].Name != "sub dir/two.txt" || files[1].Name != "one.txt" {
		t.Errorf("listed %+v", files)
	}
	if a := s.get(t, at(files[1])); a.body != "1" {
		t.Errorf("bytes are %q", a.body)
	}
}

// TestSaysWhatWasCleaned: in plain words on the page, in one word by the API; who
// wants it keeps what identifies, by a field before the file or in the address.
func TestSaysWhatWasCleaned(t *testing.T) {
	s := start(t, webui.Options{})
	photo, note := formFile{"file", "a.jpg", "1"}, formFile{"file", "a.txt", "2"}
	keep := formFile{"keep-metadata", "-", "1"}
	page := func(parts ...formFile) answer { return s.get(t, s.drop(t, nil, parts...).Header.Get("Location")) }
	const located, cannot, asked = "Cleaned of location data.", "It could not be cleaned", "as you asked"
	page(photo, note).wants(t, 200, located, cannot)
	if a := page(keep, photo); !strings.Contains(a.body, asked) || strings.Contains(a.body, located) {
		t.Errorf("the answer to who keeps it: %s", a.body)
	}
	page(formFile{"keep-metadata", "-", ""}, photo).wants(t, 200, located)
	s.drop(t, wantJSON, photo).wants(t, 201, `"cleaned":"location"`)
	s.drop(t, wantJSON, keep, photo).wants(t, 201, `"cleaned":"kept"`)
	s.do(t, "POST", "/api/v1/files?name=b.jpg", strings.NewReader("3")).wants(t, 201, `"cleaned":"location"`)
	s.do(t, "POST", "/api/v1/files?name=b.jpg&keep-metadata=1", strings.NewReader("4")).wants(t, 201, `"cleaned":"kept"`)
	s.get(t, "/").wants(t, 200, `name="keep-metadata"`)
	if home := s.get(t, "/").body; strings.Index(home, `name="keep-metadata"`) > strings.Index(home, `type="file"`) {
		t.Error("the choice stands behind the files: a browser sends it too late")
	}
}

func TestFormNames(t *testing.T) {
	s := start(t, webui.Options{})
	for i, c := range []struct{ sent, kept string }{
		{"plain.txt", "plain.txt"},
		{"ünï 日本.txt", "ünï 日本.txt"},
		{"../../etc/passwd", "etc/passwd"},
		{`C:\\Users\\me\\photo.jpg`, "C_/Users/me/photo.jpg"},
		{"CON", "_CON"},
		{"a<b>.html", "a_b_.html"},
		{"say %22hi%22.txt", "say _hi_.txt"},
		{"a%0Ab.txt", "ab.txt"},
		{"a\u202egpj.exe", "agpj.exe"},
		{"a\x00b", ""},
		{strings.Repeat("n", 4000) + ".jpg", strings.Repeat("n", 251) + ".jpg"},
		{".hidden", "hidden"},
		{"...", "unnamed"},
	} {
		before := len(s.Files())
		a := s.drop(t, wantJSON, formFile{"file", c.sent, fmt.Sprint("bytes ", i)})
		files := s.Files()
		if c.kept == "" { // not a header at all: refused, nothing kept
			if len(files) != before {
				t.Errorf("%.30q was kept", c.sent)
			}
			continue
		}
		a.wants(t, 201, `"state":"saved"`)
		if files[0].Name != c.kept || record.CheckName(files[0].Name) != nil {
			t.Errorf("%.30q is kept as %.60q, want %.60q", c.sent, files[0].Name, c.kept)
		}
	}
}

func TestFormWithoutFile(t *testing.T) {
	s := start(t, webui.Options{})
	s.drop(t, nil, formFile{"file", "", ""}).wants(t, 422, "No file chosen")
	s.drop(t, nil, formFile{"note", "-", "x"}).wants(t, 422)
	s.drop(t, wantJSON, formFile{"file", "", ""}).wants(t, 422, `"code":"no_file"`)
	s.do(t, "POST", "/", strings.NewReader("x=1"), "Content-Type", "application/x-www-form-urlencoded").wants(t, 400)
	s.do(t, "POST", "/", strings.NewReader("garbage"), "Content-Type", "multipart/form-data; boundary=x").wants(t, 422)
	s.drop(t, wantJSON, formFile{"file", "empty.txt", ""}).wants(t, 201) // an empty file is a file
	if n := len(s.Files()); n != 1 {
		t.Errorf("%d files", n)
	}
	s.drop(t, wantJSON, formFile{"file", "", "bytes without a name"}).wants(t, 201)
	if a := s.get(t, at(s.Files()[0])); a.body != "bytes without a name" {
		t.Errorf("a file without a name is kept as %q", a.body)
	}
}

func TestFormFileLimit(t *testing.T) {
	s := start(t, webui.Options{})
	parts := make([]formFile, webui.MaxFilesPerForm)
	for i := range parts {
		parts[i] = formFile{"file", fmt.Sprint(i), fmt.Sprint(i)}
	}
	s.drop(t, wantJSON, parts...).wants(t, 201)
	if n := len(s.Files()); n != webui.MaxFilesPerForm {
		t.Errorf("%d files", n)
	}
	a := s.drop(t, wantJSON, append(parts, formFile{"file", "past", "past"})...)
	a.wants(t, 200, `"problem":"too_many"`)
	if n := len(s.Files()); n != webui.MaxFilesPerForm {
		t.Errorf("%d files after one past the limit", n)
	}
	fields := make([]formFile, webui.MaxFormParts+1)
	for i := range fields {
		fields[i] = formFile{"note", "-", "x"}
	}
	s.drop(t, wantJSON, fields...).wants(t, 413, "too_many")
}

func TestRefusedDrops(t *testing.T) {
	s := start(t, webui.Options{})
	s.SetUsage(webui.Usage{Room: 500, Total: 2000})
	big, small := strings.Repeat("x", 501), strings.Repeat("y", 500)
	s.drop(t, wantJSON, formFile{"file", "big", big}, formFile{"file", "small", small}).wants(t, 200, `"problem":"full"`, `"state":"saved"`)
	s.drop(t, wantJSON, formFile{"file", "big", big}).wants(t, 507, `"problem":"full"`)
	to := s.drop(t, nil, formFile{"file", "big", big}).wants(t, 303).Header.Get("Location")
	s.get(t, to).wants(t, 200, "Nothing was saved", "no room left")
	s.do(t, "POST", "/api/v1/files?name=big", strings.NewReader(big)).wants(t, 507, `"code":"full"`)
	s.do(t, "POST", "/api/v1/files?name=big", struct{ io.Reader }{strings.NewReader(big)}).wants(t, 507) // chunked: no size said
	s.SetUsage(webui.Usage{Trouble: webui.ErrAway})
	s.drop(t, wantJSON, formFile{"file", "x", "x"}).wants(t, 503, `"problem":"away"`)
	s.do(t, "POST", "/api/v1/files?name=x", strings.NewReader("x")).wants(t, 503, `"code":"away"`)
	s.Fail(webui.ErrTooLarge)
	s.do(t, "POST", "/api/v1/files?name=x", strings.NewReader("x")).wants(t, 413, `"code":"too_large"`)
	s.Fail(membox.ErrBroken)
	s.do(t, "POST", "/api/v1/files?name=x", strings.NewReader("x")).wants(t, 500, `"code":"internal"`).lacks(t, "strange noise")
	if n, err := s.Leftovers(); n != 0 || err != nil {
		t.Errorf("%d leftovers, %v", n, err)
	}
}

func TestAPIDrop(t *testing.T) {
	s := start(t, webui.Options{})
	var d struct {
		File    struct{ CID, Name, Kind, URL, State string }
		Already bool
	}
	a := s.do(t, "POST", "/api/v1/files?name="+url.QueryEscape("trip/é.jpg"), strings.NewReader("data"), "Content-Type", "image/jpeg").wants(t, 201)
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || d.Already || d.File.Name != "trip/é.jpg" || d.File.Kind != "image" || d.File.State != "here" {
		t.Errorf("answer %s, %v", a.body, err)
	}
	if a := s.get(t, d.File.URL); a.body != "data" || a.Header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("bytes %q of type %s", a.body, a.Header.Get("Content-Type"))
	}
	s.do(t, "POST", "/api/v1/files?name=again", strings.NewReader("data")).wants(t, 200, `"already":true`)
	s.do(t, "POST", "/api/v1/files", strings.NewReader("data")).wants(t, 400)
	s.do(t, "POST", "/api/v1/files?name="+strings.Repeat("n", 8*record.MaxName+1), strings.NewReader("data")).wants(t, 400)
	s.do(t, "POST", "/api/v1/files?name="+strings.Repeat("n", 4000), strings.NewReader("other")).wants(t, 201)
	if files := s.Files(); len(files) != 2 || len(files[0].Name) != record.MaxNamePart {
		t.Errorf("%d files", len(files))
	}
	s.do(t, "PUT", "/api/v1/files?name=x", strings.NewReader("x")).wants(t, 404)
}

// TestCutMidway sends a part of a drop and hangs up. When the server has closed,
// every handler has ended.
func TestCutMidway(t *testing.T) {
	body, contentType := form(t, formFile{"file", "whole.txt", "whole"}, formFile{"file", "half.bin", strings.Repeat("x", 300_000)})
	whole := body.Bytes()
	for name, c := range map[string]struct {
		head string
		sent []byte
		kept int
	}{
		"form, in the second file": {"POST / HTTP/1.1\r\nHost: box\r\nContent-Type: " + contentType, whole[:100_000], 1},
		"form, in a part's header": {"POST / HTTP/1.1\r\nHost: box\r\nContent-Type: " + contentType, whole[:90], 0},
		"api":                      {"POST /api/v1/files?name=half.bin HTTP/1.1\r\nHost: box", whole[:100_000], 0},
	} {
		for _, framing := range []string{"Content-Length: " + fmt.Sprint(len(whole)), "Transfer-Encoding: chunked"} {
			t.Run(name+", "+framing[:7], func(t *testing.T) {
				s := start(t, webui.Options{})
				conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				sent := c.sent
				if framing[0] == 'T' {
					sent = append(fmt.Appendf(nil, "%x\r\n", len(whole)), sent...)
				}
				fmt.Fprintf(conn, "%s\r\n%s\r\n\r\n%s", c.head, framing, sent)
				conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, conn) // until the server has answered and closed
				conn.Close()
				s.http.Close()
				if n, err := s.Leftovers(); n != 0 || err != nil {
					t.Errorf("%d leftovers, %v", n, err)
				}
				if n := len(s.Files()); n != c.kept {
					t.Errorf("%d files listed, want %d", n, c.kept)
				}
			})
		}
	}
}

func TestCutFormSaysWhatWasLost(t *testing.T) {
	s := start(t, webui.Options{})
	body, contentType := form(t, formFile{"file", "whole.txt", "whole"}, formFile{"file", "half.txt", "half"})
	cut := body.Bytes()[:body.Len()-60] // within the second file, as a proxy would hand it on
	s.do(t, "POST", "/", bytes.NewReader(cut), "Content-Type", contentType, "Accept", "application/json").
		wants(t, 200, `"name":"whole.txt","state":"saved"`, `"problem":"cut"`)
}

func TestUploadPlacesAreLimited(t *testing.T) {
	s := start(t, webui.Options{MaxUploads: 1})
	r, w := io.Pipe()
	first := make(chan answer)
	go func() { first <- s.do(t, "POST", "/api/v1/files?name=slow", r) }()
	io.WriteString(w, "begin ") // the first byte is read when the place is taken
	var second answer
	for range 1000 { // the place is taken some moments after that
		second = s.do(t, "POST", "/api/v1/files?name=second", strings.NewReader("x"))
		if second.StatusCode == 503 {
			break
		}
	}
	second.wants(t, 503, `"code":"busy"`)
	if second.Header.Get("Retry-After") == "" {
		t.Error("it does not say when to come back")
	}
	s.drop(t, nil, formFile{"file", "x", "x"}).wants(t, 503, "Busy right now")
	io.WriteString(w, "end")
	w.Close()
	(<-first).wants(t, 201)
	s.do(t, "POST", "/api/v1/files?name=third", strings.NewReader("y")).wants(t, 201)
}

func TestWaitingClientIsRefusedBeforeItSends(t *testing.T) {
	s := start(t, webui.Options{})
	s.SetUsage(webui.Usage{Room: 10})
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/v1/files?name=big HTTP/1.1\r\nHost: box\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n")
	b, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 507 ")) {
		t.Errorf("%.60s, %v", b, err)
	}
}
