package replica

import (
	"encoding/binary"

	"boucan/record"
)

// plan decides what becomes of one record and lists the keys to write. It is called
// by whoever has the turn, so nothing changes but through b.
func (s *Set) plan(r *record.Record, b *batch) (unit, error) {
	if err := s.admit(r, b); err != nil {
		return unit{}, err
	}
	if r.Kind == record.KindTakedown {
		return s.planTakedown(r, b)
	}
	mark, held, err := s.heldBy(r)
	switch {
	case err != nil:
		return unit{}, err
	case held:
		return unit{pairs: mark, refused: ErrTakenDown}, nil
	}
	pairs, err := pairsOf(r, claim{})
	return unit{pairs: pairs, added: r}, err
}

// admit checks what can change between two turns.
func (s *Set) admit(r *record.Record, b *batch) error {
	if b.now >= r.Expires {
		return record.ErrExpired
	}
	if _, ok := b.added[r.ID()]; ok {
		return ErrHave
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.order.contains(itemOf(r)):
		return ErrHave
	case s.memory.blocks(r):
		return ErrBlocked
	}
	return s.memory.room(s.limits, r, b)
}

// room reports ErrQuota or ErrFull where a limit leaves no room for r.
func (m *memory) room(l Limits, r *record.Record, b *batch) error {
	u := m.authors[r.Author].plus(b.usage[r.Author])
	n := m.order.size() + b.total.records + b.total.takedowns
	if r.Kind == record.KindTakedown {
		switch {
		case u.takedowns >= l.AuthorTakedowns:
			return ErrQuota
		case n >= l.Records+l.takedownRoom():
			return ErrFull
		}
		return nil
	}
	size := int64(len(r.Encode()))
	switch {
	case u.records >= l.AuthorRecords || u.bytes+size > l.AuthorBytes:
		return ErrQuota
	case n >= l.Records || m.bytes+b.total.bytes+size > l.Bytes:
		return ErrFull
	}
	return nil
}

// pairsOf lists the keys of a record. c is the index entry of a takedown.
func pairsOf(r *record.Record, c claim) ([]pair, error) {
	pairs := append(make([]pair, 0, 4),
		pair{recordKey(r.ID()), r.Encode()},
		pair{stamped(kindPrefix(r.Kind), r.Created, r.ID()), entryValue(r)},
		pair{expiryKey(r.Expires, itemOf(r)), binary.BigEndian.AppendUint64(nil, uint64(r.Kind))},
	)
	switch r.Kind {
	case record.KindFile:
		f, err := r.File()
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{stamped(cidPrefix(f.CID), r.Created, r.ID()), expiresValue(r)})
	case record.KindMessage:
		m, err := r.Message()
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{stamped(roomPrefix(m.Room), r.Created, r.ID()), expiresValue(r)})
	case record.KindCard:
		pairs = append(pairs, pair{stamped(cardPrefix(r.Author), r.Created, r.ID()), expiresValue(r)})
	case record.KindTakedown:
		t, err := r.Takedown()
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{claimKey(t.Target, r.ID()), c.value()})
	}
	return pairs, nil
}

// removal lists what deletes a record that is here.
func removal(r *record.Record) (unit, error) {
	pairs, err := pairsOf(r, claim{})
	for i := range pairs {
		pairs[i].value = nil
	}
	return unit{pairs: pairs, removed: r}, err
}
