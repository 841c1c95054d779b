package webui_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"boucan/webui"
	"boucan/webui/testdata/membox"
)

func TestHomeShowsFilesTalkAndBoxes(t *testing.T) {
	s := start(t, webui.Options{})
	s.put(t, "trip/day 1/map.pdf", "", strings.Repeat("x", 2500))
	s.Add(webui.File{ID: membox.ID(), CID: membox.CID(1), Name: "song.mp3", Size: 4 << 20, Added: time.Now().Add(-3 * time.Hour),
		From: webui.BoxRef{ID: membox.Key(2), Name: "Le Phare"}, Landed: 1 << 20})
	s.SetPeers(webui.Peer{ID: membox.Key(2), Name: "Le Phare", Connected: true, Files: 3})
	if _, err := s.Post(t.Context(), webui.Draft{Room: "lobby", Nick: "Zoé", Text: "hello"}); err != nil {
		t.Fatal(err)
	}
	s.get(t, "/").wants(t, 200, "Le Radeau", "trip/day 1/", "map.pdf", "2.5 kB", "document", "song.mp3", "3 h ago", "on its way, 25 %",
		"Le Phare", "1 box near", "Zoé", "hello", `<span class="count" id="total">2</span>`)
}

func TestEmptyBox(t *testing.T) {
	s := start(t, webui.Options{})
	s.get(t, "/").wants(t, 200, "The first drop is yours", "Say hello")
}

func TestEmptyBoxSearched(t *testing.T) {
	s := start(t, webui.Options{})
	s.get(t, "/?q=nothing").wants(t, 200, "0 files for")
}

// hostile holds names and words that try to be more than text.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`,
	`{{.Box}}`, `</template><script>alert(1)</script>`, `</script><script>alert(1)`, "a\u202egnp.exe", "a\u2066b", "`${alert(1)}`",
	strings.Repeat("long", 250), "%2e%2e/%00", "🥁 名前 اسم",
}

func TestHostileTextIsTextOnly(t *testing.T) {
	s := start(t, webui.Options{})
	for i, text := range hostile {
		s.Add(webui.File{ID: membox.ID(), CID: membox.CID(uint64(i)), Name: text, Added: time.Now(), MediaType: text,
			From: webui.BoxRef{ID: membox.Key(2), Name: text}})
		s.Hear(webui.Message{ID: membox.ID(), Room: "lobby", Nick: text, Text: text, From: membox.Key(2), Box: text, At: time.Now()})
	}
	s.SetPeers(webui.Peer{ID: membox.Key(2), Name: hostile[0]})
	s.Rename(hostile[1])
	page := s.get(t, "/?q="+url.QueryEscape("a")+"&nick="+url.QueryEscape(hostile[1])+"&lang="+url.QueryEscape(hostile[0])).wants(t, 200)
	page.lacks(t, "<script>alert", "<img src=x", " onerror=alert(1)>", "' onmouseover='", `href="javascript:`)
	inlineFree(t, page.body)
	for _, path := range []string{"/?q=" + url.QueryEscape(hostile[0]), "/f/" + url.PathEscape(hostile[0]) + "/x", "/dropped/" + url.PathEscape(hostile[1])} {
		a := s.get(t, path)
		a.lacks(t, "<script>alert", "<img src=x")
	}
}

// inlineFree holds a page against its own policy: no script, style or handler in it.
func inlineFree(t *testing.T, page string) {
	t.Helper()
	if strings.Contains(page, `href="javascript`) {
		t.Error("page has a javascript: link")
	}
	bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(page, `""`) // what is quoted is text
	for _, bad := range []string{`<style`, `\sstyle=`, `<[a-z][^>]*\son[a-z]+=`} {
		if found := regexp.MustCompile(bad).FindString(bare); found != "" {
			t.Errorf("page has %q", found)
		}
	}
	for _, tag := range regexp.MustCompile(`<script[^>]*>`).FindAllString(page, -1) {
		if !strings.Contains(tag, `src="/static/`) && !strings.Contains(tag, `type="application/json"`) {
			t.Errorf("page has an inline script: %s", tag)
		}
	}
}

