package share

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"boucan/record"
)

// How small blobs are gathered before they are made durable together.
const (
	slabFiles  = 1024                   // blobs in one slab
	slabTime   = 100 * time.Millisecond // until a slab is handed on that is not full
	groupFiles = 4096                   // blobs in one group
	groupTime  = 25 * time.Millisecond  // until a small group is stored
	groupEager = 256                    // blobs that need not wait for more
)

// errMismatch says that bytes are not those of their name.
var errMismatch = errors.New("SHA-256 does not match")

// slab is a buffer of ChunkSize bytes: one chunk of a large blob, or many small
// blobs. There are Options.Chunks of them, and whoever holds one gives it back.
type slab struct {
	buf   []byte
	used  int
	files []landFile
	since time.Time // when the first file came, or it was taken to wait for one
}

// landFile is one small blob in a slab.
type landFile struct {
	w    *wish
	data []byte
	src  record.Key // who sent it
}

// ready makes the slab one to be filled.
func (l *slab) ready() *slab {
	if l.buf == nil {
		l.buf = make([]byte, ChunkSize)
	}
	l.since = time.Now()
	return l
}

func (l *slab) free() int { return len(l.buf) - l.used }

// add notes that the next size bytes are those of w.
func (l *slab) add(w *wish, size int) {
	if len(l.files) == 0 {
		l.since = time.Now()
	}
	l.files = append(l.files, landFile{w: w, data: l.buf[l.used : l.used+size : l.used+size]})
	l.used += size
}

// giveBack empties a slab and makes it free.
func (t *transfers) giveBack(l *slab) {
	clear(l.files)
	l.used, l.files = 0, l.files[:0]
	t.slabs <- l
}

// task is a slab to be verified: chunk number chunk of p, or small blobs where p
// is nil.
type task struct {
	s     *session
	slab  *slab
	p     *pull
	chunk int
	data  []byte
}

// drop lets go of what a task holds without looking at it.
func (t *transfers) drop(k task) {
	t.mu.Lock()
	if k.p != nil {
		t.lost(k.p, k.chunk)
		t.q.release(k.p.w)
	}
	for _, f := range k.slab.files {
		f.w.asked--
		t.q.release(f.w)
	}
	t.mu.Unlock()
	t.giveBack(k.slab)
}

// work verifies slabs until there are no more to come.
func (t *transfers) work() {
	for k := range t.tasks {
		if k.p != nil {
			t.workChunk(k)
		} else {
			t.workFiles(k)
		}
	}
}

// workChunk verifies one chunk of a large blob and writes it to its place.
func (t *transfers) workChunk(k task) {
	defer t.giveBack(k.slab)
	if !k.p.m.VerifyChunk(k.chunk, k.data) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lost(k.p, k.chunk)
		t.wrong(k.s, k.p.w, k.chunk)
		t.q.release(k.p.w)
		return
	}
	if !t.beginWrite(k.p, k.chunk) {
		return
	}
	k.p.disk.Lock()
	err := k.p.land.write(k.chunk, k.data)
	k.p.disk.Unlock()
	t.endWrite(k.p, k.chunk, err)
}

// beginWrite reports whether a verified chunk is to be written.
func (t *transfers) beginWrite(p *pull, i int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.asked--
	if !p.ready || p.have.has(i) {
		return false
	}
	p.have.set(i)
	p.todo.clear(i)
	p.writing++
	return true
}

// endWrite notes that a chunk has been written, or could not be.
func (t *transfers) endWrite(p *pull, i int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.writing--
	p.moved = time.Now()
	delete(p.late, i)
	if err == nil {
		p.left--
		t.shows(p.w.cid)
	} else {
		p.have.clear(i)
		p.end = max(p.end, endKeep)
		p.ready = false
		switch {
		case p.w.dropped:
		case p.land.mend != nil && !errors.Is(err, ErrFull):
			t.hold(p.w) // that one file cannot be written
		default:
			t.pause(err)
		}
	}
	t.settlePull(p)
}

// workFiles verifies the small blobs of a slab and hands on what is right.
func (t *transfers) workFiles(k task) {
	right := k.slab.files[:0]
	for _, f := range k.slab.files {
		f.src = k.s.src.key
		switch {
		case sha256.Sum256(f.data) != f.w.cid.Digest():
			t.mu.Lock()
			f.w.asked--
			t.wrong(k.s, f.w, 0)
			t.q.release(f.w)
			t.mu.Unlock()
		case int64(len(f.data)) != f.w.size:
			t.mu.Lock()
			f.w.asked--
			if !f.w.dropped {
				t.liedSize(f.w, int64(len(f.data)))
			}
			t.mu.Unlock()
		default:
			right = append(right, f)
		}
	}
	clear(k.slab.files[len(right):])
	if k.slab.files = right; len(right) == 0 {
		t.giveBack(k.slab)
		return
	}
	t.landed <- k.slab // has room for every slab
}

// land stores verified small blobs in groups until there are no more to come.
func (t *transfers) land(ctx context.Context) {
	for first := range t.landed {
		group := t.gather(first)
		t.landGroup(ctx, group)
		for _, l := range group {
			t.giveBack(l)
		}
	}
}

// gather collects what is there, and waits a moment where that is little.
func (t *transfers) gather(first *slab) []*slab {
	group, files := []*slab{first}, len(first.files)
	timer := time.NewTimer(groupTime)
	defer timer.Stop()
	for len(group) < cap(t.slabs)/2 && files < groupFiles {
		var l *slab
		select {
		case l = <-t.landed:
		default:
			if files >= groupEager {
				return group
			}
			select {
			case l = <-t.landed:
			case <-timer.C:
			}
		}
		if l == nil {
			return group // the time is over, or there are no more to come
		}
		group, files = append(group, l), files+len(l.files)
	}
	return group
}

// landGroup stores one group.
func (t *transfers) landGroup(ctx context.Context, group []*slab) {
	n := 0
	for _, l := range group {
		n += len(l.files)
	}
	files, ws := make([]landFile, 0, n), make([]whole, 0, n)
	t.mu.Lock()
	for _, l := range group {
		for _, f := range l.files {
			if f.w.dropped {
				continue
			}
			files = append(files, f)
			ws = append(ws, whole{f.w.wanted(), f.data})
		}
	}
	t.mu.Unlock()
	if len(ws) == 0 {
		return
	}
	errs, err := t.b.landWhole(ctx, ws)
	t.mu.Lock()
	defer t.mu.Unlock()
	here := map[record.Key][]record.CID{}
	for i, f := range files {
		e := err
		if e == nil {
			e = errs[i]
		}
		f.w.asked--
		switch {
		case e == nil:
			t.forget(f.w)
			here[f.src] = append(here[f.src], f.w.cid)
		case f.w.dropped:
		case err != nil || errors.Is(e, ErrFull) || errors.Is(e, ErrAway):
			t.q.release(f.w)
			if ctx.Err() == nil {
				t.pause(e)
			}
		default:
			t.failed(f.w, e, "cannot store a blob that has been fetched")
		}
	}
	for src, cids := range here {
		t.worked()
		t.tellHave(&src, cids...)
	}
}
