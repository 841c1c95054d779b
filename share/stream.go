package share

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// The ways in which Stream and its Reader fail, beside ErrFull, ErrTooLarge,
// ErrAway and ErrNotHere: no peer in reach has the blob, or none has it any more.
var (
	ErrBusy    = errors.New("too many blobs are being read from peers")
	ErrRefused = errors.New("blob was removed here and is not fetched again")
	ErrLied    = errors.New("record lies about the size of its blob")
	ErrSlow    = errors.New("no peer sends the blob in time")
)

// Reader reads a blob, also while it is on its way here. Read waits until a
// chunk has been fetched and verified; what is read next is fetched first. Read
// and Seek are for one goroutine, Close for any.
type Reader struct {
	b    *Blobs
	d    *demand // nil where the blob was here
	file File

	pos   int64
	land  *landing // of which chunk is known to have landed
	shut  *landing // whose file is closed
	chunk int

	closed chan struct{}
	close  func()

	mu   sync.Mutex // guards what follows
	here *os.File   // once the blob is here
	done bool
}

// Stream opens a blob that may not be here yet. It is fetched before all else,
// from any peer that has it, and kept; several readers share what comes. claims
// are what records say of it, one CID with one size each. Stream returns when a
// peer has shown to have the blob, or fails with ErrNotHere, ErrFull,
// ErrTooLarge, ErrAway, ErrBusy, ErrRefused, ErrLied or ErrSlow. The reader
// ends with ctx. A blob that nobody wants otherwise is left off a moment after
// its last reader has; what has landed of it is used again when it is asked for
// soon.
func (b *Blobs) Stream(ctx context.Context, claims ...Wanted) (*Reader, error) {
	if len(claims) == 0 {
		return nil, fmt.Errorf("stream blob: %w", ErrNotHere)
	}
	r := &Reader{b: b, file: File{CID: claims[0].CID}, chunk: -1, closed: make(chan struct{})}
	r.close = sync.OnceFunc(r.end)
	err := r.open(claims)
	if err == nil {
		context.AfterFunc(ctx, r.close)
		err = r.begin()
	}
	if err != nil {
		r.close()
		return nil, fmt.Errorf("stream blob: %w", err)
	}
	return r, nil
}

// open finds the blob here, or makes it wanted.
func (r *Reader) open(claims []Wanted) error {
	switch found, err := r.find(); {
	case found || err != nil:
		return err
	case r.b.Refused(r.file.CID):
		return ErrRefused
	}
	space, err := r.b.dir.Space()
	if err != nil {
		return err
	}
	if space.Free-r.b.promised.Load()-r.b.writing.Load() < r.b.o.Reserve+ChunkSize {
		return ErrFull // not even a chunk would fit; the rest is weighed when it begins
	}
	return r.b.transfers.attach(r, claims)
}

// find opens the blob's file where it is here.
func (r *Reader) find() (bool, error) {
	f, file, err := r.b.Open(r.file.CID)
	switch {
	case err == nil:
	case errors.Is(err, ErrAway):
		return false, ErrAway
	case errors.Is(err, ErrNotHere), errors.Is(err, ErrChanged):
		return false, nil
	default:
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return false, errors.Join(os.ErrClosed, f.Close())
	}
	r.here, r.file = f, file
	return true, nil
}

// begin waits until a peer has shown to have the blob.
func (r *Reader) begin() error {
	began := time.Now()
	for r.opened() == nil {
		s := r.b.transfers.begun(r, began)
		if s.land != nil {
			r.file.Size = s.land.m.Size
			return nil
		}
		if err := r.wait(s); err != nil {
			return err
		}
	}
	return nil
}

// stage is how far a demand has come for one of its readers.
type stage struct {
	land    *landing        // where the bytes can be read now, nil for nowhere
	over    bool            // it is not being pulled any more: it may be here
	changed <-chan struct{} // closed when something happens
	until   time.Time       // how long to wait for that
	err     error           // why not
}

// wait waits for a demand to get further, or finds the blob here by now.
func (r *Reader) wait(s stage) error {
	if s.over {
		if found, err := r.find(); found || err != nil {
			return err
		}
	}
	if s.err != nil {
		return s.err
	}
	timer := time.NewTimer(time.Until(s.until))
	defer timer.Stop()
	select {
	case <-s.changed:
	case <-timer.C:
	case <-r.closed:
		return os.ErrClosed
	}
	return nil
}

// File is what is read. Its Path is empty where the blob was not here at first.
func (r *Reader) File() File { return r.file }

// Here is the blob's file where all of it is here, else nil. It stays the
// reader's own.
func (r *Reader) Here() *os.File { return r.opened() }

func (r *Reader) opened() *os.File {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.here
}

// Seek moves to where Read goes on. It is what is read that is fetched first,
// so that seeking alone costs nothing.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.file.Size
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, fmt.Errorf("seek in blob: %w", os.ErrInvalid)
	}
	r.pos = offset
	return offset, nil
}

// Read reads at most to the end of a chunk. It fails as Stream does, and with
// os.ErrClosed after Close or the end of Stream's ctx.
func (r *Reader) Read(p []byte) (int, error) {
	if r.pos >= r.file.Size {
		return 0, io.EOF
	}
	chunk := int(r.pos / ChunkSize)
	end := min(int64(chunk+1)*ChunkSize, r.file.Size)
	p = p[:min(int64(len(p)), end-r.pos)]
	for began := time.Now(); ; {
		n, ok, err := r.read(p, chunk)
		if ok || err != nil {
			r.pos += int64(n)
			return n, err
		}
		s := r.b.transfers.lookAt(r, chunk, began)
		if r.land, r.chunk = s.land, chunk; s.land != nil {
			continue
		}
		if err := r.wait(s); err != nil {
			return 0, fmt.Errorf("read blob: %w", err)
		}
	}
}

// read reads from wherever the chunk is known to be.
func (r *Reader) read(p []byte, chunk int) (n int, ok bool, err error) {
	if f := r.opened(); f != nil {
		n, err = f.ReadAt(p, r.pos)
		if n == len(p) {
			err = nil
		} else if errors.Is(err, io.EOF) {
			err = fmt.Errorf("read blob: %w", ErrChanged) // it is shorter than it was
		} else if dropdir.IsFault(err) {
			r.b.blame(err)
			r.b.doubt(r.file.CID, chunk)
		}
		return n, true, err
	}
	select {
	case <-r.closed:
		return 0, true, os.ErrClosed
	default:
	}
	if r.land == nil || r.chunk != chunk {
		return 0, false, nil
	}
	n, err = r.land.readAt(p, r.pos)
	switch {
	case n == len(p):
		return n, true, nil
	case errors.Is(err, os.ErrClosed): // it has been put in its place, or away
		r.land, r.shut = nil, r.land
		return 0, false, nil
	}
	return 0, true, fmt.Errorf("read blob: %w", err)
}

// Close lets go of the blob. Repeated calls do nothing.
func (r *Reader) Close() error {
	r.close()
	return nil
}

func (r *Reader) end() {
	close(r.closed)
	if r.d != nil {
		r.b.transfers.detach(r)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done = true; r.here != nil {
		r.here.Close() // was only read
	}
}

// has reports whether a chunk has landed.
func (l *landing) has(i int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return hasBit(l.bits, i)
}

// claimed is the CID that all of these are about; false where they differ.
func claimed(claims []Wanted) (record.CID, bool) {
	for _, w := range claims[1:] {
		if w.CID != claims[0].CID {
			return record.CID{}, false
		}
	}
	return claims[0].CID, true
}
