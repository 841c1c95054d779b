// Package webui owns the box's visitors: the pages, the drops and downloads,
// the chat's live connection and the JSON API (API.md) under /api/v1 that the
// pages themselves use. Every page works without JavaScript.
//
// It knows no disk layout, no peers' addresses and no records' encoding: what it
// shows comes through [Files], [Rooms] and [Box], which the node implements.
// It keeps nothing about a visitor. The one thing derived from a visitor's
// address is the key of the rate limit, made under a salt that dies with the
// process; there are no cookies and no access log.
//
// The http.Server around it sets ReadHeaderTimeout (10 s), IdleTimeout (2 min)
// and MaxHeaderBytes (32 KiB), and neither ReadTimeout nor WriteTimeout: a
// 4 GB drop over slow Wi-Fi takes its time, so this package sets a deadline on
// each piece of work instead (guard.go). Its ErrorLog discards: net/http writes
// visitors' addresses to it.
package webui

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"
)

// Limits of the visitors' side.
const (
	// MaxPage is the most files one page or one API answer lists.
	MaxPage = 500
	// DefaultPage is how many files the home page lists at a time.
	DefaultPage = 50
	// MaxOffset is how deep into the list one may page.
	MaxOffset = 10_000_000
	// MaxQuery is the longest search text, in bytes.
	MaxQuery = 200
	// MaxMessages is the most messages one API answer holds.
	MaxMessages = 200
	// MaxForm is the longest body of a form or API call that carries no file,
	// in bytes: a message with every byte escaped, and its fields.
	MaxForm = 32 << 10
	// MaxFilesPerForm is the most files one form may carry; a script sends
	// each file by itself.
	MaxFilesPerForm = 1000
	// MaxFormParts is the most parts of one form, files and fields.
	MaxFormParts = 2 * MaxFilesPerForm

	homeMessages = 50 // messages on the home page
)

// Options configure a Server. The zero value works for tests; a real box names
// its Hosts.
type Options struct {
	// Hosts reports whether a Host header, without its port and in lower
	// case, names this box. Requests for other hosts get a page with the
	// box's own address and nothing else, which is what keeps DNS rebinding
	// out. It is called for each request; nil allows every host.
	Hosts func(host string) bool
	// Logger hears what the operator should know; nil means silence. Nothing
	// of a visitor is ever logged.
	Logger *slog.Logger
	// Now is the clock that ages are counted from; nil means time.Now.
	Now func() time.Time
	// MarkKey is the secret behind visitors' marks; nil means one that dies with the
	// process.
	MarkKey []byte
	// About is what the box's operator says of it.
	About About
	// MaxUploads is how many drops may run at a time; 0 means 64.
	MaxUploads int
	// MaxLive is how many live connections are held; 0 means 2048.
	MaxLive int
}

// Server answers the visitors. It is an http.Handler for any number of
// goroutines; Run must run beside it for the live connections.
type Server struct {
	pools
	files  Files
	rooms  Rooms
	box    Box
	hosts  func(string) bool
	logger *slog.Logger
	now    func() time.Time
	about  About

	languages *languages
	assets    *assets
	pages     *template.Template
	visitors  visitorKeys
	markKey   []byte
	receipts  *receipts
	fragments *fragments
	senders   senders
	live      *live
	uploads   chan struct{} // one token for each drop that runs
	doors     chan struct{} // one token for each answer of the IPFS door
	zips      chan struct{} // one token for each ZIP on its way
	handler   http.Handler
}

