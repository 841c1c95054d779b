package webui

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"boucan/record"
)

// DAG is a block and all blocks below it, as IPFS counts them. It is for one
// goroutine, and the caller closes it.
type DAG interface {
	// Size is how many bytes of a file are below the root.
	Size() int64
	// Walk visits the root, and below it the blocks that hold the bytes from..to-1,
	// depth first; with once, none twice. write passes on what the CID names and
	// fails before the end of anything else. It fails with ErrNotHere where the
	// bytes here are not what they were.
	Walk(from, to int64, once bool, visit Visitor) error
	Close() error
}

// Visitor is called for a block of size bytes.
type Visitor = func(cid record.CID, size int, write func(io.Writer) error) error

// Limits of the IPFS door.
const (
	maxIPFS = 32 // answers at a time, each with 200 KiB of buffers; others wait
	// waitIPFS is how long. A client may ask for the thousand children of a node
	// at once.
	waitIPFS = time.Minute
)

// Media types of the IPFS door (the IANA registry).
const (
	rawType = "application/vnd.ipld.raw"
	carType = "application/vnd.ipld.car"
)

// probeCID is the CID of nothing, with which clients find out what this is.
const probeCID = "bafkqaaa"

// The ways in which the IPFS door refuses.
var (
	errNotHeld  = errors.New("block is not here")
	errUncached = errors.New("block is not here, and nowhere else is to be looked")
	errFormat   = errors.New("no such format of an IPFS block")
	errNoFormat = errors.New("request names no format of an IPFS block")
)

// ipfs answers GET and HEAD /ipfs/{cid}: single blocks and CAR streams of what is
// here, which the client verifies (specs.ipfs.tech/http-gateways/trustless-gateway).
func (s *Server) ipfs(w http.ResponseWriter, r *http.Request) {
	if err := s.answerIPFS(w, r); err != nil {
		switch {
		case errors.Is(err, errBegun): // the answer must not look whole
			panic(http.ErrAbortHandler)
		case errors.Is(err, ErrUnknown), errors.Is(err, ErrNotHere):
			err = errNotHeld
			if strings.Contains(r.Header.Get("Cache-Control"), "only-if-cached") {
				err = errUncached
			}
		}
		s.fail(w, r, err)
	}
}

// errBegun says that an answer broke after its beginning was sent.
var errBegun = errors.New("answer broke")

func (s *Server) answerIPFS(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("Service-Worker") != "" {
		return errMalformed // none of a box's bytes is to run
	}
	a, err := parseBlockAsk(r.PathValue("cid"), r.PathValue("path"), r.URL.Query(), r.Header.Values("Accept"))
	if err != nil {
		return err
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // it would end the request's context in the middle
	if err := s.enter(r.Context()); err != nil {
		return err
	}
	defer func() { <-s.doors }()
	var dag DAG = nothing{}
	if !a.probe {
		if dag, err = s.files.DAG(r.Context(), a.cid); err != nil {
			return err
		}
	}
	defer dag.Close() // was only read
	out := &blockWriter{pacedWriter: pacedWriter{ResponseWriter: w, rc: rc}, ask: a, wanted: r, size: -1}
	if a.car {
		err = out.car(dag)
	} else {
		err = out.raw(dag)
	}
	if err != nil && out.begun {
		return errBegun
	}
	return err
}

// enter waits for its turn.
func (s *Server) enter(ctx context.Context) error {
	timer := time.NewTimer(waitIPFS)
	defer timer.Stop()
	select {
	case s.doors <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nothing is the DAG of no bytes at all, which no file is.
type nothing struct{}

func (nothing) Size() int64                              { return 0 }
func (nothing) Walk(_, _ int64, _ bool, _ Visitor) error { return nil }
func (nothing) Close() error                             { return nil }

// blockWriter writes an answer, and its headers before the first byte.
type blockWriter struct {
	pacedWriter
	ask    blockAsk
	wanted *http.Request
	size   int // of the body, -1 where it is not known
	begun  bool
}

func (b *blockWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !b.begun {
		b.headers()
	}
	return b.pacedWriter.Write(p)
}

func (b *blockWriter) headers() {
	b.begun = true
	h, a := b.Header(), b.ask
	h.Set("ETag", a.tag())
	h.Set("Cache-Control", "private, max-age=29030400, immutable") // private: what is taken down stays in no shared cache
	h.Add("Vary", "Accept")
	h.Set("X-Ipfs-Path", "/ipfs/"+a.name())
	h.Set("X-Ipfs-Roots", a.name())
	if a.matches(b.wanted.Header.Values("If-None-Match")) {
		b.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.contentType())
	h.Set("Content-Disposition", disposition(true, a.fileName()))
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Accept-Ranges", "none") // a part of a block cannot be verified
	if a.location != "" {
		h.Set("Content-Location", a.location)
	}
	if b.size >= 0 {
		h.Set("Content-Length", strconv.Itoa(b.size))
	}
}

// body has the body sent where there is one.
func (b *blockWriter) body(send func() error) error {
	if b.wanted.Method != http.MethodHead && !b.ask.matches(b.wanted.Header.Values("If-None-Match")) {
		if err := send(); err != nil {
			return err
		}
	}
	if !b.begun {
		b.headers()
	}
	return nil
}

func (b *blockWriter) raw(dag DAG) error {
	if b.ask.probe {
		b.size = 0
		return b.body(func() error { return nil })
	}
	return dag.Walk(0, 0, false, func(_ record.CID, size int, write func(io.Writer) error) error {
		b.size = size
		return b.body(func() error { return write(b) })
	})
}

func (b *blockWriter) car(dag DAG) error {
	from, to, err := b.ask.span(dag.Size())
	if err != nil {
		return err
	}
	return b.body(func() error {
		if _, err := b.Write(carHeader(b.ask.root())); err != nil {
			return err
		}
		return dag.Walk(from, to, !b.ask.dups, func(cid record.CID, size int, write func(io.Writer) error) error {
			section := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64+len(cid)), uint64(len(cid)+size))
			if _, err := b.Write(append(section, cid[:]...)); err != nil {
				return err
			}
			return write(b)
		})
	})
}

// carHeader is the beginning of a CAR of version 1: the length of a DAG-CBOR map
// of "roots" and "version", and the map (ipld.io/specs/transport/car/carv1).
func carHeader(root []byte) []byte {
	h := append([]byte{0xa2, 0x65}, "roots"...)
	h = append(h, 0x81, 0xd8, 0x2a) // one link, tag 42
	if n := len(root) + 1; n < 24 {
		h = append(h, 0x40|byte(n))
	} else {
		h = append(h, 0x58, byte(n))
	}
	h = append(append(h, 0), root...)
	h = append(append(h, 0x67), "version"...)
	h = append(h, 1)
	return append(binary.AppendUvarint(nil, uint64(len(h))), h...)
}