func TestTenThousandNames(t *testing.T) {
	s := start(t, webui.Options{})
	for i := range 10_000 {
		s.Add(webui.File{ID: membox.ID(), CID: membox.CID(uint64(i)), Name: fmt.Sprintf("file %05d.txt", i), Added: time.Now(), Here: true,
			From: webui.BoxRef{ID: membox.Key(1), Self: true}})
	}
	first := s.get(t, "/").wants(t, 200, "file 09999.txt", "file 09950.txt", "1–50 of 10000", "/?offset=50#files")
	first.lacks(t, "file 09949.txt", `rel="prev"`)
	s.get(t, "/?offset=50").wants(t, 200, "file 09949.txt", `rel="prev"`, `rel="next"`)
	s.get(t, "/?offset=9950").wants(t, 200, "file 00000.txt").lacks(t, `rel="next"`)
	s.get(t, "/?offset=20000").wants(t, 200).lacks(t, "file 0")
	s.get(t, "/?q=00123&lang=fr").wants(t, 200, "file 00123.txt", "1 fichier pour")
	var list struct {
		Total int
		Files []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(s.get(t, "/api/v1/files?limit=500&offset=100").wants(t, 200).body), &list); err != nil {
		t.Fatal(err)
	}
	if list.Total != 10_000 || len(list.Files) != webui.MaxPage || list.Files[0].Name != "file 09899.txt" {
		t.Errorf("%d of %d, first %q", len(list.Files), list.Total, list.Files[0].Name)
	}
}

func TestQueryLimits(t *testing.T) {
	s := start(t, webui.Options{})
	for path, status := range map[string]int{
		"/api/v1/files?limit=500": 200, "/api/v1/files?limit=501": 400, "/api/v1/files?limit=0": 400, "/api/v1/files?limit=x": 400,
		"/api/v1/files?offset=-1": 400, "/api/v1/files?offset=10000000": 200, "/api/v1/files?offset=10000001": 400,
		"/api/v1/files?offset=99999999999999999999": 400, "/?limit=501": 400, "/?offset=-1": 400,
		"/?q=" + strings.Repeat("x", 5000): 200, "/?q=%ff%fe": 200, "/?q=%00": 200, "/?lang=" + strings.Repeat("x", 5000): 200,
		"/api/v1/rooms/lobby/messages?limit=200": 200, "/api/v1/rooms/lobby/messages?limit=201": 400,
		"/api/v1/rooms/lobby/messages?before=x": 400, "/api/v1/rooms/lobby/messages?before=-1-" + strings.Repeat("0", 64): 400,
		"/api/v1/rooms/lobby/messages?before=1-" + strings.Repeat("0", 64): 200, "/api/v1/rooms/NO/messages": 404,
	} {
		if a := s.get(t, path); a.StatusCode != status {
			t.Errorf("%s: status %d, want %d", cut(path), a.StatusCode, status)
		}
	}
	page := s.get(t, "/?q="+strings.Repeat("x", webui.MaxQuery+1)).wants(t, 200)
	page.lacks(t, strings.Repeat("x", webui.MaxQuery+1))
}

func TestEqualNamesCanBeToldApart(t *testing.T) {
	s := start(t, webui.Options{})
	a, b := s.put(t, "photo.jpg", "", "one"), s.put(t, "photo.jpg", "", "two")
	s.put(t, "other.jpg", "", "three")
	s.get(t, "/").wants(t, 200, a.CID.Short()+"</span>", b.CID.Short()+"</span>")
}

func TestLanguages(t *testing.T) {
	s := start(t, webui.Options{})
	for _, c := range []struct{ path, accept, want string }{
		{"/", "", `lang="en" dir="ltr"`},
		{"/", "fr-CA,en;q=0.5", `lang="fr" dir="ltr"`},
		{"/", "tlh, en;q=0.2, ar;q=0.7", `lang="ar" dir="rtl"`},
		{"/", "ar;q=0, fr;q=x, en", `lang="en" dir="ltr"`},
		{"/?lang=ar", "fr", `lang="ar" dir="rtl"`},
		{"/?lang=tlh", "fr", `lang="fr" dir="ltr"`},
		{"/?lang=ar", strings.Repeat("fr,", 10_000), `lang="ar" dir="rtl"`},
		{"/f/x/y?lang=ar", "", `lang="ar" dir="rtl"`},
		{"/", "pt-BR,pt;q=0.9,en;q=0.8", `lang="pt" dir="ltr"`},
		{"/", "ru, uk-UA;q=0.9, en;q=0.5", `lang="uk" dir="ltr"`},
	} {
		a := s.get(t, c.path, "Accept-Language", c.accept)
		if !strings.Contains(a.body, c.want) {
			t.Errorf("%s with %.20q: %s", c.path, c.accept, cut(a.body))
		}
	}
	s.get(t, "/?lang=fr").wants(t, 200, `action="/?lang=fr"`, `href="/?lang=fr"`, `name="lang" value="fr"`, `action="/chat/lobby?lang=fr"`)
}

