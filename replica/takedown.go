package replica

import (
	"bytes"
	"context"
	"fmt"

	"boucan/record"
)

// planTakedown writes a takedown and, where it holds, removes its target in the
// same write. One that does not hold, or not yet, is kept and counted.
func (s *Set) planTakedown(r *record.Record, b *batch) (unit, error) {
	t, err := r.Takedown()
	if err != nil {
		return unit{}, err
	}
	c := claimBy(r, t)
	target, ok, err := s.stored(t.Target)
	if err != nil {
		return unit{}, err
	}
	_, gone := b.removed[t.Target]
	if ok {
		c.state = s.judge(c, r, target)
	}
	pairs, err := pairsOf(r, c)
	u := unit{pairs: pairs, added: r}
	if err != nil || gone || c.state == claimCounted {
		return u, err
	}
	out, err := removal(target)
	u.pairs = append(u.pairs, out.pairs...)
	u.removed = target
	return u, err
}

func claimBy(r *record.Record, t record.Takedown) claim {
	c := claim{expires: r.Expires, author: r.Author}
	if len(t.Secret) > 0 {
		c.undo = record.UndoHash(t.Secret)
	}
	return c
}

// judge says whether the takedown r, of claim c, hides target on this node. One
// that would be forgotten before its target never does.
func (s *Set) judge(c claim, r, target *record.Record) claimState {
	t, err := r.Takedown()
	switch {
	case err != nil:
		return claimCounted
	case t.Holds(r.Author, r.Expires, target):
		return claimHolds
	case target.Kind != record.KindTakedown && r.Expires >= target.Expires && s.trusted(c.author):
		return claimTrusted
	}
	return claimCounted
}

// mayHold is judge on the index entry alone, so that a flood of takedowns against
// one record costs no read each. What passes is judged on the takedown itself.
func (s *Set) mayHold(c claim, target *record.Record) bool {
	if c.expires < target.Expires {
		return false
	}
	return c.author == target.Author || s.trusted(c.author) ||
		(len(target.Undo) > 0 && bytes.Equal(c.undo, target.Undo))
}

// heldBy looks for a takedown that hides r. Where the one it finds had only been
// counted so far, mark is its index entry as it should be from now on.
func (s *Set) heldBy(r *record.Record) (mark []pair, held bool, err error) {
	s.mu.RLock()
	aimed := s.memory.mayBeAimedAt(r.ID())
	s.mu.RUnlock()
	if !aimed {
		return nil, false, nil
	}
	var found []record.ID
	var claims []claim
	err = s.claims(r.ID(), func(takedown record.ID, c claim) bool {
		if s.mayHold(c, r) {
			found, claims = append(found, takedown), append(claims, c)
		}
		return len(found) < MaxPage
	})
	if err != nil {
		return nil, false, err
	}
	for i, id := range found {
		takedown, ok, err := s.stored(id)
		if err != nil {
			return nil, false, err
		}
		if !ok {
			continue
		}
		state := s.judge(claims[i], takedown, r)
		switch {
		case state == claimCounted:
			continue
		case state != claims[i].state:
			claims[i].state = state
			mark = []pair{{claimKey(r.ID(), id), claims[i].value()}}
		}
		return mark, true, nil
	}
	return nil, false, nil
}

// claims walks the takedowns against target until visit returns false.
func (s *Set) claims(target record.ID, visit func(takedown record.ID, c claim) bool) error {
	prefix := takedownPrefix(target)
	entries, failed := s.log.Scan(prefix, successor(prefix))
	for key, value := range entries {
		c, ok := claimOf(value)
		if len(key) != 1+2*idSize || !ok {
			s.logger.Error("entry of the takedown index is damaged")
			continue
		}
		if !visit(record.ID(key[1+idSize:]), c) {
			break
		}
	}
	if err := failed(); err != nil {
		return fmt.Errorf("read takedowns: %w", err)
	}
	return nil
}

