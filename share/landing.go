package share

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"boucan/record"
	"boucan/share/dropdir"
)

// saveEvery is how many bytes land before the map of them is saved. What is not
// in the map is read and hashed again after a crash, not fetched again.
const saveEvery = 128 << 20

var (
	errHere    = errors.New("blob is here already")
	errLanding = errors.New("blob is landing already")
)

// landings are the blobs with an open landing.
type landings struct {
	mu   sync.Mutex
	open map[record.CID]bool
}

func (l *landings) init() { l.open = make(map[record.CID]bool) }

// begin reports whether nobody else has the blob.
func (l *landings) begin(cid record.CID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[cid] {
		return false
	}
	l.open[cid] = true
	return true
}

func (l *landings) end(cid record.CID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, cid)
}

// landing is a blob of several chunks on its way in: one partial file and the
// map of what has landed.
type landing struct {
	b    *Blobs
	w    Wanted
	m    Manifest
	a    *dropdir.Aside
	mend *mending // in the place of a, where the blob lies here damaged

	saving sync.Mutex // held by who saves the map

	mu       sync.Mutex
	bits     []byte // what has landed, lowest bit first
	chunks   int
	bytes    int64
	unsaved  int64 // bytes that the saved map does not vouch for
	promised int64 // bytes of the disk that are still to be taken
	ended    bool
}

// startLanding opens or resumes the partial file of w. Chunks on disk that the
// saved map does not vouch for are read and checked first. The manifest must
// have been verified against w.CID. It fails with ErrFull where the reserve
// would be eaten, with ErrTooLarge where the file system cannot hold the size.
// A blob that is here already fails too, and is told of as arrived.
func (b *Blobs) startLanding(w Wanted, m Manifest) (*landing, error) {
	if m.CID != w.CID || len(m.Leaves) != m.Chunks()*leafSize {
		return nil, fmt.Errorf("begin landing: %w", ErrManifest)
	}
	if m.Size > b.dir.MaxFile() {
		return nil, fmt.Errorf("begin landing: %w", ErrTooLarge)
	}
	if _, ok, err := b.intact(m.CID); err != nil {
		return nil, err
	} else if ok {
		return nil, errHere
	}
	if b.o.Admit != nil {
		if err := b.o.Admit(m.CID, m.Size); err != nil {
			return nil, fmt.Errorf("begin landing: %w", err)
		}
	}
	if !b.landings.begin(m.CID) {
		return nil, errLanding
	}
	b.landing.Add(m.Size)
	l := &landing{b: b, w: w, m: m, bits: make([]byte, (m.Chunks()+7)/8)}
	if err := l.open(); err != nil {
		b.landing.Add(-m.Size)
		b.landings.end(m.CID)
		return nil, fmt.Errorf("begin landing: %w", err)
	}
	return l, nil
}

func (l *landing) open() error {
	if err := l.b.writable(); err != nil {
		return err
	}
	if err := l.b.keepManifest(l.m); err != nil {
		return err
	}
	if mending, err := l.openDamaged(); mending || err != nil {
		return err
	}
	var err error
	if l.a, err = l.b.dir.Partial(l.m.CID.String()); err != nil {
		return err
	}
	if err = l.resume(); err == nil {
		err = l.reserve()
	}
	if err != nil {
		return errors.Join(err, l.a.Close())
	}
	return nil
}

// keepManifest stores a manifest for a blob that is not here, so that what has
// landed can be served and resumed.
func (b *Blobs) keepManifest(m Manifest) error {
	if err := b.saveManifest(m); err != nil {
		return err
	}
	return b.commit(weigh(newFile, "", m, func(g *group) error { return g.putManifest(m) }))
}

// resume finds out what has landed before.
func (l *landing) resume() error {
	size, err := l.a.Size()
	if err != nil || size == 0 {
		return err
	}
	if size > l.m.Size {
		if err := l.a.Truncate(l.m.Size); err != nil {
			return err
		}
		size = l.m.Size
	}
	vouched := make([]byte, len(l.bits))
	v, ok, err := l.b.get(cidKey(keyPartial, l.m.CID))
	if err != nil {
		return err
	}
	if ok {
		if s, bits, err := decodeMap(v); err == nil && s == l.m.Size {
			vouched = bits
		}
	}
	return l.b.hashers.each(l.m.Chunks(), func(i int) error {
		offset, length := l.m.Chunk(i)
		if offset+int64(length) > size {
			return nil
		}
		good := hasBit(vouched, i)
		if !good && !l.a.Hole(offset, int64(length)) {
			sum, err := l.b.hashers.sum(l.a, offset, length)
			if err != nil {
				return err
			}
			good = sum == l.m.Leaf(i)
		}
		if good {
			l.mark(i)
		}
		return nil
	})
}

// reserve sees to it that the rest will have room.
func (l *landing) reserve() error {
	taken, err := l.a.Allocated()
	if err != nil {
		return err
	}
	need := max(0, l.m.Size-taken)
	space, err := l.b.dir.Space()
	if err != nil {
		return err
	}
	if promised := l.b.promised.Add(need); space.Free-promised < l.b.o.Reserve {
		l.b.promised.Add(-need)
		return ErrFull
	}
	l.promised = need
	ok, err := l.a.Reserve(l.m.Size)
	if ok || err != nil {
		l.b.promised.Add(-l.promised)
		l.promised = 0
	}
	return err
}

