package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	// grace is how long requests under way may go on when the node stops.
	grace = time.Second
	// headerTimeout is how long a request's header may take to come.
	headerTimeout = 10 * time.Second
	// maxHeader bounds a request's header, in bytes: a query of MaxQuery bytes
	// with each escaped, and what HTTP adds.
	maxHeader = 3*MaxQuery + 4<<10
)

// Server answers the control socket.
type Server struct {
	node Node
	log  *slog.Logger
	dir  string
	ln   net.Listener

	mu     sync.Mutex     // guards closed, and orders requests before its setting
	closed bool           // no request is let in any more
	inside sync.WaitGroup // requests
}

// NewServer opens the socket in the data folder, replacing one that a dead
// process left. The caller holds the folder's lock, and calls Run or Close.
func NewServer(dir string, node Node, log *slog.Logger) (*Server, error) {
	ln, err := listen(dir)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	return &Server{node: node, log: log, dir: dir, ln: ln}, nil
}

// nursery is a folder in the data folder that only its owner can enter. The
// socket is made there: between its making and its protection nobody else can
// reach it.
const nursery = ".control.new"

func listen(dir string) (_ net.Listener, err error) {
	aside := filepath.Join(dir, nursery)
	if err := os.RemoveAll(aside); err != nil {
		return nil, err
	}
	if err := os.Mkdir(aside, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	path, done, err := socketPath(aside)
	if err != nil {
		return nil, err
	}
	defer done()
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // it does not stay there
	made := filepath.Join(aside, SocketName)
	err = errors.Join(os.Chmod(made, 0o600), os.Rename(made, filepath.Join(dir, SocketName)))
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// Close takes the socket away. It may be called before, after or without Run.
func (s *Server) Close() error {
	_ = s.ln.Close() // Run may have closed it
	if err := os.Remove(filepath.Join(s.dir, SocketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove control socket: %w", err)
	}
	return nil
}

// Run serves until soft ends, then lets requests under way finish for up to a
// second, none when hard ends. It returns when the last of them has.
func (s *Server) Run(soft, hard context.Context) error {
	base, cancel := context.WithCancel(hard)
	defer cancel()
	srv := &http.Server{
		Handler:           s.admit(s.handler(soft)),
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(soft, func() {
		defer close(stopped)
		soon, done := context.WithTimeout(base, grace)
		defer done()
		_ = srv.Shutdown(soon)
	})
	err := srv.Serve(s.ln)
	if !stop() {
		<-stopped
	}
	cancel()
	_ = srv.Close()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.inside.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("control socket: %w", err)
}

// admit counts requests, since http.Server.Close does not wait for them.
func (s *Server) admit(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			refuse(w, http.StatusServiceUnavailable, errStopping)
			return
		}
		s.inside.Add(1)
		s.mu.Unlock()
		defer s.inside.Done()
		h.ServeHTTP(w, r)
	})
}

// errStopping is what those are told who wait for what may never come.
var errStopping = errors.New("the box is stopping")

// handler answers requests. Those that wait for what others do end with soft.
func (s *Server) handler(soft context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/id", func(w http.ResponseWriter, r *http.Request) { reply(w, s.node.Identity()) })
	mux.HandleFunc("GET /v1/peers", func(w http.ResponseWriter, r *http.Request) { reply(w, s.node.Peers()) })
	mux.HandleFunc("GET /v1/policy", func(w http.ResponseWriter, r *http.Request) { reply(w, s.node.Policy()) })
	mux.HandleFunc("POST /v1/pin", s.about(s.node.Pin))
	mux.HandleFunc("POST /v1/unpin", s.about(s.node.Unpin))
	mux.HandleFunc("GET /v1/files", s.files)
	mux.HandleFunc("POST /v1/files", s.add)
	mux.HandleFunc("GET /v1/file", s.lookup)
	mux.Handle("GET /v1/bytes", until(soft, s.get))
	mux.HandleFunc("POST /v1/confirm", s.confirm)
	mux.HandleFunc("GET /v1/scrub", func(w http.ResponseWriter, r *http.Request) { s.scrub(w, "") })
	mux.HandleFunc("POST /v1/scrub", func(w http.ResponseWriter, r *http.Request) { s.scrub(w, r.URL.Query().Get("do")) })
	mux.HandleFunc("POST /v1/circle", s.joinCircle)
	mux.HandleFunc("DELETE /v1/circle", s.leaveCircle)
	mux.HandleFunc("GET /v1/clock", func(w http.ResponseWriter, r *http.Request) { reply(w, s.node.Clock()) })
	mux.HandleFunc("POST /v1/clock", s.setClock)
	mux.HandleFunc("GET /v1/chat", s.history)
	mux.HandleFunc("POST /v1/chat", s.say)
	mux.Handle("GET /v1/follow", until(soft, s.follow))
	s.moderation(mux)
	return mux
}

// until gives a handler a context that ends with soft, too.
func until(soft context.Context, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		defer context.AfterFunc(soft, func() { cancel(errStopping) })()
		h(w, r.WithContext(ctx))
	})
}

// query reads one bounded parameter; false after it answered with an error.
func query(w http.ResponseWriter, r *http.Request, name string) (string, bool) {
	v := r.URL.Query().Get(name)
	if len(v) > MaxQuery {
		refuse(w, http.StatusBadRequest, fmt.Errorf("%s is longer than %d bytes", name, MaxQuery))
		return "", false
	}
	return v, true
}

