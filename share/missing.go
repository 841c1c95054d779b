package share

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

const (
	// maxMissing is how many missing paths one look remembers. The others are
	// found by the next.
	maxMissing = 16 << 10
	// The guard: where more than half of at least guardFrom files are gone at
	// one look, that is an accident until the operator says otherwise.
	guardFrom = 16
)

// miss is for a file that the index knows and the folder does not have.
func (l *look) miss(path string, k known) {
	if k.held && !l.trust {
		return
	}
	if len(l.missing) >= maxMissing {
		l.more++
		return
	}
	l.missing = append(l.missing, path)
}

// judge decides on what was missing: gone by somebody's will, or by accident.
func (l *look) judge(ctx context.Context) error {
	// Without the folder nothing can be said to be gone from it.
	if len(l.missing) == 0 || !l.f.b.dir.Look() {
		return nil
	}
	if l.more > 0 {
		l.f.failed() // the rest comes with another look
	}
	lost := int64(l.more)
	if !l.trust && l.known >= guardFrom && int64(len(l.missing)+l.more)*2 > l.known {
		for _, path := range l.missing {
			gone, err := l.f.b.lost(path)
			if err != nil {
				return err
			}
			if gone {
				lost++
			}
		}
	}
	if !l.trust && l.known >= guardFrom && lost*2 > l.known {
		l.f.b.log.Warn("most shared files are gone at once; they are held back until they return or the operator confirms", "files", lost)
		return l.f.b.holdBack(l.missing)
	}
	for some := range slices.Chunk(l.missing, maxReport) {
		vanished, err := l.f.b.vanish(some)
		if err != nil {
			return err
		}
		if l.f.tell(ctx, report{vanished: vanished}) {
			if err := l.f.b.forgetGone(vanished); err != nil {
				return err
			}
		}
	}
	return nil
}

// lost reports whether the blob at path, which is missing, lies nowhere else.
func (b *Blobs) lost(path string) (bool, error) {
	k, ok, err := lookUp(b.get, path)
	if err != nil || !ok || k.held || b.unchanged(path, k) {
		return false, err
	}
	first, _, err := b.get(cidKey(keyCID, k.cid))
	if err != nil || string(first) != path {
		return false, err
	}
	others, err := readPage(b.index, cidKey(keyOther, k.cid), after(cidKey(keyOther, k.cid)))
	for _, o := range others {
		if b.exists(string(o.value)) {
			return false, nil
		}
	}
	return true, err
}

func (b *Blobs) exists(path string) bool {
	_, err := b.dir.Stat(path)
	return err == nil
}

// isGone reports whether nothing is at path; what cannot be read is not gone.
func (b *Blobs) isGone(path string) bool {
	_, err := b.dir.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// vanish forgets the files at paths that are gone, and returns them.
func (b *Blobs) vanish(paths []string) ([]File, error) {
	gone := make([]*File, len(paths))
	var changes []*change
	for i, path := range paths {
		k, ok, err := lookUp(b.get, path)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		c := weigh(path, Manifest{}, func(g *group) error {
			k, ok, err := g.lookUp(path)
			if err != nil || !ok || !b.isGone(path) {
				return err
			}
			f := k.file(path)
			gone[i] = &f
			return g.vanish(path, k)
		})
		c.pairs += pieces(k.size)
		c.bytes += 64 * pieces(k.size)
		changes = append(changes, c)
	}
	if err := b.commit(changes...); err != nil {
		return nil, err
	}
	var files []File
	for _, f := range gone {
		if f != nil {
			files = append(files, *f)
		}
	}
	return files, nil
}

// holdBack keeps the files at paths, which are gone, but does not offer them.
func (b *Blobs) holdBack(paths []string) error {
	for some := range slices.Chunk(paths, maxReport) {
		var changes []*change
		for _, path := range some {
			changes = append(changes, weigh(path, Manifest{}, func(g *group) error {
				k, ok, err := g.lookUp(path)
				if err != nil || !ok || k.held || !b.isGone(path) {
					return err
				}
				return g.hold(path, k)
			}))
		}
		if err := b.commit(changes...); err != nil {
			return err
		}
	}
	return nil
}

// forgetGone removes the notes about vanished files that the catalog now knows.
func (b *Blobs) forgetGone(files []File) error {
	if len(files) == 0 {
		return nil
	}
	pairs := make([]pair, len(files))
	for i, f := range files {
		pairs[i] = pair{key: pathCIDKey(keyGone, f.CID, f.Path)}
	}
	return writePairs(b.index, pairs)
}

// goneBefore returns files that vanished and that the catalog may not know of,
// at most maxReport.
func (b *Blobs) goneBefore() ([]File, error) {
	var files []File
	notes, end := pagesOf(b.index, string(keyGone))
	for p := range notes {
		f, err := decodeGone(p.value)
		if err != nil {
			return nil, fmt.Errorf("read index: %w", err)
		}
		if files = append(files, f); len(files) == maxReport {
			break
		}
	}
	return files, end()
}
