package node

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"boucan/record"
	"boucan/replica"
	"boucan/share"
)

// Protocols spoken between boxes (spec/sync.md, spec/blob.md).
const (
	syncProtocol protocol.ID = "/boucan/sync/1"
	blobProtocol protocol.ID = "/boucan/blob/1"
)

// streamOpenTimeout bounds the opening of a stream on a standing connection.
const streamOpenTimeout = 10 * time.Second

// stream is a libp2p stream as replica and share want it: Close ends both
// directions and tells the other side.
type stream struct{ network.Stream }

func (s stream) Close() error {
	if err := s.Stream.Close(); err != nil {
		return s.Stream.Reset()
	}
	return nil
}

func (s stream) SetDeadline(t time.Time) error { return s.Stream.SetDeadline(t) }

// streams opens streams of one protocol over the host's standing connections.
type streams struct {
	host     host.Host
	protocol protocol.ID
}

func (s streams) Peers() []record.Key {
	var keys []record.Key
	for _, id := range s.host.Network().Peers() {
		if key, err := peerKey(id); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

func (s streams) open(ctx context.Context, key record.Key) (stream, error) {
	id, err := peerID(key)
	if err != nil {
		return stream{}, fmt.Errorf("peer %s: %w", key, err)
	}
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "only standing connections"), streamOpenTimeout)
	defer cancel()
	st, err := s.host.NewStream(ctx, id, s.protocol)
	if err != nil {
		return stream{}, fmt.Errorf("open stream: %w", err)
	}
	return stream{st}, nil
}

type syncStreams struct{ streams }

func (s syncStreams) Open(ctx context.Context, key record.Key) (replica.Stream, error) {
	return s.open(ctx, key)
}

type blobStreams struct{ streams }

func (s blobStreams) Open(ctx context.Context, key record.Key) (share.Stream, error) {
	return s.open(ctx, key)
}

// serve answers streams of one protocol with handle until ctx ends. A stream
// whose handler fails is reset, so that the other side learns of it at once.
func (n *Node) serve(ctx context.Context, id protocol.ID, handle func(context.Context, record.Key, stream) error) {
	n.host.SetStreamHandler(id, func(s network.Stream) {
		// libp2p calls handlers on goroutines of its own; the node waits for them.
		if !n.handlers.enter() {
			_ = s.Reset()
			return
		}
		defer n.handlers.leave()
		key, err := peerKey(s.Conn().RemotePeer())
		if err == nil {
			stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
			err = handle(ctx, key, stream{s})
			stop()
		}
		if err != nil {
			n.log.Debug("stream failed", "protocol", string(id), "error", err)
			_ = s.Reset()
			return
		}
		_ = s.Close()
	})
}

// addrInfo is what libp2p wants to know to dial a peer.
func addrInfo(id peer.ID, p found) peer.AddrInfo {
	info := peer.AddrInfo{ID: id}
	for _, ap := range p.addrs {
		if m, ok := dialable(ap); ok {
			info.Addrs = append(info.Addrs, m)
		}
	}
	return info
}
