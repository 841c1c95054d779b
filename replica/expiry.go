package replica

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"boucan/record"
)

const (
	// lookEvery is the longest time between two looks at what is due. The clock
	// comes from outside and may be set, so no timer is trusted for longer.
	lookEvery = 30 * time.Second
	// lookLeast is the shortest, so that a store that fails is not hammered.
	lookLeast = 20 * time.Millisecond
	// clockJump is by how much a clock must gain between two looks to have been set.
	clockJump = time.Minute
)

// Run lets records expire and takes in those whose time has come, until ctx ends.
// It first finishes what a crash may have left: records of blocked authors and
// files, and takedowns by moderators who are trusted or distrusted since. It
// returns nil.
func (s *Set) Run(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{{"judge takedowns again", s.Retrust}, {"enforce blocks", s.enforceBlocks}} {
		if err := step.do(ctx); err != nil && ctx.Err() == nil {
			s.logger.Error("set of records is not tidy", "step", step.what, "error", err)
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	looked, clock := time.Now(), s.millis()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.kick:
		case <-timer.C:
		}
		// A clock that was set forward makes welcome what was dated ahead.
		if s.millis()-clock-time.Since(looked).Milliseconds() > clockJump.Milliseconds() {
			s.loosened.Add(1)
		}
		looked, clock = time.Now(), s.millis()
		timer.Reset(s.look(ctx))
	}
}

// look does what is due and returns how long to wait until the next.
func (s *Set) look(ctx context.Context) time.Duration {
	s.wake.Store(record.MaxTime) // whatever comes meanwhile kicks
	next, err := s.admitWaiting(ctx)
	due := next - s.millis()
	if err == nil {
		next, err = s.sweep(ctx)
		due = min(due, next-s.past())
	}
	if err != nil {
		if ctx.Err() == nil {
			s.logger.Error("expiry of records failed", "error", err)
		}
		return lookEvery
	}
	wait := min(max(time.Duration(min(due, lookEvery.Milliseconds()))*time.Millisecond, lookLeast), lookEvery)
	s.wake.Store(s.millis() + wait.Milliseconds())
	return wait
}

// sweep removes every record whose life is over and returns when the next ends,
// in Unix milliseconds, record.MaxTime if there is none.
func (s *Set) sweep(ctx context.Context) (next int64, err error) {
	for {
		var more bool
		err := s.exclusive(ctx, func() error {
			var keys [][]byte
			var err error
			if keys, next, err = s.expired(); err != nil || len(keys) == 0 {
				return err
			}
			more = true
			return s.forget(keys)
		})
		if err != nil {
			return next, fmt.Errorf("sweep expired records: %w", err)
		}
		if !more {
			return next, nil
		}
	}
}

// expired lists some expiry keys that are due, and when the next one is.
func (s *Set) expired() (keys [][]byte, next int64, err error) {
	past, next := s.past(), int64(record.MaxTime)
	entries, failed := s.log.Scan([]byte{prefixExpiry}, []byte{prefixExpiry + 1})
	for key := range entries {
		if expires := expiresOf(key[1:]); expires > past || len(keys) == sweepPage {
			next = expires
			break
		}
		keys = append(keys, bytes.Clone(key))
	}
	return keys, next, failed()
}

// forget removes the records of some expiry keys.
func (s *Set) forget(keys [][]byte) error {
	b := s.newBatch()
	for _, key := range keys {
		it, ok := stampOf(key)
		r, here, err := s.stored(it.id)
		switch {
		case err != nil:
			return err
		case !ok || !here:
			s.logger.Error("expiry index names no record")
			b.join(unit{pairs: []pair{{key, nil}}})
			continue
		}
		u, err := removal(r)
		if err != nil {
			return err
		}
		b.join(u)
	}
	b.flush()
	return b.err
}
