package webui_test

import (
	"strings"
	"testing"
	"time"

	"boucan/webui"
)

func TestTimeIsHeardFromVisitorsWhereItIsAskedFor(t *testing.T) {
	s := start(t, webui.Options{})
	if strings.Contains(s.get(t, "/").body, "data-asks-time") {
		t.Error("a box that knows the time asks for it")
	}
	s.AskTime()
	s.get(t, "/").wants(t, 200, "data-asks-time")
	s.do(t, "POST", "/api/v1/time", strings.NewReader(`{"now": 1795744800123}`)).wants(t, 204)
	for _, bad := range []string{``, `{`, `{"now": 0}`, `{"now": -5}`, `{"now": 1e30}`, `{"now": "today"}`, `{"now": 1}{"now": 1}`} {
		s.do(t, "POST", "/api/v1/time", strings.NewReader(bad)).wants(t, 400)
	}
	s.do(t, "POST", "/api/v1/time", strings.NewReader(`{"now": 1795744800123}`), "Origin", "http://evil.example").wants(t, 403)
	if got := s.Times(); len(got) != 1 || !got[0].Equal(time.UnixMilli(1795744800123)) {
		t.Errorf("the box heard %v", got)
	}
}
