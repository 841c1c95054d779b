package share

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"boucan/record"
)

// diskWorkers is how many blobs are opened or made durable at once.
const diskWorkers = 4

// errTwice says that run was called twice.
var errTwice = errors.New("blobs are being fetched already")

// run fetches what is wanted until ctx ends. Blobs.Run calls it once.
func (t *transfers) run(ctx context.Context) error {
	t.mu.Lock()
	if t.runs {
		t.mu.Unlock()
		return errTwice
	}
	t.runs, t.tidied = true, time.Now()
	t.mu.Unlock()
	for _, peer := range t.b.streams.Peers() {
		t.up(peer)
	}
	var sources, workers, lander, disk sync.WaitGroup
	for range hashWorkers(t.b.o.Workers) {
		workers.Go(t.work)
	}
	lander.Go(func() { t.land(ctx) })
	for range diskWorkers {
		disk.Go(func() {
			for f := range t.disk {
				f(ctx)
			}
		})
	}
	t.watch(ctx, &sources)
	sources.Wait()
	close(t.tasks)
	workers.Wait()
	close(t.landed)
	lander.Wait()
	t.endPulls()
	close(t.disk)
	disk.Wait()
	return nil
}

// hashWorkers is the number of goroutines that verify.
func hashWorkers(asked int) int {
	if asked > 0 {
		return asked
	}
	return runtime.GOMAXPROCS(0)
}

// watch gives every peer a goroutine and looks at what got stuck, until ctx
// ends.
func (t *transfers) watch(ctx context.Context, sources *sync.WaitGroup) {
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	for {
		t.startSources(ctx, sources)
		soon := make(<-chan time.Time) // never
		if t.demanded() {
			soon = time.After(urgentTick)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case now := <-soon:
			t.lookUrgent(now)
		case now := <-tick.C:
			t.look(now)
			t.tidy(now)
		}
	}
}

// startSources gives a goroutine to every source that has none.
func (t *transfers) startSources(ctx context.Context, sources *sync.WaitGroup) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.peers {
		if s.stop == nil {
			ctx, stop := context.WithCancel(ctx)
			s.stop = stop
			sources.Go(func() {
				defer stop()
				t.follow(ctx, s)
			})
		}
	}
}

