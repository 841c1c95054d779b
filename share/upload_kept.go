package share

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// uploadFile is what the names of uploads' partial files begin with. No CID does.
const uploadFile = "upload"

func (id UploadID) key() string { return string(keyUpload) + string(id[:]) }

// file is the name of the partial file.
func (id UploadID) file() string { return uploadFile + hex.EncodeToString(id[:16]) }

// openUploads finds what the last run left.
func (b *Blobs) openUploads() error {
	b.uploads.known = make(map[UploadID]*upload)
	pairs, end := pagesOf(b.index, string(keyUpload))
	for p := range pairs {
		u, age, err := decodeUpload(p, b.o.Now())
		if err != nil {
			return fmt.Errorf("read index: %w", err)
		}
		u.ends = time.Now().Add(u.life() - age)
		b.uploads.known[u.id] = u
		if u.done == (record.CID{}) {
			b.countUpload(u, u.marked)
		}
	}
	return end()
}

// SweepUploads ends the uploads whose time is over, and removes what lies in the
// folder of uploads that nobody knows. It is called now and then.
func (b *Blobs) SweepUploads(ctx context.Context) error {
	if !b.dir.Look() {
		return nil // their files are away with it
	}
	now := time.Now()
	b.uploads.mu.Lock()
	var old []UploadID
	mine := make(map[string]bool, len(b.uploads.known))
	for id, u := range b.uploads.known {
		mine[id.file()] = true
		if len(u.turn) == 1 && !now.Before(u.ends) {
			old = append(old, id)
		}
	}
	b.uploads.mu.Unlock()
	var errs []error
	for _, id := range old {
		if err := b.EndUpload(ctx, id); !errors.Is(err, ErrNoUpload) {
			errs = append(errs, err)
		}
	}
	names, err := b.dir.Partials()
	errs = append(errs, err)
	for _, name := range names {
		if strings.HasPrefix(name, uploadFile) && !mine[name] && !b.knowsUpload(name) {
			errs = append(errs, b.dir.RemovePartial(name))
		}
	}
	return errors.Join(errs...)
}

// knowsUpload is for a file that was made since the list was looked at.
func (b *Blobs) knowsUpload(file string) bool {
	b.uploads.mu.Lock()
	defer b.uploads.mu.Unlock()
	for id := range b.uploads.known {
		if id.file() == file {
			return true
		}
	}
	return false
}

// life is how long an upload is kept when nothing happens any more.
func (u *upload) life() time.Duration {
	if u.done != (record.CID{}) || u.offset == 0 && u.marked == 0 {
		return uploadRest
	}
	return UploadLife
}

// touchUpload begins an upload's life anew.
func (b *Blobs) touchUpload(u *upload) {
	ends := time.Now().Add(u.life())
	b.uploads.mu.Lock()
	defer b.uploads.mu.Unlock()
	u.ends = ends
}

// readUpload finds what the folder still has of an upload after a restart. What
// was not durable is good only as long as the same system runs.
func (b *Blobs) readUpload(u *upload) error {
	if u.done != (record.CID{}) {
		u.offset, u.read = u.size, true
		return nil
	}
	a, err := b.dir.Partial(u.id.file())
	if err != nil {
		return err
	}
	size, err := a.Size()
	if err = errors.Join(err, a.Close()); err != nil {
		return err
	}
	if boot := dropdir.Boot(); boot == "" || boot != u.boot {
		size = min(size, u.marked)
	}
	u.offset, u.read = min(size, u.size), true
	b.countUpload(u, u.offset)
	return nil
}

// countUpload says what an upload takes of the disk now.
func (b *Blobs) countUpload(u *upload, bytes int64) {
	b.uploads.mu.Lock()
	defer b.uploads.mu.Unlock()
	b.uploads.bytes += bytes - u.counted
	u.counted = bytes
}

