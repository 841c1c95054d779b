package share_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"boucan/record"
	"boucan/share"
)

// hostile peers, each asked for a small blob and a large one. What they do is
// refused with one line in the log, and another peer gives what is wanted.
func TestHostilePeers(t *testing.T) {
	small, large := noise(1, 4000), noise(2, 6<<20)
	m := manifestOf(large)
	cases := []struct {
		name   string
		line   string // what the log says, once in the first minute
		answer func(s share.Stream) error
	}{
		{"says nothing", "stopped sending", func(s share.Stream) error {
			_, err := io.Copy(io.Discard, s)
			return err
		}},
		{"does not even read", "stopped sending", func(s share.Stream) error {
			time.Sleep(time.Hour)
			return nil
		}},
		{"trickles", "stopped sending", answering(func(s share.Stream, _ share.AskItem) error {
			if err := send(s, share.AppendHead(nil, share.FrameLast, 4000)); err != nil {
				return err
			}
			for range 4000 {
				time.Sleep(time.Second)
				if err := send(s, []byte{1}); err != nil {
					return err
				}
			}
			return nil
		})},
		{"sends for ever", "breaks the blob protocol", func(s share.Stream) error {
			frame := append(share.AppendHead(nil, share.FramePiece, share.MaxPiece), make([]byte, share.MaxPiece)...)
			return both(s, func() error {
				for {
					if err := send(s, frame); err != nil {
						return err
					}
				}
			})
		}},
		{"sends noise", "breaks the blob protocol", func(s share.Stream) error {
			return both(s, func() error { return send(s, bytes.Repeat([]byte{0xee}, 1<<20)) })
		}},
		{"claims all a frame can", "breaks the blob protocol", answering(func(s share.Stream, it share.AskItem) error {
			return send(s, share.AppendHead(nil, share.FrameLast, 0xffffffff))
		})},
		{"claims a size of 2^63", "breaks the blob protocol", answering(func(s share.Stream, it share.AskItem) error {
			if !it.Manifest {
				return send(s, share.AppendHead(nil, share.FrameNotHere, 0))
			}
			return send(s, binary.BigEndian.AppendUint64(share.AppendHead(nil, share.FrameSize, 8), 1<<63))
		})},
		{"lies about leaves", "breaks the blob protocol", answering(func(s share.Stream, it share.AskItem) error {
			if !it.Manifest {
				return send(s, share.AppendHead(nil, share.FrameNotHere, 0))
			}
			lie := share.Manifest{CID: m.CID, Size: m.Size, Leaves: bytes.Clone(m.Leaves)}
			lie.Leaves[40] ^= 1
			return send(s, share.AppendManifest(nil, lie))
		})},
		{"lies about the number of chunks", "breaks the blob protocol", answering(func(s share.Stream, it share.AskItem) error {
			if !it.Manifest {
				return send(s, share.AppendHead(nil, share.FrameNotHere, 0))
			}
			return send(s, share.AppendManifest(nil, manifestOf(large[:5<<20])))
		})},
		{"sends wrong small blobs", "do not match", answering(func(s share.Stream, it share.AskItem) error {
			if it.Manifest || it.Count > 0 {
				return send(s, share.AppendHead(nil, share.FrameNotHere, 0))
			}
			return send(s, chunkFrames(nil, noise(3, 4000)))
		})},
		{"sends wrong chunks", "do not match", answering(func(s share.Stream, it share.AskItem) error {
			if it.Manifest {
				return send(s, share.AppendManifest(nil, m))
			}
			for range max(1, it.Count) {
				if err := send(s, chunkFrames(nil, make([]byte, share.ChunkSize))); err != nil {
					return err
				}
			}
			return nil
		})},
		{"sends short chunks", "breaks the blob protocol", answering(func(s share.Stream, it share.AskItem) error {
			if it.Manifest {
				return send(s, share.AppendManifest(nil, m))
			}
			if it.Count == 0 {
				return send(s, chunkFrames(nil, small))
			}
			return send(s, chunkFrames(nil, large[:share.ChunkSize-1]))
		})},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				a, b := newBox(n), newBox(n)
				ws := []share.Wanted{a.drop("small", small), a.drop("large", large)}
				key := n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error { return c.answer(s) })
				for i := range ws {
					ws[i].From = key
				}
				b.blobs.Want(ws...)
				time.Sleep(45 * time.Second)
				if lines := b.logs.all(); b.logs.count(c.line) != 1 || len(lines) != 1 {
					t.Errorf("log: %q, want one line with %q", lines, c.line)
				}
				n.connect(a, b)
				wait(t, 10*time.Minute, "the other peer gives all", func() bool { return b.has(ws...) })
				if !bytes.Equal(b.read(ws[1].CID), large) {
					t.Error("the bytes differ")
				}
				time.Sleep(2 * time.Minute)
				if x := b.blobs.Bounds(); x.Slabs != 0 || x.Pulls != 0 || x.Turns != 0 || x.Sessions != 0 {
					t.Errorf("left behind: %+v", x)
				}
			})
		})
	}
}

