package replica

import (
	"bytes"
	"fmt"
	"iter"
	"sync"
	"time"

	"boucan/record"
)

// Get returns a living record.
func (s *Set) Get(id record.ID) (*record.Record, bool, error) {
	r, ok, err := s.stored(id)
	if !ok || err != nil || r.Expires <= s.past() {
		return nil, false, err
	}
	return r, true, nil
}

// Undoable returns the living records whose ids begin with prefix and which the secret
// can take down, at most maxUndoable.
func (s *Set) Undoable(prefix, secret []byte) ([]*record.Record, error) {
	hash, now := record.UndoHash(secret), s.past()
	from := append([]byte{prefixRecord}, prefix...)
	var found []*record.Record
	entries, failed := s.log.Scan(from, successor(from))
	for _, raw := range entries {
		r, err := record.Decode(bytes.Clone(raw))
		if err == nil && bytes.Equal(r.Undo, hash) && r.Expires > now {
			if found = append(found, r); len(found) == maxUndoable {
				break
			}
		}
	}
	if err := failed(); err != nil {
		return nil, fmt.Errorf("look for what a secret undoes: %w", err)
	}
	return found, nil
}

// stored returns a record that is on disk, whether it still lives or not.
func (s *Set) stored(id record.ID) (*record.Record, bool, error) {
	raw, ok, err := s.log.Get(recordKey(id))
	if err != nil || !ok {
		return nil, false, err
	}
	r, err := record.Decode(raw)
	if err != nil { // one that rots must not hide the others
		s.logger.Error("a record on disk is damaged", "error", err)
		return nil, false, nil
	}
	return r, true, nil
}

// All yields the living records of a kind in no order, in one pass over the table:
// what Newest reads here and there comes in a row. A record is valid until the next
// step only, and the loop must not change the set. The function returned reports what
// ended it early.
func (s *Set) All(kind record.Kind) (iter.Seq[*record.Record], func() error) {
	entries, failed := s.log.Scan([]byte{prefixRecord}, []byte{prefixRecord + 1})
	return func(yield func(*record.Record) bool) {
		past := s.past()
		for _, raw := range entries {
			r, err := record.Decode(raw)
			if err != nil { // one that rots must not hide the others
				s.logger.Error("a record on disk is damaged", "error", err)
				continue
			}
			if r.Kind == kind && r.Expires > past && !yield(r) {
				return
			}
		}
	}, failed
}

// Newest returns living records of a kind, newest first, from before a cursor on.
// The zero Cursor begins at the newest. At most limit and never more than MaxPage;
// fewer only at the end.
func (s *Set) Newest(kind record.Kind, before Cursor, limit int) ([]*record.Record, error) {
	return s.newest(kindPrefix(kind), before, limit)
}

// Messages returns living messages of a room, as Newest does.
func (s *Set) Messages(room string, before Cursor, limit int) ([]*record.Record, error) {
	return s.newest(roomPrefix(room), before, limit)
}

// ByCID returns the living file records that name a blob, newest first, at most
// MaxPage.
func (s *Set) ByCID(cid record.CID) ([]*record.Record, error) {
	return s.newest(cidPrefix(cid), Cursor{}, MaxPage)
}

// newest walks an index back. A record that goes between the look at the index and
// the read of the record is made up for by the next.
func (s *Set) newest(prefix []byte, before Cursor, limit int) ([]*record.Record, error) {
	limit = min(limit, MaxPage)
	var found []*record.Record
	for len(found) < limit {
		ids, err := s.idsBefore(prefix, before, limit-len(found))
		if err != nil {
			return nil, fmt.Errorf("read index of records: %w", err)
		}
		for _, it := range ids {
			r, ok, err := s.stored(it.id)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, r)
			}
			before = Cursor{Created: int64(it.created), ID: it.id}
		}
		if len(ids) == 0 {
			break
		}
	}
	return found, nil
}

