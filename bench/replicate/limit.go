package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// A limit is a bare program that does only what must be done: the files one
// behind the other on one stream, hashed in parallel by the receiver, written.
// It reconciles, asks, signs and remembers nothing, and cannot go on after a break.
type limit struct {
	*ground
	kind string // "tls" or "libp2p"
}

func newLimit(kind string) func(*ground) rival {
	return func(g *ground) rival { return limit{g, kind} }
}

const limitPort = "8443"

// limitCommand is the first argument by which this program is one of the ends.
const limitCommand = "limit"

func (r limit) prepare(context.Context) error { return nil }

func (r limit) pull(ctx context.Context, m *meter) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	p, err := r.senders[0].start(self, limitCommand, r.kind, "send", filepath.Join(r.workload.dir, load))
	if err != nil {
		return "", err
	}
	if err := r.answers(ctx, p, limitPort); err != nil {
		return "", err
	}
	to := filepath.Join(r.receiver.dir, load)
	return to, r.command(ctx, m, []string{self, limitCommand, r.kind, "receive", to, r.senders[0].addr.String()})
}

// limitMain is one end of a limit.
func limitMain(ctx context.Context, args []string) error {
	if len(args) < 3 {
		return errors.New("usage: limit tls|libp2p send DIR, or limit tls|libp2p receive DIR ADDRESS")
	}
	kind, dir := args[0], args[2]
	if args[1] == "send" {
		conn, err := limitAccept(ctx, kind)
		if err != nil {
			return err
		}
		return errors.Join(limitSend(conn, dir), conn.Close())
	}
	conn, err := limitDial(ctx, kind, args[3])
	if err != nil {
		return err
	}
	return errors.Join(limitReceive(conn, dir), conn.Close())
}

func limitAccept(ctx context.Context, kind string) (io.ReadWriteCloser, error) {
	if kind == "tls" {
		key, err := limitCertificate()
		if err != nil {
			return nil, err
		}
		l, err := tls.Listen("tcp", ":"+limitPort, &tls.Config{Certificates: []tls.Certificate{key}, MinVersion: tls.VersionTLS13})
		if err != nil {
			return nil, err
		}
		return l.Accept()
	}
	t, _, err := limitTransport(1)
	if err != nil {
		return nil, err
	}
	at, err := ma.NewMultiaddr("/ip4/0.0.0.0/tcp/" + limitPort)
	if err != nil {
		return nil, err
	}
	l, err := t.Listen(at)
	if err != nil {
		return nil, err
	}
	conn, err := l.Accept()
	if err != nil {
		return nil, err
	}
	return conn.AcceptStream()
}

func limitDial(ctx context.Context, kind, to string) (io.ReadWriteCloser, error) {
	if kind == "tls" {
		// Who answers does not matter here.
		return tls.Dial("tcp", net.JoinHostPort(to, limitPort), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	}
	_, sender, err := limitTransport(1)
	if err != nil {
		return nil, err
	}
	t, _, err := limitTransport(2)
	if err != nil {
		return nil, err
	}
	at, err := ma.NewMultiaddr("/ip4/" + to + "/tcp/" + limitPort)
	if err != nil {
		return nil, err
	}
	conn, err := t.Dial(ctx, at, sender)
	if err != nil {
		return nil, err
	}
	s, err := conn.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	_, err = s.Write([]byte{0}) // a stream is there when something comes on it
	return s, err
}

func limitCertificate() (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, public, private)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
}

// limitTransport is libp2p's TCP with TLS and yamux, with nothing above it, set as
// the node sets it. The seed tells the two ends' keys apart.
func limitTransport(seed byte) (*tcp.TcpTransport, peer.ID, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed([]byte{31: seed}))
	if err != nil {
		return nil, "", err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, "", err
	}
	mux := *yamux.DefaultTransport
	mux.MaxMessageSize = 256 << 10
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: &mux}}
	secure, err := libp2ptls.New(libp2ptls.ID, key, muxers)
	if err != nil {
		return nil, "", err
	}
	up, err := upgrader.New([]sec.SecureTransport{secure}, muxers, nil, &network.NullResourceManager{}, nil)
	if err != nil {
		return nil, "", err
	}
	t, err := tcp.NewTCPTransport(up, &network.NullResourceManager{}, nil, tcp.DisableReuseport())
	return t, id, err
}

// limitSend sends each file below dir as the length of its name, its name, its
// size and its bytes, and then an empty name.
func limitSend(conn io.ReadWriter, dir string) error {
	out := bufio.NewWriterSize(conn, 256<<10)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close() // was only read
		info, err := f.Stat()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		head := binary.BigEndian.AppendUint32(nil, uint32(len(rel)))
		head = binary.BigEndian.AppendUint64(append(head, rel...), uint64(info.Size()))
		if _, err := out.Write(head); err != nil {
			return err
		}
		_, err = out.ReadFrom(struct{ io.Reader }{f})
		return err
	})
	if err == nil {
		_, err = out.Write(make([]byte, 4))
	}
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		_, err = io.Copy(io.Discard, conn) // until the receiver has all
	}
	return err
}

// limitChunk is a chunk on its way to a file.
type limitChunk struct {
	data []byte
	at   int64
	f    *os.File
	last *sync.WaitGroup // of the file's chunks
}

// limitReceive writes what limitSend sends, and hashes each MiB of it.
func limitReceive(conn io.ReadWriter, dir string) error {
	const chunk = 1 << 20
	in := bufio.NewReaderSize(conn, 64<<10)
	chunks := make(chan limitChunk)
	free := make(chan []byte, 2*runtime.GOMAXPROCS(0))
	for range cap(free) {
		free <- make([]byte, chunk)
	}
	var workers sync.WaitGroup
	var failed sync.Once
	var bad error
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for c := range chunks {
				sha256.Sum256(c.data)
				if _, err := c.f.WriteAt(c.data, c.at); err != nil {
					failed.Do(func() { bad = err })
				}
				free <- c.data[:chunk]
				c.last.Done()
			}
		})
	}
	var files sync.WaitGroup
	one := func() (more bool, err error) {
		var raw [8]byte
		if _, err := io.ReadFull(in, raw[:4]); err != nil {
			return false, err
		}
		name := make([]byte, binary.BigEndian.Uint32(raw[:4]))
		if len(name) == 0 {
			return false, nil
		}
		if _, err := io.ReadFull(in, name); err != nil {
			return false, err
		}
		if _, err := io.ReadFull(in, raw[:]); err != nil {
			return false, err
		}
		path := filepath.Join(dir, string(name))
		f, err := os.Create(path)
		if errors.Is(err, fs.ErrNotExist) {
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				f, err = os.Create(path)
			}
		}
		if err != nil {
			return false, err
		}
		var last sync.WaitGroup
		for size, at := int64(binary.BigEndian.Uint64(raw[:])), int64(0); at < size; at += chunk {
			data := (<-free)[:min(chunk, size-at)]
			if _, err := io.ReadFull(in, data); err != nil {
				return false, err
			}
			last.Add(1)
			chunks <- limitChunk{data, at, f, &last}
		}
		files.Go(func() {
			last.Wait()
			if err := f.Close(); err != nil {
				failed.Do(func() { bad = err })
			}
		})
		return true, nil
	}
	more, err := true, error(nil)
	for more && err == nil {
		more, err = one()
	}
	close(chunks)
	workers.Wait()
	if err == nil {
		files.Wait()
		err = bad
	}
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	return nil
}
