package webui_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"boucan/webui"
	"boucan/webui/testdata/membox"
)

func TestBoxesAsPictureAndList(t *testing.T) {
	s := start(t, webui.Options{})
	s.get(t, "/boxes").wants(t, 200, "met no other yet").lacks(t, "<svg class=\"map")
	s.SetPeers(
		webui.Peer{ID: membox.Key(2), Name: "Le Phare", Connected: true, Hops: 1, Files: 3, Bytes: 4_200_000_000},
		webui.Peer{ID: membox.Key(3), Name: hostile[0], LastSeen: time.Now().Add(-3 * time.Hour), Files: 1},
	)
	s.SetBeyond(webui.Peer{ID: membox.Key(4), Name: "A name that is too long", Hops: 2, LastSeen: time.Now().Add(-time.Hour), Files: 7})
	page := s.get(t, "/boxes").wants(t, 200, `<line class="map-reach"`, `<line class="map-beyond"`, "Le Phare", "in reach", "3 files · 4.2 GB",
		"through other boxes", "1 h ago", "not in reach", "3 h ago", "A name tha…\u2069</text>", "A name that is too long</bdi>")
	page.lacks(t, `<line class="map-away"`, "<script>alert")
	inlineFree(t, page.body)
}

func TestManyBoxes(t *testing.T) {
	s := start(t, webui.Options{})
	many := make([]webui.Peer, 500)
	for i := range many {
		many[i] = webui.Peer{ID: membox.Key(byte(i)), Name: fmt.Sprintf("box %d", i), Connected: i < 20}
	}
	s.SetPeers(many...)
	page := s.get(t, "/boxes").wants(t, 200, "and 100 more")
	if n := strings.Count(page.body, "<text"); n != 16 {
		t.Errorf("%d boxes in the picture", n)
	}
}

func TestAboutSaysWhatTheOperatorSays(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source code.tar.xz")
	if err := os.WriteFile(source, []byte("code"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, webui.Options{About: webui.About{Keeper: "Zoé, room 3", Rules: "Be kind.\n<script>", Source: source}})
	page := s.get(t, "/about").wants(t, 200, "Zoé, room 3", "Be kind.\n&lt;script&gt;", "400 days", "30 days", "plain HTTP", "sees all that is dropped",
		"Radio can be located", `href="/actions"`, `href="/poster"`, `href="/source"`, "source code.tar.xz")
	inlineFree(t, page.body)
	if got := s.get(t, "/source").wants(t, 200, "code"); !strings.Contains(got.Header.Get("Content-Disposition"), `attachment; filename="source code.tar.xz"`) {
		t.Errorf("the source comes as %s", got.Header.Get("Content-Disposition"))
	}
	s.get(t, "/licence").wants(t, 200, "GNU GENERAL PUBLIC LICENSE")
}

func TestAboutWithNothingSaid(t *testing.T) {
	s := start(t, webui.Options{})
	s.get(t, "/about").wants(t, 200, "has not said who they are", "does not lie on this box").lacks(t, "Its rules", `href="/source"`)
	s.get(t, "/source").wants(t, 404)
	s.get(t, "/about?lang=ar").wants(t, 200, `dir="rtl"`, "400")
}

func TestPosterTellsHowToComeIn(t *testing.T) {
	s := start(t, webui.Options{About: webui.About{WiFi: `Café "Quai"; 12`}})
	page := s.get(t, "/poster", "Host", "10.0.0.1:8080").wants(t, 200, "Café &#34;Quai&#34;; 12", "http://10.0.0.1:8080", "joins the Wi-Fi")
	inlineFree(t, page.body)
	if n := strings.Count(page.body, `<svg class="qr"`); n != 2 {
		t.Errorf("%d codes", n)
	}
	unnamed := start(t, webui.Options{}).get(t, "/poster?lang=fr").wants(t, 200, "--wifi", "Ouvrez cette adresse")
	if n := strings.Count(unnamed.body, `<svg class="qr"`); n != 1 {
		t.Errorf("%d codes where no network is named", n)
	}
}
