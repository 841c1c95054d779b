package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"boucan/control"
	"boucan/record"
)

// goroutines lists the stacks of goroutines in which a text occurs.
func goroutines(text string) (found []string) {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for _, stack := range strings.Split(string(buf), "\n\n") {
		if strings.Contains(stack, text) && !strings.Contains(stack, "testing.(*T).Run") && !strings.Contains(stack, "testing.tRunner") {
			found = append(found, stack)
		}
	}
	return found
}

// slowUpload sends the beginning of a file to the page. What it returns breaks
// the upload off and tells how it ended.
func slowUpload(t *testing.T, url string) (end func() error) {
	t.Helper()
	body, feed := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/files?name=slow.bin", body)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			err = errors.New(resp.Status)
		}
		done <- err
	}()
	if _, err := feed.Write([]byte("the beginning")); err != nil {
		t.Fatal(err)
	}
	return func() error {
		feed.CloseWithError(io.ErrUnexpectedEOF) // else the client waits for more to send
		return <-done
	}
}

// TestNothingOutlivesAStop: with an upload, a follower, a download and a peer
// under way.
func TestNothingOutlivesAStop(t *testing.T) {
	before := len(goroutines("boucan/"))
	a, b := newBox(t, "a"), newBox(t, "b")
	a.add("file.txt", "file")
	a.publish(record.File{Name: "nowhere.txt", CID: cidOf(record.CodecRaw, "nobody has this"), Size: 15})
	eventually(t, "they have met", func() bool { return b.has("file.txt") })
	upload := slowUpload(t, a.url)
	followed, waited := make(chan error, 1), make(chan error, 1)
	go func() {
		followed <- a.Follow(t.Context(), "lobby", 0, func(control.Message) error { return nil })
	}()
	go func() {
		_, err := a.Get(t.Context(), "nowhere.txt")
		waited <- err
	}()
	eventually(t, "both wait", func() bool {
		return len(goroutines("node.operator.Follow")) == 1 && len(goroutines("node.operator.Get")) == 1
	})
	began := time.Now()
	a.stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if err := upload(); err == nil {
		t.Error("the upload was acknowledged")
	}
	if err := <-followed; !errors.Is(err, control.ErrStopped) {
		t.Errorf("the follower was told: %v", err)
	}
	if err := <-waited; !errors.Is(err, control.ErrStopped) {
		t.Errorf("who waited for a file was told: %v", err)
	}
	b.stop()
	for _, x := range []*testBox{a, b} {
		if strings.Contains(x.log.String(), "closing failed") || strings.Contains(x.log.String(), "level=ERROR") {
			t.Errorf("it logged:\n%s", x.log)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "no goroutine of a node is left", func() bool { return len(goroutines("boucan/")) <= before })
	eventually(t, "nor one of the libraries that it runs", func() bool {
		return len(goroutines("go-libp2p")) == 0 && len(goroutines("badger")) == 0
	})
	a = startBox(t, a.dir, nil)
	if !a.lists("file.txt", "nowhere.txt") || len(a.folder()) != 1 {
		t.Errorf("after the restart: %v, %v", a.ls(), a.folder())
	}
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	a := newBox(t, "a")
	upload := slowUpload(t, a.url)
	a.soft()
	a.hard()
	if err := <-a.done; err != nil {
		t.Errorf("Run: %v", err)
	}
	a.done <- nil
	if err := upload(); err == nil {
		t.Error("the upload was acknowledged")
	}
}

func TestAFailingPartEndsTheRun(t *testing.T) {
	a := newBox(t, "a")
	if err := a.node.web.Close(); err != nil {
		t.Fatal(err)
	}
	err := <-a.done
	a.done <- nil
	if err == nil || !strings.Contains(err.Error(), "the web page stopped being served") {
		t.Errorf("Run: %v", err)
	}
	if again, err := Open(config(a.dir, io.Discard)); err != nil {
		t.Errorf("something is still held: %v", err)
	} else {
		again.close()
	}
}

func TestOpenSaysWhatIsWrongAndLeavesNothingOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	for _, try := range []struct {
		what    string
		spoil   func(dir string, c *Config) error
		says    string
		restore func(dir string) error
	}{
		{"port in use", func(_ string, c *Config) error { c.HTTP = taken.Addr().String(); return nil }, "address already in use; name another with --http", nil},
		{"no address", func(_ string, c *Config) error { c.HTTP = "nonsense"; return nil }, "missing port in address; name another with --http", nil},
		{"file for a folder", func(_ string, c *Config) error { c.Data = file; return os.WriteFile(file, nil, 0o600) }, "not a directory", nil},
		{
			"damaged identity", func(dir string, _ *Config) error {
				return os.WriteFile(filepath.Join(dir, keyFile), []byte("-----BEGIN"), 0o600)
			}, "is damaged: put back a copy of it",
			func(dir string) error { return os.Remove(filepath.Join(dir, keyFile)) },
		},
		{
			"store is no folder", func(dir string, _ *Config) error {
				return os.WriteFile(filepath.Join(dir, storeDir), nil, 0o600)
			}, "the store ",
			func(dir string) error { return os.Remove(filepath.Join(dir, storeDir)) },
		},
		{
			"control socket cannot be", func(dir string, _ *Config) error {
				return os.MkdirAll(filepath.Join(dir, control.SocketName, "in the way"), 0o700)
			}, "control socket",
			func(dir string) error { return os.RemoveAll(filepath.Join(dir, control.SocketName)) },
		},
	} {
		t.Run(try.what, func(t *testing.T) {
			before := len(goroutines("boucan/"))
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			log := &testLog{}
			c := config(dir, log)
			if err := try.spoil(dir, &c); err != nil {
				t.Fatal(err)
			}
			n, err := Open(c)
			if err == nil {
				n.close()
				t.Fatal("it opened")
			}
			if n != nil {
				t.Error("a node came with the error")
			}
			if !strings.Contains(err.Error(), try.says) {
				t.Errorf("it says %q, want %q in it", err, try.says)
			}
			if strings.Contains(log.String(), "closing failed") {
				t.Errorf("it logged: %s", log)
			}
			eventually(t, "nothing of it runs", func() bool { return len(goroutines("boucan/")) <= before && len(goroutines("go-libp2p")) == 0 })
			if try.restore != nil {
				if err := try.restore(dir); err != nil {
					t.Fatal(err)
				}
			}
			n, err = Open(config(dir, io.Discard))
			if err != nil {
				t.Fatalf("with all put right: %v", err)
			}
			n.close()
		})
	}
}

