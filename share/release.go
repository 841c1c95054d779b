package share

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"boucan/record"
	"boucan/share/dropdir"
)

// Release deletes the bytes of blobs, under all the names they lie under, and
// is durable on return. It is not told of through Catalog.Vanished. A file that
// was changed by hand meanwhile is other content and stays. What is not here is
// no error.
func (b *Blobs) Release(ctx context.Context, cids ...record.CID) error {
	const atOnce = 256
	var errs []error
	for some := range slices.Chunk(cids, atOnce) {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		var changes []*change
		for _, cid := range some {
			more, err := b.releasing(cid)
			if err != nil {
				errs = append(errs, err)
			}
			changes = append(changes, more...)
		}
		if err := b.commit(changes...); err != nil {
			errs = append(errs, fmt.Errorf("release blob: %w", err))
		}
	}
	return errors.Join(errs...)
}

// releasing makes the changes that remove the files of a blob.
func (b *Blobs) releasing(cid record.CID) ([]*change, error) {
	paths, size, err := b.placesOf(cid)
	if err != nil {
		return nil, err
	}
	var changes []*change
	for _, path := range paths {
		c := weigh(oldFile, path, Manifest{}, func(g *group) error { return b.release(g, path, cid) })
		c.pairs += pieces(size)
		c.bytes += pieces(size) * 64
		changes = append(changes, c)
	}
	return changes, nil
}

// placesOf finds all paths of a blob, those of damaged files too, and its size.
func (b *Blobs) placesOf(cid record.CID) (paths []string, size int64, err error) {
	path, k, ok, err := b.find(cid)
	if err != nil {
		return nil, 0, err
	}
	if size = k.size; ok {
		paths = append(paths, path)
	}
	others, end := pagesOf(b.index, cidKey(keyOther, cid))
	for p := range others {
		paths = append(paths, string(p.value))
	}
	if err := end(); err != nil {
		return nil, 0, err
	}
	damages, end := pagesOf(b.index, cidKey(keyDamage, cid))
	for p := range damages {
		d, err := decodeDamage(p.value)
		if err != nil {
			return nil, 0, fmt.Errorf("read index: %w", err)
		}
		if k, ok, err := lookUp(b.get, d.path); err != nil {
			return nil, 0, err
		} else if ok {
			paths, size = append(paths, d.path), k.size
		}
	}
	return paths, size, end()
}

func (b *Blobs) release(g *group, path string, cid record.CID) error {
	k, ok, err := g.lookUp(path)
	if err != nil || !ok || k.cid != cid || k.held && !k.rotten {
		return err
	}
	p, err := g.places()
	if err != nil {
		return err
	}
	e, err := b.dir.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !k.same(e):
		b.hints.add(path)
		return nil
	default:
		if err := p.Remove(e); err != nil {
			return err
		}
	}
	return g.forget(path, k)
}

// forget drops a file that is gone, and its folder if that is gone too.
func (g *group) forget(path string, k known) error {
	if err := g.drop(path, k); err != nil {
		return err
	}
	for dir := parent(path); dir != ""; dir = parent(dir) {
		if g.dir.IsFolder(dir) {
			break
		}
		if err := g.dropFolder(dir); err != nil {
			return err
		}
	}
	return nil
}

// vanish is forget for a file that people removed or replaced: it leaves a
// note until the catalog knows.
func (g *group) vanish(path string, k known) error {
	g.put(pathCIDKey(keyGone, k.cid, path), encodeGone(path, k))
	return g.forget(path, k)
}

var _ dropdir.Known = (*batch)(nil)
