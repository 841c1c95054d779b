package webui_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"boucan/record"
	"boucan/webui"
	"boucan/webui/testdata/membox"
)

// posted says something by the API.
func (s *site) posted(t *testing.T, room, text, mark, reply string) (m struct {
	ID, Tag, Reply string
	Mark           uint32
	Colour         int
}) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"text": text, "mark": mark, "reply": reply})
	if err != nil {
		t.Fatal(err)
	}
	a := s.do(t, "POST", "/api/v1/rooms/"+url.PathEscape(room)+"/messages", strings.NewReader(string(body))).wants(t, 201)
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMarksTellPeopleApart(t *testing.T) {
	const zoe, eve = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	s := start(t, webui.Options{MarkKey: []byte("of this box")})
	first, again := s.posted(t, "lobby", "one", zoe, ""), s.posted(t, "lobby", "two", zoe, "")
	if first.Mark == 0 || first.Mark != again.Mark || first.Tag != again.Tag || first.Colour != again.Colour ||
		!regexp.MustCompile(`^([bdfgklmnprstvz][aeiou]){3}$`).MatchString(first.Tag) || first.Colour < 1 || first.Colour > 8 {
		t.Errorf("one browser is %+v, then %+v", first, again)
	}
	if other := s.posted(t, "lobby", "three", eve, ""); other.Mark == first.Mark || other.Tag == first.Tag {
		t.Errorf("two browsers are both %+v", other)
	}
	if elsewhere := s.posted(t, "garden", "four", zoe, ""); elsewhere.Mark == first.Mark || elsewhere.Tag == first.Tag {
		t.Errorf("two rooms show that it is one browser: %+v", elsewhere)
	}
	if none := s.posted(t, "lobby", "five", "", ""); none.Mark != 0 || none.Tag != "" {
		t.Errorf("without a secret: %+v", none)
	}
	same := start(t, webui.Options{MarkKey: []byte("of this box")})
	if m := same.posted(t, "lobby", "six", zoe, ""); m.Mark != first.Mark {
		t.Error("after another start the mark is another")
	}
	other := start(t, webui.Options{})
	if m := other.posted(t, "lobby", "seven", zoe, ""); m.Mark == first.Mark {
		t.Error("a secret alone makes the mark: it can be tried out at home")
	}
	for _, bad := range []string{"short", strings.Repeat("x", 65), "with spaces in between it all", "0123456789abcdef\x00"} {
		b, _ := json.Marshal(map[string]string{"text": "x", "mark": bad})
		s.do(t, "POST", "/api/v1/rooms/lobby/messages", strings.NewReader(string(b))).wants(t, 400)
	}
	page := s.get(t, "/").wants(t, 200, first.Tag, fmt.Sprintf(`data-mark="%d"`, first.Mark))
	page.lacks(t, zoe)
	s.get(t, "/api/v1/rooms/lobby/messages").wants(t, 200, first.Tag).lacks(t, zoe)
}

func TestRoomsWithoutJavaScript(t *testing.T) {
	s := start(t, webui.Options{})
	s.get(t, "/").wants(t, 200, `href="/#chat" aria-current="page"`, `action="/room"`)
	for _, name := range []string{"  Concert du Soir ", "concert du soir"} {
		if to := s.get(t, "/room?name="+url.QueryEscape(name)+"&lang=fr").wants(t, 303).Header.Get("Location"); to != "/room/concert%20du%20soir?lang=fr" {
			t.Errorf("%q leads to %q", name, to)
		}
	}
	if to := s.get(t, "/room?name=Lobby").wants(t, 303).Header.Get("Location"); to != "/#chat" {
		t.Errorf("the lobby is at %q", to)
	}
	s.get(t, "/room/concert%20du%20soir?lang=fr").wants(t, 200, "concert du soir", "Tout est calme", "Retour", "/chat/concert%20du%20soir?lang=fr")
	to := s.say(t, "/chat/concert%20du%20soir?lang=fr", url.Values{"text": {"drums"}, "nick": {"Zoé"}}).wants(t, 303).Header.Get("Location")
	if to != "/room/concert%20du%20soir?lang=fr&nick=Zo%C3%A9#say" {
		t.Errorf("sent to %q", to)
	}
	page := s.get(t, strings.TrimSuffix(to, "#say")).wants(t, 200, "drums", `value="Zoé"`)
	s.get(t, "/").wants(t, 200, `href="/room/concert%20du%20soir"`).lacks(t, "drums")
	s.get(t, "/room").wants(t, 200, `href="/room/concert%20du%20soir"`, "Rooms")
	s.get(t, "/room/NO").wants(t, 404, "No such room")
	s.get(t, "/room?name="+strings.Repeat("x", 1000)).wants(t, 303)
	s.get(t, "/room/lobby?before=nonsense").wants(t, 400)

	reply := regexp.MustCompile(`class="msg-reply" href="([^"]+)"`).FindStringSubmatch(page.body)
	if reply == nil {
		t.Fatal("a message has no link to answer it")
	}
	form := s.get(t, strings.TrimSuffix(strings.ReplaceAll(reply[1], "&amp;", "&"), "#say")).wants(t, 200, "Ne pas répondre")
	id := regexp.MustCompile(`name="reply" id="reply" value="([0-9a-f]{64})"`).FindStringSubmatch(form.body)
	if id == nil {
		t.Fatal("the form does not say what it answers to")
	}
	s.say(t, "/chat/concert%20du%20soir", url.Values{"text": {"I do"}, "reply": {id[1]}}).wants(t, 303)
	s.get(t, "/room/concert%20du%20soir").wants(t, 200, `<bdi class="quote-nick">Zoé</bdi> <bdi>drums</bdi>`)
	s.get(t, "/api/v1/rooms").wants(t, 200, `{"rooms":["lobby","concert du soir"]}`)
}

