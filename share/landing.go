package share

import (
	"context"
	"iter"
	"os"

	"boucan/record"
)

// landing is a blob of several chunks on its way in: one partial file and the
// map of what has landed.
type landing struct {
	b *Blobs
	w Wanted
	m Manifest
}

// startLanding opens or resumes the partial file of w. Chunks on disk that the
// saved map does not vouch for are read and checked first. The manifest must
// have been verified against w.CID. It fails with ErrFull where the reserve
// would be eaten, with ErrTooLarge where the file system cannot hold the size.
func (b *Blobs) startLanding(w Wanted, m Manifest) (*landing, error) { return nil, ErrFull }

// missing yields the chunks that have not landed, in ascending order, as it
// stands when each is asked for.
func (l *landing) missing() iter.Seq[int] { return func(func(int) bool) {} }

// write puts chunk i in place. The caller has verified data against the
// manifest. It may be called from many goroutines; data is not kept.
func (l *landing) write(i int, data []byte) error { return nil }

// landed is how many bytes have landed.
func (l *landing) landed() int64 { return 0 }

// finish makes the whole blob durable under a name of its own, tells of it
// through Catalog.Arrived and ends the landing. On an error the landing stays
// and finish may be tried again.
func (l *landing) finish(ctx context.Context) (File, error) { return File{}, nil }

// close ends the landing and keeps what has landed for a later one.
func (l *landing) close() error { return nil }

// discard ends the landing and forgets what has landed.
func (l *landing) discard() error { return nil }

// whole is a blob of one chunk, its bytes verified by the caller.
type whole struct {
	w    Wanted
	data []byte
}

// landWhole stores blobs of one chunk, durable as a group, and tells of them
// through Catalog.Arrived. The errors are per blob: nil also for one that was
// here already. The second result fails the whole group.
func (b *Blobs) landWhole(ctx context.Context, ws []whole) ([]error, error) {
	return make([]error, len(ws)), nil
}

// openBlob opens a blob for serving, with its manifest.
func (b *Blobs) openBlob(cid record.CID) (*os.File, Manifest, error) {
	return nil, Manifest{}, ErrNotHere
}

// partials lists the blobs of which a part has landed.
func (b *Blobs) partials() ([]record.CID, error) { return nil, nil }

// dropPartial forgets what has landed of blobs that nobody wants any more. It
// must not be called for a blob with an open landing.
func (b *Blobs) dropPartial(cids ...record.CID) error { return nil }

// recheck reads the blob's file again because a peer said that a chunk was
// wrong; a file that changed is taken as edited by hand.
func (b *Blobs) recheck(cid record.CID) {}
