package share

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// Limits of uploads: drops that come in pieces, over several connections and
// across restarts.
const (
	// MaxUploads is how many are kept at a time.
	MaxUploads = 1000
	// MaxUploadNote is how long the note beside one is, in bytes.
	MaxUploadNote = 16 << 10
	// UploadLife is how long an upload is kept after its last byte.
	UploadLife = 24 * time.Hour
	// uploadRest is how long one is kept that has no byte yet, and one that is
	// finished, so that whoever did not get the answer can ask again.
	uploadRest = time.Hour
	// uploadPiece is read at a time, bytes.
	uploadPiece = 64 << 10
	// markEvery is how many bytes come at least between two times that they are
	// made durable while more come; markCost is how many times as long as that
	// took must have passed, so that a slow disk has time for the bytes themselves.
	markEvery = ChunkSize
	markCost  = 4
)

// The ways in which an upload fails beside those of a drop.
var (
	ErrNoUpload = errors.New("no such upload")
	ErrOffset   = errors.New("upload goes on at another offset")
	ErrUploads  = errors.New("too many uploads are kept")
)

// UploadID names an upload. It is a hash of the secret that lets somebody add to
// it; the secret itself is nowhere here.
type UploadID [32]byte

// Upload is how far one has come.
type Upload struct {
	Size   int64     // bytes in all
	Offset int64     // bytes of it that are kept
	Note   []byte    // as BeginUpload was given it
	Ends   time.Time // when it is forgotten, unless something happens
	Done   bool      // it is finished
}

// uploads are the unfinished drops. Their bytes lie in the folder's partial
// files, all else in the index.
type uploads struct {
	mu    sync.Mutex
	known map[UploadID]*upload
	bytes int64 // that they take of the disk
}

// upload is one of them. Whoever has taken turn owns all but ends.
type upload struct {
	id   UploadID
	turn chan struct{} // holds one token; taken while somebody works on it
	size int64
	note []byte

	read    bool    // offset is known
	offset  int64   // bytes that are kept
	counted int64   // of them in uploads.bytes
	marked  int64   // of them durable, as the index says
	boot    string  // of the system that wrote the rest
	hash    *Hasher // of what is kept; nil where it must be read first

	done     record.CID // what it has become; zero before
	already  bool       // it had been here before
	cleaning Cleaning
	gone     bool // it was ended

	ends time.Time // under uploads.mu: when it is forgotten, by the system's clock
}

// BeginUpload makes room in the list for an upload of size bytes. note is kept
// beside it and must not be changed afterwards. It is durable on return, and fails
// with ErrUploads, ErrTooLarge or ErrAway; an id that is known is begun already.
func (b *Blobs) BeginUpload(id UploadID, size int64, note []byte) (Upload, error) {
	if size < 0 || len(note) > MaxUploadNote {
		return Upload{}, errors.New("begin upload: out of range")
	}
	if !b.dir.Look() {
		return Upload{}, fmt.Errorf("begin upload: %w", ErrAway)
	}
	if size > min(record.MaxBlob, b.dir.MaxFile()) {
		return Upload{}, fmt.Errorf("begin upload: %w", ErrTooLarge)
	}
	u := &upload{id: id, turn: make(chan struct{}, 1), size: size, note: note, read: true, boot: dropdir.Boot(), hash: NewHasher()}
	u.ends = time.Now().Add(u.life())
	b.uploads.mu.Lock()
	_, known := b.uploads.known[id]
	full := len(b.uploads.known) >= MaxUploads
	if !known && !full {
		b.uploads.known[id] = u
	}
	b.uploads.mu.Unlock()
	switch {
	case known:
		return Upload{}, errors.New("begin upload: begun before")
	case full:
		return Upload{}, fmt.Errorf("begin upload: %w", ErrUploads)
	}
	if err := b.saveUpload(u); err != nil {
		b.forgetUpload(u)
		return Upload{}, fmt.Errorf("begin upload: %w", err)
	}
	u.turn <- struct{}{}
	return b.tellUpload(u), nil
}

