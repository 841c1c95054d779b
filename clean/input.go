package clean

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// window is how much of the file is read at a time, in bytes.
const window = 64 << 10

// input reads a file in windows. Reading past its end is errShort; an error of
// the file itself stays in failed.
type input struct {
	src    io.ReaderAt
	size   int64
	failed error

	buf  []byte
	at   int64 // where buf[:have] lies in the file
	have int
}

func newInput(src io.ReaderAt, size int64) *input {
	return &input{src: src, size: size, buf: make([]byte, min(window, size))}
}

// forget gives the window back.
func (in *input) forget() { in.buf, in.have = nil, 0 }

// bytes is what stands at an offset, at most a window of it. It is good until the
// next read.
func (in *input) bytes(at int64, n int) ([]byte, error) {
	if at < 0 || n < 0 || n > len(in.buf) || at > in.size-int64(n) {
		return nil, errShort
	}
	if at < in.at || at+int64(n) > in.at+int64(in.have) {
		if err := in.fill(at, max(n, min(len(in.buf), 4<<10))); err != nil {
			return nil, err
		}
	}
	i := int(at - in.at)
	return in.buf[i : i+n : i+n], nil
}

// fill reads want bytes into the window where the file has them. What follows one
// read without a gap is read ahead whole.
func (in *input) fill(at int64, want int) error {
	if at >= in.at && at <= in.at+int64(in.have) {
		want = len(in.buf)
	}
	want = int(min(int64(want), in.size-at))
	in.at, in.have = at, 0
	n, err := in.src.ReadAt(in.buf[:want], at)
	if n < want {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // it is not as long as its size says
		}
		in.failed = err
		return err
	}
	in.have = n
	return nil
}

// upTo is bytes, or what there is before the end.
func (in *input) upTo(at int64, n int) ([]byte, error) {
	if at > in.size {
		return nil, errShort
	}
	return in.bytes(at, int(min(int64(n), in.size-at)))
}

func (in *input) u8(at int64) (byte, error) {
	b, err := in.bytes(at, 1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (in *input) u16(at int64) (uint16, error) {
	b, err := in.bytes(at, 2)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(b), nil
}

func (in *input) u32(at int64) (uint32, error) {
	b, err := in.bytes(at, 4)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

func (in *input) u64(at int64) (uint64, error) {
	b, err := in.bytes(at, 8)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

// has reports whether text stands at an offset; false past the end.
func (in *input) has(at int64, text string) bool {
	b, err := in.bytes(at, len(text))
	return err == nil && string(b) == text
}

// find returns the first place of b from an offset on, or the end of the file.
func (in *input) find(at int64, b byte) (int64, error) {
	for at < in.size {
		if at < in.at || at >= in.at+int64(in.have) {
			if err := in.fill(at, len(in.buf)); err != nil {
				return 0, err
			}
		}
		i := int(at - in.at)
		if j := bytes.IndexByte(in.buf[i:in.have], b); j >= 0 {
			return at + int64(j), nil
		}
		at = in.at + int64(in.have)
	}
	return in.size, nil
}

// blank reports whether a range holds zeros only.
func (in *input) blank(at, n int64) (bool, error) {
	for n > 0 {
		b, err := in.bytes(at, int(min(n, 4<<10)))
		if err != nil {
			return false, err
		}
		for _, c := range b {
			if c != 0 {
				return false, nil
			}
		}
		at, n = at+int64(len(b)), n-int64(len(b))
	}
	return true, nil
}
