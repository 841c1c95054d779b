package replica

import (
	"errors"
	"sync"
	"time"

	"boucan/record"
)

// refusals keeps in mind which records were refused, so that they are not fetched
// again at every meeting. It is bounded: the oldest is forgotten, and then fetched
// and refused once more.
type refusals struct {
	mu       sync.Mutex
	until    map[record.ID]time.Time
	oldest   []record.ID // a ring once it is full
	next     int
	loosened int64
}

func (r *refusals) init() { r.until = make(map[record.ID]time.Time) }

// pause is how long a record that was refused with err is not fetched again, zero
// where that is no reason.
func pause(err error) time.Duration {
	switch {
	case errors.Is(err, record.ErrFuture), errors.Is(err, ErrQuota), errors.Is(err, ErrFull), errors.Is(err, ErrRate):
		return 10 * time.Minute
	case errors.Is(err, ErrTakenDown), errors.Is(err, ErrBlocked), errors.Is(err, record.ErrExpired):
		return time.Hour
	case errors.Is(err, record.ErrBody), errors.Is(err, record.ErrSignature):
		return 6 * time.Hour
	}
	return 0
}

// note keeps a refusal. loosened is how often the set has become more welcoming.
func (r *refusals) note(id record.ID, err error, loosened int64) {
	d := pause(err)
	if d == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freshen(loosened)
	if _, ok := r.until[id]; !ok {
		if len(r.oldest) < maxRefused {
			r.oldest = append(r.oldest, id)
		} else {
			delete(r.until, r.oldest[r.next])
			r.oldest[r.next] = id
			r.next = (r.next + 1) % maxRefused
		}
	}
	r.until[id] = time.Now().Add(d)
}

// has reports whether id was refused and is not to be fetched yet.
func (r *refusals) has(id record.ID, loosened int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freshen(loosened)
	until, ok := r.until[id]
	return ok && time.Now().Before(until)
}

// freshen forgets everything when what was refused may be welcome now.
func (r *refusals) freshen(loosened int64) {
	if loosened != r.loosened {
		r.loosened, r.oldest, r.next = loosened, nil, 0
		clear(r.until)
	}
}

// claims says which session is fetching which record, so that two do not fetch the
// same. It holds no more than MaxOpenWants frames of ids a session and what has
// arrived of them and is not yet in the set.
type claims struct {
	mu sync.Mutex
	by map[record.ID]*session
}

func (c *claims) init() { c.by = make(map[record.ID]*session) }

// take reports whether s may fetch id.
func (c *claims) take(s *session, id record.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, ok := c.by[id]; ok && other != s {
		return false
	}
	c.by[id] = s
	return true
}

// drop ends a claim of s.
func (c *claims) drop(s *session, id record.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[id] == s {
		delete(c.by, id)
	}
}

func (c *claims) release(s *session, recs []*record.Record) {
	for _, r := range recs {
		c.drop(s, r.ID())
	}
}

// releaseAll ends every claim of s.
func (c *claims) releaseAll(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, by := range c.by {
		if by == s {
			delete(c.by, id)
		}
	}
}
