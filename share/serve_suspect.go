package share

import (
	"crypto/sha256"
	"io"
	"time"

	"boucan/record"
)

// Limits of heeding peers that call a chunk wrong. Each such notice makes this
// node read 1 MiB, so that a peer must not cause many.
const (
	maxSpoiled = 4096 // blobs not offered because a chunk was found wrong
	maxChecked = 256  // chunks looked at of late
	checkTime  = time.Minute
)

// suspect reads a chunk again that a peer called wrong. Where it is wrong, the
// blob is offered no more, and the scrub looks at its file.
func (v *server) suspect(cid record.CID, chunk int) {
	select {
	case v.checking <- struct{}{}:
		defer func() { <-v.checking }()
	default:
		return // one at a time; the peer will be told gone, or will say it again
	}
	if !v.mayCheck(wrongChunk{cid, chunk}, time.Now()) {
		return
	}
	f, m, err := v.b.openBlob(nil, cid)
	if err != nil {
		v.b.doubt(cid, chunk) // if any of it is given, then as damaged
		return
	}
	defer f.Close()
	if chunk >= m.Chunks() {
		return
	}
	offset, length := m.Chunk(chunk)
	hash := sha256.New()
	buf := v.takeBuffer()
	defer v.putBuffer(buf)
	_, err = io.CopyBuffer(hash, io.NewSectionReader(f, offset, int64(length)), buf[:cap(buf)])
	if err == nil && [leafSize]byte(hash.Sum(nil)) == m.Leaf(chunk) {
		return
	}
	v.spoil(cid, chunk)
}

// spoil notes that a chunk of a blob was found wrong on this disk, and has the
// scrub look at it.
func (v *server) spoil(cid record.CID, chunk int) {
	v.mu.Lock()
	v.spoiled.put(cid, struct{}{})
	v.mu.Unlock()
	v.b.log.Warn("a file does not hold what it held; it is not offered any more")
	v.b.doubt(cid, chunk)
}

// mayCheck reports whether the chunk has not been looked at of late.
func (v *server) mayCheck(c wrongChunk, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if at, ok := v.checked.get(c); ok && now.Sub(at) < checkTime {
		return false
	}
	v.checked.remove(c)
	v.checked.put(c, now)
	return true
}

func (v *server) isSpoiled(cid record.CID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.spoiled.get(cid)
	return ok
}

// mended notes that blobs are whole here again.
func (v *server) mended(cids ...record.CID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, cid := range cids {
		v.spoiled.remove(cid)
	}
}
