package share

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"
)

const (
	// maxMissing is how many missing paths are remembered. The others are found
	// by the next look.
	maxMissing = 16 << 10
	// The guard: where more than half of at least guardFrom files are gone at
	// once, that is an accident until the operator says otherwise.
	guardFrom = 16
	// Files are gone at once if no more than goneQuiet passes between them. They
	// are judged after as long a time, in which a program may put back what it
	// is saving anew, but no later than goneLatest after the first.
	goneQuiet  = 2 * time.Second
	goneLatest = 15 * time.Second
)

// missing are the files that the index knows and the folder does not have, and
// that have not been judged yet.
type missing struct {
	paths       map[string]bool
	more        int   // of those that were too many
	known       int64 // files offered when the first went missing
	trust       bool  // the operator confirmed that they are gone
	first, last time.Time
}

// miss is for a file that the index knows and the folder does not have.
func (l *look) miss(path string, k known) {
	m := &l.f.missing
	if k.held && !k.rotten && !l.trust || m.paths[path] {
		return
	}
	now := time.Now()
	if len(m.paths) == 0 {
		*m = missing{paths: make(map[string]bool), known: l.known, first: now}
	}
	m.last, m.trust = now, m.trust || l.trust
	if len(m.paths) < maxMissing {
		m.paths[path] = true
	} else {
		m.more++
	}
}

// wait is how long it takes until what is missing is to be judged: 0 or less
// for now.
func (m *missing) wait(now time.Time) time.Duration {
	return min(m.last.Add(goneQuiet).Sub(now), m.first.Add(goneLatest).Sub(now))
}

// judge decides on what is missing: gone by somebody's will, or by accident.
func (f *follower) judge(ctx context.Context) error {
	m := f.missing
	f.missing = missing{}
	if m.more > 0 {
		f.failed() // the rest comes with another look
	}
	paths := slices.Sorted(maps.Keys(m.paths))
	half := int64(len(paths)+m.more)*2 > m.known
	if !m.trust && m.known >= guardFrom && half {
		lost := int64(m.more)
		for _, path := range paths {
			gone, err := f.b.lost(path)
			if err != nil {
				return err
			}
			if gone {
				lost++
			}
		}
		if lost*2 > m.known {
			f.b.log.Warn("most shared files are gone at once; they are held back until they return or the operator confirms", "files", lost)
			return f.b.holdBack(paths)
		}
	}
	for some := range slices.Chunk(paths, maxReport) {
		vanished, err := f.b.vanish(some)
		if err != nil {
			return err
		}
		if f.tell(ctx, report{vanished: vanished}) {
			if err := f.b.forgetGone(vanished); err != nil {
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
		c := weigh(oldFile, path, Manifest{}, func(g *group) error {
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
			changes = append(changes, weigh(oldFile, path, Manifest{}, func(g *group) error {
				k, ok, err := g.lookUp(path)
				if err != nil || !ok || k.held && !k.rotten || !b.isGone(path) {
					return err
				}
				if k.rotten {
					return g.lose(path, k)
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
