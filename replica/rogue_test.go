package replica_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxamacker/cbor/v2"

	"boucan/record"
	"boucan/replica"
	"boucan/replica/testdata/memlog"
)

// The frame types of spec/sync.md, section 4.
const (
	hello     = 1
	reconcile = 2
	want      = 3
	records   = 4
	answered  = 5
	done      = 6
	busy      = 7
)

// frame writes a frame as the specification says.
func frame(t byte, payload ...[]byte) []byte {
	body := append([]byte{t}, bytes.Join(payload, nil)...)
	return append(binary.AppendUvarint(nil, uint64(len(body))), body...)
}

// helloBytes is a hello of version 1.
func helloBytes(t testing.TB, more map[uint64]any) []byte {
	t.Helper()
	m := map[uint64]any{1: 1, 2: uint64(epoch.UnixMilli()), 3: 0}
	for k, v := range more {
		m[k] = v
	}
	b, err := cbor.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packed writes records as the payload of a frame.
func packed(recs ...*record.Record) []byte {
	var b []byte
	for _, r := range recs {
		b = binary.AppendUvarint(b, uint64(len(r.Encode())))
		b = append(b, r.Encode()...)
	}
	return b
}

// logbook keeps log lines.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logbook) WithGroup(string) slog.Handler            { return l }
func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Level >= slog.LevelWarn {
		l.lines = append(l.lines, r.Message)
	}
	return nil
}

func (l *logbook) count(line string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, s := range l.lines {
		if s == line {
			n++
		}
	}
	return n
}

const (
	lineBroke   = "a peer broke the sync protocol"
	lineRefused = "refused a record from a peer"
)

// host is a node with one record, waiting for a rogue peer of key 66.
type host struct {
	t     *testing.T
	set   *replica.Set
	y     *replica.Syncer
	log   *logbook
	kept  *record.Record
	dial  func() (replica.Stream, error)
	opens atomic.Int64 // streams that the host opened
}

func newHost(t *testing.T) *host {
	h := &host{t: t, log: &logbook{}}
	h.set = open(t, memlog.New(), replica.Options{Logger: slog.New(h.log)})
	h.y = replica.NewSyncer(h.set, h, replica.SyncOptions{Self: public(0), Logger: slog.New(h.log)})
	h.kept = messages(t, 0, 0, 1)[0]
	add(t, h.set, nil, h.kept)
	return h
}

func (h *host) Peers() []record.Key { return nil }
func (h *host) Open(context.Context, record.Key) (replica.Stream, error) {
	h.opens.Add(1)
	return h.dial()
}

// meet lets rogue talk to the host on a stream that rogue opened. It returns when
// both have ended, with what Serve said and how long it took.
func (h *host) meet(rogue func(c net.Conn)) (error, time.Duration) {
	h.t.Helper()
	start := time.Now()
	here, there := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		rogue(there)
		there.Close()
	}()
	err := h.y.Serve(h.t.Context(), public(66), here)
	took := time.Since(start)
	there.Close()
	<-ended
	if _, ok, _ := h.set.Get(h.kept.ID()); !ok {
		h.t.Error("a record that was here is lost")
	}
	return err, took
}

// banned reports whether the host closes on the rogue without a word.
func (h *host) banned() bool {
	spoke := false
	_, _ = h.meet(func(c net.Conn) {
		n, _ := c.Read(make([]byte, 1))
		spoke = n > 0
	})
	return !spoke
}

// says writes and reads whatever comes, until the other side closes.
func says(frames ...[]byte) func(net.Conn) {
	return func(c net.Conn) {
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_, _ = io.Copy(io.Discard, c)
		}()
		for _, f := range frames {
			if _, err := c.Write(f); err != nil {
				break
			}
		}
		<-drained
	}
}

// emptySet is the first message of a side that has nothing.
var emptySet = []byte{0x61, 0, 0, 2, 0}

