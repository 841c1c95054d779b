package share

import (
	"time"
)

// Limits of one conversation.
const (
	minWindow  = 2 * ChunkSize // bytes asked for and not there yet, of a slow peer
	maxWindow  = 4 * ChunkSize // the same, of a fast one
	maxBatches = 32            // ask frames not answered yet
	quantum    = ChunkSize     // bytes a class may take in its turn
	itemCost   = 64            // bytes counted for an item beside its content
	maxPerTurn = 256           // whole blobs a class may take in its turn
	softPulls  = 8             // blobs of a class opened, so long as one peer can feed them
	probeLimit = 4096          // wishes looked at for one guess
)

// job is one question that is out. The reader of its session owns it once it is
// asked; transfers.mu guards it.
type job struct {
	kind  itemKind
	w     *wish
	p     *pull // itemRange only
	first int   // of the chunks not answered yet
	count int   // of them
	cost  int64 // bytes still counted in session.out
	guess bool  // part of a guess that the peer has others' blobs
	asked time.Time
	taken bool // it came late, and others are asked by now
}

func (j *job) item() item {
	return item{kind: j.kind, cid: j.w.cid, first: uint32(j.first), count: uint32(j.count)}
}

// pick collects what the session's peer is to be asked next. t.mu is held.
func (t *transfers) pick(s *session, now time.Time) []*job {
	p := &picker{t: t, s: s, src: s.src, now: now, room: s.window - s.out, most: maxItems}
	if !p.src.proven {
		p.most, p.room = 1, 1
	}
	if p.src.slot < 0 {
		return nil
	}
	p.urgent()
	p.hot()
	for nothing := 0; nothing < int(classes) && p.room > 0 && len(p.jobs) < p.most; {
		c := s.turnOf
		s.turnOf = (c + 1) % classes
		if p.class(c) {
			nothing = 0
		} else {
			nothing++
		}
	}
	if len(p.jobs) == 0 && s.out == 0 {
		p.probe()
	}
	return p.jobs
}

// picker collects the jobs of one ask frame.
type picker struct {
	t     *transfers
	s     *session
	src   *source
	now   time.Time
	room  int64 // bytes left in the session's window
	most  int   // jobs
	guess bool
	jobs  []*job
}

func (p *picker) add(j *job) {
	j.asked, j.guess = p.now, p.guess
	p.room -= j.cost
	p.s.out += j.cost
	p.jobs = append(p.jobs, j)
}

// wish adds the first question about a wish, if that is possible now.
func (p *picker) wish(w *wish) bool {
	return (w.class == classWhole || p.startable(w)) && p.ask(w)
}

// ask is wish for one that may be started.
func (p *picker) ask(w *wish) bool {
	if len(p.jobs) >= p.most {
		return false
	}
	if w.mends && w.class != classWhole {
		p.t.begin(w, Manifest{CID: w.cid, Size: w.size})
		return w.pull != nil
	}
	j := &job{kind: itemWhole, w: w, cost: w.size + itemCost}
	if w.class != classWhole {
		p.t.starting++
		j.kind, j.cost = itemManifest, int64(Chunks(w.size))*leafSize+itemCost
	}
	w.asked++
	p.add(j)
	return true
}

// startable reports whether one more blob of several chunks may be opened.
func (p *picker) startable(w *wish) bool {
	t := p.t
	if t.starting >= maxStarting || len(t.pulls)+t.starting >= maxPulls || t.pulls[w.cid] != nil {
		return false
	}
	leaves := int64(Chunks(w.size)) * leafSize
	if t.leafBytes+leaves > maxLeafBytes && len(t.pulls) > 0 {
		return false
	}
	feedable := 0
	for _, o := range t.open[w.class] {
		if t.q.able(p.src, o.w) {
			feedable++
		}
	}
	return feedable < softPulls
}

// hot asks for what the peer said to have.
func (p *picker) hot() {
	hot := p.src.hot
	for len(hot) > 0 && p.room > 0 && len(p.jobs) < p.most {
		w := p.t.q.wishes[hot[0]]
		if w != nil && p.t.q.free(w) && p.t.q.able(p.src, w) && !p.wish(w) {
			break // no more may be opened now
		}
		hot = hot[1:]
	}
	if p.src.hot = hot; len(hot) == 0 {
		p.src.hot = nil
	}
}

// class lets one class take its turn and reports whether it took anything.
func (p *picker) class(c class) bool {
	if c != classWhole {
		return p.chunk(c)
	}
	left, n := min(p.room, quantum), 0
	p.t.q.scan(p.src, c, func(w *wish) bool {
		if left <= 0 || n >= maxPerTurn || !p.wish(w) {
			return false
		}
		left -= w.size + itemCost
		n++
		return true
	})
	return n > 0
}

