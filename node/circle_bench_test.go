package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"log/slog"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"boucan/circle"
)

// BenchmarkLink moves 16 MiB a round from one host to another on this machine,
// both ends on its processors: what a circle's key costs beside the encryption
// that there is in any case.
func BenchmarkLink(b *testing.B) {
	key, err := circle.New()
	if err != nil {
		b.Fatal(err)
	}
	for _, mesh := range []struct {
		name   string
		shared []byte
	}{{"open", nil}, {"circle", key.Network()}} {
		b.Run(mesh.name, func(b *testing.B) {
			const much = 16 << 20
			from, to := benchHost(b, mesh.shared), benchHost(b, mesh.shared)
			const name = protocol.ID("/bench/1")
			to.SetStreamHandler(name, func(s network.Stream) {
				defer s.Close()
				for {
					if _, err := io.CopyN(io.Discard, s, much); err != nil {
						return
					}
					if _, err := s.Write([]byte{1}); err != nil {
						return
					}
				}
			})
			if err := from.Connect(b.Context(), onLoopback(b, to)); err != nil {
				b.Fatal(err)
			}
			s, err := from.NewStream(b.Context(), to.ID(), name)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			chunk := make([]byte, 1<<20)
			b.SetBytes(much)
			for b.Loop() {
				for range much / len(chunk) {
					if _, err := s.Write(chunk); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := io.ReadFull(s, chunk[:1]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchHost(b *testing.B, shared []byte) host.Host {
	b.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	h, err := newHost(private, 0, profiles[len(profiles)-1], shared, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	return h
}
