package share

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"boucan/record"
	"boucan/share/dropdir"
)

const (
	// smallPiece is read at a time from a drop that is small or slow, bytes.
	smallPiece = 32 << 10
	// hashPiece is read at a time from a file that is hashed, bytes: it stays
	// in a processor's own cache.
	hashPiece = 128 << 10
	// flushEvery is how much of a file is written before the disk is told to
	// begin, bytes.
	flushEvery = 8 << 20
)

// Hasher computes the manifest of the bytes written to it. It is for one
// goroutine. The zero value is not usable.
type Hasher struct {
	hash   hash.Hash // of the chunk under way
	in     int       // bytes of it
	size   int64
	leaves []byte
}

// NewHasher begins a manifest.
func NewHasher() *Hasher { return &Hasher{hash: sha256.New()} }

// Write never fails.
func (h *Hasher) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if h.in == ChunkSize {
			h.leaves = h.hash.Sum(h.leaves)
			h.hash.Reset()
			h.in = 0
		}
		k := min(len(p), ChunkSize-h.in)
		h.hash.Write(p[:k])
		h.in += k
		h.size += int64(k)
		p = p[k:]
	}
	return n, nil
}

// Manifest is that of all bytes written, of the empty blob where there were
// none. It may be called once.
func (h *Hasher) Manifest() Manifest {
	h.leaves = h.hash.Sum(h.leaves)
	return newManifest(h.size, h.leaves)
}

// hashers are the buffers that hashing works with. Their number bounds both
// memory and how many chunks are hashed at a time.
type hashers struct {
	pieces chan []byte // hashPiece long, for files
	chunks chan []byte // ChunkSize long, for drops; nil until first used
}

func newHashers(workers int) hashers {
	h := hashers{pieces: make(chan []byte, workers), chunks: make(chan []byte, workers+2)}
	for range cap(h.pieces) {
		h.pieces <- nil
	}
	for range cap(h.chunks) {
		h.chunks <- nil
	}
	return h
}

// chunk takes a chunk's buffer if one is free.
func (h hashers) chunk() []byte {
	select {
	case b := <-h.chunks:
		if b == nil {
			b = make([]byte, ChunkSize)
		}
		return b
	default:
		return nil
	}
}

// sum hashes a range of a file. It fails with io.ErrUnexpectedEOF where the
// file ends before it.
func (h hashers) sum(f io.ReaderAt, offset int64, length int) (sum [leafSize]byte, err error) {
	buf := <-h.pieces
	defer func() { h.pieces <- buf }()
	if buf == nil {
		buf = make([]byte, hashPiece)
	}
	if length <= len(buf) {
		if err = readFull(f, buf[:length], offset); err == nil {
			sum = sha256.Sum256(buf[:length])
		}
		return sum, err
	}
	s := sha256.New()
	for length > 0 {
		p := buf[:min(length, len(buf))]
		if err = readFull(f, p, offset); err != nil {
			return sum, err
		}
		s.Write(p)
		offset, length = offset+int64(len(p)), length-len(p)
	}
	s.Sum(sum[:0])
	return sum, nil
}

