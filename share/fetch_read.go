package share

import (
	"context"
	"errors"
	"slices"
	"time"
)

// read reads the answers to what the session asked, until the stream ends.
func (s *session) read(ctx context.Context) {
	err := s.readAll(ctx)
	s.flush(ctx)
	t := s.t
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case s.closing || ctx.Err() != nil || err == nil:
		err = errEnded
	case isWire(err) || errors.Is(err, ErrManifest):
		t.cutOff(s, "a peer breaks the blob protocol; it is cut off", err)
	default:
		t.log.Debug("a blob stream broke", "err", err)
	}
	s.err = err
	for _, j := range s.jobs {
		t.settle(s, j, false)
		t.q.release(j.w)
	}
	s.jobs = nil
	t.stirAll()
	close(s.gone)
}

func (s *session) readAll(ctx context.Context) error {
	for jobs := range s.batches {
		s.in.resume()
		for _, j := range jobs {
			if err := s.readJob(ctx, j); err != nil {
				return err
			}
		}
		s.t.batchDone(s)
		if len(s.batches) == 0 {
			s.flush(ctx)
		}
	}
	return nil
}

// batchDone notes that all of an ask frame is answered.
func (t *transfers) batchDone(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.nBatch--
	s.src.poke()
}

func (s *session) readJob(ctx context.Context, j *job) error {
	switch j.kind {
	case itemWhole:
		return s.readWhole(ctx, j)
	case itemManifest:
		return s.readManifest(ctx, j)
	default:
		return s.readRange(ctx, j)
	}
}

// takeSlab waits for a free slab. It returns nil when ctx ends.
func (s *session) takeSlab(ctx context.Context) *slab {
	select {
	case slab := <-s.t.slabs:
		return slab.ready()
	default:
	}
	defer s.in.resume() // the wait is not the peer's fault
	select {
	case slab := <-s.t.slabs:
		return slab.ready()
	case <-ctx.Done():
		return nil
	}
}

// flush hands the small blobs read so far to be verified and stored.
func (s *session) flush(ctx context.Context) {
	if s.slab == nil {
		return
	}
	slab := s.slab
	s.slab = nil
	s.hand(ctx, task{s: s, slab: slab})
}

// hand gives a task to the workers. Where ctx has ended, its blobs are let go.
func (s *session) hand(ctx context.Context, k task) {
	select {
	case s.t.tasks <- k:
		return
	default:
	}
	defer s.in.resume()
	select {
	case s.t.tasks <- k:
	case <-ctx.Done():
		s.t.drop(k)
	}
}

// room makes the session's slab one with size bytes free.
func (s *session) room(ctx context.Context, size int) []byte {
	if s.slab != nil && (s.slab.free() < size || len(s.slab.files) >= slabFiles || time.Since(s.slab.since) > slabTime) {
		s.flush(ctx)
	}
	if s.slab == nil {
		if s.slab = s.takeSlab(ctx); s.slab == nil {
			return nil
		}
	}
	return s.slab.buf[s.slab.used:]
}

// readWhole reads the answer for a blob of one chunk. The record may lie about
// its size, so that only the end of the chunk tells how long it is.
func (s *session) readWhole(ctx context.Context, j *job) error {
	b := s.room(ctx, int(j.w.size))
	if b == nil {
		return errEnded
	}
	chunk, refusal, err := s.in.chunk(b, func(have []byte) []byte {
		have = slices.Clone(have)
		s.flush(ctx)
		if s.slab = s.takeSlab(ctx); s.slab == nil {
			return nil
		}
		copy(s.slab.buf, have)
		return s.slab.buf
	})
	if err != nil {
		return err
	}
	t := s.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if refusal != 0 {
		t.refused(s, j, refusal)
		return nil
	}
	j.w.asked++ // until it is stored
	s.slab.add(j.w, len(chunk))
	t.answered(s, j, len(chunk))
	return nil
}