// chunk takes one chunk of the oldest open pull that the peer may feed, and
// opens one more pull where that is allowed.
func (p *picker) chunk(c class) bool {
	took := false
	p.t.q.scan(p.src, c, func(w *wish) bool {
		if took || !p.wish(w) {
			return false
		}
		took = true
		return true
	})
	for _, o := range p.t.open[c] {
		if !o.ready || !p.t.q.able(p.src, o.w) {
			continue
		}
		if i, ok := o.take(p.src); ok {
			o.moved = p.now
			p.addChunk(o, i)
			return true
		}
	}
	return took
}

// addChunk adds a chunk, to the last item where it follows on that.
func (p *picker) addChunk(o *pull, i int) {
	_, length := o.m.Chunk(i)
	if n := len(p.jobs); n > 0 {
		j := p.jobs[n-1]
		if j.p == o && j.first+j.count == i && j.count < maxRange {
			j.count++
			j.cost += int64(length)
			p.room -= int64(length)
			p.s.out += int64(length)
			return
		}
	}
	if len(p.jobs) >= p.most {
		o.asked--
		o.putBack(i)
		return
	}
	p.add(&job{kind: itemRange, w: o.w, p: o, first: i, count: 1, cost: int64(length)})
}

// probe guesses that the peer has blobs that their authors are being asked for,
// and asks for some from the other end of the queue. A guess that comes true is
// followed by a larger one, any other by a pause.
func (p *picker) probe() {
	if p.now.Before(p.src.probeAt) || p.src.guesses > 0 {
		return
	}
	left := p.src.probe
	p.guess = true
	for c := range classes {
		p.t.q.scanBack(p.src, c, probeLimit, func(w *wish) bool {
			if left <= 0 || p.room <= 0 || !p.wish(w) {
				return false
			}
			left--
			return true
		})
	}
	p.src.guesses, p.src.guessed = len(p.jobs), false
}

// answered notes how one question of a guess came out. The last one decides
// about the next guess.
func (s *source) answered(right bool, now time.Time) {
	s.guessed = s.guessed || right
	if s.guesses--; s.guesses > 0 {
		return
	}
	if s.guessed {
		s.probe, s.probeAt, s.probeWait = min(largeProbe, 2*s.probe), now, 0
		return
	}
	s.probeWait = max(firstProbe, min(lastProbe, 2*s.probeWait))
	s.probe, s.probeAt = smallProbe, now.Add(s.probeWait)
}

// anything reports whether there is something to ask the source for now. It is
// pick without asking. t.mu is held.
func (t *transfers) anything(src *source, now time.Time) bool {
	if src.slot < 0 {
		return false
	}
	if t.urgentFor(src, now) {
		return true
	}
	for _, cid := range src.hot {
		if w := t.q.wishes[cid]; w != nil && t.q.free(w) && t.q.able(src, w) {
			return true
		}
	}
	src.hot = nil
	found := false
	for c := range classes {
		for _, o := range t.open[c] {
			if o.ready && o.todo.next(o.low) >= 0 && t.q.able(src, o.w) {
				return true
			}
		}
		t.q.scan(src, c, func(*wish) bool { found = true; return false })
		if !found && !now.Before(src.probeAt) {
			t.q.scanBack(src, c, probeLimit, func(*wish) bool { found = true; return false })
		}
		if found {
			return true
		}
	}
	return false
}

// settle takes a question off the books that is answered, refused or lost; right
// says that the peer had the blob. What is left of a range was not answered.
// t.mu is held.
func (t *transfers) settle(s *session, j *job, right bool) {
	s.out -= j.cost
	j.cost = 0
	if j.guess {
		s.src.answered(right, time.Now())
	}
	if j.kind == itemManifest {
		t.starting--
	}
	if j.kind == itemRange {
		for ; j.count > 0; j.first, j.count = j.first+1, j.count-1 {
			t.lost(j.p, j.first)
		}
		return
	}
	if !j.taken {
		j.taken = true
		j.w.asked--
		return
	}
	j.w.late--
	t.q.maybe(s.src, j.w) // it was late, which is no answer
}

// lost makes a chunk one to be asked for again. t.mu is held.
func (t *transfers) lost(p *pull, i int) {
	p.asked--
	if p.ready {
		p.putBack(i)
	}
}

// tookChunk takes one chunk of a range off the books that has come. It still
// counts as asked for until it is stored. t.mu is held.
func (j *job) tookChunk(s *session) {
	_, length := j.p.m.Chunk(j.first)
	j.first, j.count = j.first+1, j.count-1
	j.cost -= int64(length)
	s.out -= int64(length)
}
