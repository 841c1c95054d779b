package webui

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Limits and rhythm of the live connections.
const (
	// maxLag is how many events a connection may lag behind before it is closed;
	// the page then connects again and reads what it missed.
	maxLag = 32
	// maxFrame is the longest frame a page may send, in bytes. It has nothing to
	// say: messages are posted over the API.
	maxFrame = 512
	// changeGap is the least time between two words about changes: a thousand
	// phones read the list again after each.
	changeGap = time.Second
	pingEvery = 25 * time.Second
	pongWait  = 60 * time.Second
	writeWait = 10 * time.Second
	// againWait is the pause after a room could not be followed.
	againWait = time.Second
)

// live holds the open connections and tells them what changes. Each event is
// encoded once for all.
type live struct {
	rooms  Rooms
	box    Box
	logger *slog.Logger
	most   int

	pending atomic.Uint32 // topics that changed and were not told yet
	wake    chan struct{} // holds one when pending is not zero

	mu       sync.Mutex // never held over I/O
	running  bool
	follow   func(name string) *liveRoom // set while running
	conns    int
	byRoom   map[string]*liveRoom
	handlers sync.WaitGroup // one for each connection; Add only while running
}

// liveRoom is the connections of one room and the end of its follower.
type liveRoom struct {
	conns map[*liveConn]struct{}
	stop  context.CancelFunc
}

func newLive(rooms Rooms, box Box, logger *slog.Logger, most int) *live {
	return &live{
		rooms: rooms, box: box, logger: logger, most: most,
		wake: make(chan struct{}, 1), byRoom: make(map[string]*liveRoom),
	}
}

// liveEvent is one text frame to a page (API.md, "Live").
type liveEvent struct {
	Type    string      `json:"type"` // message, withdrawn, changed, resync
	Message *apiMessage `json:"message,omitempty"`
	ID      string      `json:"id,omitempty"`
	Topics  []string    `json:"topics,omitempty"`
}

// prepare encodes an event once for any number of connections.
func prepare(e liveEvent) (*websocket.PreparedMessage, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return websocket.NewPreparedMessage(websocket.TextMessage, b)
}

// run tells of changes until ctx ends, then closes every connection and waits
// for all goroutines.
func (l *live) run(ctx context.Context) error {
	var followers sync.WaitGroup
	l.mu.Lock()
	l.running = true
	l.follow = func(name string) *liveRoom {
		roomCtx, stop := context.WithCancel(ctx)
		followers.Go(func() { l.followRoom(roomCtx, name) })
		return &liveRoom{conns: make(map[*liveConn]struct{}), stop: stop}
	}
	// The lobby is always followed, so that nothing is missed between the
	// first connection and the first message.
	l.byRoom[lobby] = l.follow(lobby)
	l.mu.Unlock()

	l.tellChanges(ctx)

	l.mu.Lock()
	l.running = false
	for name, room := range l.byRoom {
		room.stop()
		for c := range room.conns {
			c.end(websocket.CloseGoingAway)
		}
		if len(room.conns) == 0 {
			delete(l.byRoom, name)
		}
	}
	l.mu.Unlock()
	l.handlers.Wait()
	followers.Wait()
	return nil
}

// changed notes topics to tell. It never blocks.
func (l *live) changed(t Topic) {
	l.pending.Or(uint32(t))
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *live) tellChanges(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		l.tell(Topic(l.pending.Swap(0)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(changeGap):
		}
	}
}

