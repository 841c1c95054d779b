package share

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// How much a peer that owes bytes has to move in how long. A peer that is
// slower is cut off: it may be gone, or may be holding what others could use.
const (
	paceTime  = 30 * time.Second
	paceBytes = 16 << 10
)

// errSlow says that a peer did not keep pace.
var errSlow = errors.New("peer is too slow")

// paced reads from a stream and fails with errSlow when fewer than paceBytes
// come within paceTime.
type paced struct {
	s    Stream
	from time.Time // when this window began, zero for none
	got  int       // bytes in it
}

// resume begins a new window at the next Read. It is called after a wait that
// was not the peer's fault.
func (p *paced) resume() { p.from = time.Time{} }

func (p *paced) Read(b []byte) (int, error) {
	now := time.Now()
	if p.from.IsZero() || (p.got >= paceBytes && now.Sub(p.from) > paceTime/16) {
		p.from, p.got = now, 0
		if err := p.s.SetDeadline(now.Add(paceTime)); err != nil {
			return 0, err
		}
	}
	n, err := p.s.Read(b)
	p.got += n
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSlow
	}
	return n, err
}

// answers reads the frames of the answering side.
type answers struct {
	paced
	r *bufio.Reader
}

// readAhead is the buffer for heads and short payloads, in bytes. Long payloads
// are read past it.
const readAhead = 32 << 10

func newAnswers(s Stream) *answers {
	a := &answers{paced: paced{s: s}}
	a.r = bufio.NewReaderSize(&a.paced, readAhead)
	return a
}

// head reads the next head.
func (a *answers) head() (frameHead, error) {
	var raw [headSize]byte
	if _, err := io.ReadFull(a.r, raw[:]); err != nil {
		return frameHead{}, fmt.Errorf("read blob frame: %w", noEOF(err))
	}
	return decodeAnswerHead(raw)
}

// payload fills b.
func (a *answers) payload(b []byte) error {
	if _, err := io.ReadFull(a.r, b); err != nil {
		return fmt.Errorf("read blob frame: %w", noEOF(err))
	}
	return nil
}

// chunk reads one chunk into b. It returns the chunk, or the kind of refusal that
// stands in its place. Where b is too short, more moves what has come into a
// longer one; without more the chunk is one of a wrong length.
func (a *answers) chunk(b []byte, more func(have []byte) []byte) (chunk []byte, refusal frameKind, err error) {
	for n := 0; ; {
		h, err := a.head()
		switch {
		case err != nil:
			return nil, 0, err
		case h.kind.refusal():
			return nil, h.kind, nil
		case h.kind != framePiece && h.kind != frameLast:
			return nil, 0, errWireKind
		case n+h.size > len(b) && (more == nil || n+h.size > ChunkSize):
			return nil, 0, errWireChunk
		case n+h.size > len(b):
			if b = more(b[:n]); b == nil {
				return nil, 0, errEnded
			}
		}
		if err := a.payload(b[n : n+h.size]); err != nil {
			return nil, 0, err
		}
		if n += h.size; h.kind == frameLast {
			return b[:n], 0, nil
		}
	}
}

// manifest reads the size and the leaf hashes of a blob. Memory is taken as they
// come, not as the size says; large is called before more than one frame of
// them is.
func (a *answers) manifest(large func()) (size int64, leaves []byte, refusal frameKind, err error) {
	h, err := a.head()
	switch {
	case err != nil:
		return 0, nil, 0, err
	case h.kind.refusal():
		return 0, nil, h.kind, nil
	case h.kind != frameSize:
		return 0, nil, 0, errWireKind
	}
	var raw [8]byte
	if err := a.payload(raw[:]); err != nil {
		return 0, nil, 0, err
	}
	if size, err = decodeSize(raw[:]); err != nil {
		return 0, nil, 0, err
	}
	for left := Chunks(size); left > 0; {
		h, err := a.head()
		switch {
		case err != nil:
			return 0, nil, 0, err
		case h.kind.refusal():
			return 0, nil, h.kind, nil
		case h.kind != frameLeaves:
			return 0, nil, 0, errWireKind
		case h.size != min(left, maxLeaves)*leafSize:
			return 0, nil, 0, errWireLength
		}
		if left > maxLeaves && leaves == nil {
			large()
		}
		at := len(leaves)
		leaves = append(leaves, make([]byte, h.size)...)
		if err := a.payload(leaves[at:]); err != nil {
			return 0, nil, 0, err
		}
		left -= h.size / leafSize
	}
	return size, leaves, 0, nil
}
