package webui_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"boucan/record"
	"boucan/webui"
	"boucan/webui/testdata/membox"
)

var undoLink = regexp.MustCompile(`href="(/undo/[a-z2-7]{39})(\?[^"]*)?"`)

func TestUndoWithoutJavaScript(t *testing.T) {
	s := start(t, webui.Options{})
	s.drop(t, nil, formFile{"file", "other.txt", "other"})
	to := s.drop(t, nil, formFile{"file", "regret <b>.txt", "regret"}, formFile{"file", "", "x"}).wants(t, 303).Header.Get("Location")
	receipt := s.get(t, to+"?lang=fr").wants(t, 200, "Le reprendre")
	links := undoLink.FindAllStringSubmatch(receipt.body, -1)
	if len(links) != 2 || links[0][2] != "?lang=fr" {
		t.Fatalf("links %q", links)
	}
	link := links[0][1]
	a := s.get(t, link).wants(t, 200, "Take this back?", "regret _b_.txt", `method="post"`, `action="`+link+`"`)
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the page may be kept: %q", a.Header.Get("Cache-Control"))
	}
	if len(s.Files()) != 3 {
		t.Fatal("looking at the page took something back")
	}
	for _, foreign := range [][]string{{"Origin", "http://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}} {
		s.do(t, "POST", link, nil, foreign...).wants(t, 403)
	}
	if len(s.Files()) != 3 {
		t.Fatal("another site's page took something back")
	}
	s.do(t, "POST", link, nil, "Origin", s.http.URL).wants(t, 200, "Taken back", "regret _b_.txt")
	if len(s.Files()) != 2 {
		t.Errorf("%d files", len(s.Files()))
	}
	s.do(t, "POST", link, nil).wants(t, 404, "Nothing to take back")
	s.get(t, link).wants(t, 404, "Nothing to take back")
}

func TestUndoByTheAPI(t *testing.T) {
	s := start(t, webui.Options{})
	var answer struct {
		Already bool
		Undo    string
	}
	drop := func(query string, status int) string {
		t.Helper()
		a := s.do(t, "POST", "/api/v1/files?name=a.txt"+query, strings.NewReader("a")).wants(t, status)
		if err := json.Unmarshal([]byte(a.body), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Undo
	}
	secret := strings.Repeat("a", 25) + "e" // 16 bytes: the last digit holds three of its bits
	mine := drop("&secret="+secret, 201)
	code, err := record.ParseUndoCode(mine)
	if err != nil || code.Secret != [record.SecretSize]byte{15: 1} {
		t.Errorf("the code %q, %v, does not hold the secret", mine, err)
	}
	if again := drop("&secret="+secret, 200); again != mine {
		t.Errorf("trying again gave %q and %q", mine, again)
	}
	for _, bad := range []string{"x", secret[1:], secret + "a", strings.ToUpper(secret), strings.Repeat("a", 25) + "b", strings.Repeat("1", 26)} {
		s.do(t, "POST", "/api/v1/files?name=b.txt&secret="+bad, strings.NewReader("b")).wants(t, 400, "malformed")
	}
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{
		{"", 400, "malformed"}, {"{}", 404, "no_undo"}, {`{"code":"x"}`, 404, "no_undo"}, {`{"code":5}`, 400, "malformed"},
		{`{"code":"` + strings.Repeat("a", webui.MaxForm) + `"}`, 413, "too_long"},
		{`{"code":"` + record.UndoCodeFor(membox.ID(), record.NewSecret()).String() + `"}`, 404, "no_undo"},
		{`{"code":"` + mine + `"} x`, 400, "malformed"},
	} {
		s.do(t, "POST", "/api/v1/undo", strings.NewReader(c.body)).wants(t, c.status, `"`+c.says+`"`)
	}
	s.do(t, "POST", "/api/v1/undo", strings.NewReader(`{"code":"`+mine+`"}`), "Origin", "http://evil.example").wants(t, 403)
	s.do(t, "POST", "/api/v1/undo", strings.NewReader(`{"code":"`+strings.ToUpper(mine)+`"}`)).wants(t, 200, `"name":"a.txt"`, `"kept":false`)
	if len(s.Files()) != 0 {
		t.Errorf("%d files", len(s.Files()))
	}
	a := s.drop(t, wantJSON, formFile{"file", "c.txt", "c"}).wants(t, 201)
	if !regexp.MustCompile(`"undo":"[a-z2-7]{39}"`).MatchString(a.body) {
		t.Errorf("a form's answer is %s", a.body)
	}
}

func TestBlockedDropsAreRefused(t *testing.T) {
	s := start(t, webui.Options{})
	s.Fail(webui.ErrBlocked)
	s.do(t, "POST", "/api/v1/files?name=x", strings.NewReader("x")).wants(t, 403, `"blocked"`)
	s.drop(t, wantJSON, formFile{"file", "x", "x"}).wants(t, 403, `"problem":"blocked"`)
	to := s.drop(t, nil, formFile{"file", "x", "x"}).wants(t, 303).Header.Get("Location")
	s.get(t, to).wants(t, 200, "does not want this file")
}

func TestActionsAreShown(t *testing.T) {
	s := start(t, webui.Options{})
	s.get(t, "/").wants(t, 200, `href="/actions"`)
	s.get(t, "/actions").wants(t, 200, "Nothing was removed or blocked.")
	s.get(t, "/api/v1/actions").wants(t, 200, `{"actions":[]}`)
	var all []webui.Action
	for _, did := range []string{"remove", "withdraw", "trust", "untrust", "block", "unblock"} {
		for _, what := range []string{"file", "message", "box", "name"} {
			known := map[string]string{"remove": "file message", "withdraw": "file message", "trust": "box", "untrust": "box"}[did]
			if known == "" && what != "message" || strings.Contains(known, what) {
				all = append(all, webui.Action{Day: "2026-07-14", Did: did, What: what, Ref: "<ref>"})
			}
		}
	}
	all[0].Day = "2026-07-15"
	s.SetActions(all...)
	for _, lang := range []string{"en", "fr", "ar", "uk"} {
		a := s.get(t, "/actions?lang="+lang).wants(t, 200, "2026-07-15", "2026-07-14", "&lt;ref&gt;")
		a.lacks(t, "action.", "<ref>")
		if n := strings.Count(a.body, "<h2>"); n != 2 {
			t.Errorf("%d days", n)
		}
	}
	s.get(t, "/api/v1/actions").wants(t, 200, `{"day":"2026-07-15","did":"remove","what":"file","ref":"\u003cref\u003e"}`)
}
