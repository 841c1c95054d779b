package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"boucan/record"
)

// Streams opens streams of the protocol /boucan/sync/1 to connected peers.
type Streams interface {
	// Peers lists the peers that are connected now.
	Peers() []record.Key
	// Open opens a stream to a connected peer. It is called by several goroutines.
	Open(ctx context.Context, peer record.Key) (Stream, error)
}

// Stream is a conversation with one peer. Close ends both directions; what was
// written before still arrives. SetDeadline makes reads and writes under way fail.
type Stream interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
}

// SyncOptions are the parts of a Syncer that have defaults, but for Self.
type SyncOptions struct {
	Self record.Key // this node's key
	// Hello says what to tell a peer now; nil for the set's clock and nothing else.
	Hello func() Hello
	// Heard is told what a peer says, on the session's goroutine. It must be quick.
	// Card is checked for form and author only. It may be nil.
	Heard    func(peer record.Key, h Hello)
	Logger   *slog.Logger  // silent if nil
	Interval time.Duration // about how often peers are compared with; 3 minutes if 0
}

// Syncer keeps a Set the same as the sets of connected peers (spec/sync.md). All
// methods are safe for concurrent use.
type Syncer struct {
	set      *Set
	streams  Streams
	self     record.Key
	hello    func() Hello
	heard    func(record.Key, Hello)
	logger   *slog.Logger
	interval time.Duration
	hellos   helloCodec
	refusals refusals
	claims   claims
	wake     chan struct{} // something is due earlier than Run knows

	// mu guards what follows.
	mu      sync.Mutex
	peers   map[record.Key]*peer
	started int // sessions under way that this node began
	served  int // and those that peers began
}

// errBanned is returned for a peer that misbehaved a while ago.
var errBanned = errors.New("peer is not spoken to for a while")

// NewSyncer returns a Syncer for set, which from then on tells it what Publish adds.
func NewSyncer(set *Set, streams Streams, o SyncOptions) *Syncer {
	y := &Syncer{
		set: set, streams: streams, self: o.Self, hello: o.Hello, heard: o.Heard, logger: o.Logger,
		interval: o.Interval, hellos: newHelloCodec(), wake: make(chan struct{}, 1), peers: make(map[record.Key]*peer),
	}
	if y.hello == nil {
		y.hello = func() Hello { return Hello{Clock: set.millis()} }
	}
	if y.logger == nil {
		y.logger = slog.New(slog.DiscardHandler)
	}
	if y.interval <= 0 {
		y.interval = usualInterval
	}
	y.refusals.init()
	y.claims.init()
	set.mu.Lock()
	set.published = y.published
	set.mu.Unlock()
	return y
}

// PeerUp tells that a peer is connected. The lesser key begins at once, the greater
// a few seconds later if nothing has come.
func (y *Syncer) PeerUp(k record.Key) {
	y.mu.Lock()
	defer y.mu.Unlock()
	p := y.peer(k)
	if p.up {
		return
	}
	p.up, p.since = true, time.Now()
	wait := jitter(50 * time.Millisecond)
	if !y.lesser(k) {
		wait = otherBegins + jitter(otherBegins)
	}
	y.plan(p, wait)
}

// PeerDown tells that a peer is no longer connected.
func (y *Syncer) PeerDown(k record.Key) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if p, ok := y.peers[k]; ok {
		*p = peer{busy: p.busy, banned: p.banned}
		y.forget(k, p)
	}
}

// Nudge compares with every connected peer soon.
func (y *Syncer) Nudge() { y.spread(record.Key{}, spreadSoon/2) }

// published hears what Publish and Receive added. What was pushed is compared a little later
// all the same, for a push may be lost, but not with everybody: who misses it hears of it
// from one of several.
func (y *Syncer) published(_, unpushed int) {
	if unpushed > 0 {
		y.spread(record.Key{}, spreadSoon)
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, p := range y.someUp(maxPartners) {
		y.plan(p, y.after(p, spreadPushed))
	}
}

// someUp is at most so many of the connected peers: those just come, and those that
// were compared with longest ago.
func (y *Syncer) someUp(most int) []*peer {
	up := make([]*peer, 0, len(y.peers))
	for _, p := range y.peers {
		if p.up {
			up = append(up, p)
		}
	}
	if len(up) <= most {
		return up
	}
	slices.SortFunc(up, func(a, b *peer) int { return a.compared.Compare(b.compared) })
	return up[:most]
}

// spread plans a session with every peer but one.
func (y *Syncer) spread(but record.Key, wait time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for k, p := range y.peers {
		if p.up && k != but {
			y.plan(p, y.after(p, wait))
		}
	}
}

// after is how long to wait with a peer where wait is usual.
func (y *Syncer) after(p *peer, wait time.Duration) time.Duration {
	if time.Since(p.since) < freshFor {
		wait = min(wait, spreadFresh)
	}
	return wait + jitter(wait/2)
}

// Run begins sessions when they are due, until ctx ends. It waits for all that it
// began and returns nil.
func (y *Syncer) Run(ctx context.Context) error {
	for _, k := range y.streams.Peers() {
		y.PeerUp(k)
	}
	var sessions sync.WaitGroup
	defer sessions.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-y.wake:
		case <-timer.C:
		}
		due, wait := y.due()
		for _, k := range due {
			sessions.Go(func() { y.begin(ctx, k) })
		}
		timer.Reset(wait)
	}
}

