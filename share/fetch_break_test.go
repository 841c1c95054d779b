package share_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boucan/record"
	"boucan/share"
)

// Streams that break anywhere cost at most the chunk that was on its way.
func TestBrokenStreamsResume(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		luck := rand.New(rand.NewPCG(1, 2))
		breaks := 0
		n.tap = func(s *tap) {
			breaks++
			s.breakAt = 1 + luck.Int64N(9<<20)
		}
		ws := a.dropMany(300, func(i int) (string, []byte) {
			return fmt.Sprintf("%d.jpg", i), noise(uint64(i), 1+i*1000)
		})
		ws = append(ws, a.drop("large.iso", noise(1000, 48<<20)), a.drop("song.ogg", noise(1001, 9<<20+5)))
		var total int64
		for _, w := range ws {
			total += w.Size
		}
		b.blobs.Want(ws...)
		n.connect(a, b)
		wait(t, 4*time.Hour, "all arrive", func() bool { return b.has(ws...) })
		got, _ := n.received(b.key)
		again := got - total
		t.Logf("%d streams, %d bytes sent again or beside", breaks, again)
		if breaks < 8 || again > int64(breaks)*(share.ChunkSize+1000)+64*int64(len(ws)) {
			t.Errorf("%d bytes sent again over %d streams", again, breaks)
		}
		for _, w := range ws[290:] {
			if a, b := a.read(w.CID), b.read(w.CID); !bytes.Equal(a, b) {
				t.Errorf("%s differs", w.Name)
			}
		}
	})
}

// A receiver that is stopped and started again goes on where it was, and so it
// does when the sender is.
func TestStoppedBoxesResume(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		data := noise(7, 64<<20)
		w := a.drop("large.iso", data)
		n.tap = func(s *tap) { s.bend = slowly(s) }
		n.setLink(a.key, b.key, true)
		for stops := int64(1); ; stops++ {
			b.blobs.Want(w)
			b.blobs.PeerUp(a.key)
			wait(t, time.Hour, "some more lands", func() bool {
				got, _ := n.received(b.key)
				return b.has(w) || got > stops*10<<20
			})
			if b.has(w) {
				got, _ := n.received(b.key)
				if again := got - w.Size; again > stops*(share.ChunkSize+10_000) {
					t.Errorf("%d bytes sent again in %d stops", again, stops)
				}
				break
			}
			if transfers := b.blobs.Transfers(); len(transfers) != 1 || transfers[0].Landed < (stops-1)*8<<20 {
				t.Errorf("stop %d: %+v", stops, transfers)
			}
			again := b
			if stops%2 == 0 {
				again = a
			}
			again.stop()
			again.start()
		}
		if !bytes.Equal(b.read(w.CID), data) {
			t.Error("the bytes differ")
		}
	})
}

// slowly makes a stream of about 4 MiB/s.
func slowly(s *tap) func(int64, []byte) {
	return func(_ int64, p []byte) { time.Sleep(time.Duration(len(p)) * time.Second / (4 << 20)) }
}

// A receiver that is killed loses nothing that it had verified and written: what
// is sent again is what was on its way.
func TestKilledReceiverResumes(t *testing.T) {
	if addr := os.Getenv("BOUCAN_TEST_RECEIVER"); addr != "" {
		receive(t, addr, os.Getenv("BOUCAN_TEST_DIR"), os.Getenv("BOUCAN_TEST_CID"))
		return
	}
	n := newNetwork(t)
	a := newBox(n)
	const size = 96 << 20
	w := a.drop("large.iso", noise(8, size))
	serving := serveTCP(t, a)
	dir := t.TempDir()
	const kills = 4
	for i := range kills + 1 {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledReceiverResumes$")
		child.Env = append(os.Environ(), "BOUCAN_TEST_RECEIVER="+serving.addr, "BOUCAN_TEST_DIR="+dir, "BOUCAN_TEST_CID="+w.CID.String())
		out := &bytes.Buffer{}
		child.Stdout, child.Stderr = out, out
		serving.until.Store(int64(i+1) * size / (kills + 1))
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if i < kills {
			<-serving.reached
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait() // it was killed
			continue
		}
		serving.until.Store(1 << 62)
		if err := child.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	again := serving.sent.Load() - size
	t.Logf("%d bytes sent again after %d kills", again, kills)
	if most := int64(kills * (share.ChunkSize + socketBuffer)); again > most {
		t.Errorf("%d bytes sent again after %d kills, want at most %d", again, kills, most)
	}
	got, err := os.ReadFile(filepath.Join(dir, "files", "large.iso"))
	if err != nil || !bytes.Equal(got, noise(8, size)) {
		t.Errorf("the bytes differ: %v", err)
	}
}

// socketBuffer is about what the system holds of a loopback connection in this
// test, both ends together, in bytes.
const socketBuffer = 1 << 20

// tcpServer serves a box on a loopback port.
type tcpServer struct {
	addr    string
	sent    atomic.Int64
	until   atomic.Int64 // bytes sent at which reached is told
	reached chan struct{}
}

func serveTCP(t *testing.T, b *box) *tcpServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &tcpServer{addr: l.Addr().String(), reached: make(chan struct{}, 1)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
				_ = b.blobs.Serve(t.Context(), record.Key{9}, &countedConn{c, v}) // the other side is killed
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return v
}

type countedConn struct {
	net.Conn
	v *tcpServer
}

func (c *countedConn) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n, err := c.Conn.Write(p[done:min(len(p), done+64<<10)])
		done += n
		if c.v.sent.Add(int64(n)) >= c.v.until.Load() {
			c.v.until.Store(1 << 62)
			c.v.reached <- struct{}{}
		}
		if err != nil {
			return done, err
		}
	}
	return len(p), nil
}

// receive is the process that is killed.
func receive(t *testing.T, addr, dir, name string) {
	cid, err := record.ParseCID(name)
	if err != nil {
		t.Fatal(err)
	}
	n := newNetwork(t)
	sender := newKey()
	b := &box{t: t, n: n, key: newKey(), dir: dir, logs: &logbook{}}
	n.nodes[sender] = func(_ context.Context, _ record.Key, far share.Stream) error {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		var up sync.WaitGroup
		up.Go(func() { _, _ = io.Copy(c, far); c.Close() })
		_, err = io.Copy(far, c)
		far.Close()
		up.Wait()
		return err
	}
	b.start()
	n.setLink(b.key, sender, true)
	b.blobs.PeerUp(sender)
	w := share.Wanted{CID: cid, Size: 96 << 20, Name: "large.iso", From: sender}
	b.blobs.Want(w)
	wait(t, time.Minute, "it arrives", func() bool { return b.has(w) })
	b.stop()
}
