package share

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"boucan/record"
)

// Limits of finding blocks.
const (
	maxLately   = 16 // blobs in which chunks are looked for first
	maxAround   = 8  // pieces of each of their manifests
	findStep    = 64 // pieces read in one transaction of the index
	findResting = 3  // times as long as it took to look through all is rested after that
)

// blocks finds the blobs that chunks and inner nodes belong to. There is no index
// of them: it would be half as large as the bytes of the catalogue again, and cost
// every chunk that lands a write at a place of its own (docs/decisions/0016).
// Whoever asks for a chunk has read of it in the node above, which was asked for
// here a moment ago: so the manifests around what was asked for lately are looked
// at first. Anything else is looked for in all manifests, for all who wait at once,
// by one of them, and then not for a while.
type blocks struct {
	sorting sync.Mutex    // see DAG.repeats
	pass    chan struct{} // has room for whoever looks through all

	mu      sync.Mutex
	lately  []*lately // the newest first
	waiting []*lookup
	restTo  time.Time
}

// lately is a blob of which a block was asked for. Its fields are not changed once
// it is in blocks, around apart.
type lately struct {
	blob   record.CID
	size   int64
	above  []node
	around []int // pieces of the manifest, the newest first; blocks.mu guards them
}

// lookup is one block that is looked for.
type lookup struct {
	cid     record.CID
	offered func(record.CID) bool
	found   place
	ok      bool
	err     error
	done    chan struct{}
}

func (x *blocks) init() { x.pass = make(chan struct{}, 1) }

// locate finds a block, the size of its blob, and the inner nodes of that where it
// has two levels.
func (b *Blobs) locate(ctx context.Context, cid record.CID, offered func(record.CID) bool) (place, int64, []node, error) {
	_, k, ok, err := b.find(cid)
	if err != nil {
		return place{}, 0, nil, err
	}
	p := rootPlace(cid, k.size)
	switch {
	case !ok || !offered(cid):
		if p, ok, err = b.nearby(cid, offered); err == nil && !ok {
			p, err = b.lookThrough(ctx, cid, offered)
		}
		if err != nil {
			return place{}, 0, nil, err
		}
	case p.level == 0:
		return p, k.size, nil, nil
	}
	l := b.blocks.recall(p)
	if l == nil {
		if l, err = b.outline(p.blob); err != nil {
			return place{}, 0, nil, err
		}
		b.blocks.remember(l, p)
	}
	return p, l.size, l.above, nil
}

// recall is what is remembered of a block's blob, nil for nothing. The part of its
// manifest around the block is looked at first from now on.
func (x *blocks) recall(p place) *lately {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := slices.IndexFunc(x.lately, func(l *lately) bool { return l.blob == p.blob })
	if at < 0 {
		return nil
	}
	l := x.lately[at]
	x.lately = slices.Insert(slices.Delete(x.lately, at, at+1), 0, l)
	l.touch(p)
	return l
}

func (x *blocks) remember(l *lately, p place) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lately = slices.DeleteFunc(x.lately, func(o *lately) bool { return o.blob == l.blob })
	x.lately = slices.Insert(x.lately[:min(len(x.lately), maxLately-1)], 0, l)
	l.touch(p)
}

// touch notes that a block was asked for: whoever reads a node asks for what is
// below it next. blocks.mu is held.
func (l *lately) touch(p place) {
	piece := 0
	switch p.level {
	case 0:
		piece = p.index / leavesAPiece
	case 1:
		piece = p.index
	}
	l.around = slices.DeleteFunc(l.around, func(o int) bool { return o == piece })
	l.around = slices.Insert(l.around[:min(len(l.around), maxAround-1)], 0, piece)
}

// outline computes the inner nodes below the root of a blob that has two levels of
// them: 0.3 ms for each GiB.
func (b *Blobs) outline(blob record.CID) (*lately, error) {
	_, k, ok, err := b.find(blob)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNotHere
	}
	l := &lately{blob: blob, size: k.size}
	if pieces(k.size) < 2 {
		return l, nil
	}
	for i := range pieces(k.size) {
		size, leaves, ok, err := b.leaves(blob, i)
		if err != nil {
			return nil, err
		}
		if !ok || size != k.size {
			return nil, ErrNotHere
		}
		n, _ := innerNode(size, i, leaves)
		l.above = append(l.above, n)
	}
	return l, nil
}

// nearby looks for a block where one was asked for lately.
func (b *Blobs) nearby(cid record.CID, offered func(record.CID) bool) (place, bool, error) {
	x := &b.blocks
	x.mu.Lock()
	recent := make([]lately, 0, len(x.lately))
	for _, l := range x.lately {
		recent = append(recent, lately{l.blob, l.size, l.above, slices.Clone(l.around)})
	}
	x.mu.Unlock()
	for _, l := range recent {
		if cid.Codec() == record.CodecDagPB {
			i := slices.IndexFunc(l.above, func(n node) bool { return n.cid == cid })
			if i >= 0 && offered(l.blob) {
				return place{l.blob, 1, i}, true, nil
			}
			continue
		}
		for _, piece := range l.around {
			_, leaves, ok, err := b.leaves(l.blob, piece)
			if err != nil {
				return place{}, false, err
			}
			if i := indexLeaf(leaves, cid.Digest()); ok && i >= 0 && offered(l.blob) {
				return place{l.blob, 0, piece*leavesAPiece + i}, true, nil
			}
		}
	}
	return place{}, false, nil
}

