package replica

import (
	"context"
	"fmt"

	"boucan/record"
)

// Redated is a record made under a wrong clock, and the same with right times.
type Redated struct{ Old, New *record.Record }

// Redate puts records that this process has just signed in the place of older ones
// of its own. Each pair is exchanged whole or not at all, on disk as in memory. It
// returns the old records that went; one that is not here any more, or whose new
// one is refused, is left as it is. The error is the disk's.
func (s *Set) Redate(ctx context.Context, pairs []Redated) (gone []*record.Record, err error) {
	var added []*record.Record
	err = s.exclusive(ctx, func() error {
		b := s.newBatch()
		for _, p := range pairs {
			old, here, err := s.stored(p.Old.ID())
			if err != nil {
				return err
			}
			if _, twice := b.removed[p.Old.ID()]; !here || twice {
				continue
			}
			b.count(old, -1) // an author who has reached their share may exchange
			u, err := s.plan(p.New, b)
			b.count(old, 1)
			if err != nil && !refuses(err) {
				return err
			}
			if err != nil || u.refused != nil {
				continue
			}
			out, err := removal(old)
			if err != nil {
				return err
			}
			u.pairs, u.removed = append(u.pairs, out.pairs...), old
			b.join(u)
			gone, added = append(gone, old), append(added, p.New)
		}
		b.flush()
		return b.err
	})
	if err != nil {
		return nil, fmt.Errorf("date records anew: %w", err)
	}
	s.spread(ctx, added)
	return gone, nil
}

// IDsBy lists the records of an author and a kind that were created at or after
// since, in Unix milliseconds, oldest first, whether they have expired or not.
func (s *Set) IDsBy(author record.Key, kind record.Kind, since int64) (ids []record.ID, err error) {
	prefix := kindPrefix(kind)
	entries, failed := s.log.Scan(stamped(prefix, max(since, 0), record.ID{}), successor(prefix))
	for key, value := range entries {
		it, ok := stampOf(key)
		if e, whole := entryOf(value); ok && whole && e.author == author {
			ids = append(ids, it.id)
		}
	}
	return ids, failed()
}

// Recall puts out what others dated ahead of this node's clock by more than
// record.MaxSkew: it was taken in under a clock that was wrong. It returns how many
// records went.
func (s *Set) Recall(ctx context.Context, own record.Key) (count int, err error) {
	for {
		some := 0
		err := s.exclusive(ctx, func() error {
			ahead, err := s.ahead(own)
			if err != nil {
				return err
			}
			b := s.newBatch()
			for _, r := range ahead {
				u, err := removal(r)
				if err != nil {
					return err
				}
				b.join(u)
			}
			b.flush()
			some = len(ahead)
			return b.err
		})
		if count += some; err != nil || some == 0 {
			return count, err
		}
	}
}

// ahead lists some records that are dated ahead and not by own.
func (s *Set) ahead(own record.Key) (recs []*record.Record, err error) {
	latest := s.now().Add(record.MaxSkew).UnixMilli()
	s.mu.RLock()
	var kinds []record.Kind
	for k := range s.kinds {
		kinds = append(kinds, k)
	}
	s.mu.RUnlock()
	var ids []record.ID
	for _, k := range kinds {
		entries, failed := s.log.ScanBack(kindPrefix(k), successor(kindPrefix(k)))
		for key, value := range entries {
			it, ok := stampOf(key)
			if int64(it.created) <= latest || len(ids) == sweepPage {
				break
			}
			if e, whole := entryOf(value); ok && whole && e.author != own {
				ids = append(ids, it.id)
			}
		}
		if err := failed(); err != nil {
			return nil, fmt.Errorf("read index of records: %w", err)
		}
	}
	for _, id := range ids {
		r, ok, err := s.stored(id)
		if err != nil {
			return nil, err
		}
		if ok {
			recs = append(recs, r)
		}
	}
	return recs, nil
}
