package webui_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"boucan/record"
	"boucan/webui"
	"boucan/webui/testdata/membox"
)

func (s *site) say(t testing.TB, path string, v url.Values) answer {
	t.Helper()
	return s.do(t, "POST", path, strings.NewReader(v.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

func TestChatForm(t *testing.T) {
	s := start(t, webui.Options{})
	page := s.get(t, "/").wants(t, 200)
	once := regexp.MustCompile(`name="once" value="([A-Z0-9]+)"`).FindStringSubmatch(page.body)
	if once == nil {
		t.Fatal("form has no once")
	}
	v := url.Values{"nick": {" Zoé "}, "text": {"hello\r\nyou"}, "once": {once[1]}}
	a := s.say(t, "/chat/lobby?lang=fr", v).wants(t, 303)
	if to := a.Header.Get("Location"); to != "/?lang=fr&nick=Zo%C3%A9#say" {
		t.Errorf("sent to %q", to)
	}
	s.say(t, "/chat/lobby", v).wants(t, 303) // the button was tapped twice
	if s.Posted() != 1 {
		t.Errorf("%d messages", s.Posted())
	}
	s.get(t, "/?nick="+url.QueryEscape("Zoé")).wants(t, 200, "hello\nyou", `value="Zoé"`)
	if again := s.get(t, "/"); strings.Contains(again.body, once[1]) {
		t.Error("two pages share one once")
	}
	s.say(t, "/chat/lobby", url.Values{"text": {" "}}).wants(t, 303) // says nothing, shows the room
	s.say(t, "/chat/NO", url.Values{"text": {"x"}}).wants(t, 404, "No such room")
	if a := s.say(t, "/chat/lobby", url.Values{"text": {"flood"}}).wants(t, 429, "quicker than the box", "3 s"); a.Header.Get("Retry-After") != "3" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	s.say(t, "/chat/lobby", url.Values{"text": {strings.Repeat("x", record.MaxMessage)}}).wants(t, 303)
	s.say(t, "/chat/lobby", url.Values{"text": {strings.Repeat("x", record.MaxMessage+1)}}).wants(t, 413, "too long")
	s.say(t, "/chat/lobby", url.Values{"text": {strings.Repeat("x", webui.MaxForm)}}).wants(t, 413)
	s.say(t, "/chat/lobby", url.Values{"text": {"a", "b"}, "nick": {"c", "d"}}).wants(t, 303)
	s.do(t, "POST", "/chat/lobby", strings.NewReader("%zz"), "Content-Type", "application/x-www-form-urlencoded").wants(t, 400)
	s.get(t, "/chat/lobby").wants(t, 404)
}

func TestChatAPI(t *testing.T) {
	s := start(t, webui.Options{})
	post := func(body string) answer {
		return s.do(t, "POST", "/api/v1/rooms/lobby/messages", strings.NewReader(body))
	}
	var m struct {
		ID, Nick, Text, Reply string
		From                  struct{ Self bool }
	}
	a := post(`{"nick":"Ada","text":"<b>hi</b>","once":"k"}`).wants(t, 201)
	if err := json.Unmarshal([]byte(a.body), &m); err != nil || m.Nick != "Ada" || m.Text != "<b>hi</b>" || !m.From.Self {
		t.Errorf("answer %s, %v", a.body, err)
	}
	post(`{"nick":"Ada","text":"<b>hi</b>","once":"k"}`).wants(t, 201, m.ID)
	post(`{"text":"answer","reply":"`+m.ID+`"}`).wants(t, 201, `"reply":"`+m.ID+`"`)
	for body, status := range map[string]int{
		``: 400, `{`: 400, `[]`: 400, `{"text":1}`: 400, `{"text":"x"} {}`: 400, `{"text":"x","reply":"y"}`: 400,
		`{"text":""}`: 422, `{"text":"flood"}`: 429, `{"text":"` + strings.Repeat("x", record.MaxMessage+1) + `"}`: 413,
		`{"text":"` + strings.Repeat("x", webui.MaxForm) + `"}`: 413,
	} {
		if a := post(body); a.StatusCode != status || !strings.Contains(a.body, `"code":"`) {
			t.Errorf("%.40q: %d %s", body, a.StatusCode, cut(a.body))
		}
	}
	s.do(t, "POST", "/api/v1/rooms/NO/messages", strings.NewReader(`{"text":"x"}`)).wants(t, 404, `"code":"room"`)
	s.do(t, "POST", "/api/v1/rooms/caf%C3%A9/messages", strings.NewReader(`{"text":"elsewhere"}`)).wants(t, 201)
	s.get(t, "/api/v1/rooms/caf%C3%A9/messages").wants(t, 200, "elsewhere").lacks(t, "answer")
	s.Fail(membox.ErrBroken)
	post(`{"text":"x"}`).wants(t, 500).lacks(t, "strange noise")
}

func TestHistoryPagesBackwards(t *testing.T) {
	s := start(t, webui.Options{})
	for i := range 25 {
		if _, err := s.Post(t.Context(), webui.Draft{Room: "lobby", Text: fmt.Sprint("m", i)}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	before := ""
	for range 10 {
		var page struct {
			Messages []struct{ Text string }
			Before   string
		}
		a := s.get(t, "/api/v1/rooms/lobby/messages?limit=10&before="+before).wants(t, 200)
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			if seen[m.Text] {
				t.Errorf("%s twice", m.Text)
			}
			seen[m.Text] = true
		}
		if before = page.Before; before == "" {
			break
		}
	}
	if len(seen) != 25 || before != "" {
		t.Errorf("%d messages, then %q", len(seen), before)
	}
}