func TestRogueFrames(t *testing.T) {
	greet := func(t *testing.T) []byte { return frame(hello, helloBytes(t, nil)) }
	id := bytes.Repeat([]byte{7}, 32)
	for _, c := range []struct {
		name string
		says func(t *testing.T) [][]byte
	}{
		{"length of 2^63", func(t *testing.T) [][]byte {
			return [][]byte{{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}}
		}},
		{"length of nothing", func(t *testing.T) [][]byte { return [][]byte{{0}} }},
		{"length not minimal", func(t *testing.T) [][]byte { return [][]byte{{0x81, 0x00, hello}} }},
		{"length one past the limit", func(t *testing.T) [][]byte {
			return [][]byte{greet(t), binary.AppendUvarint(nil, replica.MaxFrame+1)}
		}},
		{"no hello", func(t *testing.T) [][]byte { return [][]byte{frame(reconcile, emptySet)} }},
		{"two hellos", func(t *testing.T) [][]byte { return [][]byte{greet(t), greet(t)} }},
		{"hello that is no map", func(t *testing.T) [][]byte { return [][]byte{frame(hello, []byte{0xf6})} }},
		{"hello of version 0", func(t *testing.T) [][]byte { return [][]byte{frame(hello, helloBytes(t, map[uint64]any{1: 0}))} }},
		{"hello one past the limit", func(t *testing.T) [][]byte { return [][]byte{frame(hello, padded(t, replica.MaxHello+1))} }},
		{"software one past the limit", func(t *testing.T) [][]byte {
			return [][]byte{frame(hello, helloBytes(t, map[uint64]any{4: strings.Repeat("x", record.MaxSoftware+1)}))}
		}},
		{"software with a control character", func(t *testing.T) [][]byte {
			return [][]byte{frame(hello, helloBytes(t, map[uint64]any{4: "a\x1bb"}))}
		}},
		{"time after the last", func(t *testing.T) [][]byte {
			return [][]byte{frame(hello, helloBytes(t, map[uint64]any{2: uint64(record.MaxTime + 1)}))}
		}},
		{"another node's card", func(t *testing.T) [][]byte {
			card := sign(t, 5, time.Now(), day, record.Card{Name: "five"})
			return [][]byte{frame(hello, helloBytes(t, map[uint64]any{5: card.Encode()}))}
		}},
		{"malformed reconcile message", func(t *testing.T) [][]byte { return [][]byte{greet(t), frame(reconcile, []byte{0x61, 0, 0, 9})} }},
		{"empty reconcile message", func(t *testing.T) [][]byte { return [][]byte{greet(t), frame(reconcile)} }},
		{"records without a record", func(t *testing.T) [][]byte { return [][]byte{greet(t), frame(records)} }},
		{"record of no length", func(t *testing.T) [][]byte { return [][]byte{greet(t), frame(records, []byte{0})} }},
		{"record cut short", func(t *testing.T) [][]byte { return [][]byte{greet(t), frame(records, []byte{5, 1, 2, 3, 4})} }},
		{"record one past the limit", func(t *testing.T) [][]byte {
			raw := make([]byte, record.MaxSize+1)
			return [][]byte{greet(t), frame(records, binary.AppendUvarint(nil, uint64(len(raw))), raw)}
		}},
		{"record that claims 2^63", func(t *testing.T) [][]byte {
			return [][]byte{greet(t), frame(records, binary.AppendUvarint(nil, 1<<63))}
		}},
		{"want of nothing", func(t *testing.T) [][]byte { return [][]byte{greet(t), frame(want)} }},
		{"want of half an id", func(t *testing.T) [][]byte { return [][]byte{greet(t), frame(want, id[:31])} }},
		{"answer to no want", func(t *testing.T) [][]byte { return [][]byte{greet(t), frame(answered)} }},
		{"busy from who began", func(t *testing.T) [][]byte { return [][]byte{frame(busy)} }},
		{"done with more to say", func(t *testing.T) [][]byte { return [][]byte{greet(t), frame(done, []byte{1})} }},
		{"more wrongly signed records than the limit", func(t *testing.T) [][]byte {
			var recs []*record.Record
			for i := range 8 {
				recs = append(recs, forge(t, message(t, 0, time.Now(), "r", fmt.Sprint(i))))
			}
			return [][]byte{greet(t), frame(records, packed(recs...))}
		}},
		{"more malformed records than the limit", func(t *testing.T) [][]byte {
			return [][]byte{greet(t), frame(records, bytes.Repeat([]byte{1, 0xff}, 8))}
		}},
		{"duplicates for ever", func(t *testing.T) [][]byte {
			m := message(t, 1, time.Now(), "r", "again")
			return slices.Concat([][]byte{greet(t)}, slices.Repeat([][]byte{frame(records, packed(slices.Repeat([]*record.Record{m}, 200)...))}, 100))
		}},
		{"wants for ever", func(t *testing.T) [][]byte {
			return slices.Concat([][]byte{greet(t)}, slices.Repeat([][]byte{frame(want, bytes.Repeat(id, replica.MaxWant))}, 20))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t)
				err, took := h.meet(says(c.says(t)...))
				if err == nil || took > time.Second {
					t.Errorf("ended after %v with %v", took, err)
				}
				if n := h.log.count(lineBroke); n != 1 {
					t.Errorf("%d log lines", n)
				}
				if !h.banned() {
					t.Error("the host goes on speaking to it")
				}
				pass(11 * time.Minute)
				if h.banned() {
					t.Error("the ban does not end")
				}
			})
		})
	}
}

