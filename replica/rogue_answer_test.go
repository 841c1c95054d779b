package replica_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boucan/replica"
)

// answer is a peer that the host calls: it gets every frame and says what to
// answer. Returning nil hangs up.
type answer func(session int, t byte, payload []byte) [][]byte

// called runs a host whose peer answers so, for d, and returns it with the number
// of frames of each type that it sent.
func called(t *testing.T, d time.Duration, a answer) (*host, map[byte]int) {
	t.Helper()
	h := newHost(t)
	var mu sync.Mutex
	var wg sync.WaitGroup
	sent := make(map[byte]int)
	h.dial = func() (replica.Stream, error) {
		here, there := net.Pipe()
		session := int(h.opens.Load())
		wg.Go(func() {
			defer there.Close()
			in := bufio.NewReader(there)
			var out sync.WaitGroup
			defer out.Wait()
			queue := make(chan []byte, 100000)
			defer close(queue)
			out.Go(func() {
				for f := range queue {
					if _, err := there.Write(f); err != nil {
						return
					}
				}
			})
			for {
				n, err := binary.ReadUvarint(in)
				if err != nil {
					return
				}
				body := make([]byte, n)
				if _, err := io.ReadFull(in, body); err != nil {
					return
				}
				mu.Lock()
				sent[body[0]]++
				mu.Unlock()
				frames := a(session, body[0], body[1:])
				if frames == nil {
					return
				}
				for _, f := range frames {
					queue <- f
				}
			}
		})
		return here, nil
	}
	stop := run(t, h.y.Run)
	h.y.PeerUp(public(66))
	pass(d)
	stop()
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if _, ok, _ := h.set.Get(h.kept.ID()); !ok {
		t.Error("a record that was here is lost")
	}
	return h, sent
}

func TestRogueAnswers(t *testing.T) {
	nothing := [][]byte{}
	differs := slices.Concat([]byte{0x61, 0, 0, 1}, make([]byte, 16))
	for _, c := range []struct {
		name   string
		answer func(greet []byte) answer
	}{
		{"done before its time", func(greet []byte) answer {
			return func(_ int, t byte, _ []byte) [][]byte { return [][]byte{greet, frame(done)} }
		}},
		{"answer to no want", func(greet []byte) answer {
			return func(_ int, t byte, _ []byte) [][]byte { return [][]byte{greet, frame(answered)} }
		}},
		{"wants of its own", func(greet []byte) answer {
			return func(_ int, t byte, _ []byte) [][]byte { return [][]byte{greet, frame(want, make([]byte, 32))} }
		}},
		{"malformed answer", func(greet []byte) answer {
			return func(_ int, t byte, _ []byte) [][]byte { return [][]byte{greet, frame(reconcile, []byte{0x62})} }
		}},
		{"more answers than questions", func(greet []byte) answer {
			return func(_ int, t byte, _ []byte) [][]byte {
				return [][]byte{greet, frame(reconcile, []byte{0x61}), frame(reconcile, []byte{0x61})}
			}
		}},
		{"differences without end", func(greet []byte) answer {
			return func(_ int, t byte, _ []byte) [][]byte {
				switch t {
				case hello:
					return [][]byte{greet}
				case reconcile:
					return [][]byte{frame(reconcile, differs)}
				}
				return nothing
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, _ := called(t, 9*time.Minute, c.answer(frame(hello, helloBytes(t, nil))))
				if h.log.count(lineBroke) != 1 || h.opens.Load() != 1 {
					t.Errorf("%d sessions, lines %q", h.opens.Load(), h.log.lines)
				}
			})
		})
	}
}

// liar names ids that nobody has, and ends every session in good order.
func liar(greet []byte, named []byte) answer {
	return func(_ int, t byte, _ []byte) [][]byte {
		switch t {
		case hello:
			return [][]byte{greet}
		case reconcile:
			list := slices.Concat([]byte{0x61, 0, 0, 2, byte(len(named) / 32)}, named)
			return [][]byte{frame(reconcile, list)}
		case want:
			return [][]byte{frame(answered)}
		case done:
			return [][]byte{frame(done)}
		}
		return [][]byte{}
	}
}

// TestUndeliveredIsNotAskedAgain at every meeting.
func TestUndeliveredIsNotAskedAgain(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		wants int
	}{{9 * time.Minute, 1}, {20 * time.Minute, 2}} {
		synctest.Test(t, func(t *testing.T) {
			h, sent := called(t, c.after, liar(frame(hello, helloBytes(t, nil)), bytes.Repeat([]byte{9}, 64)))
			if sent[want] != c.wants || h.opens.Load() < 2 || h.log.count(lineBroke) != 0 {
				t.Errorf("after %v: %d wants in %d sessions, lines %q", c.after, sent[want], h.opens.Load(), h.log.lines)
			}
		})
	}
}

// TestBusyPeerIsAskedAgain, less and less often.
func TestBusyPeerIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sent := called(t, 10*time.Minute, func(session int, kind byte, _ []byte) [][]byte {
			if session < 5 {
				return [][]byte{frame(busy)}
			}
			return liar(frame(hello, helloBytes(t, nil)), nil)(session, kind, nil)
		})
		if sent[done] < 2 || h.opens.Load() > 12 || h.log.count(lineBroke) != 0 {
			t.Errorf("%d sessions, %d ended well", h.opens.Load(), sent[done])
		}
	})
}

// TestFailingPeerIsBackedOffFrom: nudges do not change that.
func TestFailingPeerIsBackedOffFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.dial = func() (replica.Stream, error) { return nil, errors.New("no route") }
		stop := run(t, h.y.Run)
		defer stop()
		h.y.PeerUp(public(66))
		for range 3600 {
			pass(time.Second)
			h.y.Nudge()
		}
		if h.opens.Load() < 10 || h.opens.Load() > 25 {
			t.Errorf("%d attempts in an hour", h.opens.Load())
		}
		h.y.PeerDown(public(66)) // a new connection is a new beginning
		h.y.PeerUp(public(66))
		before := h.opens.Load()
		pass(7 * time.Second)
		if h.opens.Load() == before {
			t.Error("not tried after a new connection")
		}
	})
}
