package share

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// A damaged file is repaired where it lies. One of several chunks is a landing
// of which most has landed already, so that only what is wrong is fetched, by the
// same queue from the same peers as all else; it is written in place. A file of
// one chunk is replaced by a whole one.

// mending is a damaged file that is being written.
type mending struct {
	damage
	k    known
	file *dropdir.Mend
}

// mends are the paths that are being written, whose times may change by that.
type mends struct {
	mu   sync.Mutex
	open map[string]bool

	// writing is held while one is written to, and shared by who reads what is good
	// of one: the lease is not had while anybody has the file open.
	writing sync.RWMutex
}

// begin reports whether nobody else is at the file.
func (m *mends) begin(path string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[path] {
		return false
	}
	m.open[path] = true
	return true
}

func (m *mends) end(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, path)
}

func (m *mends) has(path string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open[path]
}

// entry is a file as it should lie.
func (k known) entry(path string) dropdir.Entry {
	return dropdir.Entry{Path: path, Size: k.size, Modified: time.Unix(0, k.modified), Inode: k.inode}
}

// openDamaged opens the blob's damaged file as one of which all has landed but
// what is bad; false where there is none.
func (l *landing) openDamaged() (bool, error) {
	d, ok, err := l.b.damageOf(l.m.CID)
	if err != nil || !ok {
		return false, err
	}
	k, ok, err := lookUp(l.b.get, d.path)
	if err != nil || !ok || !k.rotten || k.cid != l.m.CID {
		return false, err
	}
	if !l.b.mends.begin(d.path) {
		return true, errLanding
	}
	l.mend = &mending{damage: d, k: k}
	l.mend.file, err = l.b.dir.Mend(k.entry(d.path))
	if err == nil {
		if err = l.b.noteMending(d.path, k, true, nil); err != nil {
			err = errors.Join(err, l.mend.file.Close())
		}
	}
	if err != nil {
		l.b.mends.end(d.path)
		if errors.Is(err, ErrChanged) {
			l.b.hints.add(d.path)
		}
		return true, err
	}
	for i := range l.m.Chunks() {
		if !d.bad.has(i) {
			l.mark(i)
		}
	}
	return true, nil
}

// noteMending notes, before a damaged file is written to, that its times may be
// ours from now on, and afterwards that they are not; and which chunks are good
// by now.
func (b *Blobs) noteMending(path string, was known, begun bool, good []byte) error {
	c := weigh(oldFile, path, Manifest{}, func(g *group) error {
		k, ok, err := g.lookUp(path)
		if err != nil || !ok || !k.rotten || k.cid != was.cid {
			return err
		}
		d, ok, err := g.damaged(path, k)
		if err != nil || !ok {
			return err
		}
		d.mending = begun
		for i := range min(Chunks(k.size), 8*len(good)) {
			if hasBit(good, i) {
				d.bad.clear(i)
			}
		}
		g.put(pathCIDKey(keyDamage, k.cid, path), d.encode())
		return nil
	})
	c.bytes += Chunks(was.size) / 8
	return b.commit(c)
}

// finishMend offers a file again that is whole.
func (l *landing) finishMend(ctx context.Context) (File, error) {
	if err := l.mend.file.Sync(); err != nil {
		return File{}, fmt.Errorf("repair file: %w", err)
	}
	healed := false
	if err := l.b.commit(l.b.healing(l.mend.path, l.mend.k, &healed)); err != nil {
		return File{}, fmt.Errorf("repair file: %w", err)
	}
	if !healed {
		return File{}, fmt.Errorf("repair file: %w", ErrChanged)
	}
	if err := l.mend.file.Close(); err != nil {
		l.b.log.Warn("could not close a file that was repaired", "err", err)
	}
	l.end()
	l.b.sayMended(ctx, l.m.CID, l.mend.path)
	return l.mend.k.file(l.mend.path), nil
}

// closeMend leaves a damaged file with what has been repaired of it.
func (l *landing) closeMend() error {
	l.mu.Lock()
	good := bytes.Clone(l.bits)
	l.mu.Unlock()
	err := l.mend.file.Sync()
	if err != nil {
		good = nil
	}
	err = errors.Join(err, l.b.noteMending(l.mend.path, l.mend.k, false, good), l.mend.file.Close())
	l.end()
	return err
}