// idsBefore lists index entries that have not expired, newest first.
func (s *Set) idsBefore(prefix []byte, before Cursor, limit int) ([]item, error) {
	past := s.past()
	var ids []item
	entries, failed := s.log.ScanBack(prefix, upTo(prefix, before))
	for key, value := range entries {
		if it, ok := stampOf(key); ok && len(key) == len(prefix)+stampSize && expiresOf(value) > past {
			ids = append(ids, it)
		}
		if len(ids) == limit {
			break
		}
	}
	return ids, failed()
}

// Rooms lists the rooms that have a living message, by name, at most MaxRooms.
func (s *Set) Rooms() ([]string, error) {
	var rooms []string
	from, end := []byte{prefixRoom}, []byte{prefixRoom + 1}
	for len(rooms) < MaxRooms {
		room, ok, err := s.firstRoom(from, end)
		if err != nil {
			return nil, fmt.Errorf("list rooms: %w", err)
		}
		if !ok {
			break
		}
		living, err := s.idsBefore(roomPrefix(room), Cursor{}, 1)
		if err != nil {
			return nil, fmt.Errorf("list rooms: %w", err)
		}
		if len(living) > 0 {
			rooms = append(rooms, room)
		}
		from = successor(roomPrefix(room))
	}
	return rooms, nil
}

func (s *Set) firstRoom(from, end []byte) (string, bool, error) {
	keys, failed := s.log.Scan(from, end)
	room, ok := firstKey(keys)
	if err := failed(); err != nil || !ok {
		return "", false, err
	}
	name, _, ok := bytes.Cut(room[1:], []byte{0})
	return string(name), ok, nil
}

func firstKey(keys iter.Seq2[[]byte, []byte]) ([]byte, bool) {
	for key := range keys {
		return bytes.Clone(key), true
	}
	return nil, false
}

// cards keeps decoded node cards.
type cards struct {
	mu     sync.Mutex
	byNode map[record.Key]card
	// changes counts what forget was told, so that a card read before a change is
	// not kept after it.
	changes int
}

type card struct {
	body    record.Card
	ok      bool
	created int64 // Unix milliseconds
	expires int64 // Unix milliseconds
}

func (c *cards) init() { c.byNode = make(map[record.Key]card) }

func (c *cards) forget(changes ...[]*record.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, recs := range changes {
		for _, r := range recs {
			if r.Kind == record.KindCard {
				c.changes++
				delete(c.byNode, r.Author)
			}
		}
	}
}

func (c *cards) get(k record.Key) (kept card, ok bool, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept, ok = c.byNode[k]
	return kept, ok, c.changes
}

func (c *cards) keep(k record.Key, read card, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if changes != c.changes {
		return
	}
	if len(c.byNode) >= maxCards {
		clear(c.byNode)
	}
	c.byNode[k] = read
}

// Card returns the newest living card of a node. It reads the disk once and answers
// from memory until something changes.
func (s *Set) Card(author record.Key) (record.Card, bool) {
	c := s.card(author)
	return c.body, c.ok
}

// Spoke is when a node made its newest living card, by its own clock; false where
// there is none. Cards travel, so that this tells of a node that was never met,
// and they outlive a restart.
func (s *Set) Spoke(author record.Key) (time.Time, bool) {
	c := s.card(author)
	return time.UnixMilli(c.created), c.ok
}

func (s *Set) card(author record.Key) card {
	kept, ok, changes := s.cards.get(author)
	if ok && (!kept.ok || kept.expires > s.past()) {
		return kept
	}
	recs, err := s.newest(cardPrefix(author), Cursor{}, 1)
	if err != nil {
		s.logger.Error("card of a node cannot be read", "error", err)
		return card{}
	}
	read := card{}
	if len(recs) > 0 {
		if read.body, err = recs[0].Card(); err == nil {
			read.ok, read.created, read.expires = true, recs[0].Created, recs[0].Expires
		}
	}
	s.cards.keep(author, read, changes)
	return read
}