// TestPageWeight holds the first view to 60 KB on the wire, in every language.
func TestPageWeight(t *testing.T) {
	s := start(t, webui.Options{})
	for i := range webui.DefaultPage {
		s.put(t, fmt.Sprintf("A file with a name of some length, number %d.jpg", i), "", fmt.Sprint(i))
		if _, err := s.Post(t.Context(), webui.Draft{Room: "lobby", Nick: "Somebody", Text: fmt.Sprintf("Message %d, as long as people write them", i)}); err != nil {
			t.Fatal(err)
		}
	}
	page := s.get(t, "/", "Accept-Encoding", "gzip")
	if page.Header.Get("Content-Encoding") != "gzip" {
		t.Fatal("page is not compressed")
	}
	z, err := gzip.NewReader(strings.NewReader(page.body))
	if err != nil {
		t.Fatal(err)
	}
	html, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	total := len(page.body)
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`/static/[a-z]+\.[0-9a-f]+\.[a-z]+`).FindAllString(string(html), -1) {
		if seen[m] {
			continue
		}
		seen[m] = true
		a := s.get(t, m, "Accept-Encoding", "gzip").wants(t, 200)
		if a.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %q", m, a.Header.Get("Cache-Control"))
		}
		total += len(a.body)
		plain := s.get(t, m).wants(t, 200)
		if plain.Header.Get("Content-Encoding") != "" || len(plain.body) <= len(a.body) {
			t.Errorf("%s: %d bytes plain, %d compressed", m, len(plain.body), len(a.body))
		}
	}
	if len(seen) != 4 {
		t.Errorf("first view has %d files beside the page", len(seen))
	}
	static := total - len(page.body)
	languages := regexp.MustCompile(`hreflang="([a-z]+)"`).FindAllStringSubmatch(string(html), -1)
	for _, l := range languages {
		page := s.get(t, "/?lang="+l[1], "Accept-Encoding", "gzip").wants(t, 200)
		t.Logf("first view: %s: %d bytes on the wire, of which the page %d", l[1], static+len(page.body), len(page.body))
		if static+len(page.body) > 60_000 {
			t.Errorf("first view weighs %d bytes in %s", static+len(page.body), l[1])
		}
	}
	if len(languages) != 10 {
		t.Errorf("the page can be had in %d languages", len(languages))
	}
	if bytes.Contains(html, []byte("http://")) || bytes.Contains(html, []byte("https://")) {
		t.Error("page names something elsewhere")
	}
}

func TestAPIListsAreTagged(t *testing.T) {
	s := start(t, webui.Options{})
	s.put(t, "a.txt", "", "a")
	for _, path := range []string{"/api/v1/files", "/api/v1/peers", "/api/v1/box", "/api/v1/rooms/lobby/messages"} {
		tag := s.get(t, path).wants(t, 200).Header.Get("ETag")
		s.get(t, path, "If-None-Match", tag).wants(t, 304)
		s.get(t, path, "If-None-Match", `W/"other"`).wants(t, 200)
	}
	tag := s.get(t, "/api/v1/files").Header.Get("ETag")
	s.put(t, "b.txt", "", "b")
	s.get(t, "/api/v1/files", "If-None-Match", tag).wants(t, 200, "b.txt")
}

func TestAPIBoxAndPeers(t *testing.T) {
	s := start(t, webui.Options{})
	s.SetUsage(webui.Usage{Room: 70, Total: 1000})
	s.SetPeers(webui.Peer{ID: membox.Key(2), Connected: true, Files: 4, LastSeen: time.UnixMilli(1)}, webui.Peer{ID: membox.Key(3), Name: "B"})
	s.Add(webui.File{ID: membox.ID(), CID: membox.CID(1), Name: "x", Size: 10, Landed: 5})
	s.get(t, "/api/v1/box").wants(t, 200, `"name":"Le Radeau"`, `"room":70`, `"landed":5`, `"message":4000`)
	s.get(t, "/api/v1/peers").wants(t, 200, `"name":"`+membox.Key(2).Short()+`"`, `"lastSeen":"1970-01-01T00:00:00.001Z"`, `"name":"B"`)
	s.get(t, "/").wants(t, 200).lacks(t, "nearly full")
	s.SetUsage(webui.Usage{Room: 70, Stopped: true})
	s.get(t, "/").wants(t, 200, "nearly full", `name="file"`)
	s.get(t, "/api/v1/box").wants(t, 200, `"stopped":true`)
	s.SetUsage(webui.Usage{})
	s.get(t, "/").wants(t, 200, "no room left").lacks(t, `name="file"`)
	s.SetUsage(webui.Usage{Trouble: webui.ErrAway})
	s.get(t, "/").wants(t, 200, "unplugged").lacks(t, `name="file"`)
}

