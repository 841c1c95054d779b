package webui

import (
	"net/http"
	"os"
	"path/filepath"
	"time"

	"boucan"
	"boucan/record"
)

// Limits of what an operator says of a box.
const (
	MaxKeeper = 400  // bytes of who keeps it
	MaxRules  = 4000 // bytes of its rules
	MaxSSID   = 32   // bytes of a network's name (IEEE 802.11)
)

// About is what a box's operator says of it. Everything may be empty.
type About struct {
	Keeper string // who keeps the box
	Rules  string // what is wanted on it and what is not
	WiFi   string // name of its open network
	Source string // file with the program's source code, as a path
}

type aboutView struct {
	frame
	About                     About
	Usage                     Usage
	Free, Total, Bytes        string
	Files, Messages, Cards    int // days for which they are kept at most
	Source, SourceSize, Named string
}

// aboutPage answers GET /about: who keeps the box, what it keeps, and what it
// cannot protect anybody from.
func (s *Server) aboutPage(w http.ResponseWriter, r *http.Request) {
	lang := s.languages.of(r)
	usage := s.box.Usage()
	days := func(k record.Kind) int { return int(k.MaxLife() / (24 * time.Hour)) }
	v := aboutView{
		frame: s.frame(r, lang), About: s.about, Usage: usage,
		Free: lang.Size(usage.Room), Total: lang.Size(usage.Total), Bytes: lang.Size(usage.Bytes),
		Files: days(record.KindFile), Messages: days(record.KindMessage), Cards: days(record.KindCard),
	}
	if info, err := os.Stat(s.about.Source); err == nil && info.Mode().IsRegular() {
		v.Source, v.SourceSize, v.Named = "/source", lang.Size(info.Size()), filepath.Base(s.about.Source)
	}
	s.writePage(w, r, http.StatusOK, "about", v)
}

// source answers GET /source: the program's source code, where the operator has it.
func (s *Server) source(w http.ResponseWriter, r *http.Request) {
	f, err := os.Open(s.about.Source)
	if err != nil {
		s.fail(w, r, ErrUnknown)
		return
	}
	defer f.Close() // was only read
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		s.fail(w, r, ErrUnknown)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", disposition(true, filepath.Base(s.about.Source)))
	h.Set("Content-Security-Policy", contentPolicy)
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{})
	http.ServeContent(&pacedWriter{ResponseWriter: w, rc: rc}, r, "", info.ModTime(), f)
}

// licence answers GET /licence.
func (s *Server) licence(w http.ResponseWriter, r *http.Request) {
	s.writeBody(w, r, http.StatusOK, "text/plain; charset=utf-8", []byte(boucan.Licence))
}