// readManifest reads the answer for size and leaf hashes, and opens a pull when
// they are those of the CID.
func (s *session) readManifest(ctx context.Context, j *job) error {
	t := s.t
	token := false
	defer func() {
		if token {
			<-t.giant
		}
	}()
	size, leaves, refusal, err := s.in.manifest(func() {
		select {
		case t.giant <- struct{}{}:
			token = true
		case <-ctx.Done():
		}
		s.in.resume()
	})
	if err != nil {
		return err
	}
	m := Manifest{CID: j.w.cid, Size: size, Leaves: leaves}
	if refusal == 0 {
		if err := m.Verify(); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if refusal != 0 {
		t.refused(s, j, refusal)
		return nil
	}
	t.answered(s, j, len(leaves))
	if size != j.w.size {
		t.liedSize(j.w, size)
		return nil
	}
	t.shows(j.w.cid)
	t.begin(j.w, m)
	return nil
}

// readRange reads the answer for chunks of a blob, and hands each to the workers.
func (s *session) readRange(ctx context.Context, j *job) error {
	t := s.t
	for j.count > 0 {
		if s.slab != nil && time.Since(s.slab.since) > slabTime {
			s.flush(ctx) // small blobs do not wait for the end of a large one
		}
		slab := s.takeSlab(ctx)
		if slab == nil {
			return errEnded
		}
		_, length := j.p.m.Chunk(j.first)
		chunk, refusal, err := s.in.chunk(slab.buf[:length], nil)
		if err == nil && refusal == 0 && len(chunk) != length {
			err = errWireChunk
		}
		if err != nil {
			t.slabs <- slab
			return err
		}
		if refusal != 0 {
			t.slabs <- slab
			t.mu.Lock()
			t.refused(s, j, refusal)
			t.mu.Unlock()
			return nil
		}
		i := j.first
		t.tookChunk(s, j, length)
		s.hand(ctx, task{s: s, slab: slab, p: j.p, chunk: i, data: chunk})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered(s, j, 0)
	return nil
}

// tookChunk takes one chunk of a range off the books that has come. It still
// counts as asked for until it is stored.
func (t *transfers) tookChunk(s *session, j *job, length int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	j.first, j.count = j.first+1, j.count-1
	j.cost -= int64(length)
	s.out -= int64(length)
	j.p.moved = time.Now()
	s.paceWindow(length)
}

// answered takes the oldest question off the books. t.mu is held.
func (t *transfers) answered(s *session, j *job, size int) {
	s.jobs = s.jobs[1:]
	t.settle(s, j, true)
	s.src.faults, s.src.proven = 0, true
	s.paceWindow(size)
}

// paceWindow adapts how much is asked for ahead to what comes in about two
// seconds, and lets the writer ask for more. t.mu is held.
func (s *session) paceWindow(size int) {
	const short = 500 * time.Millisecond
	s.used = time.Now()
	s.came += int64(size)
	if d := s.used.Sub(s.rated); d >= short || (s.out == 0 && s.came > 0) {
		s.src.rate = float64(s.came) / max(d, time.Millisecond).Seconds()
		s.window = int64(min(float64(s.t.maxWindow()), max(minWindow, 2*s.src.rate)))
		s.came, s.rated = 0, s.used
	}
	if s.out <= s.window/2 {
		s.src.poke()
	}
}

// refused deals with an answer that says no. t.mu is held.
func (t *transfers) refused(s *session, j *job, why frameKind) {
	s.jobs = s.jobs[1:]
	refused := j.first
	t.settle(s, j, false)
	switch {
	case why == frameUnreadable && j.kind == itemRange && !j.taken && j.p.ready && j.p.lack(s.src, refused):
		// it may be asked for the others
	case why == frameBusy:
		s.src.quietTo = time.Now().Add(spread(busyPause))
	case why == frameGone:
		t.q.setBad(s.src.key, j.w.cid, true)
	default:
		t.q.no(s.src, j.w)
	}
	s.src.proven = true
	t.q.release(j.w)
	t.stir(j.w.cid)
	s.used = time.Now()
	if s.out <= s.window/2 {
		s.src.poke()
	}
}

// liedSize gives up a wish whose record lies. t.mu is held.
func (t *transfers) liedSize(w *wish, size int64) {
	t.log.Warn("a record lies about the size of its blob; it is not fetched", "blobs", 1)
	delete(t.holds, w)
	t.q.lied(w, size)
	if t.q.wishes[w.cid] == nil {
		t.failDemand(t.demands[w.cid], ErrLied)
	}
	t.wakeAll()
}

// cutOff leaves a peer alone for a while that sent what it must not have sent.
// t.mu is held.
func (t *transfers) cutOff(s *session, msg string, err error) {
	c, _ := t.cuts.get(s.src.key)
	c.until = time.Now().Add(spread(backoff(firstCut, lastCut, c.times)))
	c.times++
	t.cuts.put(s.src.key, c)
	s.src.quietTo = c.until
	t.log.Warn(msg, "err", err)
}

// wrong deals with bytes that do not match their name: the peer is told, and is
// asked for this blob again only once it says to have it anew, for its disk may have
// been repaired, and for a while for nothing at all. t.mu is held.
func (t *transfers) wrong(s *session, w *wish, chunk int) {
	t.q.setBad(s.src.key, w.cid, true)
	t.stir(w.cid)
	if s.closing {
		return
	}
	s.closing = true
	s.wrongs = append(s.wrongs, wrongChunk{w.cid, chunk})
	t.cutOff(s, "a peer sent bytes that do not match their name; it is cut off", errMismatch)
	s.src.poke()
}