// What keeps the box from taking drops is said on the page, in every language, and
// what is here is given all the same.
func TestStorageInTrouble(t *testing.T) {
	s := start(t, webui.Options{})
	f := s.put(t, "a.txt", "", "still read")
	for _, c := range []struct {
		err             error
		code, say, dire string
	}{
		{webui.ErrAway, "away", "is unplugged", "débranché"},
		{webui.ErrOther, "other_storage", "put the right one back", "remettre la bonne"},
		{webui.ErrReadOnly, "read_only", "can only be read", "ne peut plus qu’être lu"},
		{webui.ErrFailing, "failing", "disk is failing", "est défaillant"},
	} {
		s.SetUsage(webui.Usage{Room: 70, Trouble: fmt.Errorf("wrapped: %w", c.err)})
		s.get(t, "/").wants(t, 200, c.say, `data-trouble="`+c.code+`"`, "a.txt").lacks(t, `name="file"`)
		s.get(t, "/?lang=fr").wants(t, 200, c.dire)
		s.get(t, "/?lang=ar").wants(t, 200).lacks(t, "problem."+c.code)
		s.get(t, "/api/v1/box").wants(t, 200, `"trouble":"`+c.code+`"`)
		s.do(t, "POST", "/api/v1/files?name=x", strings.NewReader("x")).wants(t, 503, `"code":"`+c.code+`"`)
		s.drop(t, wantJSON, formFile{"file", "x", "x"}).wants(t, 503, `"problem":"`+c.code+`"`)
		s.get(t, "/f/"+f.CID.String()+"/a.txt").wants(t, 200, "still read")
	}
	s.SetUsage(webui.Usage{Room: 70})
	s.get(t, "/").wants(t, 200, `name="file"`, `data-trouble=""`)
	s.get(t, "/api/v1/box").wants(t, 200).lacks(t, "trouble")
}

// A file that is damaged here says so in the list, and where it is asked for.
func TestDamagedFile(t *testing.T) {
	s := start(t, webui.Options{})
	f := webui.File{ID: membox.ID(), CID: membox.CID(1), Name: "song.mp3", Size: 100, Landed: 90, Added: time.Now(), From: webui.BoxRef{ID: membox.Key(1), Self: true}, Damaged: true}
	s.Add(f)
	s.get(t, "/").wants(t, 200, `data-state="mending"`, "damaged here, being repaired from another box")
	s.get(t, "/?lang=fr").wants(t, 200, "abîmé ici")
	s.get(t, "/?lang=ar").wants(t, 200, "تالف هنا")
	s.get(t, "/api/v1/files").wants(t, 200, `"state":"mending"`)
	at := "/f/" + f.CID.String() + "/song.mp3"
	s.get(t, at, "Accept", "text/html").wants(t, 503, "damaged on this box", `href="`+at+`"`)
	s.get(t, at, "Accept", "application/json").wants(t, 503, `"code":"damaged"`)
	s.Update(f.ID, func(f *webui.File) { f.Damaged, f.Here = false, true })
	s.get(t, "/").wants(t, 200, `data-state="here"`)
}

// A box of a circle says so on every page.
func TestCircleIsSaid(t *testing.T) {
	s := start(t, webui.Options{})
	const say = "only talks with boxes of its circle"
	s.get(t, "/").wants(t, 200).lacks(t, say)
	s.SetCircle(true)
	for _, path := range []string{"/", "/actions"} {
		s.get(t, path).wants(t, 200, say)
	}
	s.get(t, "/?lang=fr").wants(t, 200, "les boîtes de son cercle")
}

func TestPageIsNeverOutOfDate(t *testing.T) {
	s := start(t, webui.Options{})
	f := webui.File{ID: membox.ID(), CID: membox.CID(1), Name: "song.mp3", Size: 100, Added: time.Now(), From: webui.BoxRef{ID: membox.Key(2), Name: "Old name"}}
	s.Add(f)
	m := webui.Message{ID: membox.ID(), Room: "lobby", Text: "first words", From: membox.Key(2), Box: "Old name", At: time.Now()}
	s.Hear(m)
	s.get(t, "/").wants(t, 200, "still on \u2068Old name", "first words")
	s.Update(f.ID, func(f *webui.File) { f.Landed = 40 })
	s.get(t, "/").wants(t, 200, "on its way, 40 %").lacks(t, "still on \u2068Old name")
	s.Update(f.ID, func(f *webui.File) { f.Here, f.From.Name = true, "New name" })
	s.get(t, "/").wants(t, 200, "New name").lacks(t, "on its way, 40 %")
	s.Withdraw(m)
	s.get(t, "/").wants(t, 200).lacks(t, "first words")
	s.get(t, "/?lang=fr").wants(t, 200, "Fichiers").lacks(t, "Search names")
}