func readFull(f io.ReaderAt, p []byte, offset int64) error {
	n, err := f.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// identify reads a whole file and returns its manifest, several chunks at a
// time.
func (h hashers) identify(ctx context.Context, f io.ReaderAt, size int64) (Manifest, error) {
	n := Chunks(size)
	leaves := make([]byte, n*leafSize)
	err := h.each(n, func(i int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		offset := int64(i) * ChunkSize
		sum, err := h.sum(f, offset, int(min(ChunkSize, size-offset)))
		copy(leaves[i*leafSize:], sum[:])
		return err
	})
	if err != nil {
		return Manifest{}, err
	}
	return newManifest(size, leaves), nil
}

// each calls do for 0 to n-1, several at a time, until one fails.
func (h hashers) each(n int, do func(i int) error) error {
	if n == 1 {
		return do(0)
	}
	var (
		next   atomic.Int64
		failed atomic.Bool
		all    sync.WaitGroup
	)
	workers := min(n, cap(h.pieces))
	errs := make([]error, workers)
	for w := range workers {
		all.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					errs[w] = err
					failed.Store(true)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// intake is one drop on its way to a file.
type intake struct {
	b       *Blobs
	a       *dropdir.Aside
	r       io.Reader
	most    int64 // bytes that the file may have
	size    int64
	flushed int64

	mu     sync.Mutex
	leaves []byte // under mu while chunks are hashed
}

// receive writes what r yields to a, and hashes it meanwhile. An error of r is
// returned as it is.
func (b *Blobs) receive(ctx context.Context, a *dropdir.Aside, r io.Reader) (Manifest, error) {
	in := &intake{b: b, a: a, r: r, most: min(record.MaxBlob, b.dir.MaxFile())}
	var hashing sync.WaitGroup
	defer hashing.Wait()
	small := make([]byte, smallPiece)
	for chunk := 0; ; chunk++ {
		// The first chunk may be all there is. After it a whole one at a time
		// is read where a buffer is free, and hashed beside the writing.
		var big []byte
		if chunk > 0 {
			big = b.hashers.chunk()
		}
		var n int
		var err error
		if big == nil {
			n, err = in.slowly(ctx, chunk, small)
		} else {
			n, err = in.quickly(ctx, chunk, big, &hashing)
		}
		switch {
		case err != nil:
			return Manifest{}, err
		case n < ChunkSize:
			hashing.Wait()
			return newManifest(in.size, in.leaves), nil
		}
	}
}

// slowly takes in one chunk in small pieces.
func (in *intake) slowly(ctx context.Context, chunk int, buf []byte) (int, error) {
	s, n := sha256.New(), 0
	for n < ChunkSize {
		k, err := in.fill(ctx, buf[:min(len(buf), ChunkSize-n)])
		if err == nil && k > 0 {
			s.Write(buf[:k])
			err = in.write(buf[:k])
		}
		if err != nil {
			return n, err
		}
		n += k
		if k < len(buf) {
			break
		}
	}
	if n > 0 || chunk == 0 {
		in.leaf(chunk, [leafSize]byte(s.Sum(nil)))
	}
	return n, nil
}

// quickly takes in one chunk at once. It gives buf back.
func (in *intake) quickly(ctx context.Context, chunk int, buf []byte, hashing *sync.WaitGroup) (int, error) {
	n, err := in.fill(ctx, buf)
	if err != nil || n == 0 {
		in.b.hashers.chunks <- buf
		return n, err
	}
	hashed := make(chan struct{})
	hashing.Go(func() {
		in.leaf(chunk, sha256.Sum256(buf[:n]))
		close(hashed)
	})
	err = in.write(buf[:n])
	// The next chunk is read while this one is still being hashed.
	hashing.Go(func() {
		<-hashed
		in.b.hashers.chunks <- buf
	})
	return n, err
}

func (in *intake) leaf(chunk int, sum [leafSize]byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if need := (chunk + 1) * leafSize; len(in.leaves) < need {
		in.leaves = append(in.leaves, make([]byte, need-len(in.leaves))...)
	}
	copy(in.leaves[chunk*leafSize:], sum[:])
}

// fill reads until buf is full or r has ended. Only io.EOF is an end: readers
// tell of an upload that was cut off with io.ErrUnexpectedEOF.
func (in *intake) fill(ctx context.Context, buf []byte) (n int, err error) {
	const idle = 100 // reads without a byte before r is given up
	for empty := 0; n < len(buf); {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		k, err := in.r.Read(buf[n:])
		if k < 0 || k > len(buf)-n {
			return n, errors.New("reader is broken")
		}
		n += k
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if k > 0 {
			empty = 0
		} else if empty++; empty == idle {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

func (in *intake) write(p []byte) error {
	if in.size+int64(len(p)) > in.most {
		return ErrTooLarge
	}
	in.b.use()
	if err := in.b.room(int64(len(p)), func() error {
		_, err := in.a.Write(p)
		return err
	}); err != nil {
		return err
	}
	in.size += int64(len(p))
	if in.size-in.flushed >= flushEvery {
		in.a.Flush(in.flushed, in.size-in.flushed)
		in.flushed = in.size
	}
	return nil
}

// room calls write, which is about to take size bytes of the disk, if that
// leaves the reserve alone. Others who are writing at the moment are counted.
func (b *Blobs) room(size int64, write func() error) error {
	writing := b.writing.Add(size)
	defer b.writing.Add(-size)
	space, err := b.dir.Space()
	if err != nil {
		return err
	}
	if space.Free-writing < b.o.Reserve {
		return ErrFull
	}
	if err = write(); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