func (l *live) tell(t Topic) {
	e := liveEvent{Type: "changed"}
	for _, topic := range []struct {
		bit  Topic
		name string
	}{{FilesChanged, "files"}, {BoxChanged, "box"}, {TransfersChanged, "transfers"}} {
		if t&topic.bit != 0 {
			e.Topics = append(e.Topics, topic.name)
		}
	}
	if len(e.Topics) == 0 {
		return
	}
	msg, err := prepare(e)
	if err != nil {
		l.logger.Error("webui: live event failed", "err", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, room := range l.byRoom {
		room.send(msg)
	}
}

// followRoom hears a room until ctx ends.
func (l *live) followRoom(ctx context.Context, name string) {
	for {
		err := l.rooms.Follow(ctx, name, func(m Message, withdrawn bool) { l.heard(name, m, withdrawn) })
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.logger.Warn("webui: room cannot be followed", "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(againWait):
			}
		}
		// Something may have been missed: the pages read the room again.
		l.toRoom(name, liveEvent{Type: "resync"})
	}
}

func (l *live) heard(name string, m Message, withdrawn bool) {
	if withdrawn {
		l.toRoom(name, liveEvent{Type: "withdrawn", ID: m.ID.String()})
		return
	}
	out := apiMessageOf(m, l.box.Self().ID)
	l.toRoom(name, liveEvent{Type: "message", Message: &out})
}

func (l *live) toRoom(name string, e liveEvent) {
	msg, err := prepare(e)
	if err != nil {
		l.logger.Error("webui: live event failed", "err", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if room := l.byRoom[name]; room != nil {
		room.send(msg)
	}
}

// send queues msg to each connection and ends those that lag too far behind.
// The caller holds live.mu.
func (r *liveRoom) send(msg *websocket.PreparedMessage) {
	for c := range r.conns {
		select {
		case c.out <- msg:
		default:
			c.end(websocket.CloseTryAgainLater)
		}
	}
}

// serve turns the request into a live connection and holds it until it ends. It
// fails with ErrRoom or ErrBusy before anything was answered.
func (l *live) serve(w http.ResponseWriter, r *http.Request, room string) error {
	if _, err := l.rooms.History(room, Cursor{}, 1); err != nil {
		return err
	}
	c := &liveConn{out: make(chan *websocket.PreparedMessage, maxLag), quit: make(chan struct{})}
	if !l.join(room, c) {
		return ErrBusy
	}
	defer l.leave(room, c)
	// The origin was checked before; the buffers are the request's own.
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }, HandshakeTimeout: writeWait}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil // Upgrade has answered
	}
	c.hold(ws)
	return nil
}

// join enters c into a room; false where there is no place, or no run.
func (l *live) join(name string, c *liveConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.running || l.conns >= l.most {
		return false
	}
	room := l.byRoom[name]
	if room == nil {
		room = l.follow(name)
		l.byRoom[name] = room
	}
	room.conns[c] = struct{}{}
	l.conns++
	l.handlers.Add(1)
	return true
}

func (l *live) leave(name string, c *liveConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := l.byRoom[name]
	delete(room.conns, c)
	if len(room.conns) == 0 && (name != lobby || !l.running) {
		room.stop()
		delete(l.byRoom, name)
	}
	l.conns--
	l.handlers.Done()
}

// liveConn is one connection. Whoever holds live.mu may queue to it and end it.
type liveConn struct {
	out  chan *websocket.PreparedMessage
	quit chan struct{} // closed by end
	once sync.Once
	code int // why it ended; set before quit is closed
}

func (c *liveConn) end(code int) {
	c.once.Do(func() {
		c.code = code
		close(c.quit)
	})
}

// hold reads and writes until either fails or the connection is ended.
func (c *liveConn) hold(ws *websocket.Conn) {
	var writer sync.WaitGroup
	writer.Go(func() { c.write(ws) })
	ws.SetReadLimit(maxFrame)
	_ = ws.SetReadDeadline(time.Now().Add(pongWait))
	ws.SetPongHandler(func(string) error { return ws.SetReadDeadline(time.Now().Add(pongWait)) })
	for {
		// What a page says is not looked at, only that it is there.
		if _, _, err := ws.NextReader(); err != nil {
			break
		}
	}
	c.end(websocket.CloseNormalClosure)
	writer.Wait()
}

func (c *liveConn) write(ws *websocket.Conn) {
	defer ws.Close() // ends the reader too
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-c.quit:
			bye := websocket.FormatCloseMessage(c.code, "")
			_ = ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(writeWait))
			return
		case msg := <-c.out:
			_ = ws.SetWriteDeadline(time.Now().Add(writeWait))
			if ws.WritePreparedMessage(msg) != nil {
				return
			}
		case <-ping.C:
			if ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)) != nil {
				return
			}
		}
	}
}
