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
	"time"
)

// Server answers the control socket.
type Server struct {
	node Node
	log  *slog.Logger
	ln   net.Listener
}

// NewServer opens the socket in the data folder, replacing one that a dead
// process left. The caller holds the folder's lock.
func NewServer(dir string, node Node, log *slog.Logger) (*Server, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(filepath.Join(dir, SocketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old control socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // the short path does not outlive done
	if err := os.Chmod(filepath.Join(dir, SocketName), 0o600); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("protect control socket: %w", err)
	}
	return &Server{node: node, log: log, ln: ln}, nil
}

// Run serves until ctx ends, then waits for requests under way for up to a
// second before it cuts them off.
func (s *Server) Run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		cancel() // followers never end by themselves
		soon, done := context.WithTimeout(base, time.Second)
		defer done()
		_ = srv.Shutdown(soon)
		_ = srv.Close()
	})
	err := srv.Serve(s.ln)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("control socket: %w", err)
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/id", func(w http.ResponseWriter, r *http.Request) { reply(w, s.node.Identity()) })
	mux.HandleFunc("GET /v1/peers", func(w http.ResponseWriter, r *http.Request) { reply(w, s.node.Peers()) })
	mux.HandleFunc("GET /v1/files", s.files)
	mux.HandleFunc("POST /v1/files", s.add)
	mux.HandleFunc("GET /v1/file", s.lookup)
	mux.HandleFunc("GET /v1/bytes", s.get)
	mux.HandleFunc("GET /v1/chat", s.history)
	mux.HandleFunc("POST /v1/chat", s.say)
	mux.HandleFunc("GET /v1/follow", s.follow)
	return mux
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

func (s *Server) files(w http.ResponseWriter, r *http.Request) {
	q, ok := query(w, r, "q")
	if !ok {
		return
	}
	files, err := s.node.Files(r.Context(), q)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	enc := json.NewEncoder(w)
	for _, f := range files {
		if enc.Encode(f) != nil {
			return // the other side went away
		}
	}
}

func (s *Server) add(w http.ResponseWriter, r *http.Request) {
	name, ok := query(w, r, "name")
	if !ok {
		return
	}
	var modified time.Time
	if ms, err := strconv.ParseInt(r.URL.Query().Get("modified"), 10, 64); err == nil && ms > 0 {
		modified = time.UnixMilli(ms)
	}
	added, err := s.node.Add(r.Context(), name, modified, r.Body)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, added)
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

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	ref, ok := query(w, r, "ref")
	if !ok {
		return
	}
	f, body, err := s.node.Get(r.Context(), ref)
	if err != nil {
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
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > MaxHistory {
		refuse(w, http.StatusBadRequest, fmt.Errorf("limit must be between 1 and %d", MaxHistory))
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

func (s *Server) follow(w http.ResponseWriter, r *http.Request) {
	room, ok := query(w, r, "room")
	if !ok {
		return
	}
	flush := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	w.WriteHeader(http.StatusOK)
	_ = flush.Flush()
	err := s.node.Follow(r.Context(), room, func(m Message) error {
		if err := enc.Encode(m); err != nil {
			return err
		}
		return flush.Flush()
	})
	if err != nil && r.Context().Err() == nil {
		s.log.Debug("control: following a room failed", "error", err)
	}
}

func status(err error) int {
	if errors.Is(err, ErrNotFound) {
		return http.StatusNotFound
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