func (b *Blobs) uploadBytes() int64 {
	b.uploads.mu.Lock()
	defer b.uploads.mu.Unlock()
	return b.uploads.bytes
}

func (b *Blobs) saveUpload(u *upload) error {
	return writePairs(b.index, []pair{{u.id.key(), encodeUpload(u, b.o.Now())}})
}

const uploadVersion = 1

// encodeUpload is an upload's value in the index: version, flags (1 already, 2 location, the rest what cleaning did), three numbers of
// 8 bytes (size, marked, time of the last change in Unix milliseconds), the CID
// that it has become, the boot with its length before it, and the note.
func encodeUpload(u *upload, now time.Time) []byte {
	v := []byte{uploadVersion, 0}
	v[1] = byte(u.cleaning.Cleaned) << 2
	if u.already {
		v[1] |= 1
	}
	if u.cleaning.Location {
		v[1] |= 2
	}
	for _, n := range []int64{u.size, u.marked, now.UnixMilli()} {
		v = binary.BigEndian.AppendUint64(v, uint64(n))
	}
	v = append(v, u.done[:]...)
	v = append(v, byte(len(u.boot)))
	v = append(v, u.boot...)
	return append(v, u.note...)
}

// decodeUpload reads that, and says how long ago it was written.
func decodeUpload(p pair, now time.Time) (u *upload, age time.Duration, err error) {
	const head = 2 + 3*8 + len(record.CID{}) + 1
	v := p.value
	if len(p.key) != 1+len(UploadID{}) || len(v) < head || v[0] != uploadVersion || len(v) < head+int(v[head-1]) {
		return nil, 0, errors.New("not an upload")
	}
	number := func(i int) int64 { return int64(binary.BigEndian.Uint64(v[2+8*i:])) }
	u = &upload{id: UploadID([]byte(p.key[1:])), turn: make(chan struct{}, 1), size: number(0), marked: number(1), already: v[1]&1 != 0, cleaning: Cleaning{record.Cleaned(v[1] >> 2), v[1]&2 != 0}}
	u.turn <- struct{}{}
	u.done = record.CID(v[2+3*8 : head-1])
	u.boot, u.note = string(v[head:head+int(v[head-1])]), slices.Clone(v[head+int(v[head-1]):])
	return u, min(max(now.Sub(time.UnixMilli(number(2))), 0), UploadLife), nil
}

// resume hashes the first n bytes of a file, for a Hasher that goes on behind them.
func (h hashers) resume(ctx context.Context, f io.ReaderAt, n int64) (*Hasher, error) {
	whole := max(n-1, 0) / ChunkSize * ChunkSize // what is behind goes into the chunk under way
	begun, err := h.identify(ctx, f, whole)
	if err != nil {
		return nil, err
	}
	to := NewHasher()
	if to.size = whole; whole > 0 {
		to.leaves = begun.Leaves
	}
	_, err = io.Copy(to, io.NewSectionReader(f, whole, n-whole))
	if err == nil && to.size != n {
		err = io.ErrUnexpectedEOF
	}
	return to, err
}

// cleanUpload cleans what has come, in place. Should the process die meanwhile, the
// upload begins anew.
func (b *Blobs) cleanUpload(ctx context.Context, a *dropdir.Aside, u *upload, m Manifest) (Manifest, Cleaning, error) {
	u.marked, u.boot = 0, ""
	err := b.saveUpload(u)
	var what Cleaning
	if err == nil {
		m, what, err = b.clean(ctx, a, m)
	}
	if err != nil {
		b.restartUpload(a, u)
	}
	return m, what, err
}

// restartUpload has an upload begin anew.
func (b *Blobs) restartUpload(a *dropdir.Aside, u *upload) {
	if err := a.Truncate(0); err != nil {
		b.log.Warn("could not empty an upload's file", "err", err)
	}
	u.offset, u.marked, u.hash = 0, 0, nil
	b.countUpload(u, 0)
}
