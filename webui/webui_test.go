package webui_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"boucan/webui"
	"boucan/webui/testdata/membox"
)

// site is a box served on a real listener.
type site struct {
	*membox.Box
	ui   *webui.Server
	http *httptest.Server
	stop func() // ends the live connections; may be called more than once
}

func start(t testing.TB, o webui.Options) *site {
	t.Helper()
	box := membox.New(t.TempDir())
	ui, err := webui.New(box, box, box, o)
	if err != nil {
		t.Fatal(err)
	}
	box.Changed = ui.Changed
	s := &site{Box: box, ui: ui, http: httptest.NewServer(ui)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := ui.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	s.stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(func() {
		s.stop()
		s.http.Close()
	})
	return s
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

// do sends a request without following redirects.
func (s *site) do(t testing.TB, method, path string, body io.Reader, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.http.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res, string(b)}
}

func (s *site) get(t testing.TB, path string, header ...string) answer {
	t.Helper()
	return s.do(t, http.MethodGet, path, nil, header...)
}

func (a answer) wants(t testing.TB, status int, parts ...string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", a.StatusCode, status, cut(a.body))
	}
	for _, p := range parts {
		if !strings.Contains(a.body, p) {
			t.Errorf("answer has no %q: %s", p, cut(a.body))
		}
	}
	return a
}

func (a answer) lacks(t testing.TB, parts ...string) answer {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(a.body, p) {
			t.Errorf("answer has %q", p)
		}
	}
	return a
}

func cut(s string) string { return s[:min(len(s), 600)] }

func (s *site) put(t testing.TB, name, mediaType, data string) webui.File {
	t.Helper()
	f, err := s.Put(name, mediaType, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