// indexLeaf is the number of the first leaf that is sum, -1 for none.
func indexLeaf(leaves []byte, sum [leafSize]byte) int {
	for i := 0; i < len(leaves); i += leafSize {
		if bytes.Equal(leaves[i:i+leafSize], sum[:]) {
			return i / leafSize
		}
	}
	return -1
}

// lookThrough waits until all manifests have been looked through for a block, by
// somebody.
func (b *Blobs) lookThrough(ctx context.Context, cid record.CID, offered func(record.CID) bool) (place, error) {
	x := &b.blocks
	l := &lookup{cid: cid, offered: offered, done: make(chan struct{})}
	x.mu.Lock()
	x.waiting = append(x.waiting, l)
	x.mu.Unlock()
	select {
	case <-l.done:
	case x.pass <- struct{}{}:
		err := b.passThrough(ctx, l)
		<-x.pass
		if err != nil {
			x.leave(l)
			return place{}, err
		}
	case <-ctx.Done():
		x.leave(l)
		return place{}, ctx.Err()
	}
	switch {
	case l.err != nil:
		return place{}, l.err
	case !l.ok:
		return place{}, ErrNotHere
	}
	return l.found, nil
}

func (x *blocks) leave(l *lookup) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.waiting = slices.DeleteFunc(x.waiting, func(o *lookup) bool { return o == l })
}

// passThrough looks through all manifests for all who wait, unless somebody has
// done so for mine meanwhile. It fails where ctx ends before; the others still wait
// then.
func (b *Blobs) passThrough(ctx context.Context, mine *lookup) error {
	x := &b.blocks
	x.mu.Lock()
	rest := time.Until(x.restTo)
	x.mu.Unlock()
	select {
	case <-mine.done:
		return nil
	default:
	}
	if rest > 0 {
		timer := time.NewTimer(rest)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	x.mu.Lock()
	waiting := slices.Clone(x.waiting)
	x.mu.Unlock()
	began := time.Now()
	err := b.scanManifests(ctx, waiting)
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	x.restTo = now.Add(findResting * now.Sub(began))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, l := range waiting {
		l.err = err
		close(l.done)
	}
	x.waiting = slices.DeleteFunc(x.waiting, func(l *lookup) bool { return slices.Contains(waiting, l) })
	return nil
}

// scanManifests looks for blocks in all manifests, until all are found.
func (b *Blobs) scanManifests(ctx context.Context, wanted []*lookup) error {
	byCID := make(map[record.CID][]*lookup)
	heads := make(map[uint64]bool) // of digests, since most chunks are none of these
	inner := false
	for _, l := range wanted {
		byCID[l.cid] = append(byCID[l.cid], l)
		digest := l.cid.Digest()
		heads[binary.NativeEndian.Uint64(digest[:])] = true
		inner = inner || l.cid.Codec() == record.CodecDagPB
	}
	from, to := string(keyManifest), after(string(keyManifest))
	for len(byCID) > 0 && from != "" {
		if err := ctx.Err(); err != nil {
			return err
		}
		var found []place
		var cids []record.CID
		match := func(cid record.CID, p place) {
			if byCID[cid] != nil {
				found, cids = append(found, p), append(cids, cid)
			}
		}
		n, next := 0, ""
		seq, end := b.index.Scan([]byte(from), []byte(to))
		for k, v := range seq {
			matchPiece(k, v, heads, inner, match)
			if n++; n == findStep {
				next = string(k) + "\x00"
				break
			}
		}
		if err := end(); err != nil {
			return fmt.Errorf("read index: %w", err)
		}
		for i, p := range found {
			b.give(byCID, cids[i], p)
		}
		from = next
	}
	return nil
}

// matchPiece calls match for each block that one piece of a manifest tells of. A
// value that does not read as one is passed by: who opens the blob is told.
func matchPiece(key, value []byte, heads map[uint64]bool, inner bool, match func(record.CID, place)) {
	if len(key) != 1+len(record.CID{})+4 {
		return
	}
	blob := record.CID(key[1:])
	piece := pieceNumber(key)
	size, leaves, err := decodePiece(value, piece)
	if err != nil {
		return
	}
	for i := 0; i < len(leaves); i += leafSize {
		if heads[binary.NativeEndian.Uint64(leaves[i:])] {
			match(record.NewCID(record.CodecRaw, [leafSize]byte(leaves[i:])), place{blob, 0, piece*leavesAPiece + i/leafSize})
		}
	}
	if inner && pieces(size) > 1 {
		n, _ := innerNode(size, piece, leaves)
		match(n.cid, place{blob, 1, piece})
	}
}

// give hands a place to those who look for the block, where the blob is here and
// offered.
func (b *Blobs) give(byCID map[record.CID][]*lookup, cid record.CID, p place) {
	_, _, here, err := b.find(p.blob)
	if err != nil || !here {
		return
	}
	left := byCID[cid][:0]
	for _, l := range byCID[cid] {
		if l.ok = l.offered(p.blob); l.ok {
			l.found = p
		} else {
			left = append(left, l)
		}
	}
	if byCID[cid] = left; len(left) == 0 {
		delete(byCID, cid)
	}
}
