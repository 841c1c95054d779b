package replica

import (
	"context"
	"fmt"

	"boucan/record"
)

// outbox is what a session has to say. The reader and the disk put in, the writer
// takes out. Every part is bounded by the protocol: one message at a time, at most
// MaxOpenWants frames of wants, runs only while fewer than maxRuns wait.
type outbox struct {
	hello   []byte
	message []byte        // the next frameReconcile, nil if there is none
	needs   []record.ID   // to ask for
	wants   [][]record.ID // asked for, oldest first, until answered
	asked   [][]record.ID // asked for by the peer, oldest first
	runs    []run         // of records that the peer lacks
	page    []record.ID   // the beginning of the first run
	// outstanding is what was asked for and has not come.
	outstanding map[record.ID]struct{}
	// latest is the creation time, in Unix milliseconds, after which the peer would
	// refuse a record as dated ahead, by the clock in its hello.
	latest   uint64
	complete bool // no further message will be put in
	done     bool // frameDone has been sent
}

// run is neighbouring records, none of which the peer had when they were compared.
type run struct{ first, last item }

// pageItems is how many ids of a run are looked up at a time.
const pageItems = 256

func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write sends what the outbox holds until frameDone has left. What it gathered goes
// out as soon as there is nothing to add.
func (s *session) write(ctx context.Context) error {
	w := s.writer()
	for {
		t, payload, err := s.next()
		if err != nil {
			s.cancel(err)
			return err
		}
		if t != 0 {
			s.frame = appendFrame(s.frame[:0], t, payload)
			if _, err := w.Write(s.frame); err != nil {
				return s.cannotWrite(err)
			}
			if t != frameDone {
				continue
			}
		}
		if err := w.Flush(); err != nil {
			return s.cannotWrite(err)
		}
		if t == frameDone {
			return nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// cannotWrite leaves the session to the reader: a peer that closed may have said
// why, and if it said nothing, reading fails too.
func (s *session) cannotWrite(err error) error { return fmt.Errorf("write to peer: %w", err) }

// next chooses what to send, 0 for nothing now. What keeps the comparison going
// comes before records, so that they travel while the next message is answered.
func (s *session) next() (frameType, []byte, error) {
	s.mu.Lock()
	o := &s.out
	switch {
	case o.hello != nil:
		b := o.hello
		o.hello = nil
		s.mu.Unlock()
		return frameHello, b, nil
	case len(o.needs) > 0 && len(o.wants) < MaxOpenWants:
		ids := o.needs[:min(len(o.needs), MaxWant)]
		o.needs = o.needs[len(ids):]
		o.wants = append(o.wants, ids)
		s.mu.Unlock()
		return frameWant, joinIDs(ids), nil
	case o.message != nil && len(o.needs) == 0 && len(o.runs) <= maxRuns:
		b := o.message
		o.message = nil
		s.mu.Unlock()
		return frameReconcile, b, nil
	}
	s.mu.Unlock()
	payload, err := s.pack()
	if err != nil || len(payload) > 0 {
		return frameRecords, payload, err
	}
	return s.close()
}

// close is what to send when no record is left to send.
func (s *session) close() (frameType, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.out
	switch {
	case len(o.asked) > 0 && len(o.asked[0]) == 0:
		o.asked = o.asked[1:]
		return frameAnswered, nil, nil
	case o.complete && o.message == nil && len(o.needs)+len(o.wants)+len(o.asked)+len(o.runs)+len(o.page) == 0:
		o.done = true
		return frameDone, nil, nil
	}
	return 0, nil, nil
}

// pack fills a frame with records to send.
func (s *session) pack() ([]byte, error) {
	payload := s.payload[:0]
	defer func() { s.payload = payload }()
	if s.carry != nil {
		payload = appendRecord(payload, s.carry)
		s.carry = nil
	}
	for {
		id, ok := s.pop()
		if !ok {
			return payload, nil
		}
		raw, ok, err := s.set.log.Get(recordKey(id))
		if err != nil {
			return nil, fmt.Errorf("read a record to send: %w", err)
		}
		switch {
		case !ok: // removed since
		case 1+len(payload)+longestLength+len(raw) > MaxFrame:
			s.carry = raw
			return payload, nil
		default:
			payload = appendRecord(payload, raw)
		}
	}
}

// pop takes the next record to send: what was asked for, up to the end of one want;
// else the next of the runs.
func (s *session) pop() (record.ID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.out
	if len(o.asked) > 0 {
		if len(o.asked[0]) == 0 {
			return record.ID{}, false
		}
		id := o.asked[0][0]
		o.asked[0] = o.asked[0][1:]
		return id, true
	}
	for len(o.page) == 0 && len(o.runs) > 0 {
		var rest run
		o.page, rest = s.set.page(o.runs[0], o.latest)
		if o.runs[0] = rest; len(o.page) < pageItems {
			o.runs = o.runs[1:]
		}
	}
	if len(o.page) == 0 {
		return record.ID{}, false
	}
	id := o.page[0]
	o.page = o.page[1:]
	return id, true
}

// page lists the beginning of a run but for what was created after latest, and what
// is left of it when the page is full.
func (s *Set) page(r run, latest uint64) ([]record.ID, run) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	lo, hi := s.order.lowerBound(r.first), s.order.lowerBound(r.last.next())
	hi = min(hi, s.order.lowerBound(item{created: latest + 1}))
	ids := make([]record.ID, 0, min(max(hi-lo, 0), pageItems))
	for _, it := range s.order.all(lo, min(hi, lo+pageItems)) {
		ids = append(ids, it.id)
		r.first = it.next()
	}
	return ids, r
}

// next is the least item after it.
func (it item) next() item {
	for i := len(it.id) - 1; i >= 0; i-- {
		if it.id[i]++; it.id[i] != 0 {
			return it
		}
	}
	it.created++
	return it
}

func joinIDs(ids []record.ID) []byte {
	b := make([]byte, 0, len(ids)*idSize)
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}
