package share

import (
	"errors"
	"fmt"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// answer answers one item into the buffer.
func (sv *serving) answer(it item) error {
	if it.kind == itemManifest {
		return sv.answerManifest(it.cid)
	}
	o, refusal := sv.open(it.cid)
	if refusal != 0 {
		return sv.refuse(refusal)
	}
	first, count := int(it.first), int(it.count)
	if it.kind == itemWhole {
		first, count = 0, 1
	}
	if first+count > o.m.Chunks() {
		return errWireItem
	}
	for i := first; i < first+count; i++ {
		if o.broken != nil && !sv.v.b.readsWell(o.broken, i) {
			return sv.refuse(frameUnreadable)
		}
		offset, length := o.m.Chunk(i)
		if whole, err := sv.pieces(o, offset, length); err != nil || !whole {
			return err
		}
	}
	if it.kind == itemWhole {
		sv.closeLast()
	}
	return nil
}

// open opens a blob, or returns why not.
func (sv *serving) open(cid record.CID) (servedFile, frameKind) {
	for _, o := range sv.files {
		if o.m.CID == cid {
			return o, 0
		}
	}
	o, _, refusal := sv.openNew(cid)
	return o, refusal
}

// openNew opens a blob and keeps it open, in the place of the one opened longest
// ago. The leaves are returned, not kept.
func (sv *serving) openNew(cid record.CID) (o servedFile, leaves []byte, refusal frameKind) {
	if sv.v.isSpoiled(cid) {
		return o, nil, frameGone
	}
	f, m, err := sv.v.b.openBlob(sv.opener, cid)
	var damaged *broken
	if errors.Is(err, ErrNotHere) && cid.Codec() != record.CodecRaw {
		if damaged, err = sv.v.b.openBroken(cid); damaged != nil {
			m = Manifest{CID: cid, Size: damaged.k.size}
		}
	}
	switch {
	case errors.Is(err, ErrChanged):
		return o, nil, frameGone
	case errors.Is(err, ErrNotHere):
		if sv.v.b.Refused(cid) {
			return o, nil, frameGone
		}
		return o, nil, frameNotHere
	case errors.Is(err, ErrAway):
		return o, nil, frameNotHere
	case err != nil:
		sv.v.b.log.Warn("cannot open a blob that a peer asks for", "err", err)
		return o, nil, frameUnreadable
	}
	if len(sv.files) >= serveOpen {
		sv.files[0].close()
		sv.files = append(sv.files[:0], sv.files[1:]...)
	}
	leaves, m.Leaves = m.Leaves, nil
	o = servedFile{f, m, damaged}
	sv.files = append(sv.files, o)
	return o, leaves, 0
}

// closeLast closes the blob opened last.
func (sv *serving) closeLast() {
	n := len(sv.files) - 1
	sv.files[n].close()
	sv.files = sv.files[:n]
}

// answerManifest sends size and leaf hashes. The file stays open: its chunks
// will be asked for.
func (sv *serving) answerManifest(cid record.CID) error {
	o, leaves, refusal := sv.openNew(cid)
	if refusal == 0 && o.broken != nil {
		refusal = frameUnreadable
	}
	if refusal != 0 {
		return sv.refuse(refusal)
	}
	if err := sv.space(headSize + 8); err != nil {
		return err
	}
	sv.out = appendSize(sv.out, o.m.Size)
	for len(leaves) > 0 {
		n := min(len(leaves), maxLeaves*leafSize)
		if err := sv.space(headSize); err != nil {
			return err
		}
		sv.out = appendHead(sv.out, frameLeaves, n)
		if err := sv.append(leaves[:n]); err != nil {
			return err
		}
		leaves = leaves[n:]
	}
	return nil
}

// append appends b to the buffer, which is written whenever it is full.
func (sv *serving) append(b []byte) error {
	for len(b) > 0 {
		if err := sv.space(1); err != nil {
			return err
		}
		n := min(len(b), cap(sv.out)-len(sv.out))
		sv.out = append(sv.out, b[:n]...)
		b = b[n:]
	}
	return nil
}

// refuse says why an item, or the rest of it, is not answered.
func (sv *serving) refuse(why frameKind) error {
	if err := sv.space(headSize); err != nil {
		return err
	}
	sv.out = appendHead(sv.out, why, 0)
	return nil
}

// pieces reads one chunk into the buffer, in pieces that fill it. It reports
// whether the disk gave all of it; the rest is refused otherwise.
func (sv *serving) pieces(o servedFile, offset int64, length int) (whole bool, err error) {
	for {
		if err := sv.space(headSize + min(length, leastPiece)); err != nil {
			return false, err
		}
		n := min(length, cap(sv.out)-len(sv.out)-headSize)
		kind := framePiece
		if n == length {
			kind = frameLast
		}
		before := len(sv.out)
		sv.out = appendHead(sv.out, kind, n)
		at := len(sv.out)
		sv.out = sv.out[:at+n]
		if err := sv.readDisk(o, sv.out[at:], offset); err != nil {
			sv.out = sv.out[:before]
			sv.v.b.log.Warn("cannot read a blob that a peer asks for", "err", err)
			return false, sv.refuse(frameUnreadable)
		}
		offset, length = offset+int64(n), length-n
		if kind == frameLast {
			return true, nil
		}
	}
}

// readDisk fills p. Only so many streams read at a time; they take turns.
func (sv *serving) readDisk(o servedFile, p []byte, offset int64) error {
	sv.v.b.use()
	sv.v.reads <- struct{}{}
	defer func() { <-sv.v.reads }()
	var n int
	var err error
	if o.broken != nil {
		n, err = sv.v.b.readBroken(o.broken, p, offset)
	} else {
		n, err = o.f.ReadAt(p, offset)
	}
	if n == len(p) {
		return nil // at the end of the file io.EOF may come with all of it
	}
	if dropdir.IsFault(err) {
		sv.v.b.blame(err)
		sv.v.b.doubt(o.m.CID, int(offset/ChunkSize))
	}
	return fmt.Errorf("read blob: %w", noEOF(err))
}

// space makes the buffer one with n bytes free.
func (sv *serving) space(n int) error {
	if sv.out == nil {
		sv.out = sv.v.takeBuffer()
	}
	if cap(sv.out)-len(sv.out) >= n {
		return nil
	}
	return sv.flush()
}

// flush writes the buffer. A peer that is slow gets less at a time, so that each
// write shows whether it still reads.
func (sv *serving) flush() error {
	b := sv.out
	for len(b) > 0 {
		n := min(len(b), sv.atOnce)
		began, err := sv.beginWrite()
		if err != nil {
			return err
		}
		if _, err := sv.s.Write(b[:n]); err != nil {
			return err
		}
		switch took := time.Since(began); {
		case took > slowWrite:
			sv.atOnce = slowBytes
		case took < slowWrite/8:
			sv.atOnce = min(serveBuffer, 2*sv.atOnce)
		}
		b = b[n:]
	}
	if sv.out != nil {
		sv.out = sv.out[:0]
	}
	return nil
}

// beginWrite gives the peer serveWrite to take what is about to be written.
func (sv *serving) beginWrite() (time.Time, error) {
	sv.v.mu.Lock()
	defer sv.v.mu.Unlock()
	sv.idle, sv.stuck = time.Time{}, time.Now()
	return sv.stuck, sv.s.SetDeadline(sv.stuck.Add(serveWrite))
}
