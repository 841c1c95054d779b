package share

import (
	"context"
	"errors"
	"io"

	"boucan/clean"
	"boucan/record"
	"boucan/share/dropdir"
)

// DropClean is Drop for a file that may tell who made it: what does is removed
// before the bytes are named and stored, where the format allows it. Dropped says
// what became of it. What cannot be cleaned is stored as it came.
func (b *Blobs) DropClean(ctx context.Context, name string, r io.Reader) (Dropped, error) {
	return b.dropAs(ctx, name, r, true)
}

// clean removes from a file that was written aside what identifies, in place, and
// names the bytes anew where they changed. The file has no place among people's
// files yet: where this fails, or the process dies, it is thrown away.
func (b *Blobs) clean(ctx context.Context, a *dropdir.Aside, m Manifest) (Manifest, Cleaning, error) {
	f := whileWanted{ctx, a}
	plan, err := clean.Look(f, m.Size)
	switch {
	case errors.Is(err, clean.ErrCannot):
		return m, Cleaning{Cleaned: record.CleanedCannot}, nil
	case err != nil:
		return Manifest{}, Cleaning{}, err
	case !plan.Dirty():
		return m, Cleaning{Cleaned: record.CleanedNothing}, nil
	}
	b.use()
	if err := plan.Apply(f); err != nil {
		return Manifest{}, Cleaning{}, err
	}
	leaves := make([]byte, Chunks(plan.Size())*leafSize)
	err = b.hashers.each(Chunks(plan.Size()), func(i int) error {
		offset := int64(i) * ChunkSize
		length := int(min(ChunkSize, plan.Size()-offset))
		leaf := leaves[i*leafSize:]
		if i < m.Chunks() {
			if o, n := m.Chunk(i); o == offset && n == length && plan.Same(offset, int64(length)) {
				was := m.Leaf(i)
				copy(leaf, was[:])
				return nil
			}
		}
		sum, err := b.hashers.sum(f, offset, length)
		copy(leaf, sum[:])
		return err
	})
	if err != nil {
		return Manifest{}, Cleaning{}, err
	}
	return newManifest(plan.Size(), leaves), Cleaning{Cleaned: record.CleanedDone, Location: plan.Location}, nil
}

// whileWanted is a file aside that nobody reads or writes after the context's end.
type whileWanted struct {
	ctx context.Context
	*dropdir.Aside
}

func (w whileWanted) ReadAt(p []byte, at int64) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Aside.ReadAt(p, at)
}

func (w whileWanted) WriteAt(p []byte, at int64) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Aside.WriteAt(p, at)
}