// number reads a parameter between least and most; false after it answered with
// an error.
func number(w http.ResponseWriter, r *http.Request, name string, least, most int) (int, bool) {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < least || n > most {
		refuse(w, http.StatusBadRequest, fmt.Errorf("%s must be between %d and %d", name, least, most))
		return 0, false
	}
	return n, true
}

func (s *Server) files(w http.ResponseWriter, r *http.Request) {
	q, ok := query(w, r, "q")
	if !ok {
		return
	}
	enc := json.NewEncoder(w)
	if err := s.node.Files(r.Context(), q, func(f File) error { return enc.Encode(f) }); err != nil {
		panic(http.ErrAbortHandler) // so that the client sees the list cut off
	}
}

func (s *Server) add(w http.ResponseWriter, r *http.Request) {
	name, ok := query(w, r, "name")
	if !ok {
		return
	}
	var modified time.Time
	if ms, err := strconv.ParseInt(r.URL.Query().Get("modified"), 10, 64); err == nil {
		modified = time.UnixMilli(ms)
	}
	added, err := s.node.Add(r.Context(), name, modified, r.Body)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, added)
}

func (s *Server) confirm(w http.ResponseWriter, r *http.Request) {
	if err := s.node.Confirm(r.Context()); err != nil {
		refuse(w, status(err), err)
		return
	}
	reply(w, s.node.Identity())
}

func (s *Server) scrub(w http.ResponseWriter, order string) {
	out, err := s.node.Scrub(order)
	if err != nil {
		refuse(w, status(err), err)
		return
	}
	reply(w, out)
}

func (s *Server) joinCircle(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxKey))
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("a circle's key is no longer than %d bytes", MaxKey))
		return
	}
	if err := s.node.JoinCircle(string(text)); err != nil {
		refuse(w, status(err), err)
		return
	}
	reply(w, struct{}{})
}

func (s *Server) leaveCircle(w http.ResponseWriter, r *http.Request) {
	if err := s.node.LeaveCircle(r.URL.Query().Get("forget") == "true"); err != nil {
		refuse(w, status(err), err)
		return
	}
	reply(w, struct{}{})
}

func (s *Server) setClock(w http.ResponseWriter, r *http.Request) {
	ms, err := strconv.ParseInt(r.URL.Query().Get("time"), 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, errors.New("the time is not readable"))
		return
	}
	if err := s.node.SetClock(r.Context(), time.UnixMilli(ms)); err != nil {
		refuse(w, status(err), err)
		return
	}
	reply(w, s.node.Clock())
}

func (s *Server) lookup(w http.ResponseWriter, r *http.Request) {
	ref, ok := query(w, r, "ref")
	if !ok {
		return
	}
	f, err := s.node.Lookup(ref)
	if err != nil {
		refuse(w, status(err), err)
		return
	}
	reply(w, f)
}

// about answers a request that does something with one file.
func (s *Server) about(do func(ctx context.Context, ref string) (File, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ref, ok := query(w, r, "ref")
		if !ok {
			return
		}
		f, err := do(r.Context(), ref)
		if err != nil {
			refuse(w, status(err), err)
			return
		}
		reply(w, f)
	}
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	ref, ok := query(w, r, "ref")
	if !ok {
		return
	}
	f, body, err := s.node.Get(r.Context(), ref)
	if err != nil {
		if r.Context().Err() != nil {
			err = context.Cause(r.Context())
		}
		refuse(w, status(err), err)
		return
	}
	defer body.Close()
	w.Header().Set("Content-Length", strconv.FormatUint(f.Size, 10))
	w.Header().Set("Content-Type", "application/octet-stream")
	if _, err := io.Copy(w, body); err != nil {
		s.log.Debug("control: sending a file failed", "error", err)
		panic(http.ErrAbortHandler) // so that the client sees it cut off
	}
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	room, ok := query(w, r, "room")
	if !ok {
		return
	}
	limit, ok := number(w, r, "limit", 1, MaxHistory)
	if !ok {
		return
	}
	messages, err := s.node.History(r.Context(), room, limit)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, messages)
}

// saying is the body of a chat request.
type saying struct {
	Room string `json:"room"`
	Nick string `json:"nick"`
	Text string `json:"text"`
}

func (s *Server) say(w http.ResponseWriter, r *http.Request) {
	var in saying
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxChatBody)).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, errors.New("the message is too long or not readable"))
		return
	}
	m, err := s.node.Say(r.Context(), in.Room, in.Nick, in.Text)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, m)
}

// follow answers with a message a line, as they come.
func (s *Server) follow(w http.ResponseWriter, r *http.Request) {
	room, ok := query(w, r, "room")
	if !ok {
		return
	}
	last, ok := number(w, r, "last", 0, MaxHistory)
	if !ok {
		return
	}
	flush := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	begun := false
	err := s.node.Follow(r.Context(), room, last, func(m Message) error {
		begun = true
		if err := enc.Encode(m); err != nil {
			return err
		}
		return flush.Flush()
	})
	switch {
	case begun && err != nil && r.Context().Err() == nil:
		s.log.Debug("control: following a room failed", "error", err)
	case begun:
	case err == nil || r.Context().Err() != nil:
		refuse(w, http.StatusServiceUnavailable, errStopping)
	default:
		refuse(w, http.StatusUnprocessableEntity, err)
	}
}

func status(err error) int {
	switch {
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, errStopping):
		return http.StatusServiceUnavailable
	}
	return http.StatusUnprocessableEntity
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // fails only when the other side went away
}

func refuse(w http.ResponseWriter, code int, err error) {
	http.Error(w, err.Error(), code)
}
