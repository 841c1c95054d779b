package share

import (
	"fmt"

	"boucan/record"
)

// Hashed is a file of the folder and the SHA-256 of each of its chunks.
type Hashed struct {
	Path   string
	Size   int64 // bytes
	Leaves []byte
}

// CID is the name of a blob of so many bytes whose chunks have these hashes.
func (h Hashed) CID() record.CID { return rootCID(h.Size, h.Leaves) }

// Adopt makes files known that lie in the folder, by hashes that the caller vouches
// for: nothing of them is read. It is how a folder of terabytes is made ready to be
// measured (bench/start). It is durable on return.
func (b *Blobs) Adopt(files ...Hashed) error {
	changes := make([]*change, 0, len(files))
	for _, h := range files {
		m := Manifest{CID: h.CID(), Size: h.Size, Leaves: h.Leaves}
		if err := b.saveManifest(m); err != nil {
			return err
		}
		changes = append(changes, weigh(oldFile, h.Path, m, func(g *group) error {
			e, err := b.dir.Stat(h.Path)
			if err != nil {
				return err
			}
			if e.Size != h.Size {
				return fmt.Errorf("adopt a file: %w", ErrChanged)
			}
			old, ok, err := g.lookUp(h.Path)
			if err == nil && ok {
				err = g.drop(h.Path, old)
			}
			if err == nil {
				err = g.putManifest(m)
			}
			if err != nil {
				return err
			}
			return g.add(h.Path, knownOf(e, m.CID))
		}))
	}
	return b.commit(changes...)
}
