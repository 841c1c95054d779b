package webui_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"boucan/webui"
	"boucan/webui/testdata/membox"
)

type event struct {
	Type    string
	ID      string
	Topics  []string
	Message struct {
		ID, Text, Nick string
		From           struct{ Name string }
	}
}

func (s *site) dial(t testing.TB, path string, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ws, res, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.http.URL, "http")+path, header)
	if err == nil {
		t.Cleanup(func() { ws.Close() })
	}
	return ws, res, err
}

// connect opens a live connection and waits until the box counts it.
func (s *site) connect(t testing.TB, room string) *websocket.Conn {
	t.Helper()
	ws, _, err := s.dial(t, "/api/v1/live?room="+room, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

func next(t testing.TB, ws *websocket.Conn) event {
	t.Helper()
	ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, b, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	var e event
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return e
}

// nextOf skips what happened meanwhile.
func nextOf(t testing.TB, ws *websocket.Conn, kind string) event {
	t.Helper()
	for {
		if e := next(t, ws); e.Type == kind {
			return e
		}
	}
}

func (s *site) followed(t testing.TB, room string, n int) {
	t.Helper()
	for range 10_000 {
		if s.Followers(room) == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d follow %s, want %d", s.Followers(room), room, n)
}

func TestLiveMessagesAndChanges(t *testing.T) {
	s := start(t, webui.Options{})
	s.followed(t, "lobby", 1)
	a, b := s.connect(t, "lobby"), s.connect(t, "")
	m, err := s.Post(t.Context(), webui.Draft{Room: "lobby", Nick: "Zoé", Text: "<hello>"})
	if err != nil {
		t.Fatal(err)
	}
	for _, ws := range []*websocket.Conn{a, b} {
		if e := next(t, ws); e.Type != "message" || e.Message.ID != m.ID.String() || e.Message.Text != "<hello>" || e.Message.From.Name != "Le Radeau" {
			t.Errorf("heard %+v", e)
		}
	}
	s.Withdraw(m)
	if e := next(t, a); e.Type != "withdrawn" || e.ID != m.ID.String() {
		t.Errorf("heard %+v", e)
	}
	s.put(t, "a.txt", "", "x")
	if e := next(t, a); e.Type != "changed" || len(e.Topics) != 1 || e.Topics[0] != "files" {
		t.Errorf("heard %+v", e)
	}
	s.LoseFollowers()
	if e := nextOf(t, a, "resync"); e.Type != "resync" {
		t.Errorf("heard %+v", e)
	}
}

func TestLiveRoomsAreApart(t *testing.T) {
	s := start(t, webui.Options{})
	s.followed(t, "lobby", 1)
	kitchen := s.connect(t, "kitchen")
	s.followed(t, "kitchen", 1)
	lobby := s.connect(t, "lobby")
	for _, room := range []string{"lobby", "kitchen"} {
		if _, err := s.Post(t.Context(), webui.Draft{Room: room, Text: "in " + room}); err != nil {
			t.Fatal(err)
		}
	}
	if e := next(t, kitchen); e.Message.Text != "in kitchen" {
		t.Errorf("the kitchen hears %+v", e)
	}
	if e := next(t, lobby); e.Message.Text != "in lobby" {
		t.Errorf("the lobby hears %+v", e)
	}
	kitchen.Close()
	s.followed(t, "kitchen", 0)
}

func TestLiveRefusals(t *testing.T) {
	s := start(t, webui.Options{MaxLive: 2})
	s.followed(t, "lobby", 1)
	for origin, status := range map[string]int{"http://evil.example": 403, "null": 403, s.http.URL + ".evil": 403, "%%": 403, s.http.URL: 101} {
		ws, res, err := s.dial(t, "/api/v1/live", http.Header{"Origin": {origin}})
		if res == nil || res.StatusCode != status {
			t.Errorf("from %q: %v, %v", origin, res, err)
		}
		if ws != nil {
			ws.Close()
		}
	}
	if _, res, err := s.dial(t, "/api/v1/live?room=NO", nil); err == nil || res.StatusCode != 404 {
		t.Errorf("a room that cannot be: %v", err)
	}
	s.get(t, "/api/v1/live").wants(t, 400)

	// The connection that was let in above may still be leaving.
	var open []*websocket.Conn
	for range 2 {
		for {
			ws, res, err := s.dial(t, "/api/v1/live", nil)
			if err == nil {
				open = append(open, ws)
				break
			}
			if res == nil || res.StatusCode != 503 {
				t.Fatal(err)
			}
		}
	}
	if _, res, err := s.dial(t, "/api/v1/live", nil); err == nil || res.StatusCode != 503 {
		t.Errorf("one past the limit: %v", err)
	}
	open[0].Close()
	for { // until the box has noticed
		if _, _, err := s.dial(t, "/api/v1/live", nil); err == nil {
			break
		}
	}
}

func TestLiveEndsWithTheRun(t *testing.T) {
	s := start(t, webui.Options{})
	s.followed(t, "lobby", 1)
	ws := s.connect(t, "lobby")
	s.stop() // returns when every connection has ended
	for {
		_, _, err := ws.ReadMessage()
		if err == nil {
			continue
		}
		if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Errorf("ended with %v", err)
		}
		break
	}
	if n := s.Followers("lobby"); n != 0 {
		t.Errorf("%d still follow", n)
	}
	if _, res, err := s.dial(t, "/api/v1/live", nil); err == nil || res.StatusCode != 503 {
		t.Errorf("after the end: %v", err)
	}
	s.get(t, "/").wants(t, 200)
	s.ui.Changed(webui.FilesChanged) // harmless
}

// TestLiveSlowReaderIsClosed floods two connections, one of which reads nothing.
func TestLiveSlowReaderIsClosed(t *testing.T) {
	s := start(t, webui.Options{})
	s.followed(t, "lobby", 1)
	slow, quick := s.connect(t, "lobby"), s.connect(t, "lobby")
	const enough = 500 // times 64 KiB overflow any loopback socket
	text := strings.Repeat("x", 64<<10)
	for i := range enough {
		m := webui.Message{ID: membox.ID(), Room: "lobby", Text: text, Nick: fmt.Sprint(i), From: membox.Key(1), At: time.Now()}
		s.Hear(m)
		if e := nextOf(t, quick, "message"); e.Message.Nick != fmt.Sprint(i) {
			t.Fatalf("the quick one hears %q after %d", e.Message.Nick, i)
		}
	}
	n := 0
	slow.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		if _, _, err := slow.ReadMessage(); err != nil {
			break
		}
		n++
	}
	if n >= enough {
		t.Errorf("the slow one was kept for %d messages", n)
	}
}
