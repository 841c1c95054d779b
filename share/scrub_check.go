package share

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"time"

	"boucan/share/dropdir"
)

var (
	// errOrdered says that the operator wants something else of the scrub.
	errOrdered = errors.New("scrub was ordered otherwise")
	// errNoAnswer says that a disk gives back nothing at all.
	errNoAnswer = errors.New("disk does not answer")
	// errEdited says that a file is not, or is about not to be, what was indexed.
	errEdited = errors.New("file is being changed")
	// errUnread says that a file cannot be read for a reason that is not the disk's.
	errUnread = errors.New("file cannot be read")
	// errUnknown says that the chunk hashes of a file are lost.
	errUnknown = errors.New("manifest is not known")
)

// check is one file that is compared with what it was.
type check struct {
	s    *scrub
	path string
	k    known
	pass int

	scan   *dropdir.Scan
	piece  int // of the manifest, whose hashes are in leaves
	leaves []byte
	read   bool // it was read to its end
	wrong  bool // damage was noted
	found  bool // of a file that was not known to be damaged before
}

// run reads the file's chunks from one on, up to another. Damage is noted as soon as it is found.
func (c *check) run(ctx context.Context, from, to int) error {
	b := c.s.b
	if c.k.held && !c.k.rotten || b.mends.has(c.path) {
		return nil // it is not there, or being repaired
	}
	began := time.Now()
	scan, e, err := b.dir.Scan(c.path, c.s.buffer())
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !c.k.same(e):
		b.hints.add(c.path) // somebody's hand: the folder is looked at there
		if err == nil {
			return scan.Close()
		}
		return nil
	case errors.Is(err, ErrAway):
		return err
	case err != nil && !dropdir.IsFault(err):
		return c.unread(err)
	case err != nil:
		if err := c.answers(); err != nil {
			return err
		}
		return c.bad(allChunks(c.k.size))
	}
	c.scan, c.piece = scan, -1
	defer scan.Close() // was only read
	err = c.chunks(ctx, from, to, began)
	switch {
	case errors.Is(err, errEdited):
		b.hints.add(c.path)
		return nil
	case errors.Is(err, errUnread):
		return c.unread(err)
	case errors.Is(err, errUnknown):
		if b.suspects.add(c.path) {
			b.hints.add(c.path)
		}
		return nil
	}
	return err
}

func (c *check) chunks(ctx context.Context, from, to int, began time.Time) error {
	n := Chunks(c.k.size)
	wrong := 0
	for i := from; i < min(n, to); i++ {
		good, err := c.chunk(i)
		if err != nil {
			return err
		}
		if !good {
			wrong++
			one := newBitset(n)
			one.set(i)
			if err := c.bad(one); err != nil {
				return err
			}
		}
		length := min(ChunkSize, c.k.size-int64(i)*ChunkSize)
		if !c.s.read(c.pass, c.path, i+1, length) {
			return errOrdered
		}
		c.s.pace(ctx, length, time.Since(began))
		if c.pass != noPass {
			c.s.settleDoubts(ctx)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		began = time.Now()
	}
	c.read = true
	if c.k.rotten && wrong == 0 && from == 0 && to >= n {
		return c.good()
	}
	return nil
}

// chunk reports whether a chunk reads as it was indexed. One that does not is
// read twice: memory and cables err, too.
func (c *check) chunk(i int) (good bool, err error) {
	leaf, err := c.leaf(i)
	if err != nil {
		return false, err
	}
	offset := int64(i) * ChunkSize
	length := int(min(ChunkSize, c.k.size-offset))
	for range 2 {
		h := sha256.New()
		err = c.scan.Copy(h, offset, length)
		if err == nil && [leafSize]byte(h.Sum(nil)) == leaf {
			return true, nil
		}
		if !c.s.b.dir.Look() {
			return false, ErrAway
		}
		if !c.scan.Still() {
			return false, errEdited
		}
	}
	switch {
	case err == nil, errors.Is(err, io.ErrUnexpectedEOF):
		return false, nil
	case dropdir.IsFault(err):
		return false, c.answers()
	}
	return false, errors.Join(errUnread, err)
}

// unread passes over a file that may not be read, as with other permissions.
func (c *check) unread(err error) error {
	c.s.b.log.Debug("the scrub cannot read a file", "path", c.path, "err", err)
	return nil
}

// answers tells a place of a disk that cannot be read from a disk that cannot.
func (c *check) answers() error {
	switch {
	case !c.s.b.dir.Look():
		return ErrAway
	case !c.s.b.dir.Answers():
		c.s.b.blame(ErrFailing)
		return errNoAnswer
	}
	return nil
}

// leaf is the SHA-256 of chunk i. One piece of the manifest is held at a time.
func (c *check) leaf(i int) ([leafSize]byte, error) {
	if pieces(c.k.size) == 0 {
		return c.k.cid.Digest(), nil
	}
	if piece := i / leavesAPiece; piece != c.piece {
		v, ok, err := c.s.b.get(pieceKey(c.k.cid, piece))
		if err != nil {
			return [leafSize]byte{}, err
		}
		if !ok {
			return [leafSize]byte{}, errUnknown
		}
		size, leaves, err := decodePiece(v, piece)
		if err != nil || size != c.k.size {
			return [leafSize]byte{}, errors.Join(errIndex, err)
		}
		c.piece, c.leaves = piece, leaves
	}
	return [leafSize]byte(c.leaves[i%leavesAPiece*leafSize:]), nil
}

// bad notes chunks that do not read as they were indexed.
func (c *check) bad(chunks bitset) error {
	b := c.s.b
	spoilt := false
	was, _, err := lookUp(b.get, c.path)
	if err != nil {
		return err
	}
	if err := b.commit(b.spoiling(c.path, c.k, chunks, &spoilt)); err != nil {
		return err
	}
	if c.read = true; !spoilt {
		return nil
	}
	if pieces(c.k.size) > 0 {
		b.transfers.serve.mended(c.k.cid) // what is good of it may be given
	}
	if c.wrong = true; was.rotten {
		return nil
	}
	c.found = true
	b.sayDamaged(c.path)
	return nil
}

// good offers a file again whose damage is not there any more.
func (c *check) good() error {
	healed := false
	if err := c.s.b.commit(c.s.b.healing(c.path, c.k, &healed)); err != nil || !healed {
		return err
	}
	c.s.b.transfers.serve.mended(c.k.cid)
	c.s.b.log.Info("a file that was damaged reads as it was stored again")
	return nil
}

func allChunks(size int64) bitset {
	n := Chunks(size)
	all := newBitset(n)
	for i := range n {
		all.set(i)
	}
	return all
}
