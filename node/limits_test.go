package node

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

// TestAStreamTooManyIsRefused by yamux, and only that: the connection stays, as
// do the streams before it, and there is room again when they end.
func TestAStreamTooManyIsRefused(t *testing.T) {
	a, b := honestPair(t)
	s := newStranger(t, b)
	conn := s.Network().ConnsToPeer(s.target)[0]
	const many = 1000
	var reset atomic.Int64
	var streams []network.Stream
	for range many {
		st, err := conn.NewStream(t.Context())
		if err != nil {
			t.Fatalf("after %d streams: %v", len(streams), err)
		}
		streams = append(streams, st)
		go func() {
			if _, err := io.Copy(io.Discard, st); isReset(err, 0) {
				reset.Add(1)
			}
		}()
	}
	eventually(t, "what is too much is reset", func() bool { return reset.Load() >= many-streamsEach })
	if held := b.streamsOf(s); held > 2*streamsEach {
		t.Errorf("the box holds %d streams of the stranger", held)
	}
	for _, st := range streams {
		_ = st.Reset()
	}
	eventually(t, "the same connection serves again", func() bool {
		if conn.IsClosed() {
			t.Fatal("the connection is gone")
		}
		st, err := s.NewStream(t.Context(), s.target, syncProtocol)
		if err != nil {
			return false
		}
		defer st.Reset()
		n, _ := st.Read(make([]byte, 1))
		return n > 0
	})
	exchanges(t, a, b)
}

// isReset reports whether the other side reset a stream, for that reason.
func isReset(err error, why network.StreamErrorCode) bool {
	e, ok := errors.AsType[*network.StreamError](err)
	return ok && e.Remote && e.ErrorCode == why
}

// streamsOf counts the streams with a stranger that a box holds.
func (b *testBox) streamsOf(s *stranger) (held int) {
	for _, c := range b.node.host.Network().ConnsToPeer(s.ID()) {
		held += len(c.GetStreams())
	}
	return held
}

// TestOnePeerOnManyConnections: yamux counts the streams of one connection, so
// the resource manager holds what one peer has on all of them.
func TestOnePeerOnManyConnections(t *testing.T) {
	a, b := honestPair(t)
	before := inUse()
	s := newStranger(t, b)
	const more = 3 * connsEach
	var conns []transport.CapableConn
	for range more {
		// One that is not to be may end while it is made.
		if c, err := s.dialer.Dial(t.Context(), s.at.Addrs[0], s.target); err == nil {
			t.Cleanup(func() { c.Close() })
			conns = append(conns, c)
		}
	}
	open := func() []transport.CapableConn {
		return slices.DeleteFunc(slices.Clone(conns), transport.CapableConn.IsClosed)
	}
	eventually(t, "those past the limit are closed", func() bool { return len(open()) == connsEach-1 })
	if n := len(b.node.host.Network().ConnsToPeer(s.ID())); n != connsEach {
		t.Errorf("the stranger has %d connections, with room for %d", n, connsEach)
	}
	// Few enough that their memory is not what is refused: with that the
	// connection goes.
	var refused atomic.Int64
	opened := int64(0)
	for _, c := range open()[:2] {
		for range streamsEach * 3 / 4 {
			st, err := c.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			opened++
			go func() {
				if _, err := io.Copy(io.Discard, st); isReset(err, network.StreamResourceLimitExceeded) {
					refused.Add(1)
				}
			}()
		}
	}
	eventually(t, "what is too much is reset", func() bool { return refused.Load() >= opened-streamsEach })
	if held := b.streamsOf(s); held > 2*streamsEach {
		t.Errorf("the box holds %d streams of the stranger", held)
	}
	exchanges(t, a, b)
	if swollen := inUse() - before; swollen > mostSwollen {
		t.Errorf("%d MiB more are in use", swollen>>20)
	}
}

// TestWhatOnePeerMayHave is granted to the last connection and byte, and one more
// is not, while there is as much for another.
func TestWhatOnePeerMayHave(t *testing.T) {
	for _, p := range profiles {
		m, err := newResourceManager(p)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		for i, id := range []peer.ID{"a greedy peer", "another peer"} {
			from, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/192.0.2.%d/tcp/4000", i))
			if err != nil {
				t.Fatal(err)
			}
			for n := range connsEach + 1 {
				conn, err := m.OpenConnection(network.DirInbound, n%2 == 0, from)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Done()
				err = conn.SetPeer(id)
				if n == connsEach != errors.Is(err, network.ErrResourceLimitExceeded) || n < connsEach && err != nil {
					t.Errorf("%s: connection %d of %s: %v", p.Name, n+1, string(id), err)
				}
			}
			err = m.ViewPeer(id, func(scope network.PeerScope) error {
				if err := scope.ReserveMemory(int(p.peerMemory()), network.ReservationPriorityAlways); err != nil {
					t.Errorf("%s: what %s may have is refused: %v", p.Name, string(id), err)
				}
				return scope.ReserveMemory(1, network.ReservationPriorityAlways)
			})
			if !errors.Is(err, network.ErrResourceLimitExceeded) {
				t.Errorf("%s: one byte more than %s may have: %v", p.Name, string(id), err)
			}
		}
		if 3*p.peerMemory() > p.NetworkMemory {
			t.Errorf("%s: three peers may take all", p.Name)
		}
	}
}
