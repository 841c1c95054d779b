package chat

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"boucan/record"
)

// Hub is the rooms of one box. All methods may be called from many goroutines
// at once. It owns no goroutine.
type Hub struct {
	log     Log
	logger  *slog.Logger
	now     func() time.Time
	boxName func(record.Key) string
	limits  *limiter
	once    *onceTable

	mu          sync.Mutex // never held over I/O
	rooms       map[string]*room
	subscribers int
	seen        *seenSet
	changes     uint64 // counts every change of any room
	named       roomNames
}

// roomNames is what was read of the rooms that there are.
type roomNames struct {
	list    []string
	changes uint64 // of the hub, when it was read
	at      time.Time
}

// room is what memory holds of one room.
type room struct {
	subs   map[*Subscription]struct{}
	recent []Message // newest first, without Box; valid while fresh
	fresh  bool
}

// New makes a Hub over log.
func New(log Log, o Options) *Hub {
	h := &Hub{
		log:     log,
		logger:  o.Logger,
		now:     o.Now,
		boxName: o.BoxName,
		limits:  newLimiter(o.VisitorRate.or(defaultVisitorRate), o.BoxRate.or(defaultBoxRate)),
		once:    newOnceTable(),
		rooms:   make(map[string]*room),
		seen:    newSeenSet(maxSeen),
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.boxName == nil {
		h.boxName = func(record.Key) string { return "" }
	}
	return h
}

// Post says something in a room and returns it as published, durable. It fails
// with ErrRoom, ErrEmpty, ErrTooLong, a *TooFastError (ErrTooFast), or what Log's
// Publish fails with.
func (h *Hub) Post(ctx context.Context, d Draft) (Message, error) {
	body, err := bodyOf(d)
	if err != nil {
		return Message{}, err
	}
	if d.Once == "" {
		return h.publish(ctx, d.Visitor, body)
	}
	return h.once.do(ctx, onceKey(d.Visitor, d.Once, body), func() (Message, error) {
		return h.publish(ctx, d.Visitor, body)
	})
}

// bodyOf makes the message of a draft, cleaned and checked.
func bodyOf(d Draft) (record.Message, error) {
	if err := CheckRoom(d.Room); err != nil {
		return record.Message{}, err
	}
	if len(d.Visitor) > MaxKey || len(d.Once) > MaxKey || len(d.Nick) > maxInput || len(d.Text) > maxInput {
		return record.Message{}, ErrTooLong
	}
	m := record.Message{
		Room: d.Room,
		Text: record.CleanText(d.Text, len(d.Text)),
		Nick: record.CleanLine(d.Nick, record.MaxNick),
		Mark: d.Mark,
	}
	if d.Reply != nil {
		m.Reply = d.Reply[:]
	}
	if !hasInk(m.Text) {
		return record.Message{}, ErrEmpty
	}
	if len(m.Text) > record.MaxMessage {
		return record.Message{}, ErrTooLong
	}
	if !hasInk(m.Nick) {
		m.Nick = ""
	}
	return m, m.Check()
}

func (h *Hub) publish(ctx context.Context, visitor string, body record.Message) (Message, error) {
	if wait := h.limits.take(visitor, h.now()); wait > 0 {
		return Message{}, &TooFastError{Wait: wait}
	}
	rec, err := h.log.Publish(ctx, body)
	if err != nil {
		return Message{}, fmt.Errorf("publish message: %w", err)
	}
	h.Deliver(rec)
	m, err := messageOf(rec)
	m.Box = h.boxName(m.From)
	return m, err
}

// Deliver shows a message record to the room's subscribers. Records of other
// kinds, and those shown lately, are ignored, so the caller may hand in every
// record that became known, its own visitors' too. It does no I/O and does not
// block.
func (h *Hub) Deliver(rec *record.Record) { h.spread(rec, false) }

// Withdraw tells the room's subscribers that a message is gone: taken down or
// expired. The caller hands in every message record that stops living. It does
// no I/O and does not block.
func (h *Hub) Withdraw(rec *record.Record) { h.spread(rec, true) }

func (h *Hub) spread(rec *record.Record, withdrawn bool) {
	if rec.Kind != record.KindMessage {
		return
	}
	m, err := messageOf(rec)
	if err != nil {
		h.logger.Warn("chat: record is no message", "record", rec.ID(), "err", err)
		return
	}
	m.Box = h.boxName(m.From)
	h.mu.Lock()
	defer h.mu.Unlock()
	// A message that was withdrawn counts as seen, so that a post which is
	// still on its way here cannot bring it back.
	if again := !h.seen.add(m.ID); again && !withdrawn {
		return
	}
	h.changes++
	r := h.rooms[m.Room]
	if r == nil {
		return
	}
	r.fresh, r.recent = false, nil
	for s := range r.subs {
		select {
		case s.events <- Event{Message: m, Withdrawn: withdrawn}:
		default:
			h.dropLocked(s)
		}
	}
}

// History returns up to limit messages of a room from before the cursor, oldest
// first. It fails with ErrRoom, or with what Log's Messages fails with. A limit
// over MaxHistory is cut to it.
func (h *Hub) History(name string, before Cursor, limit int) ([]Message, error) {
	if err := CheckRoom(name); err != nil {
		return nil, err
	}
	limit = max(0, min(limit, MaxHistory))
	list, err := h.newest(name, before, limit)
	if err != nil {
		return nil, err
	}
	list = slices.Clone(list)
	slices.Reverse(list)
	for i := range list {
		list[i].Box = h.boxName(list[i].From)
	}
	return list, nil
}

// Rooms names the rooms in which something was said that is still kept, in order, the
// lobby first whether or not. It is quick where nothing changed, and may be out of date
// by roomsFor where messages ran out. It fails with what Log's Rooms fails with.
func (h *Hub) Rooms() ([]string, error) {
	h.mu.Lock()
	named, changes, now := h.named, h.changes, h.now()
	h.mu.Unlock()
	if named.list != nil && named.changes == changes && now.Sub(named.at).Abs() < roomsFor {
		return named.list, nil
	}
	all, err := h.log.Rooms()
	if err != nil {
		return nil, fmt.Errorf("list rooms: %w", err)
	}
	list := append(make([]string, 0, len(all)+1), Lobby)
	for _, name := range all {
		// Other boxes' programs may have made rooms that nobody can enter here.
		if name != Lobby && CheckRoom(name) == nil {
			list = append(list, name)
		}
	}
	h.mu.Lock()
	h.named = roomNames{list: list, changes: changes, at: now}
	h.mu.Unlock()
	return list, nil
}

// newest returns messages newest first, from the room's cache where it serves.
// The caller must not change them.
func (h *Hub) newest(name string, before Cursor, limit int) ([]Message, error) {
	cacheable := before == Cursor{} && limit <= maxCached
	want := limit
	h.mu.Lock()
	r, changes := h.rooms[name], h.changes
	if cacheable && r != nil && r.fresh {
		recent := r.recent
		h.mu.Unlock()
		return recent[:min(limit, len(recent))], nil
	}
	h.mu.Unlock()

	if cacheable {
		want = maxCached
	}
	recs, err := h.log.Messages(name, before, want)
	if err != nil {
		return nil, fmt.Errorf("read room: %w", err)
	}
	list := make([]Message, 0, len(recs))
	for _, rec := range recs[:min(want, len(recs))] {
		m, err := messageOf(rec)
		if err != nil {
			return nil, fmt.Errorf("read room: %w", err)
		}
		list = append(list, m)
	}
	if cacheable {
		h.cache(name, list, changes)
	}
	return list[:min(limit, len(list))], nil
}

// cache keeps what was read, unless something changed meanwhile.
func (h *Hub) cache(name string, list []Message, changes uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changes != changes {
		return
	}
	if r := h.roomLocked(name); r != nil {
		r.recent, r.fresh = list, true
	}
}

// roomLocked finds or makes the room within MaxRooms; nil where all of those
// have subscribers.
func (h *Hub) roomLocked(name string) *room {
	if r := h.rooms[name]; r != nil {
		return r
	}
	if len(h.rooms) >= MaxRooms && !h.forgetRoomLocked() {
		return nil
	}
	r := &room{subs: make(map[*Subscription]struct{})}
	h.rooms[name] = r
	return r
}

func (h *Hub) forgetRoomLocked() bool {
	for name, r := range h.rooms {
		if len(r.subs) == 0 {
			delete(h.rooms, name)
			return true
		}
	}
	return false
}

// Subscription is one listener of one room.
type Subscription struct {
	// C carries the room's events in the order in which this box learned of
	// them. It is closed when the subscription ends: by Close, or because the
	// reader fell MaxBacklog events behind; such a reader subscribes again and
	// reads the History.
	C <-chan Event

	events chan Event
	hub    *Hub
	room   string
	ended  bool // guarded by hub.mu
}

// Subscribe begins to listen to a room. It fails with ErrRoom, or with ErrBusy
// at MaxSubscribers or MaxRooms. The caller must Close what it gets.
func (h *Hub) Subscribe(name string) (*Subscription, error) {
	if err := CheckRoom(name); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subscribers >= MaxSubscribers {
		return nil, ErrBusy
	}
	r := h.roomLocked(name)
	if r == nil {
		return nil, ErrBusy
	}
	s := &Subscription{events: make(chan Event, MaxBacklog), hub: h, room: name}
	s.C = s.events
	r.subs[s] = struct{}{}
	h.subscribers++
	return s, nil
}

// Close ends the subscription and closes C. It may be called more than once and
// while another goroutine reads C.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.dropLocked(s)
}

func (h *Hub) dropLocked(s *Subscription) {
	if s.ended {
		return
	}
	s.ended = true
	h.subscribers--
	close(s.events)
	r := h.rooms[s.room]
	delete(r.subs, s)
	if len(r.subs) == 0 && !r.fresh {
		delete(h.rooms, s.room)
	}
}

// messageOf reads a message record. The Box is left empty.
func messageOf(rec *record.Record) (Message, error) {
	body, err := rec.Message()
	if err != nil {
		return Message{}, err
	}
	m := Message{
		ID: rec.ID(), Room: body.Room, Nick: body.Nick, Text: body.Text, Mark: body.Mark,
		From: rec.Author, At: time.UnixMilli(rec.Created),
	}
	if len(body.Reply) > 0 {
		id := record.ID(body.Reply)
		m.Reply = &id
	}
	return m, nil
}