func TestEarlierMessages(t *testing.T) {
	s := start(t, webui.Options{})
	for i := range 120 {
		s.Hear(webui.Message{ID: membox.ID(), Room: "lobby", Text: fmt.Sprintf("number %03d.", i), At: time.UnixMilli(1_700_000_000_000 + int64(i))})
	}
	earlier := regexp.MustCompile(`id="earlier"><a class="quiet-button" href="([^"]+)"`)
	seen := 0
	for path := "/"; path != ""; {
		page := s.get(t, path).wants(t, 200)
		seen += strings.Count(page.body, "number ")
		link := earlier.FindStringSubmatch(page.body)
		path = ""
		if link != nil {
			path = link[1]
		}
	}
	if seen != 120 {
		t.Errorf("%d of 120 messages are found by going back", seen)
	}
}

func TestLinksAndPicturesInMessages(t *testing.T) {
	cid := membox.CID(7).String()
	for text, want := range map[string][]string{
		"see https://example.org/a?b=c&d.":     {`<a href="https://example.org/a?b=c&amp;d" rel="noopener noreferrer" target="_blank">https://example.org/a?b=c&amp;d</a>.`},
		"(http://box.lan)":                     {`(<a `, `http://box.lan</a>)`},
		"javascript:alert(1)":                  {`>javascript:alert(1)</p>`},
		"https://":                             {`>https://</p>`},
		"https://user:pw@evil.example/":        {`>https://user:pw@evil.example/</p>`},
		"/f/" + cid + "/stage.png":             {`<a class="msg-image" href="/f/` + cid + `/stage.png"><img src="/f/` + cid + `/stage.png" alt="stage.png" loading="lazy"></a>`},
		"/f/" + cid + "/a%20b.pdf, look":       {`<a href="/f/` + cid + `/a%20b.pdf">a b.pdf</a>, look`},
		"/f/" + cid + "/..%2f..%2fx.png":       {`>/f/` + cid + `/..%2f..%2fx.png</p>`},
		"/f/nonsense/stage.png":                {`>/f/nonsense/stage.png</p>`},
		"/f/" + cid + `/"><script>x.png`:       {`&lt;script&gt;`},
		"two  spaces\nand <b>lines</b>":        {"two  spaces\nand &lt;b&gt;lines&lt;/b&gt;"},
		strings.Repeat("/f/"+cid+"/x.png ", 6): {`<a href="/f/` + cid + `/x.png">x.png</a>`},
	} {
		s := start(t, webui.Options{})
		s.posted(t, "lobby", text, "", "")
		page := s.get(t, "/").wants(t, 200, want...).lacks(t, "<script>x", `href="javascript`)
		if n := strings.Count(page.body, `<img src="/f/`); n > 4 {
			t.Errorf("%d pictures in one message", n)
		}
	}
}

func TestAnswerToWhatIsNotThere(t *testing.T) {
	s := start(t, webui.Options{})
	id := record.ID{1}.String()
	s.posted(t, "lobby", "to whom", "", id)
	s.get(t, "/").wants(t, 200, `<p class="quote msg-quote">…</p>`)
	s.get(t, "/room/lobby?reply="+id).wants(t, 200, `value="`+id+`"`)
	s.get(t, "/room/lobby?reply=nonsense").wants(t, 200, `name="reply" id="reply" value=""`)
}
