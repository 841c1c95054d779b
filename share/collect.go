package share

import (
	"context"
	"errors"
	"time"

	"boucan/share/dropdir"
)

const (
	// maxReport is how many files the catalog is told of at once.
	maxReport = 1000
	// gatherFor is how long results are gathered once there is one.
	gatherFor = 20 * time.Millisecond
)

// collect writes results to the index and has them told of, in batches, until
// results is closed.
func (f *follower) collect(ctx context.Context) {
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	for first := range f.results {
		batch := []result{first}
		timer.Reset(gatherFor)
	gather:
		for len(batch) < maxReport {
			select {
			case r, ok := <-f.results:
				if !ok {
					break gather
				}
				batch = append(batch, r)
			case <-timer.C:
				break gather
			}
		}
		if err := f.flush(ctx, batch); err != nil && ctx.Err() == nil {
			f.b.log.Warn("could not index files of the shared folder", "err", err)
			f.failed()
		}
		for _, r := range batch {
			r.done()
		}
	}
}

// flush makes files durable, indexes them and has them told of.
func (f *follower) flush(ctx context.Context, batch []result) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.sync(batch); err != nil {
		return err
	}
	done := make([]indexed, len(batch))
	changes := make([]*change, len(batch))
	for i, r := range batch {
		pairs := newFile
		if r.old != nil {
			pairs = oldFile
		}
		changes[i] = weigh(pairs, r.entry.Path, r.m, func(g *group) (err error) {
			done[i], err = g.index(r, f.b.o.Now())
			return err
		})
	}
	err := f.b.commit(changes...)
	var news report
	for i, c := range changes {
		switch {
		case errors.Is(c.err, errNoManifest):
			f.b.hints.add(batch[i].entry.Path) // it went with the file's old place
		case c.err == nil:
			f.announce(&news, batch[i], done[i])
		}
	}
	if f.tell(ctx, news) {
		err = errors.Join(err, f.b.forgetGone(news.vanished))
	}
	return err
}

// sync makes durable what is to be indexed: the files themselves, and long
// manifests.
func (f *follower) sync(batch []result) error {
	files := make([]dropdir.Entry, len(batch))
	for i, r := range batch {
		files[i] = r.entry
		if !r.moved {
			if err := f.b.saveManifest(r.m); err != nil {
				return err
			}
		}
	}
	return f.b.dir.SyncByHand(files, f.b.o.Now())
}

// announce adds what became of a result to what the catalog is to be told.
func (f *follower) announce(news *report, r result, done indexed) {
	path := r.entry.Path
	if done.appeared {
		news.appeared = append(news.appeared, knownOf(r.entry, r.m.CID).file(path))
	}
	if done.rotten {
		f.b.sayDamaged(path)
		f.b.scrub.mendSoon()
	}
	if done.short != nil {
		f.b.lengthen(r.entry, *done.short)
	}
	if done.old != nil {
		news.vanished = append(news.vanished, done.old.file(path))
	}
}

// indexed is what became of a result.
type indexed struct {
	appeared bool
	rotten   bool
	short    *known // what it was before it was cut short
	old      *known // what it replaced
}

// index makes a hashed file known.
func (g *group) index(r result, at time.Time) (indexed, error) {
	path, now := r.entry.Path, knownOf(r.entry, r.m.CID)
	old, ok, err := g.lookUp(path)
	if err != nil {
		return indexed{}, err
	}
	if !ok {
		return indexed{appeared: true}, g.indexNew(path, now, r)
	}
	if old.cid == now.cid {
		return g.indexAgain(path, old, now, r)
	}
	if short := old.cutShort(r.entry); short || old.same(r.entry) {
		// Nobody wrote it, and it reads otherwise.
		bad, err := g.badChunks(old, r.m)
		if err != nil {
			return indexed{}, err
		}
		done := indexed{rotten: !old.rotten}
		if short {
			done.short = &old
		}
		return done, g.spoil(path, old, bad, at)
	}
	if err := g.vanish(path, old); err != nil {
		return indexed{}, err
	}
	return indexed{appeared: true, old: &old}, g.indexNew(path, now, r)
}

func (g *group) indexNew(path string, now known, r result) error {
	if err := g.manifestOf(r); err != nil {
		return err
	}
	return g.add(path, now)
}

// manifestOf sees to it that the manifest is known.
func (g *group) manifestOf(r result) error {
	if !r.moved {
		return g.putManifest(r.m)
	}
	n := pieces(r.m.Size)
	if n == 0 {
		return nil
	}
	_, ok, err := g.get(pieceKey(r.m.CID, n-1))
	if err == nil && !ok {
		err = errNoManifest
	}
	return err
}

// indexAgain is for a file that has the content it had: it was touched, or it
// is back.
func (g *group) indexAgain(path string, old, now known, r result) (indexed, error) {
	if err := g.manifestOf(r); err != nil || old == now {
		return indexed{}, err
	}
	g.put(pathKey(path), now.encode())
	if now.size >= movable && now.inode != 0 {
		g.put(inodeKey(now.inode), []byte(path))
	}
	if !old.held {
		return indexed{}, nil
	}
	if err := g.whole(path, old); err != nil {
		return indexed{}, err
	}
	return indexed{appeared: true}, g.offer(path, now)
}