func TestSecondNodeOnAFolder(t *testing.T) {
	a := newBox(t, "a")
	log := &testLog{}
	if _, err := Open(config(a.dir, log)); !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), a.dir) {
		t.Errorf("Open: %v", err)
	}
	if log.String() != "" {
		t.Errorf("it logged: %s", log)
	}
	if _, err := a.Identity(t.Context()); err != nil {
		t.Errorf("the first one is disturbed: %v", err)
	}
}

// TestThePortForOtherBoxesMayBeTaken, on one family or on both.
func TestThePortForOtherBoxesMayBeTaken(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		taken, err := net.Listen(network, ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		port := taken.Addr().(*net.TCPAddr).Port
		c := config(filepath.Join(t.TempDir(), "a"), io.Discard)
		c.Port = port
		n, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		defer n.close()
		ports := make(map[string]int)
		for _, a := range n.host.Network().ListenAddresses() {
			ports[strings.Split(a.String(), "/")[1]]++
			if strings.HasSuffix(a.String(), "/tcp/"+strings.Split(taken.Addr().String(), ":")[len(strings.Split(taken.Addr().String(), ":"))-1]) {
				t.Errorf("%s taken: it listens on %v", network, a)
			}
		}
		if ports["ip4"] != 1 || ports["ip6"] != 1 {
			t.Errorf("%s taken: it listens on %v", network, n.host.Network().ListenAddresses())
		}
	}
}

