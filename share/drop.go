package share

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"boucan/record"
	"boucan/share/dropdir"
)

// Drop stores what r yields under name, or under one like it where that is
// taken; any string will do for a name. When it returns without an error, bytes
// and index are durable, and the caller makes the record: a drop is not told of
// through Catalog.Appeared. Bytes that were here before are not stored again.
//
// It fails with ErrFull where the reserve would be touched, ErrTooLarge over
// record.MaxBlob or the file system's limit, ErrAway without the folder,
// ErrReadOnly or ErrFailing where its disk takes nothing, and with r's own error; then nothing stays. Each call takes 32 KiB of memory, and
// large drops share a few chunks' buffers.
func (b *Blobs) Drop(ctx context.Context, name string, r io.Reader) (Dropped, error) {
	return b.dropAs(ctx, name, r, false)
}

func (b *Blobs) dropAs(ctx context.Context, name string, r io.Reader, cleaned bool) (Dropped, error) {
	name = record.CleanName(name)
	if err := b.writable(); err != nil {
		return Dropped{}, fmt.Errorf("drop: %w", err)
	}
	a, err := b.dir.Incoming()
	if err != nil {
		return Dropped{}, fmt.Errorf("drop: %w", err)
	}
	d, err := b.drop(ctx, a, name, r, cleaned)
	// Where there is an error already, it is the one that counts; the next
	// start removes what could not be removed now.
	if discarded := a.Discard(); err == nil && discarded != nil {
		b.log.Warn("could not remove a file written aside", "err", discarded)
	}
	if err != nil {
		b.blame(err)
		return Dropped{}, fmt.Errorf("drop: %w", err)
	}
	return d, nil
}

func (b *Blobs) drop(ctx context.Context, a *dropdir.Aside, name string, r io.Reader, cleaned bool) (Dropped, error) {
	m, err := b.receive(ctx, a, r)
	if err != nil {
		return Dropped{}, err
	}
	var what Cleaning
	if cleaned {
		if m, what, err = b.clean(ctx, a, m); err != nil {
			return Dropped{}, err
		}
	}
	if f, ok, err := b.intact(m.CID); err != nil {
		return Dropped{}, err
	} else if ok {
		return Dropped{File: f, Name: name, Already: true, Cleaning: what}, nil
	}
	if err := a.Sync(); err != nil {
		return Dropped{}, err
	}
	d := Dropped{Name: name, Cleaning: what}
	d.File, d.Already, err = b.keep(a, m, name, "", nil)
	if err == nil && !d.Already {
		d.Name = d.File.Name()
	}
	return d, err
}

// keep gives a file that is durable aside its place and makes it known, unless
// the same bytes were stored meanwhile. also, if there is one, adds a pair of the
// caller's to what is written with it.
func (b *Blobs) keep(a *dropdir.Aside, m Manifest, name, tag string, also func(g *group, already bool)) (f File, already bool, err error) {
	const tries = 3 // against the last file of the same bytes being removed at the same time
	for range tries {
		if err = b.saveManifest(m); err != nil {
			return File{}, false, err
		}
		c := b.keeping(a, m, name, tag, &f, &already)
		if also != nil {
			keep := c.apply
			c.pairs, c.bytes = c.pairs+1, c.bytes+MaxUploadNote+1024
			c.apply = func(g *group) error {
				err := keep(g)
				if err == nil {
					also(g, already)
				}
				return err
			}
		}
		err = b.commit(c)
		if !errors.Is(err, errNoManifest) {
			break
		}
	}
	return f, already, err
}

// keeping is the change that keep makes.
func (b *Blobs) keeping(a *dropdir.Aside, m Manifest, name, tag string, f *File, already *bool) *change {
	return weigh(newFile, name, m, func(g *group) error {
		path, k, ok, err := find(g.get, m.CID)
		if err != nil {
			return err
		}
		switch {
		case ok && b.unchanged(path, k):
			*f, *already = k.file(path), true
			return nil
		case ok:
			b.hints.add(path)
		}
		if err := g.putManifest(m); err != nil {
			return err
		}
		if *already, err = g.replace(a, m.CID, f); *already || err != nil {
			if *already {
				b.log.Info("a damaged file is repaired")
			}
			return err
		}
		*f, err = g.place(a, name, tag, m.CID)
		return err
	})
}

// How many pairs a change of one file writes at most, its folders and its
// manifest not counted.
const (
	newFile = 6  // path, CID, name, inode, and one to spare
	oldFile = 14 // also what is forgotten of what lay there, and a note of it
)

// weigh makes a change of one file out of what applies it.
func weigh(pairs int, path string, m Manifest, apply func(g *group) error) *change {
	pairs += strings.Count(path, "/")
	c := &change{pairs: pairs, bytes: pairs * (len(path) + 64), apply: apply}
	if n := pieces(m.Size); n <= piecesInChange {
		c.pairs += n
		c.bytes += len(m.Leaves) + 64*n
	}
	return c
}

// intact finds a file that holds the blob, as its size and times say.
func (b *Blobs) intact(cid record.CID) (File, bool, error) {
	path, k, ok, err := b.find(cid)
	if err != nil || !ok {
		return File{}, false, err
	}
	if !b.unchanged(path, k) {
		b.hints.add(path)
		return File{}, false, nil
	}
	return k.file(path), true, nil
}

func (b *Blobs) unchanged(path string, k known) bool {
	e, err := b.dir.Stat(path)
	return err == nil && k.same(e)
}