func hasBit(bits []byte, i int) bool { return bits[i/8]&(1<<(i%8)) != 0 }

// mark notes that a chunk has landed; false where it had before.
func (l *landing) mark(i int) bool {
	_, length := l.m.Chunk(i)
	l.mu.Lock()
	defer l.mu.Unlock()
	if hasBit(l.bits, i) {
		return false
	}
	l.bits[i/8] |= 1 << (i % 8)
	l.chunks++
	l.bytes += int64(length)
	l.unsaved += int64(length)
	if l.promised > 0 {
		taken := min(l.promised, int64(length))
		l.promised -= taken
		l.b.promised.Add(-taken)
	}
	return true
}

// missing yields the chunks that have not landed, in ascending order, as it
// stands when each is asked for. Written in about this order a file takes no
// more room than what has landed, also on FAT.
func (l *landing) missing() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range l.m.Chunks() {
			l.mu.Lock()
			landed := hasBit(l.bits, i)
			l.mu.Unlock()
			if !landed && !yield(i) {
				return
			}
		}
	}
}

// write puts chunk i in place. The caller has verified data against the
// manifest. It may be called from many goroutines; data is not kept.
func (l *landing) write(i int, data []byte) error {
	if l.mend == nil {
		l.b.use()
	}
	offset, length := l.m.Chunk(i)
	if len(data) != length {
		return fmt.Errorf("write chunk: %w", ErrManifest)
	}
	l.mu.Lock()
	again, reserved := hasBit(l.bits, i), l.promised == 0
	l.mu.Unlock()
	if again {
		return nil
	}
	put := func() error {
		_, err := l.a.WriteAt(data, offset)
		return err
	}
	var err error
	switch {
	case l.mend != nil:
		l.b.mends.writing.Lock()
		err = l.mend.file.Write(data, offset)
		l.b.mends.writing.Unlock()
	case reserved:
		err = put()
	default:
		err = l.b.room(int64(length), put)
	}
	if err != nil {
		return fmt.Errorf("write chunk: %w", err)
	}
	if l.mend != nil {
		l.mark(i)
		return nil
	}
	l.a.Flush(offset, int64(length))
	l.mark(i)
	l.mu.Lock()
	due := l.unsaved >= saveEvery
	l.mu.Unlock()
	if due && l.saving.TryLock() {
		defer l.saving.Unlock()
		return l.save()
	}
	return nil
}

// save makes durable what has landed, and then the map that vouches for it.
// l.saving is held.
func (l *landing) save() error {
	l.mu.Lock()
	value := encodeMap(l.m.Size, l.bits)
	saved := l.unsaved
	l.mu.Unlock()
	if saved == 0 {
		return nil
	}
	if err := l.a.Sync(); err != nil {
		return fmt.Errorf("save landing: %w", err)
	}
	if err := writePairs(l.b.index, []pair{{cidKey(keyPartial, l.m.CID), value}}); err != nil {
		return fmt.Errorf("save landing: %w", err)
	}
	l.mu.Lock()
	l.unsaved -= saved
	l.mu.Unlock()
	return nil
}

// landed is how many bytes have landed.
func (l *landing) landed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// finish makes the whole blob durable under a name of its own, tells of it
// through Catalog.Arrived and ends the landing. On an error the landing stays
// and finish may be tried again.
func (l *landing) finish(ctx context.Context) (File, error) {
	if l.landed() != l.m.Size || l.isEnded() {
		return File{}, errors.New("finish landing: chunks are missing")
	}
	if l.mend != nil {
		return l.finishMend(ctx)
	}
	if err := l.a.Sync(); err != nil {
		return File{}, fmt.Errorf("finish landing: %w", err)
	}
	var f File
	already := false
	keep := l.b.keeping(l.a, l.m, record.CleanName(l.w.Name), l.m.CID.Short(), &f, &already)
	inner := keep.apply
	keep.apply = func(g *group) error {
		g.remove(cidKey(keyPartial, l.m.CID))
		return inner(g)
	}
	if err := l.b.commit(keep); err != nil {
		return File{}, fmt.Errorf("finish landing: %w", err)
	}
	if err := l.a.Discard(); err != nil {
		l.b.log.Warn("could not remove a partial file", "err", err)
	}
	l.end()
	l.b.hasArrived(ctx, l.m.CID)
	return f, nil
}

// close ends the landing and keeps what has landed for a later one.
func (l *landing) close() error {
	if l.isEnded() {
		return nil
	}
	if l.mend != nil {
		return l.closeMend()
	}
	l.saving.Lock()
	defer l.saving.Unlock()
	err := errors.Join(l.save(), l.a.Close())
	l.end()
	return err
}

// discard ends the landing and forgets what has landed.
func (l *landing) discard() error {
	if l.isEnded() {
		return nil
	}
	if l.mend != nil {
		return l.closeMend() // the file is somebody's
	}
	err := l.a.Discard()
	l.end()
	return errors.Join(err, l.b.forgetPartial(l.m.CID))
}

func (l *landing) isEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

func (l *landing) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		l.b.promised.Add(-l.promised)
		l.promised = 0
		l.b.landing.Add(-l.m.Size)
		l.b.landings.end(l.m.CID)
		if l.mend != nil {
			l.b.mends.end(l.mend.path)
			l.b.hints.add(l.mend.path)
		}
	}
}
