package share

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"boucan/share/dropdir"
)

const (
	// presenceEvery is how often it is seen whether the folder is there.
	presenceEvery = 3 * time.Second
	// Everything is looked at now and then, for hints may be missing: rarely
	// where the system tells of every change, and never for more than one part
	// in lookShare of the time.
	lookWatched   = 10 * time.Minute
	lookUnwatched = 30 * time.Second
	lookShare     = 50
)

// follower follows what people do to the folder by hand (docs/decisions/
// 0003-folder.md).
//
// A look compares the folder with the index, both in the order of the paths, so
// that neither is ever held whole. What is new or changed goes to examiners,
// who hash it once it has settled; the collector writes what they found to the
// index, in batches, and has it told of. What is missing is judged when no more
// goes missing.
type follower struct {
	b       *Blobs
	tell    func(ctx context.Context, r report) bool
	watch   func(ctx context.Context, hint func(path string), complete func(bool))
	results chan result
	large   chan exam     // files that take so long that a look does not wait for them
	watched atomic.Bool   // the system tells of every change
	ready   chan struct{} // closed when watching has begun or is known to fail
	begun   sync.Once

	mu        sync.Mutex
	unsettled unsettled
	inLarge   map[string]bool // paths on their way through large
	largeOver bool            // there were more
	again     bool            // something failed: look at all again

	said    Condition // as the log knows; this and missing are for follow only
	missing missing   // what a look did not find
}

// report is what the catalog is to be told of, in this order.
type report struct {
	appeared, vanished []File
}

func newFollower(b *Blobs, tell func(context.Context, report) bool) *follower {
	const (
		maxResults = 1024 // that wait to be written
		maxLarge   = 1024 // files that wait; the others come with a later look
	)
	return &follower{
		b: b, tell: tell, watch: b.dir.Watch, results: make(chan result, maxResults), large: make(chan exam, maxLarge),
		unsettled: unsettled{files: make(map[string]writing)},
		inLarge:   make(map[string]bool), ready: make(chan struct{}),
	}
}

// run follows the folder until ctx ends.
func (f *follower) run(ctx context.Context) {
	var collecting, others sync.WaitGroup
	collecting.Go(func() { f.collect(ctx) })
	others.Go(func() { f.examineLarge(ctx) })
	others.Go(func() { f.watch(ctx, f.b.hints.add, f.watching) })
	f.follow(ctx)
	others.Wait()
	close(f.results)
	collecting.Wait()
}

// watching is told when a watch begins, and whether it will tell of everything.
// What changed before it went unseen.
func (f *follower) watching(complete bool) {
	first := false
	f.begun.Do(func() {
		first = true
		f.watched.Store(complete)
		close(f.ready)
	})
	if !first && (f.watched.Swap(complete) != complete || complete) {
		f.b.hints.add("")
	}
}

func (f *follower) follow(ctx context.Context) {
	select {
	case <-f.ready: // else all would be looked at twice
	case <-ctx.Done():
	}
	var last, took time.Duration // since start: end and length of the last look at all
	start := time.Now()
	all := true
	for ctx.Err() == nil {
		wait := presenceEvery
		if f.isPresent() {
			paths, due := f.due(time.Now())
			if all || time.Since(start)-last > f.interval(took) {
				paths = []string{""}
			}
			if len(paths) > 0 {
				began := time.Now()
				f.look(ctx, paths)
				if all = false; paths[0] == "" {
					last, took = time.Since(start), time.Since(began)
				}
				continue
			}
			wait = min(due, wait)
			if len(f.missing.paths) > 0 {
				// Without the folder nothing could be said to be gone from it, and a
				// disk in trouble can lose names without a word.
				left := f.missing.wait(time.Now())
				if left <= 0 && !f.b.answers() {
					f.missing.first, f.missing.last = time.Now(), time.Now()
					left = goneQuiet
				}
				if left <= 0 {
					f.lookFailed(ctx, f.judge(ctx))
					continue
				}
				wait = min(left, wait)
			}
		} else {
			all, f.missing = true, missing{}
		}
		f.sleep(ctx, wait)
	}
}

// interval is how long after a look at all the next one comes.
func (f *follower) interval(took time.Duration) time.Duration {
	if f.watched.Load() {
		return max(lookWatched, took*lookShare)
	}
	return max(lookUnwatched, took*lookShare)
}