// padded is a hello of exactly n bytes, with a key of a later version.
func padded(t testing.TB, n int) []byte {
	t.Helper()
	for pad := n; ; pad-- {
		if b := helloBytes(t, map[uint64]any{100: make([]byte, pad)}); len(b) <= n {
			return b
		}
	}
}

// TestRogueIsBorneWith: what may happen among honest peers ends no session, or
// ends it without a ban.
func TestRogueIsBorneWith(t *testing.T) {
	greet := func(t *testing.T) []byte { return frame(hello, helloBytes(t, nil)) }
	for _, c := range []struct {
		name  string
		says  func(t *testing.T) [][]byte
		lines int // of refused records
	}{
		{"hello at the limit", func(t *testing.T) [][]byte { return [][]byte{frame(hello, padded(t, replica.MaxHello)), frame(done)} }, 0},
		{"clock source of a later version", func(t *testing.T) [][]byte {
			return [][]byte{frame(hello, helloBytes(t, map[uint64]any{3: 77})), frame(done)}
		}, 0},
		{"frame type of a later version, of the greatest length", func(t *testing.T) [][]byte {
			return [][]byte{greet(t), frame(99, make([]byte, replica.MaxFrame-1)), frame(done)}
		}, 0},
		{"question of a later version", func(t *testing.T) [][]byte {
			return [][]byte{greet(t), frame(reconcile, []byte{0x62, 1, 2}), frame(done)}
		}, 0},
		{"want at the limit", func(t *testing.T) [][]byte {
			return [][]byte{greet(t), frame(want, make([]byte, 32*replica.MaxWant)), frame(done)}
		}, 0},
		{"seven wrongly signed records", func(t *testing.T) [][]byte {
			var recs []*record.Record
			for i := range 7 {
				recs = append(recs, forge(t, message(t, 0, time.Now(), "r", fmt.Sprint(i))))
			}
			return [][]byte{greet(t), frame(records, packed(recs...)), frame(done)}
		}, 7},
		{"duplicate, expired, dated ahead, of a wrong body", func(t *testing.T) [][]byte {
			m := messages(t, 1, 0, 1)[0]
			old := sign(t, 1, time.Now().Add(-time.Hour), time.Minute, record.Message{Room: "r", Text: "t"})
			ahead := message(t, 1, time.Now().Add(time.Hour), "r", "ahead")
			return [][]byte{greet(t), frame(records, packed(m, m, old, ahead, rekind(t, file(t, 1, time.Now(), "f")))), frame(done)}
		}, 1},
		{"card that has expired", func(t *testing.T) [][]byte {
			old := sign(t, 66, time.Now().Add(-time.Hour), time.Minute, record.Card{Name: "old"})
			return [][]byte{frame(hello, helloBytes(t, map[uint64]any{5: old.Encode()})), frame(done)}
		}, 0},
		{"card that is no record", func(t *testing.T) [][]byte {
			return [][]byte{frame(hello, helloBytes(t, map[uint64]any{5: []byte{1, 2, 3}})), frame(done)}
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t)
				err, took := h.meet(says(c.says(t)...))
				if err != nil || took > time.Second || h.log.count(lineBroke) != 0 || h.log.count(lineRefused) != c.lines {
					t.Errorf("ended after %v with %v, lines %q", took, err, h.log.lines)
				}
				if h.banned() {
					t.Error("banned")
				}
			})
		})
	}
}

