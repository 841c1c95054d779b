// Package chat owns the rooms: who may say how much, what was said lately and
// who is listening. A message is a record.Message that the caller's [Log] signs,
// stores and spreads; messages from other boxes come in through [Hub.Deliver].
//
// The package knows no HTTP, no peers and no disk. A visitor is an opaque
// string that lives in memory only and is forgotten as soon as it no longer
// limits anything.
package chat

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"boucan/record"
)

// Lobby is the room that every box has.
const Lobby = "lobby"

// Limits of a Hub. Each bounds memory that strangers could otherwise fill.
const (
	// MaxHistory is the most messages one History call returns.
	MaxHistory = 200
	// MaxSubscribers is the most subscriptions open at one time.
	MaxSubscribers = 8192
	// MaxBacklog is how many events a subscriber may lag behind before it is
	// dropped.
	MaxBacklog = 64
	// MaxRooms is how many rooms are held in memory at one time: those with a
	// subscriber, and those read lately. It does not limit how many exist.
	MaxRooms = 256
	// roomsFor is how long the list of rooms is taken as true while nothing is said.
	roomsFor = time.Minute
	// MaxVisitors is how many visitors' buckets are held at one time.
	MaxVisitors = 2048
	// MaxOnce is how many of the last posts are remembered by their Once key.
	MaxOnce = 512
	// MaxKey is the longest Visitor or Once, in bytes.
	MaxKey = 64

	maxSeen   = 1024                  // message ids remembered against showing one twice
	maxCached = 100                   // messages cached for each room
	maxInput  = 4 * record.MaxMessage // bytes of text that are looked at at all
)

// The ways in which a post or a call is refused. Test with errors.Is.
var (
	ErrRoom    = errors.New("room name is not allowed")
	ErrEmpty   = errors.New("message is empty")
	ErrTooLong = errors.New("message is too long")
	ErrTooFast = errors.New("messages come too fast")
	ErrBusy    = errors.New("too many subscribers")
)

// TooFastError is an ErrTooFast that says when to come back.
type TooFastError struct {
	// Wait is the time until the same visitor may post again.
	Wait time.Duration
}

func (e *TooFastError) Error() string { return ErrTooFast.Error() }

// Is makes errors.Is(err, ErrTooFast) true.
func (e *TooFastError) Is(target error) bool { return target == ErrTooFast }

// Cursor stands between two messages of a room. The zero Cursor stands after
// the newest.
type Cursor struct {
	Created int64 // Unix milliseconds
	ID      record.ID
}

// Log keeps the messages. It is called from many goroutines at once.
type Log interface {
	// Messages returns up to limit living message records of room that come
	// before the cursor in the order of (Created, ID), newest first.
	Messages(room string, before Cursor, limit int) ([]*record.Record, error)
	// Rooms names the rooms that have a living message, in order.
	Rooms() ([]string, error)
	// Publish signs m, makes it durable and spreads it. It is called once for
	// each accepted post and may take as long as a disk takes. The message
	// has passed Check.
	Publish(ctx context.Context, m record.Message) (*record.Record, error)
}

// Message is one line of chat as a reader sees it.
type Message struct {
	ID    record.ID
	Room  string
	Nick  string     // empty where the visitor gave none
	Text  string     // several lines; plain text, never markup
	Mark  uint32     // per browser and room, 0 for none
	Reply *record.ID // the message answered to, or nil
	From  record.Key // the box it was written on
	Box   string     // that box's name as this box knows it, may be empty
	At    time.Time  // when that box says it was written
}

// Event is one change of a room.
type Event struct {
	Message Message
	// Withdrawn says that the message is gone: taken down or expired.
	Withdrawn bool
}

// Draft is what somebody wants to say.
type Draft struct {
	// Visitor is an opaque key for the rate limit. Empty means this box's own
	// people (its command line), whom only the limit of the whole box binds.
	Visitor string
	Room    string
	Nick    string // cut to record.MaxNick
	Text    string
	Mark    uint32
	Reply   *record.ID
	// Once, where not empty, names this attempt: a second post of the same
	// visitor, text and Once returns the first one's message and adds nothing.
	Once string
}

// Options configure a Hub. The zero value works.
type Options struct {
	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil means silence
	// BoxName names the box that a message came from. It is called often and
	// from many goroutines; nil means no names.
	BoxName func(record.Key) string
	// VisitorRate and BoxRate are the limits of one visitor and of all of this
	// box's visitors together. Zero fields take the defaults.
	VisitorRate, BoxRate Rate
}

// Rate is a token bucket: Burst messages at once, then one each Every.
type Rate struct {
	Burst int
	Every time.Duration
}

// The limits where Options name none: what one quick talker needs, and what a
// small router's disk and radio carry.
var (
	defaultVisitorRate = Rate{Burst: 6, Every: 2 * time.Second}
	defaultBoxRate     = Rate{Burst: 60, Every: 25 * time.Millisecond}
)

func (r Rate) or(d Rate) Rate {
	if r.Burst <= 0 {
		r.Burst = d.Burst
	}
	if r.Every <= 0 {
		r.Every = d.Every
	}
	return r
}
