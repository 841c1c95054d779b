package replica

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"boucan/record"
)

// Log is the table that a Set stands on. Its methods are safe for concurrent use.
type Log interface {
	// Get returns the caller's own copy of the value.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan yields keys ascending, from <= key < to; a nil to is the end of the
	// table. The slices are valid until the next step. Nothing is read or written
	// inside the loop. The function returned reports what stopped it.
	Scan(from, to []byte) (iter.Seq2[[]byte, []byte], func() error)
	// ScanBack is Scan in descending order.
	ScanBack(from, to []byte) (iter.Seq2[[]byte, []byte], func() error)
	// Write stores all pairs or none, and returns when they are on disk. A nil
	// value deletes. At most 4096 pairs and 1 MiB of keys and values.
	Write(pairs iter.Seq2[[]byte, []byte]) error
}

// Listener hears what changed. Changed is called after the change is on disk and in
// the set, in the order of the changes, one call at a time, by whichever goroutine
// made the change. It must be quick, must not change the slices and must not call
// back into the Set's methods that change it.
type Listener interface {
	Changed(added, removed []*record.Record)
}

// Pusher spreads a record to peers at once, as a hint: what it loses, reconciling
// finds. It is called by several goroutines.
type Pusher interface {
	Push(ctx context.Context, raw []byte) error
}

// Options are the parts of a Set that have defaults. The zero value works.
type Options struct {
	Now func() time.Time // this node's clock; time.Now if nil
	// Settled is the time by which a record's life is over, where that may lag
	// behind Now because it is not certain; Now if nil.
	Settled  func() time.Time
	Logger   *slog.Logger                 // silent if nil
	Trusted  func(author record.Key) bool // whose takedowns hold here for every record; nobody's if nil
	Fold     func(name string) string     // makes alike names that count as one; strings.ToLower if nil
	Listener Listener                     // may be nil
	Pusher   Pusher                       // may be nil
	Limits   Limits
}

// Set is the records of this node. All methods are safe for concurrent use.
type Set struct {
	log      Log
	now      func() time.Time
	settled  func() time.Time
	logger   *slog.Logger
	trusted  func(record.Key) bool
	listener Listener
	pusher   Pusher
	limits   Limits

	// turn holds one token while a change is written, applied and told.
	turn chan struct{}
	// cpu bounds the signatures verified at one time.
	cpu chan struct{}
	// kick wakes Run: something is due earlier than it knows.
	kick chan struct{}
	// wake is when Run looks again, in Unix milliseconds.
	wake atomic.Int64

	// loosened counts how often something that was refused became welcome.
	loosened atomic.Int64

	queue   queue
	waiting waiting
	brought *rates // of records that peers bring
	pushed  *rates // of those that they push
	cards   cards

	// mu guards what follows. Nothing is read from or written to disk under it.
	mu sync.RWMutex
	memory
	// published is told how many records Publish or Receive added, and how many of them were
	// not pushed.
	published func(added, unpushed int)
}

// Open reads the set from its table. A crash between two writes leaves every record
// whole, with its index, or absent.
func Open(log Log, o Options) (*Set, error) {
	s := &Set{
		log: log, now: o.Now, settled: o.Settled, logger: o.Logger, trusted: o.Trusted,
		listener: o.Listener, pusher: o.Pusher, limits: o.Limits.orDefaults(),
		turn: make(chan struct{}, 1),
		cpu:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		kick: make(chan struct{}, 1),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.settled == nil {
		s.settled = s.now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.trusted == nil {
		s.trusted = func(record.Key) bool { return false }
	}
	share := rateShares * (s.limits.AuthorRecords + s.limits.AuthorTakedowns)
	s.brought, s.pushed = newRates(share, rateShares*rateTime/time.Duration(share)), newRates(pushBurst, pushEvery)
	if o.Fold == nil {
		o.Fold = strings.ToLower
	}
	s.memory.init(o.Fold)
	s.waiting.init()
	s.cards.init()
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("read the set of records: %w", err)
	}
	return s, nil
}

// load builds what is kept in memory from the indexes.
func (s *Set) load() error {
	entries, failed := s.log.Scan([]byte{prefixKind}, []byte{prefixKind + 1})
	for key, value := range entries {
		it, ok := stampOf(key)
		e, whole := entryOf(value)
		if !ok || !whole || len(key) != 1+8+stampSize {
			s.logger.Error("entry of the record index is damaged")
			continue
		}
		s.memory.add(it, kindOf(key), e)
	}
	if err := failed(); err != nil {
		return err
	}
	s.order.settle()
	claims, failed := s.log.Scan([]byte{prefixTakedown}, []byte{prefixTakedown + 1})
	for key := range claims {
		if len(key) == 1+2*idSize {
			s.memory.aim(record.ID(key[1:]), 1)
		}
	}
	if err := failed(); err != nil {
		return err
	}
	blocks, failed := s.log.Scan([]byte{prefixBlock}, []byte{prefixBlock + 1})
	for key := range blocks {
		if len(key) > 2 {
			s.memory.block(key)
		}
	}
	return failed()
}

// Len is how many living records the set holds.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.order.size()
}

// Count is how many records of a kind the set holds.
func (s *Set) Count(kind record.Kind) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.kinds[kind]
}

// Bytes is the encoded sizes of all records but takedowns, added up.
func (s *Set) Bytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bytes
}

// exclusive runs change while no other change is under way.
func (s *Set) exclusive(ctx context.Context, change func() error) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	return change()
}

// millis is this node's time in Unix milliseconds.
func (s *Set) millis() int64 { return s.now().UnixMilli() }

// past is the time, in Unix milliseconds, before which a record's life is over.
func (s *Set) past() int64 { return s.settled().UnixMilli() }

// current reports ErrExpired or ErrFuture for a record that does not live now.
func (s *Set) current(r *record.Record) error {
	err := r.Current(s.now())
	if errors.Is(err, record.ErrExpired) && r.Expires > s.past() {
		return nil
	}
	return err
}

// Reclocked tells that the clock was set: what was dated ahead may be welcome now.
func (s *Set) Reclocked() { s.wakeRun() }
