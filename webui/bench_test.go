package webui_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"boucan/webui"
)

// BenchmarkHome makes the home page of a box with a full list and a full lobby.
func BenchmarkHome(b *testing.B) {
	s := start(b, webui.Options{})
	for i := range webui.DefaultPage {
		s.put(b, fmt.Sprintf("folder/A file with a name of some length, number %d.jpg", i), "", fmt.Sprint(i))
		if _, err := s.Post(b.Context(), webui.Draft{Room: "lobby", Nick: "Somebody", Text: fmt.Sprint("Message ", i)}); err != nil {
			b.Fatal(err)
		}
	}
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Encoding", encoding)
			for b.Loop() {
				w := httptest.NewRecorder()
				s.ui.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