// takenDown reports whether a takedown is known to hide id here. It may be false
// for a record that has never been here, or that more than MaxPage takedowns name,
// until it comes and is judged.
func (s *Set) takenDown(id record.ID) (bool, error) {
	s.mu.RLock()
	aimed := s.memory.mayBeAimedAt(id)
	s.mu.RUnlock()
	if !aimed {
		return false, nil
	}
	gone, seen := false, 0
	err := s.claims(id, func(_ record.ID, c claim) bool {
		seen++
		gone = c.state != claimCounted
		return !gone && seen < MaxPage
	})
	return gone, err
}

// HiddenBy returns who signed a takedown that hides id here: its author where one of
// several did. It looks at MaxPage takedowns at most.
func (s *Set) HiddenBy(id record.ID, author record.Key) (by record.Key, hidden bool, err error) {
	seen := 0
	err = s.claims(id, func(_ record.ID, c claim) bool {
		seen++
		if c.state != claimCounted {
			by, hidden = c.author, true
		}
		return seen < MaxPage && (!hidden || by != author)
	})
	return by, hidden, err
}

// TakedownsOf counts the authors who signed a takedown of id that is still kept,
// whether it holds here or not. It looks at MaxPage takedowns at most.
func (s *Set) TakedownsOf(id record.ID) (int, error) {
	authors, seen := make(map[record.Key]struct{}), 0
	err := s.claims(id, func(_ record.ID, c claim) bool {
		seen++
		authors[c.author] = struct{}{}
		return seen < MaxPage
	})
	return len(authors), err
}

// Retrust judges every takedown again. The caller calls it when Options.Trusted
// has changed its mind; Run does so when it starts. What a moderator hid who is no
// longer trusted comes back from peers.
func (s *Set) Retrust(ctx context.Context) error {
	from := []byte{prefixTakedown}
	for from != nil {
		var err error
		if from, err = s.retrustPage(ctx, from); err != nil {
			return err
		}
	}
	s.loosened.Add(1)
	return nil
}

// retrustPage judges some takedowns, beginning at from, and returns where to go on.
func (s *Set) retrustPage(ctx context.Context, from []byte) ([]byte, error) {
	var keys [][]byte
	var next []byte
	err := s.exclusive(ctx, func() error {
		seen := 0
		entries, failed := s.log.Scan(from, []byte{prefixTakedown + 1})
		for key, value := range entries {
			if seen++; seen > lookPage || len(keys) == sweepPage {
				next = bytes.Clone(key)
				break
			}
			c, ok := claimOf(value)
			if ok && len(key) == 1+2*idSize && c.state != claimHolds && s.trusted(c.author) != (c.state == claimTrusted) {
				keys = append(keys, bytes.Clone(key))
			}
		}
		if err := failed(); err != nil {
			return err
		}
		b := s.newBatch()
		for _, key := range keys {
			u, err := s.rejudge(record.ID(key[1:]), record.ID(key[1+idSize:]), b)
			if err != nil {
				return err
			}
			b.join(u)
		}
		b.flush()
		return b.err
	})
	if err != nil {
		return nil, fmt.Errorf("judge takedowns again: %w", err)
	}
	return next, nil
}

// rejudge writes what is now true of one takedown.
func (s *Set) rejudge(targetID, takedownID record.ID, b *batch) (unit, error) {
	r, ok, err := s.stored(takedownID)
	if err != nil || !ok {
		return unit{}, err
	}
	t, err := r.Takedown()
	if err != nil {
		return unit{}, err
	}
	c := claimBy(r, t)
	target, ok, err := s.stored(targetID)
	if err != nil {
		return unit{}, err
	}
	u := unit{}
	if _, gone := b.removed[targetID]; ok && !gone {
		if c.state = s.judge(c, r, target); c.state != claimCounted {
			if u, err = removal(target); err != nil {
				return unit{}, err
			}
		}
	}
	u.pairs = append(u.pairs, pair{claimKey(targetID, takedownID), c.value()})
	return u, nil
}