// LookUpload says how far an upload has come. It waits for whoever adds to it. It
// fails with ErrNoUpload or ErrAway.
func (b *Blobs) LookUpload(ctx context.Context, id UploadID) (Upload, error) {
	u, err := b.takeUpload(ctx, id)
	if err != nil {
		return Upload{}, err
	}
	defer b.giveUpload(u)
	return b.tellUpload(u), nil
}

// AppendUpload adds what r yields at offset, which must be where the upload ends,
// and no more than it lacks. What came is kept and durable on return, also where r
// or the disk failed; the Upload returned then says how much. It fails with
// ErrNoUpload, ErrOffset, as Drop does, and with r's own error.
func (b *Blobs) AppendUpload(ctx context.Context, id UploadID, offset int64, r io.Reader) (Upload, error) {
	u, err := b.takeUpload(ctx, id)
	if err != nil {
		return Upload{}, err
	}
	defer b.giveUpload(u)
	if offset != u.offset {
		return b.tellUpload(u), ErrOffset
	}
	if u.done != (record.CID{}) || offset == u.size {
		return b.tellUpload(u), nil
	}
	err = b.append(ctx, u, r)
	b.touchUpload(u)
	b.countUpload(u, u.offset)
	return b.tellUpload(u), err
}

func (b *Blobs) append(ctx context.Context, u *upload, r io.Reader) (err error) {
	a, err := b.dir.Partial(u.id.file())
	if err != nil {
		return err
	}
	defer func() {
		// What lies behind the offset is of no use to anybody.
		err = errors.Join(err, a.Truncate(u.offset), b.markUpload(a, u), a.Close())
	}()
	if u.hash == nil {
		if u.hash, err = b.hashers.resume(ctx, a, u.offset); err != nil {
			return err
		}
	}
	buf := make([]byte, uploadPiece)
	marked, cost := time.Now(), time.Duration(0)
	for u.offset < u.size {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, failed := r.Read(buf[:min(int64(len(buf)), u.size-u.offset)])
		if n > 0 {
			b.use()
			if err := b.room(int64(n), func() error {
				_, err := a.WriteAt(buf[:n], u.offset)
				return err
			}); err != nil {
				return err
			}
			u.hash.Write(buf[:n])
			if before := u.offset; before/flushEvery != (before+int64(n))/flushEvery {
				a.Flush(before-before%flushEvery, flushEvery)
			}
			u.offset += int64(n)
		}
		if failed == io.EOF {
			return nil
		}
		if failed != nil {
			return failed
		}
		if now := time.Now(); u.offset-u.marked >= markEvery && now.Sub(marked) >= markCost*cost {
			if err := b.markUpload(a, u); err != nil {
				return err
			}
			marked = time.Now()
			cost = marked.Sub(now)
		}
	}
	return nil
}

// markUpload makes durable what has come, and then says so in the index.
func (b *Blobs) markUpload(a *dropdir.Aside, u *upload) error {
	if u.marked == u.offset {
		return nil
	}
	if err := a.Sync(); err != nil {
		return fmt.Errorf("save upload: %w", err)
	}
	u.marked, u.boot = u.offset, dropdir.Boot()
	return b.saveUpload(u)
}

// FinishUpload makes a drop of an upload that has come whole, under a name like
// name, as Drop does, or DropClean where clean is set. It may be asked again; Again is then set. The bytes do not
// count as an upload's from then on. It fails with ErrNoUpload, ErrOffset where
// bytes are missing, and as Drop does.
func (b *Blobs) FinishUpload(ctx context.Context, id UploadID, name string, clean bool) (Dropped, error) {
	u, err := b.takeUpload(ctx, id)
	if err != nil {
		return Dropped{}, err
	}
	defer b.giveUpload(u)
	switch {
	case u.done != (record.CID{}):
		return b.finished(u, record.CleanName(name))
	case u.offset != u.size:
		return Dropped{}, ErrOffset
	}
	d, err := b.finish(ctx, u, record.CleanName(name), clean)
	if err != nil {
		u.hash = nil // it gives its manifest once
		return Dropped{}, fmt.Errorf("finish upload: %w", err)
	}
	b.countUpload(u, 0)
	u.done, u.already, u.cleaning, u.hash = d.CID, d.Already, d.Cleaning, nil
	b.touchUpload(u)
	return d, nil
}

