package replica

import (
	"sync"
	"time"

	"boucan/record"
)

// How fast peers may bring records of one author. What is brought by comparing may
// come as fast as it can as long as it is no more than an author may have here, so
// that a collection of 20,000 files arrives at full speed; what an author replaces
// again and again, to keep disks busy, comes as often as once in rateTime. Pushes
// go to everybody at once, so they are for what people do by hand: the rest is found
// by comparing.
const (
	// rateTime is how long it takes an author to be given their whole share again.
	rateTime = 24 * time.Hour
	// rateShares is how many times their share an author may bring at once: what
	// is dated anew comes a second time.
	rateShares = 2
	// pushBurst and pushEvery are how many records of one author may be pushed at
	// once, and how long until one more may be.
	pushBurst = 256
	pushEvery = 250 * time.Millisecond
	// maxRates is the most authors whose rates are remembered, some 100 bytes each.
	// A forgotten one begins anew: keys are free in any case.
	maxRates = 4096
)

// rates is a token bucket for each author of late.
type rates struct {
	mu    sync.Mutex
	burst float64
	every time.Duration // until there is one more
	used  map[record.Key]bucket
}

// bucket is how much was used, and when.
type bucket struct {
	used float64
	at   time.Time
}

func newRates(burst int, every time.Duration) *rates {
	return &rates{burst: float64(burst), every: every, used: make(map[record.Key]bucket)}
}

// left is what an author may still bring now; the caller holds mu.
func (r *rates) left(k record.Key, now time.Time) float64 {
	b := r.used[k]
	return r.burst - max(b.used-float64(now.Sub(b.at))/float64(r.every), 0)
}

// has reports whether an author may bring one more.
func (r *rates) has(k record.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left(k, time.Now()) >= 1
}

// take counts one record of an author, and reports whether it may be brought.
func (r *rates) take(k record.Key) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.left(k, now)
	if left < 1 {
		return false
	}
	if _, ok := r.used[k]; !ok && len(r.used) >= maxRates {
		r.makeRoom(now)
	}
	r.used[k] = bucket{r.burst - left + 1, now}
	return true
}

// makeRoom forgets whoever has used nothing that would not have come back, and where
// there is nobody, whoever has used least; the caller holds mu.
func (r *rates) makeRoom(now time.Time) {
	var least record.Key
	most := -1.0
	for k := range r.used {
		left := r.left(k, now)
		if left >= r.burst {
			delete(r.used, k)
		}
		if left > most {
			least, most = k, left
		}
	}
	delete(r.used, least)
}