// readAt reads what has landed.
func (l *landing) readAt(p []byte, offset int64) (int, error) {
	if l.mend != nil {
		return l.mend.file.ReadAt(p, offset)
	}
	return l.a.ReadAt(p, offset)
}

// lengthen gives a file that was cut short the length back that it had, so that
// what is missing of it is a chunk like others that are bad. Where that cannot be
// now, the next look tries again.
func (b *Blobs) lengthen(e dropdir.Entry, k known) {
	if !b.mends.begin(e.Path) {
		return
	}
	defer func() {
		b.mends.end(e.Path)
		b.scrub.mendSoon() // whoever came to it meanwhile went away again
	}()
	err := b.noteMending(e.Path, k, true, nil)
	if err == nil {
		err = b.room(k.size-e.Size, func() error {
			b.mends.writing.Lock()
			defer b.mends.writing.Unlock()
			return b.dir.Lengthen(e, k.size)
		})
		err = errors.Join(err, b.noteMending(e.Path, k, false, nil))
	}
	if err != nil {
		b.blame(err)
		b.log.Debug("cannot give a file its length back yet", "path", e.Path, "err", err)
	}
}

// replace puts a file with the bytes of a blob into the place of a damaged one;
// false where there is none that can be replaced.
func (g *group) replace(a *dropdir.Aside, cid record.CID, f *File) (bool, error) {
	d, ok, err := g.damageOf(cid)
	if err != nil || !ok {
		return false, err
	}
	k, ok, err := g.lookUp(d.path)
	if err != nil || !ok || !k.rotten || k.cid != cid {
		return false, err
	}
	p, err := g.places()
	if err != nil {
		return false, err
	}
	e, err := p.Replace(a, k.entry(d.path))
	if errors.Is(err, ErrChanged) || errors.Is(err, dropdir.ErrInUse) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := g.whole(d.path, k); err != nil {
		return false, err
	}
	now := knownOf(e, cid)
	now.held = true
	if now.size >= movable && now.inode != 0 {
		g.put(inodeKey(now.inode), []byte(d.path))
	}
	*f = now.file(d.path)
	return true, g.offer(d.path, now)
}

// sayMended tells of a file that is whole again.
func (b *Blobs) sayMended(ctx context.Context, cid record.CID, path string) {
	b.transfers.serve.mended(cid)
	b.log.Info("a damaged file is repaired")
	b.log.Debug("which file is repaired", "path", path)
	b.hasArrived(ctx, cid)
}

// mendAll sees to it that every damaged file is repaired: from another copy that
// lies here, or else from whoever has it.
func (s *scrub) mendAll(ctx context.Context) {
	all, end := s.b.Damages()
	for d := range all {
		if ctx.Err() != nil {
			return
		}
		if err := s.b.mend(ctx, d.File); err != nil {
			s.b.log.Debug("cannot repair a file", "path", d.Path, "err", err)
		}
	}
	if err := end(); err != nil {
		s.b.log.Warn("cannot read which files are damaged", "err", err)
	}
}

// mend has a file repaired that a check found damaged.
func (s *scrub) mend(ctx context.Context, c *check) {
	if !c.wrong {
		return
	}
	if err := s.b.mend(ctx, c.k.file(c.path)); err != nil {
		s.b.log.Debug("cannot repair a file yet", "path", c.path, "err", err)
	}
}

// mend repairs a damaged file from another copy, or has what is bad of it
// fetched.
func (b *Blobs) mend(ctx context.Context, f File) error {
	if b.mends.has(f.Path) {
		return nil
	}
	twin, _, err := b.open(f.CID)
	if err == nil {
		defer twin.Close() // was only read
		return b.mendFrom(ctx, twin, f)
	}
	if b.Refused(f.CID) {
		return nil
	}
	if err := b.transfers.addMend(Wanted{CID: f.CID, Size: f.Size, Name: f.Name()}); err != nil {
		return err
	}
	b.transfers.pokeAll()
	return nil
}