// answering reads what is asked and answers each item. Notices are let pass.
func answering(answer func(s share.Stream, it share.AskItem) error) func(share.Stream) error {
	return func(s share.Stream) error {
		asked := make(chan share.AskItem, 4096)
		failed := make(chan error, 1)
		go func() {
			defer close(asked)
			for {
				kind, payload, err := share.ReadAsk(s)
				if err != nil {
					failed <- err
					return
				}
				if kind == share.FrameAsk {
					for _, it := range share.AskItems(payload) {
						asked <- it
					}
				}
			}
		}()
		for it := range asked {
			if err := answer(s, it); err != nil {
				s.Close()
				return err
			}
		}
		return <-failed
	}
}

// both sends while what is asked is read and let pass.
func both(s share.Stream, send func() error) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, s) // ends with the stream
	}()
	err := send()
	<-done
	return err
}

func send(s share.Stream, b []byte) error {
	_, err := s.Write(b)
	return err
}

// chunkFrames appends the frames of one chunk.
func chunkFrames(b, data []byte) []byte {
	for len(data) > share.MaxPiece {
		b = append(share.AppendHead(b, share.FramePiece, share.MaxPiece), data[:share.MaxPiece]...)
		data = data[share.MaxPiece:]
	}
	return append(share.AppendHead(b, share.FrameLast, uint32(len(data))), data...)
}

// A peer that hangs up, is busy, has nothing or says gone is asked less and less.
func TestUselessPeersAreAskedRarely(t *testing.T) {
	cases := []struct {
		name   string
		most   int // streams opened in six hours
		answer func(s share.Stream) error
	}{
		{"hangs up", 300, func(s share.Stream) error { return nil }},
		{"has nothing", 60, refusing(share.FrameNotHere)},
		{"gone", 2, refusing(share.FrameGone)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				b := newBox(n)
				key := n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error { return c.answer(s) })
				for i := range 50 {
					data := noise(uint64(i), 100)
					b.blobs.Want(share.Wanted{CID: manifestOf(data).CID, Size: 100, Name: "x"})
				}
				time.Sleep(6 * time.Hour)
				got, sent := n.received(b.key)
				t.Logf("%d streams, %d bytes sent, %d received in six hours", n.opened(b.key, key), sent, got)
				if opened := n.opened(b.key, key); opened > c.most || opened == 0 {
					t.Errorf("%d streams in six hours, want at most %d", opened, c.most)
				}
				if most := int64(c.most * 50 * 40); sent > most {
					t.Errorf("%d bytes asked, want at most %d", sent, most)
				}
				if lines := b.logs.all(); len(lines) != 0 {
					t.Errorf("log: %q", lines)
				}
			})
		})
	}
}

func refusing(kind byte) func(share.Stream) error {
	return answering(func(s share.Stream, _ share.AskItem) error {
		return send(s, share.AppendHead(nil, kind, 0))
	})
}

