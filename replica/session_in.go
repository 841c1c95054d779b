package replica

import "boucan/record"

// compared takes a reconcile message: the peer's question, or its answer to ours.
func (s *session) compared(msg []byte) error {
	if s.rounds++; s.rounds > maxRounds {
		return s.broke(errUseless)
	}
	if s.begins {
		return s.learn(msg)
	}
	s.mu.Lock()
	waiting := s.out.message != nil
	s.mu.Unlock()
	if waiting { // one question at a time
		return s.broke(errFrame)
	}
	s.set.mu.RLock()
	reply, err := reconciler{limit: maxMessage}.answer(s.set.order, msg)
	s.set.mu.RUnlock()
	if err != nil {
		return s.broke(err)
	}
	s.mu.Lock()
	s.out.message = reply
	s.mu.Unlock()
	s.poke()
	return nil
}

// found collects what an answer told.
type found struct {
	runs  []run
	needs []record.ID
}

func (f *found) have(first, last item) { f.runs = append(f.runs, run{first, last}) }
func (f *found) need(id record.ID)     { f.needs = append(f.needs, id) }

// learn takes the peer's answer.
func (s *session) learn(msg []byte) error {
	s.mu.Lock()
	unasked := s.out.complete || s.out.message != nil
	s.mu.Unlock()
	if unasked {
		return s.broke(errFrame)
	}
	var f found
	s.set.mu.RLock()
	next, err := reconciler{limit: maxMessage}.learn(s.set.order, msg, &f)
	s.set.mu.RUnlock()
	if err != nil {
		return s.broke(err)
	}
	needs, err := s.worthAsking(f.needs)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.runs = append(s.out.runs, f.runs...)
	s.out.needs = append(s.out.needs, needs...)
	for _, id := range needs {
		s.out.outstanding[id] = struct{}{}
	}
	s.out.message, s.out.complete = next, next == nil
	s.poke()
	return nil
}

// worthAsking leaves out what would be refused, what this peer did not deliver, and
// what another session is fetching.
func (s *session) worthAsking(ids []record.ID) ([]record.ID, error) {
	worth := ids[:0]
	for _, id := range ids {
		gone, err := s.set.takenDown(id)
		switch {
		case err != nil:
			return nil, err
		case gone || s.set.waiting.has(id) || s.syncer.refusals.has(id, s.set.loosened.Load()) || s.syncer.isMissing(s.peer, id):
		case !s.syncer.claims.take(s, id):
			s.mu.Lock()
			s.tally.later = true
			s.mu.Unlock()
		default:
			worth = append(worth, id)
		}
	}
	return worth, nil
}

// wanted takes ids that the peer asks for.
func (s *session) wanted(payload []byte) error {
	ids, err := splitIDs(payload)
	if err != nil || s.begins {
		return s.broke(errFrame)
	}
	held := s.set.Len()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tally.asked += len(ids); s.tally.asked > held+maxUseless {
		return s.broke(errUseless)
	}
	if len(s.out.asked) >= MaxOpenWants {
		return s.broke(errFrame)
	}
	s.out.asked = append(s.out.asked, ids)
	s.poke()
	return nil
}

// answered hears that the oldest want has been answered. What of it has not come
// the peer does not have, although it named it.
func (s *session) answered(payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(payload) > 0 || len(s.out.wants) == 0 {
		return s.broke(errFrame)
	}
	for _, id := range s.out.wants[0] {
		if _, ok := s.out.outstanding[id]; ok {
			delete(s.out.outstanding, id)
			s.syncer.claims.drop(s, id)
			s.syncer.miss(s.peer, id)
		}
	}
	s.out.wants = s.out.wants[1:]
	s.poke()
	return nil
}

// peerDone hears that the peer has nothing more to say. The side that began says so
// first.
func (s *session) peerDone(payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(payload) > 0 || (s.begins && !s.out.done) {
		return s.broke(errFrame)
	}
	s.out.complete = true
	s.poke()
	return nil
}