// mendFrom repairs a damaged file from another file of the same bytes.
func (b *Blobs) mendFrom(ctx context.Context, twin io.ReaderAt, f File) error {
	if f.CID.Codec() == record.CodecRaw {
		return b.mendWhole(ctx, twin, f)
	}
	m, ok, err := b.Manifest(f.CID)
	if err != nil || !ok {
		return err
	}
	if !b.landings.begin(f.CID) {
		return errLanding
	}
	l := &landing{b: b, m: m, bits: make([]byte, (m.Chunks()+7)/8)}
	if mending, err := l.openDamaged(); !mending || err != nil {
		b.landings.end(f.CID)
		return err
	}
	chunk := make([]byte, ChunkSize)
	for i := range l.missing() {
		offset, length := m.Chunk(i)
		err := readFull(twin, chunk[:length], offset)
		if err == nil && !m.VerifyChunk(i, chunk[:length]) {
			err = errMismatch
		}
		if err == nil {
			err = l.write(i, chunk[:length])
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return errors.Join(err, l.close())
		}
	}
	if _, err := l.finish(ctx); err != nil {
		return errors.Join(err, l.close())
	}
	return nil
}

// mendWhole is mendFrom for a file of one chunk.
func (b *Blobs) mendWhole(ctx context.Context, twin io.ReaderAt, f File) error {
	content := make([]byte, f.Size)
	if err := readFull(twin, content, 0); err != nil {
		return err
	}
	m := oneChunk(f.CID, f.Size)
	if !m.VerifyChunk(0, content) {
		return errMismatch
	}
	files, err := b.dir.WriteAll(ctx, [][]byte{content})
	if err != nil {
		return err
	}
	mended := false
	err = b.commit(weigh(oldFile, f.Path, m, func(g *group) (err error) {
		mended, err = g.replace(files[0], f.CID, &f)
		return err
	}))
	if err = errors.Join(err, files[0].Discard()); err == nil && mended {
		b.sayMended(ctx, f.CID, f.Path)
	}
	return err
}

// interrupted are the files that were being repaired when the box stopped: their
// times may be ours and not those of somebody's edit. Until settleInterrupted has
// dealt with one, the folder's follower leaves it alone.
func (b *Blobs) interrupted() ([]damage, error) {
	var left []damage
	pages, end := pagesOf(b.index, string(keyDamage))
	for p := range pages {
		d, err := decodeDamage(p.value)
		if err != nil {
			return nil, fmt.Errorf("read index: %w", err)
		}
		if d.mending && b.mends.begin(d.path) {
			left = append(left, d)
		}
	}
	return left, end()
}

// settleInterrupted gives the files back the times that they had, whose repair
// was broken off, and reports whether it is done with all of them.
func (s *scrub) settleInterrupted(ctx context.Context) bool {
	for len(s.left) > 0 {
		d := s.left[0]
		if err := s.settle(ctx, d); err != nil {
			if ctx.Err() == nil && !errors.Is(err, ErrAway) {
				s.b.log.Warn("cannot look at a file whose repair was broken off", "err", err)
			}
			return false
		}
		s.left = s.left[1:]
		s.b.mends.end(d.path)
		s.b.hints.add(d.path)
	}
	return true
}

func (s *scrub) settle(ctx context.Context, d damage) error {
	k, ok, err := lookUp(s.b.get, d.path)
	if err != nil || !ok {
		return err
	}
	seen, ours, err := s.isOurs(ctx, d, k)
	if err != nil {
		return err
	}
	if ours {
		if err := s.b.dir.KeepTime(seen, time.Unix(0, k.modified)); err != nil && !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return s.b.noteMending(d.path, k, false, nil)
}

// isOurs reports whether a file, as it lies, is one that only the repair has
// changed: all that was good of it still is.
func (s *scrub) isOurs(ctx context.Context, d damage, k known) (seen dropdir.Entry, ours bool, err error) {
	scan, seen, err := s.b.dir.Scan(d.path, s.buffer())
	if errors.Is(err, fs.ErrNotExist) {
		return seen, false, nil
	}
	if err != nil {
		return seen, false, err
	}
	defer scan.Close() // was only read
	if now := knownOf(seen, k.cid); now.size != k.size || now.inode != k.inode && now.inode != 0 && k.inode != 0 {
		return seen, false, nil
	}
	if k.same(seen) {
		return seen, true, nil
	}
	c := &check{s: s, path: d.path, k: k, scan: scan, piece: -1}
	for i := range Chunks(k.size) {
		if d.bad.has(i) {
			continue
		}
		began := time.Now()
		good, err := c.chunk(i)
		if errors.Is(err, errEdited) || errors.Is(err, errUnknown) || err == nil && !good {
			return seen, false, nil
		}
		if err != nil {
			return seen, false, err
		}
		s.pace(ctx, ChunkSize, time.Since(began))
		if err := ctx.Err(); err != nil {
			return seen, false, err
		}
	}
	return seen, true, nil
}
