package share

import (
	"errors"
	"fmt"

	"boucan/record"
)

// partials lists the blobs of which a part has landed.
func (b *Blobs) partials() ([]record.CID, error) {
	names, err := b.dir.Partials()
	if err != nil {
		return nil, fmt.Errorf("list partial files: %w", err)
	}
	var cids []record.CID
	for _, name := range names {
		if cid, err := record.ParseCID(name); err == nil {
			cids = append(cids, cid)
		}
	}
	return cids, nil
}

// dropPartial forgets what has landed of blobs that nobody wants any more. A
// blob with an open landing is left alone.
func (b *Blobs) dropPartial(cids ...record.CID) error {
	var errs []error
	for _, cid := range cids {
		if cid.Codec() == record.CodecRaw || !b.landings.begin(cid) {
			continue
		}
		errs = append(errs, b.dir.RemovePartial(cid.String()), b.forgetPartial(cid))
		b.landings.end(cid)
	}
	return errors.Join(errs...)
}

// forgetPartial removes map and manifest of a blob that does not land any more.
func (b *Blobs) forgetPartial(cid record.CID) error {
	size, _, ok, err := b.leaves(cid, 0)
	if err != nil || !ok {
		return err
	}
	c := weigh(newFile, "", Manifest{}, func(g *group) error {
		g.remove(cidKey(keyPartial, cid))
		return g.dropManifest(known{cid: cid, size: size})
	})
	c.pairs += pieces(size)
	c.bytes += 64 * pieces(size)
	return b.commit(c)
}