// New makes a Server. It fails only where the files built into the program are
// broken.
func New(files Files, rooms Rooms, box Box, o Options) (*Server, error) {
	s := &Server{
		files: files, rooms: rooms, box: box,
		hosts: o.Hosts, logger: o.Logger, now: o.Now, about: o.About,
		visitors: newVisitorKeys(), fragments: newFragments(),
		uploads: make(chan struct{}, or(o.MaxUploads, 64)), doors: make(chan struct{}, maxIPFS),
		zips: make(chan struct{}, maxZips),
	}
	if s.hosts == nil {
		s.hosts = func(string) bool { return true }
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.markKey = o.MarkKey; s.markKey == nil {
		s.markKey = []byte(rand.Text())
	}
	s.receipts = newReceipts(s.now)
	s.senders.now = make(map[UploadID]*sender)
	s.live = newLive(rooms, box, s.logger, or(o.MaxLive, 2048))
	var err error
	if s.languages, err = loadLanguages(); err != nil {
		return nil, fmt.Errorf("load the strings: %w", err)
	}
	if s.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("load the static files: %w", err)
	}
	if s.pages, err = s.parseTemplates(); err != nil {
		return nil, fmt.Errorf("parse the templates: %w", err)
	}
	s.handler = s.guard(s.routes())
	return s, nil
}

func or(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// Run serves the live connections until ctx ends, then closes them and waits
// for their goroutines. It returns nil.
func (s *Server) Run(ctx context.Context) error {
	return s.live.run(ctx)
}

// Changed tells the open pages that something they show is different now. It
// never blocks, may be called at any rate from any goroutine, and also before
// and after Run: what comes quickly is told once.
func (s *Server) Changed(t Topic) { s.live.changed(t) }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /{$}", s.dropForm)
	s.tusRoutes(mux)
	mux.HandleFunc("GET /dropped/{token}", s.dropped)
	mux.HandleFunc("GET /undo/{code}", s.undoPage)
	mux.HandleFunc("POST /undo/{code}", s.undoForm)
	mux.HandleFunc("GET /actions", s.actionsPage)
	mux.HandleFunc("GET /room", s.openRoom)
	mux.HandleFunc("GET /room/{room}", s.roomPage)
	mux.HandleFunc("POST /chat/{room}", s.chatForm)
	mux.HandleFunc("GET /f/{cid}/{name}", s.download)
	mux.HandleFunc("GET /boxes", s.boxesPage)
	mux.HandleFunc("GET /about", s.aboutPage)
	mux.HandleFunc("GET /source", s.source)
	mux.HandleFunc("GET /licence", s.licence)
	mux.HandleFunc("GET /poster", s.posterPage)
	mux.HandleFunc("GET /zip", s.zipDownload)
	mux.HandleFunc("GET /file/{cid}", s.filePage)
	mux.HandleFunc("GET /folder/{folder...}", s.folderPage)
	mux.HandleFunc("GET /ipfs/{cid}", s.ipfs)
	mux.HandleFunc("GET /ipfs/{cid}/{path...}", s.ipfs)
	mux.HandleFunc("GET /static/{file}", s.assets.serve)
	// Old browsers ask for this one by themselves.
	mux.Handle("GET /favicon.ico", http.RedirectHandler(s.assets.urls["logo.svg"], http.StatusFound))

	mux.HandleFunc("GET /api/v1/box", s.apiBox)
	mux.HandleFunc("GET /api/v1/peers", s.apiPeers)
	mux.HandleFunc("GET /api/v1/files", s.apiFiles)
	mux.HandleFunc("POST /api/v1/files", s.apiDrop)
	mux.HandleFunc("POST /api/v1/undo", s.apiUndo)
	mux.HandleFunc("POST /api/v1/time", s.apiTime)
	mux.HandleFunc("GET /api/v1/actions", s.apiActions)
	mux.HandleFunc("GET /api/v1/rooms", s.apiRooms)
	mux.HandleFunc("GET /api/v1/rooms/{room}/messages", s.apiMessages)
	mux.HandleFunc("POST /api/v1/rooms/{room}/messages", s.apiPost)
	mux.HandleFunc("GET /api/v1/live", s.apiLive)

	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, ErrUnknown)
	})
	return mux
}

// fail answers with what err means to a visitor: a page, or JSON where the
// client asked for that. Errors that no visitor caused are logged.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.code == codeInternal && r.Context().Err() == nil && !errors.Is(err, context.Canceled) {
		s.logger.Error("webui: request failed", "route", r.Pattern, "err", cause(err))
	}
	s.refuse(w, r, p)
}
