package webui_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
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

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

// bubble is a box under a fake clock.
type bubble struct {
	*membox.Box
	ui   *webui.Server
	dial func() net.Conn
}

// inBubble runs body with a box whose files are what wrap makes of them.
func inBubble(t *testing.T, wrap func(webui.Files) webui.Files, body func(t *testing.T, b *bubble)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		box := membox.New(dir)
		ui, err := webui.New(wrap(box), box, box, webui.Options{})
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
		body(t, &bubble{box, ui, l.dial})
		cancel()
		server.Close()
		wg.Wait()
	})
}

func asItIs(f webui.Files) webui.Files { return f }

func (b *bubble) connect(t *testing.T) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return b.dial(), nil }}
	ws, _, err := d.Dial("ws://box/api/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

func TestLiveSilentPhoneIsLetGo(t *testing.T) {
	inBubble(t, asItIs, func(t *testing.T, b *bubble) {
		ws := b.connect(t)
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
	inBubble(t, asItIs, func(t *testing.T, b *bubble) {
		ws := b.connect(t)
		b.ui.Changed(webui.FilesChanged)
		if e := next(t, ws); len(e.Topics) != 1 || e.Topics[0] != "files" {
			t.Errorf("heard %+v", e)
		}
		told := time.Now()
		for range 100 {
			b.ui.Changed(webui.FilesChanged)
			b.ui.Changed(webui.TransfersChanged)
			b.ui.Changed(webui.BoxChanged)
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

// slowDisk takes its time to make a drop safe.
type slowDisk struct {
	webui.Files
	takes time.Duration
}

func (d slowDisk) Drop(ctx context.Context, name string, r io.Reader, o webui.DropOptions) (webui.Dropped, error) {
	dropped, err := d.Files.Drop(ctx, name, r, o)
	if err != nil {
		return dropped, err
	}
	select {
	case <-time.After(d.takes):
		return dropped, nil
	case <-ctx.Done():
		return webui.Dropped{}, ctx.Err()
	}
}

// send writes a drop of size bytes, a part at a time with a pause after each,
// and returns the status line and how long it all took.
func (b *bubble) send(size, part int, pause time.Duration) (status string, took time.Duration) {
	began := time.Now()
	conn := b.dial()
	defer conn.Close()
	answered := make(chan string)
	go func() {
		line, _ := bufio.NewReader(conn).ReadString('\n')
		answered <- line
	}()
	fmt.Fprintf(conn, "POST /api/v1/files?name=a HTTP/1.1\r\nHost: box\r\nContent-Length: %d\r\n\r\n", size)
	for size > 0 {
		n, err := conn.Write(make([]byte, min(part, size)))
		if err != nil {
			break
		}
		size -= n
		time.Sleep(pause)
	}
	return <-answered, time.Since(began)
}

func TestSlowDiskHasItsTime(t *testing.T) {
	wrap := func(f webui.Files) webui.Files { return slowDisk{f, 9 * time.Minute} }
	inBubble(t, wrap, func(t *testing.T, b *bubble) {
		if status, _ := b.send(1000, 1000, 0); !strings.Contains(status, " 201 ") {
			t.Errorf("answered %q", status)
		}
	})
}

func TestSlowSenderIsKeptAndStalledOneLetGo(t *testing.T) {
	inBubble(t, asItIs, func(t *testing.T, b *bubble) {
		// 100 kbit/s for a quarter of an hour.
		if status, took := b.send(11<<20, 12<<10, time.Second); !strings.Contains(status, " 201 ") || took < 15*time.Minute {
			t.Errorf("the slow one: %q after %v", status, took)
		}
		if status, took := b.send(1<<20, 100, time.Second); !strings.Contains(status, " 408 ") || took > 3*time.Minute {
			t.Errorf("the dripping one: %q after %v", status, took)
		}
		if status, took := b.send(1<<20, 600<<10, time.Hour); !strings.Contains(status, " 408 ") || took > 2*time.Hour {
			t.Errorf("the one that stopped: %q after %v", status, took)
		}
		if n, err := b.Leftovers(); n != 0 || err != nil || len(b.Files()) != 1 {
			t.Errorf("%d leftovers, %v, %d files", n, err, len(b.Files()))
		}
	})
}