// TestRogueStalls: a peer that makes no progress is left after a while, and costs
// its place only.
func TestRogueStalls(t *testing.T) {
	for _, c := range []struct {
		name  string
		rogue func(t *testing.T, c net.Conn)
	}{
		{"says nothing", func(t *testing.T, c net.Conn) { _, _ = io.Copy(io.Discard, c) }},
		{"neither says nor reads anything", func(t *testing.T, c net.Conn) { <-time.After(5 * time.Minute) }},
		{"says hello and nothing more", func(t *testing.T, c net.Conn) { says(frame(hello, helloBytes(t, nil)))(c) }},
		{"sends a byte now and then", func(t *testing.T, c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for _, b := range frame(99, make([]byte, 1000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				<-time.After(10 * time.Second)
			}
		}},
		{"sends a frame without use now and then", func(t *testing.T, c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for f := frame(hello, helloBytes(t, nil)); ; f = frame(99) {
				if _, err := c.Write(f); err != nil {
					return
				}
				<-time.After(10 * time.Second)
			}
		}},
		{"asks and does not read", func(t *testing.T, c net.Conn) {
			m := messages(t, 0, 0, 1)[0].ID()
			_, _ = c.Write(slices.Concat(frame(hello, helloBytes(t, nil)), frame(want, m[:])))
			<-time.After(5 * time.Minute)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t)
				err, took := h.meet(func(conn net.Conn) { c.rogue(t, conn) })
				if err == nil || took < 30*time.Second || took > 3*time.Minute {
					t.Errorf("ended after %v with %v", took, err)
				}
			})
		})
	}
}

// TestRogueGoesAway: streams that end early, at every byte.
func TestRogueGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		m := messages(t, 1, 0, 1)[0]
		all := slices.Concat(frame(hello, helloBytes(t, nil)), frame(reconcile, emptySet), frame(records, packed(m)), frame(done))
		for n := range len(all) {
			err, took := h.meet(func(c net.Conn) {
				go func() { _, _ = io.Copy(io.Discard, c) }()
				_, _ = c.Write(all[:n])
			})
			if err == nil || took > time.Second {
				t.Fatalf("after %d bytes: ended after %v with %v", n, took, err)
			}
		}
		if h.log.count(lineBroke) != 0 {
			t.Errorf("lines %q", h.log.lines)
		}
	})
}

// TestPlacesAreBounded: only so many peers are served at once, each once.
func TestPlacesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		var idle []net.Conn
		var wg sync.WaitGroup
		serve := func(key int) net.Conn {
			here, there := net.Pipe()
			idle = append(idle, there)
			wg.Go(func() { _ = h.y.Serve(t.Context(), public(key), here) })
			return there
		}
		first := func(c net.Conn) byte {
			b := make([]byte, 2)
			if _, err := io.ReadFull(c, b); err != nil {
				t.Fatal(err)
			}
			return b[1]
		}
		for i := range 4 {
			if got := first(serve(100 + i)); got != hello {
				t.Fatalf("peer %d got frame %d", i, got)
			}
		}
		if got := first(serve(104)); got != busy {
			t.Errorf("one past the limit got frame %d", got)
		}
		if got := first(serve(100)); got != busy {
			t.Errorf("a second session of a peer got frame %d", got)
		}
		for _, c := range idle {
			c.Close()
		}
		wg.Wait()
	})
}
