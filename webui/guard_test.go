package webui_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"boucan/webui"
	"boucan/webui/testdata/membox"
)

func TestOnlyOwnHostsAreAnswered(t *testing.T) {
	own := func(h string) bool { return h == "box.local" || h == "100.64.0.1" || h == "fe80::1" }
	s := start(t, webui.Options{Hosts: own})
	s.put(t, "secret.txt", "", "x")
	for _, host := range []string{"box.local", "BOX.local:8080", "box.local.", "100.64.0.1:80", "[fe80::1]:8080", "[fe80::1%25eth0]"} {
		s.get(t, "/", "Host", host).wants(t, 200, "secret.txt")
	}
	for _, host := range []string{"evil.example", "box.local.evil.example", "127.0.0.1", "box.local@evil", "xbox.local", "localhost:80"} {
		for _, path := range []string{"/", "/api/v1/files", "/static/app.css"} {
			a := s.get(t, path, "Host", host).wants(t, 421)
			a.lacks(t, "secret.txt", "Le Radeau")
		}
		s.get(t, "/", "Host", host).wants(t, 421, `href="http://100.64.0.1/"`)
		s.do(t, "POST", "/api/v1/files?name=x", strings.NewReader("x"), "Host", host).wants(t, 421)
	}
	if n := len(s.Files()); n != 1 {
		t.Errorf("%d files", n)
	}
}

func TestWritesFromOtherSitesAreRefused(t *testing.T) {
	s := start(t, webui.Options{})
	own := s.http.URL
	for _, c := range []struct {
		header []string
		status int
	}{
		{nil, 201},
		{[]string{"Origin", own}, 201},
		{[]string{"Origin", "http://evil.example"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Origin", own + ".evil.example"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 201},
	} {
		a := s.do(t, "POST", "/api/v1/rooms/lobby/messages", strings.NewReader(`{"text":"x"}`), c.header...)
		if a.StatusCode != c.status {
			t.Errorf("%v: status %d, want %d", c.header, a.StatusCode, c.status)
		}
		if a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("another origin is let in")
		}
	}
	s.do(t, "OPTIONS", "/api/v1/files", nil, "Origin", "http://evil.example", "Access-Control-Request-Method", "POST").
		wants(t, 404)
	s.drop(t, []string{"Origin", "http://evil.example"}, formFile{"file", "x", "x"}).wants(t, 403, "another site")
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	s := start(t, webui.Options{})
	f := s.put(t, "a.txt", "", "x")
	for _, path := range []string{"/", "/?lang=ar", "/nothing", "/api/v1/files", "/api/nothing", "/static/nothing", at(f), "/f/x/y", "/dropped/x"} {
		a := s.get(t, path, "Cookie", "a=b", "User-Agent", "spy")
		h := a.Header
		if len(a.Cookies()) != 0 || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" ||
			h.Get("Referrer-Policy") != "same-origin" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") ||
			h.Get("Cross-Origin-Resource-Policy") != "same-origin" || strings.Contains(h.Get("Content-Security-Policy"), "script-src 'unsafe") {
			t.Errorf("%s: %v", path, h)
		}
	}
	csp := s.get(t, "/", "Host", "box.local:8080").Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "connect-src 'self' ws://box.local:8080;") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	for _, host := range []string{"a,b", "a(b)", "[::1]:80", "a:1:2", "x'y"} {
		if csp := s.get(t, "/", "Host", host).Header.Get("Content-Security-Policy"); strings.Contains(csp, "ws:") {
			t.Errorf("%q is put into the policy: %s", host, csp)
		}
	}
}

func TestHeadAndUnknownPages(t *testing.T) {
	s := start(t, webui.Options{})
	if a := s.do(t, "HEAD", "/", nil).wants(t, 200); a.body != "" || a.ContentLength < 1000 {
		t.Errorf("HEAD: %d bytes announced", a.ContentLength)
	}
	s.get(t, "/index.php").wants(t, 404, "Nothing here")
	s.get(t, "/api/v2/files").wants(t, 404, `"code":"unknown"`)
	s.do(t, "DELETE", "/", nil).wants(t, 404)
	s.get(t, "/", "Accept-Encoding", "gzip;q=0").wants(t, 200, "<!doctype html>")
}

// breaking panics where a real one would answer.
type breaking struct{ *membox.Box }

func (breaking) List(context.Context, webui.Query) (webui.Page, error) { panic("out of drums") }

// TestLogsHoldNothingOfVisitors makes everything fail and reads the log.
func TestLogsHoldNothingOfVisitors(t *testing.T) {
	var log bytes.Buffer
	box := membox.New(t.TempDir())
	ui, err := webui.New(breaking{box}, box, box, webui.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string) {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				t.Errorf("panicked with %v", p)
			}
		}()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.RemoteAddr = "192.0.2.77:4711"
		r.Header.Set("User-Agent", "visitor-agent")
		ui.ServeHTTP(httptest.NewRecorder(), r)
	}
	ask("GET", "/?q=visitor-search", "")
	box.Fail(membox.ErrBroken)
	ask("POST", "/api/v1/files?name=visitor-file", "visitor-bytes")
	ask("GET", "/f/"+membox.CID(1).String()+"/visitor-file", "")
	ask("POST", "/api/v1/rooms/lobby/messages", `{"text":"visitor-words"}`)
	got := log.String()
	if !strings.Contains(got, "handler panicked") || !strings.Contains(got, "request failed") {
		t.Errorf("log is silent: %s", got)
	}
	for _, secret := range []string{"192.0.2.77", "visitor-"} {
		if strings.Contains(got, secret) {
			t.Errorf("log has %q: %s", secret, got)
		}
	}
}
