package chat

import (
	"sync"
	"time"
)

// limiter holds one token bucket for the box and one for each visitor who
// posted lately. It keeps nothing about a visitor whose bucket is full again.
type limiter struct {
	visitor, box Rate

	mu    sync.Mutex
	all   bucket
	known map[string]*bucket
}

// bucket counts how much of its burst is used up. The zero bucket is full.
type bucket struct {
	used float64 // tokens taken and not yet grown back, as of at
	at   time.Time
}

func newLimiter(visitor, box Rate) *limiter {
	return &limiter{visitor: visitor, box: box, known: make(map[string]*bucket)}
}

// take takes one token for visitor and one for the box, or neither, and then
// says how long to wait.
func (l *limiter) take(visitor string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait = l.all.wait(l.box, now); wait > 0 {
		return wait
	}
	if visitor != "" {
		b := l.bucketOf(visitor, now)
		if wait = b.wait(l.visitor, now); wait > 0 {
			return wait
		}
		b.used++
	}
	l.all.used++
	return 0
}

// bucketOf finds or makes the visitor's bucket within MaxVisitors. Where all
// are in use, which the box's own limit makes rare, an arbitrary one goes.
func (l *limiter) bucketOf(visitor string, now time.Time) *bucket {
	if b, ok := l.known[visitor]; ok {
		return b
	}
	if len(l.known) >= MaxVisitors {
		for v, b := range l.known {
			if b.grow(l.visitor, now); b.used == 0 {
				delete(l.known, v)
			}
		}
	}
	if len(l.known) >= MaxVisitors {
		for v := range l.known {
			delete(l.known, v)
			break
		}
	}
	b := new(bucket)
	l.known[visitor] = b
	return b
}

// wait is zero where the bucket has a token at now.
func (b *bucket) wait(r Rate, now time.Time) time.Duration {
	b.grow(r, now)
	short := b.used + 1 - float64(r.Burst)
	if short <= 0 {
		return 0
	}
	return max(time.Duration(short*float64(r.Every)), 1)
}

// grow gives back what has grown since the last look. A clock that was set
// back gives nothing back.
func (b *bucket) grow(r Rate, now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.used = max(0, b.used-float64(passed)/float64(r.Every))
	}
	b.at = now
}