// due returns what to look at now, or else how long to wait for what is known
// to come.
func (f *follower) due(now time.Time) (paths []string, wait time.Duration) {
	hinted, wait := f.b.hints.take(now)
	f.mu.Lock()
	defer f.mu.Unlock()
	written, until := f.unsettled.take(now)
	if f.again {
		f.again = false
		f.unsettled.over = true
	}
	if wait == 0 || until > 0 && until < wait {
		wait = until
	}
	if wait == 0 {
		wait = presenceEvery
	}
	if len(hinted) > 0 && hinted[0] == "" || len(written) > 0 && written[0] == "" {
		return []string{""}, 0
	}
	return append(hinted, written...), wait
}

// sleep waits for a hint, but no longer than wait.
func (f *follower) sleep(ctx context.Context, wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-f.b.hints.wake:
	}
}

// look is one look at some paths, each a file or a folder, or at all.
type look struct {
	f       *follower
	exams   chan exam
	open    sync.WaitGroup // exams without a result, and results not yet written
	known   int64          // files offered when it began
	placed  uint64         // of Blobs, when it began
	trust   bool           // the operator confirmed what is there
	suspect map[string]bool

	missing []string // paths that the index knows and the folder does not
	more    int      // and how many more
}

func (f *follower) look(ctx context.Context, paths []string) {
	const maxJobs = 64 // that wait for an examiner
	began := time.Now()
	l := &look{
		f: f, exams: make(chan exam, maxJobs), known: f.b.readTally().files, placed: f.b.placed.Load(),
		suspect: f.b.suspects.take(),
	}
	l.trust = paths[0] == "" && f.b.confirmed.Swap(false)
	var examiners sync.WaitGroup
	for range f.b.o.Workers {
		examiners.Go(func() {
			o := f.b.dir.Opener()
			defer o.Close()
			for j := range l.exams {
				f.examine(ctx, o, j)
			}
		})
	}
	var err error
	for _, path := range paths {
		if err = l.compare(ctx, path); err != nil {
			break
		}
	}
	close(l.exams)
	examiners.Wait()
	l.open.Wait()
	f.mu.Lock()
	f.unsettled.pass(paths, began)
	f.mu.Unlock()
	f.lookFailed(ctx, err)
}

// lookFailed logs what stopped a look, has all looked at again, and waits so
// that a fault that stays is not met over and over.
func (f *follower) lookFailed(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	f.b.log.Warn("could not look through the shared folder", "err", err)
	f.failed()
	t := time.NewTimer(presenceEvery)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// failed makes another look at all come.
func (f *follower) failed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.again = true
}

// compare goes through folder and index at or below path, side by side.
func (l *look) compare(ctx context.Context, path string) error {
	c, err := newCursor(l.f.b.index, path)
	if err != nil {
		return err
	}
	err = l.f.b.dir.Walk(ctx, path, func(e dropdir.Entry) error {
		for c.ok && c.path < e.Path {
			l.miss(c.path, c.known)
			if err := c.next(); err != nil {
				return err
			}
		}
		if e.Unreadable {
			return c.skip(e.Path)
		}
		if !c.ok || c.path != e.Path {
			l.found(ctx, e)
			return nil
		}
		l.met(ctx, e, c.known)
		return c.next()
	})
	for err == nil && c.ok {
		l.miss(c.path, c.known)
		err = c.next()
	}
	return err
}

// found is for a file that the index does not know.
func (l *look) found(ctx context.Context, e dropdir.Entry) {
	if !e.Temporary {
		l.send(ctx, exam{entry: e, look: l})
	}
}

// met is for a file that the index knows.
func (l *look) met(ctx context.Context, e dropdir.Entry, k known) {
	switch {
	case l.f.b.mends.has(e.Path): // the hand is ours
	case !k.same(e), k.held && !k.rotten, l.suspect[e.Path]:
		l.send(ctx, exam{entry: e, look: l, old: &k, suspect: l.suspect[e.Path]})
	default:
		l.f.mu.Lock()
		l.f.unsettled.forget(e.Path)
		l.f.mu.Unlock()
	}
}

func (l *look) send(ctx context.Context, j exam) {
	l.open.Add(1)
	select {
	case l.exams <- j:
	case <-ctx.Done():
		l.open.Done()
	}
}