// due marks the peers that are due as busy and says how long to wait for the next.
func (y *Syncer) due() (due []record.Key, wait time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	now := time.Now()
	wait = time.Hour
	for k, p := range y.peers {
		if !p.up || p.busy || p.due.IsZero() {
			continue
		}
		if left := p.due.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		if y.started < maxStarted { // else whoever ends wakes Run
			y.started++
			p.busy, p.due = true, time.Time{}
			due = append(due, k)
		}
	}
	return due, wait
}

// begin opens a stream to a peer and compares.
func (y *Syncer) begin(ctx context.Context, k record.Key) {
	s, err := y.open(ctx, k)
	if err == nil {
		err = s.run(ctx)
	}
	y.mu.Lock()
	y.started--
	y.mu.Unlock()
	y.ended(ctx, k, s, err)
}

func (y *Syncer) open(ctx context.Context, k record.Key) (*session, error) {
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	stream, err := y.streams.Open(opening, k)
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	s, err := y.session(ctx, k, stream)
	if err != nil {
		return nil, errors.Join(err, stream.Close())
	}
	s.begins = true
	y.set.mu.RLock()
	s.out.message = reconciler{limit: maxMessage}.begin(y.set.order)
	y.set.mu.RUnlock()
	return s, nil
}

func (y *Syncer) session(ctx context.Context, k record.Key, stream Stream) (*session, error) {
	if _, err := y.set.sweep(ctx); err != nil {
		return nil, err
	}
	hello, err := y.hellos.encode(y.hello())
	if err != nil {
		return nil, err
	}
	return &session{
		syncer: y, set: y.set, peer: k, stream: stream, logger: y.logger,
		wake: make(chan struct{}, 1), intake: make(chan []*record.Record, intakeFrames),
		out: outbox{hello: hello, latest: record.MaxTime, outstanding: make(map[record.ID]struct{})},
	}, nil
}

// Serve answers a session that a peer began, until it ends, and closes the stream.
// It returns why it ended badly, or nil.
func (y *Syncer) Serve(ctx context.Context, k record.Key, stream Stream) error {
	if err := y.enter(k); err != nil {
		if errors.Is(err, errBusy) {
			err = y.refuse(stream)
		}
		return errors.Join(err, stream.Close())
	}
	s, err := y.session(ctx, k, stream)
	if err == nil {
		err = s.run(ctx)
	} else {
		err = errors.Join(err, stream.Close())
	}
	y.mu.Lock()
	y.served--
	y.mu.Unlock()
	y.ended(ctx, k, s, err)
	return err
}

// enter takes a place for a session that a peer began.
func (y *Syncer) enter(k record.Key) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	p, ok := y.peers[k]
	switch {
	case ok && time.Now().Before(p.banned):
		return errBanned
	case ok && p.busy, y.served >= maxServed:
		return errBusy
	}
	p = y.peer(k)
	p.busy, p.due = true, time.Time{}
	y.served++
	return nil
}

// refuse tells a peer to come again, and reads a little, so that closing does not
// overtake the word.
func (y *Syncer) refuse(stream Stream) error {
	if err := stream.SetDeadline(time.Now().Add(busyTimeout)); err != nil {
		return err
	}
	if _, err := stream.Write(appendFrame(nil, frameBusy, nil)); err != nil {
		return fmt.Errorf("write to peer: %w", err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(stream, MaxFrame)) // its end is all that matters
	return nil
}

// ended draws the consequences of a session. s is nil where none came about.
func (y *Syncer) ended(ctx context.Context, k record.Key, s *session, err error) {
	var t tally
	if s != nil {
		t = s.tally
	}
	y.mu.Lock()
	p := y.peer(k)
	p.busy = false
	if err == nil {
		p.compared = time.Now()
	}
	y.schedule(k, p, t, err)
	y.forget(k, p)
	y.mu.Unlock()
	select {
	case y.wake <- struct{}{}: // there is a place for another session
	default:
	}
	switch {
	case errors.Is(err, errMisbehaved):
		y.logger.Warn("a peer broke the sync protocol", "error", err)
	case err != nil && ctx.Err() == nil:
		y.logger.Debug("session with a peer failed", "peer", k.String(), "error", err)
	}
	if t.refused > 0 || t.have > 0 {
		y.logger.Debug("records of a peer were of no use", "peer", k.String(), "refused", t.refused, "duplicates", t.have)
	}
	if t.added == 0 {
		return
	}
	y.logger.Debug("records came from a peer", "peer", k.String(), "added", t.added)
	if y.set.pusher != nil && t.added <= MaxPush {
		y.set.push(ctx, t.fresh)
	}
	y.spread(k, spreadSoon)
}
