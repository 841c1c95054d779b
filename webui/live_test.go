package webui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

// pipes is a listener of in-memory connections, for tests under a fake clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- there
	return here, nil
}

// inBubble runs a box under a fake clock; body gets a way to connect.
func inBubble(t *testing.T, body func(t *testing.T, box *membox.Box, ui *webui.Server, connect func() *websocket.Conn)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		box := membox.New(dir)
		ui, err := webui.New(box, box, box, webui.Options{})
		if err != nil {
			t.Fatal(err)
		}
		box.Changed = ui.Changed
		ctx, cancel := context.WithCancel(t.Context())
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		server := &http.Server{Handler: ui}
		var wg sync.WaitGroup
		wg.Go(func() { ui.Run(ctx) })
		wg.Go(func() { server.Serve(l) })
		synctest.Wait()
		body(t, box, ui, func() *websocket.Conn {
			d := websocket.Dialer{NetDialContext: l.dial}
			ws, _, err := d.Dial("ws://box/api/v1/live", nil)
			if err != nil {
				t.Fatal(err)
			}
			return ws
		})
		cancel()
		server.Close()
		wg.Wait()
	})
}

func TestLiveSilentPhoneIsLetGo(t *testing.T) {
	inBubble(t, func(t *testing.T, box *membox.Box, ui *webui.Server, connect func() *websocket.Conn) {
		ws := connect()
		began := time.Now()
		pings := 0
		ws.SetPingHandler(func(string) error {
			if pings++; pings > 10 {
				return nil // the phone walked away
			}
			return ws.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
		})
		_, _, err := ws.ReadMessage()
		if err == nil {
			t.Fatal("something was said")
		}
		if lived := time.Since(began); lived < 5*time.Minute || lived > 6*time.Minute {
			t.Errorf("let go after %v and %d pings", lived, pings)
		}
		ws.Close()
	})
}

func TestChangesAreToldTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, box *membox.Box, ui *webui.Server, connect func() *websocket.Conn) {
		ws := connect()
		ui.Changed(webui.FilesChanged)
		if e := next(t, ws); len(e.Topics) != 1 || e.Topics[0] != "files" {
			t.Errorf("heard %+v", e)
		}
		told := time.Now()
		for range 100 {
			ui.Changed(webui.FilesChanged)
			ui.Changed(webui.TransfersChanged)
			ui.Changed(webui.BoxChanged)
		}
		if e := next(t, ws); fmt.Sprint(e.Topics) != "[files box transfers]" {
			t.Errorf("heard %+v", e)
		}
		if gap := time.Since(told); gap != time.Second {
			t.Errorf("told again after %v", gap)
		}
		ws.Close()
		synctest.Wait()
	})
}