// follow opens a stream to a source whenever there is something to ask or to
// tell, until ctx ends.
func (t *transfers) follow(ctx context.Context, src *source) {
	for ctx.Err() == nil {
		wait, ready := t.ready(src)
		if !ready {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-src.wake:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		if err := t.converse(ctx, src); err != nil && ctx.Err() == nil && !errors.Is(err, errEnded) {
			t.fault(src)
		}
	}
}

// ready reports whether a stream is worth opening; if not, when to look again.
func (t *transfers) ready(src *source) (wait time.Duration, ready bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.peers[src.key] != src {
		return time.Hour, false // it is down; its goroutine is about to end
	}
	t.newRounds(src, now)
	if now.Before(src.quietTo) {
		t.leaveTurns(src)
		return src.quietTo.Sub(now), false
	}
	if len(src.tell) > 0 && !now.Before(src.tellAt) {
		return 0, true
	}
	switch {
	case now.Before(t.pausedTo):
		t.leaveTurns(src)
	case t.anything(src, now):
		if t.takeTurn(src, 0, now, t.urgentFor(src, now)) {
			return 0, true
		}
	default:
		t.leaveTurns(src)
		t.roundEnded(src, now)
	}
	return t.waitTime(src, now), false
}

// fault leaves a source alone for a moment whose stream broke.
func (t *transfers) fault(src *source) {
	t.mu.Lock()
	defer t.mu.Unlock()
	to := time.Now().Add(spread(backoff(firstFault, lastFault, src.faults)))
	src.faults++
	src.proven = false
	if to.After(src.quietTo) {
		src.quietTo = to
	}
}

// look deals with what got stuck.
func (t *transfers) look(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unhold(now)
	t.seatNext(now)
	t.seekAuthors(now)
	if t.q.roomBelow > 0 && now.After(t.roomlessTo) {
		t.q.roomBelow = 0
		t.q.releaseAll()
	}
	for _, p := range t.pulls {
		if p.ready && p.asked == 0 && p.writing == 0 && now.Sub(p.moved) > parkTime && t.demands[p.w.cid] == nil {
			t.endPull(p, endKeep)
		}
	}
	for s := range t.sessions {
		t.lookLate(s, now)
		if s.src.turn && len(t.turnQueue) > 0 && s.out > 0 && now.Sub(s.src.turnAt) > 2*turnTime {
			t.log.Warn("a peer kept others waiting; its stream is closed")
			s.closing = true
			s.src.faults++
			s.src.quietTo = now.Add(spread(backoff(firstFault, lastFault, s.src.faults)))
			s.src.poke()
		}
	}
	if len(t.sessions) == 0 && len(t.pulls) == 0 {
		t.thin()
	}
}

// lookLate asks others for what a source has owed for long, or for less long
// where a much faster one has nothing to do. t.mu is held.
func (t *transfers) lookLate(s *session, now time.Time) {
	for _, j := range s.jobs {
		age := now.Sub(j.asked)
		if age < soonTime {
			return // the following are younger
		}
		if j.taken || (age < lateTime && !t.fasterIdle(s, j.w)) || !t.q.others(s.src, j.w) {
			continue
		}
		t.askOthers(s, j)
	}
}

// askOthers lets others be asked for what a session still owes. t.mu is held.
func (t *transfers) askOthers(s *session, j *job) {
	j.taken = true
	if j.kind != itemRange {
		j.w.asked--
		j.w.late++
		t.q.no(s.src, j.w) // until it answers
	} else if p := j.p; p.ready {
		if p.late == nil {
			p.late = map[int]*source{}
		}
		for i := j.first; i < j.first+j.count; i++ {
			p.late[i] = s.src
			p.putBack(i)
		}
	}
	t.q.release(j.w)
}

// fasterIdle reports whether a source that is not busy gave at least four times
// as much a second as this session does, and is able to give w. t.mu is held.
func (t *transfers) fasterIdle(s *session, w *wish) bool {
	busy := map[*source]bool{s.src: true}
	for o := range t.sessions {
		if len(o.jobs) > 0 {
			busy[o.src] = true
		}
	}
	slow := float64(s.came) / max(1, time.Since(s.rated).Seconds())
	for _, o := range t.q.sources {
		if o != nil && !busy[o] && o.proven && o.rate > 4*slow && t.q.able(o, w) {
			return true
		}
	}
	return false
}

// thin lets go of the memory of slabs while nothing is fetched. t.mu is held.
func (t *transfers) thin() {
	for range len(t.slabs) {
		select {
		case l := <-t.slabs:
			*l = slab{}
			t.slabs <- l
		default:
			return
		}
	}
}

// tidy deletes partial files that nobody has wanted for long.
func (t *transfers) tidy(now time.Time) {
	t.mu.Lock()
	due := now.Sub(t.tidied) > tidyTime
	if due {
		t.tidied = now
	}
	t.mu.Unlock()
	if !due {
		return
	}
	cids, err := t.b.partials()
	if err == nil {
		var stale []record.CID
		t.mu.Lock()
		for _, cid := range cids {
			if t.q.wishes[cid] == nil && t.pulls[cid] == nil {
				stale = append(stale, cid)
			}
		}
		t.mu.Unlock()
		err = t.b.dropPartial(stale...)
	}
	if err != nil {
		t.log.Warn("cannot delete partial files", "err", err)
	}
}

// endPulls puts away every open pull and waits for that.
func (t *transfers) endPulls() {
	for {
		t.mu.Lock()
		n := len(t.pulls)
		for _, p := range t.pulls {
			t.endPull(p, endKeep)
		}
		t.mu.Unlock()
		if n == 0 {
			return
		}
		<-t.wake
	}
}
