package webui_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"boucan/webui"
)

func TestFileHasAPageToPassOn(t *testing.T) {
	s := start(t, webui.Options{})
	f := s.put(t, "trip/day 1/map & legend.pdf", "", strings.Repeat("x", 2500))
	s.Add(webui.File{ID: f.ID, CID: f.CID, Name: "other name.pdf", Size: f.Size, Here: true, From: f.From})
	home := s.get(t, "/?lang=fr").wants(t, 200).body
	link := regexp.MustCompile(`class="file-page" href="([^"]*map[^"]*)"`).FindStringSubmatch(home)
	if link == nil {
		t.Fatal("the list has no link to it")
	}
	page := s.get(t, html.UnescapeString(link[1]), "Host", "box.test").wants(t, 200, `lang="fr"`, "map &amp; legend.pdf", "2,5 ko", `href="/folder/trip/day%201?lang=fr"`,
		`value="http://box.test/file/`+f.CID.String()+`"`, `<svg class="qr"`)
	page.lacks(t, "other name")
	inlineFree(t, page.body)
	s.get(t, "/file/"+f.CID.String()+"?name="+url.QueryEscape("no such name")).wants(t, 200)
	s.get(t, "/file/nonsense").wants(t, 404)
}

func TestFolderHasAPageToPassOn(t *testing.T) {
	s := start(t, webui.Options{})
	s.put(t, "trip/map.pdf", "", "map")
	s.put(t, "trip/day 1/song.mp3", "", "a song")
	s.put(t, "else.txt", "", "x")
	page := s.get(t, "/folder/trip", "Host", "box.test").wants(t, 200, "2 files", "9 B", "/zip?folder=trip", "map.pdf", "song.mp3", `href="/folder/trip/day%201"`,
		`value="http://box.test/folder/trip"`, `<svg class="qr"`)
	page.lacks(t, "else.txt")
	inlineFree(t, page.body)
	s.get(t, "/folder/trip/day%201").wants(t, 200, `class="reach" href="/folder/trip"`, "1 file")
	s.get(t, "/folder/nowhere").wants(t, 404)
	s.get(t, "/folder/").wants(t, 404)
}

// TestAddressIsOneOthersCanUse: whoever looks from the box itself is told where the
// others find it.
func TestAddressIsOneOthersCanUse(t *testing.T) {
	s := start(t, webui.Options{})
	f := s.put(t, "a.txt", "", "a")
	for host, want := range map[string]string{
		"127.0.0.1:8080": "http://100.64.0.1/file/", "localhost": "http://100.64.0.1/file/", "[::1]:8080": "http://100.64.0.1/file/",
		"10.0.0.1:8080": "http://10.0.0.1:8080/file/", "le-radeau.local": "http://le-radeau.local/file/",
	} {
		s.get(t, "/file/"+f.CID.String(), "Host", host).wants(t, 200, `value="`+want)
	}
}

// TestFolderLinksStandAboveTheirFiles: once for files that follow one another.
func TestFolderLinksStandAboveTheirFiles(t *testing.T) {
	s := start(t, webui.Options{})
	for _, name := range []string{"a/1", "a/2", "3", "a/4"} {
		s.put(t, name, "", name)
	}
	page := s.get(t, "/").wants(t, 200).body
	if n := len(regexp.MustCompile(`class="file-into" href="/folder/a">`).FindAllString(page, -1)); n != 2 {
		t.Errorf("%d links to the folder are shown, want 2", n)
	}
}