// Peers that trickle take all turns, and one more peer still gets its own. There
// are as many turns as half of the buffers, of which there are never too few.
func TestSlowPeersTakeTurns(t *testing.T) {
	for chunks, turns := range map[int]int{
		0:                     share.UsualChunks / 2,
		share.LeastChunks - 1: share.LeastChunks / 2,
		share.LeastChunks:     share.LeastChunks / 2,
		share.LeastChunks + 2: share.LeastChunks/2 + 1,
	} {
		t.Run(fmt.Sprint(chunks), func(t *testing.T) { slowPeersTakeTurns(t, chunks, turns) })
	}
}

func slowPeersTakeTurns(t *testing.T, chunks, turns int) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), &box{t: t, n: n, key: newKey(), dir: t.TempDir(), logs: &logbook{}, chunks: chunks}
		b.start()
		t.Cleanup(func() { b.stop() })
		var ws []share.Wanted
		for i := range 2 * turns {
			// Above the pace that is asked for, but not by much.
			var key record.Key
			key = n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error {
				return answering(func(s share.Stream, _ share.AskItem) error {
					for range 64 {
						time.Sleep(time.Second)
						if err := send(s, append(share.AppendHead(nil, share.FramePiece, 1024), make([]byte, 1024)...)); err != nil {
							return err
						}
					}
					return nil
				})(s)
			})
			for k := range 4 {
				data := noise(uint64(100*i+k), 900_000)
				b.blobs.Want(share.Wanted{CID: manifestOf(data).CID, Size: int64(len(data)), Name: "x", From: key})
			}
		}
		time.Sleep(time.Second)
		if x := b.blobs.Bounds(); x.Turns != turns || x.Slabs > turns {
			t.Errorf("%+v", x)
		}
		for i := range 10 {
			ws = append(ws, a.drop("film", noise(uint64(9000+i), 5<<20)))
		}
		b.blobs.Want(ws...)
		n.connect(a, b)
		took := wait(t, 10*time.Minute, "the quick peer is heard", func() bool { return b.has(ws...) })
		t.Logf("the quick peer was done after %v", took)
	})
}

// One peer holds a chunk for ever, at the pace it must keep. Another is asked
// for it in time.
func TestLateChunkIsAskedOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		data := noise(1, 8<<20)
		m := manifestOf(data)
		w := a.drop("film", data)
		n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error {
			return answering(func(s share.Stream, it share.AskItem) error {
				if it.Manifest {
					return send(s, share.AppendManifest(nil, m))
				}
				for at := 0; ; at += 1024 {
					time.Sleep(time.Second)
					if err := send(s, append(share.AppendHead(nil, share.FramePiece, 1024), data[at:at+1024]...)); err != nil {
						return err
					}
				}
			})(s)
		})
		w.From = record.Key{}
		b.blobs.Want(w)
		time.Sleep(5 * time.Second)
		n.connect(a, b)
		took := wait(t, 3*time.Minute, "it arrives in spite of the slow peer", func() bool { return b.has(w) })
		t.Logf("took %v", took)
	})
}

// A claim of a large size takes no memory before bytes come for it.
func TestClaimsTakeNoMemory(t *testing.T) {
	alone(t, func(t *testing.T, n *network) {
		b := newBox(n)
		w := share.Wanted{CID: manifestOf(noise(1, 2<<20)).CID, Size: record.MaxBlob, Name: "x"}
		for range 60 {
			n.hostile(b, func(_ context.Context, _ record.Key, s share.Stream) error {
				return answering(func(s share.Stream, it share.AskItem) error {
					return send(s, binary.BigEndian.AppendUint64(share.AppendHead(nil, share.FrameSize, 8), record.MaxBlob))
				})(s)
			})
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b.blobs.Want(w)
		time.Sleep(20 * time.Second)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
			t.Errorf("%d bytes taken for claims", took)
		}
	})
}
