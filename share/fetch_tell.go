package share

import (
	"time"

	"boucan/record"
)

// tellTime is how long word of what arrived is gathered before it is sent.
const tellTime = 200 * time.Millisecond

// tellHave plans to tell every connected peer that blobs are whole here, but for
// the one that sent them. t.mu is held.
func (t *transfers) tellHave(but *record.Key, cids ...record.CID) {
	t.serve.mended(cids...)
	for _, s := range t.peers {
		if but != nil && s.key == *but {
			continue
		}
		if len(s.tell) == 0 {
			s.tellAt = time.Now().Add(tellTime)
		}
		room := max(0, maxTell-len(s.tell))
		s.tell = append(s.tell, cids[:min(room, len(cids))]...)
		s.poke()
	}
}

// takeTell is the next have frame that is due, nil for none.
func (s *source) takeTell(now time.Time) []byte {
	if len(s.tell) == 0 || (now.Before(s.tellAt) && len(s.tell) < maxItems) {
		return nil
	}
	n := min(len(s.tell), maxItems)
	frame := appendHave(nil, s.tell[:n])
	if s.tell = s.tell[n:]; len(s.tell) == 0 {
		s.tell = nil
	}
	return frame
}

// heard notes that a peer said to have blobs.
func (t *transfers) heard(peer record.Key, cids []record.CID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.peers[peer]
	if s == nil {
		return
	}
	useful := false
	for _, cid := range cids {
		useful = t.q.has(s, cid) || useful
	}
	if useful {
		s.poke()
	}
}

// wakeAll lets every source look again. t.mu is held.
func (t *transfers) wakeAll() {
	for _, s := range t.peers {
		s.poke()
	}
}