func TestFollowMissesNothing(t *testing.T) {
	a := newBox(t, "a")
	say := func(from, to int) {
		t.Helper()
		var recs []*record.Record
		for i := from; i < to; i++ {
			recs = append(recs, a.sign(record.Draft{
				Created: time.Now().Add(time.Duration(i) * time.Millisecond), Life: time.Hour,
				Body: record.Message{Room: "lobby", Text: "message " + string(rune('a'+i%26)) + string(rune('a'+i/26))},
			}))
		}
		if err := a.node.records.Publish(t.Context(), recs...); err != nil {
			t.Fatal(err)
		}
	}
	say(0, 10)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan string)
	done := make(chan error, 1)
	go func() {
		done <- operator{a.node}.Follow(ctx, "lobby", 3, func(m control.Message) error {
			heard <- m.Text // which keeps the follower waiting
			return nil
		})
	}()
	first := <-heard
	say(10, 10+150) // more than a subscriber may lag behind
	got := map[string]int{first: 1}
	order := []string{first}
	for len(order) < 3+150 {
		m := <-heard
		got[m]++
		order = append(order, m)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Follow: %v", err)
	}
	if order[0] != "message ha" {
		t.Errorf("it begins with %q, want the last three that were there", order[0])
	}
	for text, times := range got {
		if times != 1 {
			t.Errorf("%q came %d times", text, times)
		}
	}
}

func TestHistoryIsAsLongAsItIsAskedFor(t *testing.T) {
	a := newBox(t, "a")
	var recs []*record.Record
	for i := range 450 {
		recs = append(recs, a.sign(record.Draft{
			Created: time.Now().Add(-time.Hour + time.Duration(i/3)*time.Second), Life: 2 * time.Hour,
			Body: record.Message{Room: "lobby", Text: strings.Repeat("x", i+1)},
		}))
	}
	if err := a.node.records.Publish(t.Context(), recs...); err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[int]int{1: 1, 201: 201, 450: 450, control.MaxHistory: 450} {
		list, err := a.History(t.Context(), "lobby", asked)
		if err != nil || len(list) != want {
			t.Errorf("asked for %d: %d, %v", asked, len(list), err)
		}
		seen := make(map[string]bool)
		for i, m := range list {
			if seen[m.ID] || i > 0 && m.At.Before(list[i-1].At) {
				t.Fatalf("asked for %d: out of order or twice at %d", asked, i)
			}
			seen[m.ID] = true
		}
	}
}

func TestNoAddressReachesTheLog(t *testing.T) {
	log := &testLog{}
	l := slog.New(discreet{slog.NewTextHandler(log, nil)})
	_, err := net.Dial("tcp", "127.0.0.1:1")
	l.Info("failed", "error", err, "text", "read tcp [fe80::1%eth0]:8080->[2001:db8::7]:4711: reset by peer",
		slog.Group("group", "addr", net.ParseIP("192.0.2.7"), "mac", "at 02:fc:00:00:00:01."), "mapped", "::ffff:192.0.2.9")
	l.With("peer", "/ip4/192.0.2.8/tcp/9472/p2p/12D3KooW").WithGroup("g").Warn("more", "when", "10:22:33", "version", "1.2.3", "n", 7)
	for _, secret := range []string{"127.0.0.1", "fe80", "2001", "4711", "192.0.2", "02:fc"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is in the log: %s", secret, log)
		}
	}
	for _, kept := range []string{"connection refused", "reset by peer", "12D3KooW", "10:22:33", "1.2.3", "g.n=7", "peer=/ip4/<address>/tcp"} {
		if !strings.Contains(log.String(), kept) {
			t.Errorf("%s is not in the log: %s", kept, log)
		}
	}
}