func (b *Blobs) finish(ctx context.Context, u *upload, name string, clean bool) (Dropped, error) {
	a, err := b.dir.Partial(u.id.file())
	if err != nil {
		return Dropped{}, err
	}
	kept := false
	defer func() {
		if kept {
			err = a.Discard()
		} else {
			err = a.Close()
		}
		if err != nil {
			b.log.Warn("could not close an upload's file", "err", err)
		}
	}()
	if u.hash == nil {
		if u.hash, err = b.hashers.resume(ctx, a, u.offset); err != nil {
			return Dropped{}, err
		}
	}
	m := u.hash.Manifest()
	var what Cleaning
	if clean {
		if m, what, err = b.cleanUpload(ctx, a, u, m); err != nil {
			return Dropped{}, err
		}
		defer func() {
			if !kept { // what lies there is not what was sent any more
				b.restartUpload(a, u)
			}
		}()
	}
	if err := a.Sync(); err != nil {
		return Dropped{}, err
	}
	d := Dropped{Name: name, Cleaning: what}
	d.File, d.Already, err = b.keep(a, m, name, "", func(g *group, already bool) {
		g.put(u.id.key(), encodeUpload(&upload{size: u.size, marked: u.size, note: u.note, done: m.CID, already: already, cleaning: what}, b.o.Now()))
	})
	if err != nil {
		return Dropped{}, err
	}
	kept = true
	if !d.Already {
		d.Name = d.File.Name()
	}
	return d, nil
}

// finished is what an upload has become.
func (b *Blobs) finished(u *upload, name string) (Dropped, error) {
	f, ok, err := b.intact(u.done)
	if err != nil {
		return Dropped{}, err
	}
	if !ok {
		return Dropped{}, ErrNoUpload // removed meanwhile
	}
	if !u.already {
		name = f.Name()
	}
	return Dropped{File: f, Name: name, Already: u.already, Again: true, Cleaning: u.cleaning}, nil
}

// EndUpload forgets an upload and what has come of it.
func (b *Blobs) EndUpload(ctx context.Context, id UploadID) error {
	u, err := b.takeUpload(ctx, id)
	if err != nil {
		return err
	}
	return b.dropUpload(u)
}

// dropUpload forgets an upload whose turn the caller has taken.
func (b *Blobs) dropUpload(u *upload) error {
	err := b.dir.RemovePartial(u.id.file())
	if err == nil {
		err = writePairs(b.index, []pair{{u.id.key(), nil}})
	}
	if err != nil {
		b.giveUpload(u)
		return fmt.Errorf("end upload: %w", err)
	}
	b.countUpload(u, 0)
	b.forgetUpload(u)
	return nil
}

// forgetUpload takes an upload off the list. Those who wait for it find it gone.
func (b *Blobs) forgetUpload(u *upload) {
	u.gone = true
	b.uploads.mu.Lock()
	delete(b.uploads.known, u.id)
	b.uploads.mu.Unlock()
	u.turn <- struct{}{}
}

func (b *Blobs) tellUpload(u *upload) Upload {
	b.uploads.mu.Lock()
	ends := u.ends
	b.uploads.mu.Unlock()
	return Upload{Size: u.size, Offset: u.offset, Note: slices.Clone(u.note), Ends: b.o.Now().Add(time.Until(ends)), Done: u.done != (record.CID{})}
}

// takeUpload waits for an upload's turn and finds out how far it has come.
// giveUpload must follow.
func (b *Blobs) takeUpload(ctx context.Context, id UploadID) (*upload, error) {
	b.uploads.mu.Lock()
	u := b.uploads.known[id]
	b.uploads.mu.Unlock()
	if u == nil {
		return nil, ErrNoUpload
	}
	select {
	case <-u.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	err := error(nil)
	switch {
	case u.gone:
		err = ErrNoUpload
	case !b.dir.Look():
		err = ErrAway
	case !u.read:
		err = b.readUpload(u)
	}
	if err != nil {
		b.giveUpload(u)
		return nil, err
	}
	return u, nil
}

func (b *Blobs) giveUpload(u *upload) { u.turn <- struct{}{} }
