package replica

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"boucan/record"
)

// frameType is the first byte of a frame (spec/sync.md, section 4).
type frameType byte

const (
	frameHello     frameType = 1 // who speaks
	frameReconcile frameType = 2 // a negentropy message
	frameWant      frameType = 3 // ids of records to send
	frameRecords   frameType = 4 // records
	frameAnswered  frameType = 5 // the oldest unanswered frameWant has been answered
	frameDone      frameType = 6 // nothing more comes
	frameBusy      frameType = 7 // not now
)

// errFrame is any frame that the protocol does not allow.
var errFrame = errors.New("frame is malformed")

// longestLength is how many bytes the length of the longest frame takes.
const longestLength = 3

// appendFrame writes a frame.
func appendFrame(b []byte, t frameType, payload []byte) []byte {
	b = appendVarint(b, uint64(1+len(payload)))
	b = append(b, byte(t))
	return append(b, payload...)
}

// frameReader reads frames into one buffer that grows to the longest seen.
type frameReader struct {
	in  *bufio.Reader
	buf []byte
}

func newFrameReader(r io.Reader) *frameReader { return &frameReader{in: bufio.NewReader(r)} }

// next reads one frame. The payload is valid until the next call. It returns io.EOF
// where the stream ends between two frames.
func (r *frameReader) next() (frameType, []byte, error) {
	n, err := r.length()
	if err != nil {
		return 0, nil, err
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	b := r.buf[:n]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return 0, nil, fmt.Errorf("read frame: %w", noEOF(err))
	}
	return frameType(b[0]), b[1:], nil
}

// length reads a length between 1 and MaxFrame.
func (r *frameReader) length() (int, error) {
	var b [longestLength]byte
	for i := range b {
		c, err := r.in.ReadByte()
		if err != nil && i == 0 {
			return 0, err
		}
		if err != nil {
			return 0, fmt.Errorf("read frame: %w", noEOF(err))
		}
		b[i] = c
		if c < 0x80 {
			n, size := varint(b[:i+1])
			if size == 0 || n < 1 || n > MaxFrame {
				return 0, errFrame
			}
			return int(n), nil
		}
	}
	return 0, errFrame
}

// noEOF makes an end in the middle of something an error of its own.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendRecord writes one record of a frameRecords payload.
func appendRecord(b, raw []byte) []byte {
	b = appendVarint(b, uint64(len(raw)))
	return append(b, raw...)
}

// splitRecords cuts a frameRecords payload into its records, which are part of it.
// It calls each for each and stops at the first that the protocol does not allow.
func splitRecords(payload []byte, each func(raw []byte)) error {
	if len(payload) == 0 {
		return errFrame
	}
	for len(payload) > 0 {
		n, size := varint(payload)
		if size == 0 || n == 0 || n > record.MaxSize || n > uint64(len(payload)-size) {
			return errFrame
		}
		end := size + int(n)
		each(payload[size:end])
		payload = payload[end:]
	}
	return nil
}

// splitIDs reads a frameWant payload.
func splitIDs(payload []byte) ([]record.ID, error) {
	if len(payload) == 0 || len(payload)%idSize != 0 || len(payload) > MaxWant*idSize {
		return nil, errFrame
	}
	ids := make([]record.ID, 0, len(payload)/idSize)
	for i := 0; i < len(payload); i += idSize {
		ids = append(ids, record.ID(payload[i:]))
	}
	return ids, nil
}
