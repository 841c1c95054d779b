package webui

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// leastGzip is the shortest answer that is worth compressing, in bytes.
const leastGzip = 1 << 10

// pools reuse buffers and compressors: a page is made for every view, and a
// compressor alone takes a few hundred kilobytes to set up. The zero value works
// and is safe for concurrent use.
type pools struct {
	buffers sync.Pool // of *bytes.Buffer
	zippers sync.Pool // of *gzip.Writer
}

// wantsJSON is true for calls of the API and for clients that ask for JSON.
func wantsJSON(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		return true
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// wantsPlain is true for IPFS programs, which show people what an answer says.
func wantsPlain(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/ipfs/") && !strings.Contains(r.Header.Get("Accept"), "text/html")
}

// writePage renders a template and answers with it.
func (s *Server) writePage(w http.ResponseWriter, r *http.Request, status int, name string, view any) {
	b := s.borrow()
	defer s.giveBack(b)
	if err := s.pages.ExecuteTemplate(b, name, view); err != nil {
		s.logger.Error("webui: template failed", "template", name, "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Add("Vary", "Accept-Language")
	setDefault(w.Header(), "Cache-Control", "private, no-cache")
	s.writeBody(w, r, status, "text/html; charset=utf-8", b.Bytes())
}

// writeJSON answers with v.
func (s *Server) writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	b := s.borrow()
	defer s.giveBack(b)
	if err := json.NewEncoder(b).Encode(v); err != nil {
		s.logger.Error("webui: JSON failed", "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	setDefault(w.Header(), "Cache-Control", "private, no-cache")
	s.writeBody(w, r, status, "application/json; charset=utf-8", b.Bytes())
}

// writeBody sends body, compressed where that helps and the client takes it.
func (s *Server) writeBody(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept-Encoding")
	if len(body) >= leastGzip && acceptsGzip(r) {
		b := s.borrow()
		defer s.giveBack(b)
		s.gzip(b, body)
		h.Set("Content-Encoding", "gzip")
		body = b.Bytes()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone; there is nobody else to tell
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, q, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q = strings.ReplaceAll(q, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}

func setDefault(h http.Header, key, value string) {
	if h.Get(key) == "" {
		h.Set(key, value)
	}
}

func (p *pools) gzip(to *bytes.Buffer, body []byte) {
	z, _ := p.zippers.Get().(*gzip.Writer)
	if z == nil {
		z, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for other levels only
	}
	defer p.zippers.Put(z)
	z.Reset(to)
	z.Write(body) // a buffer never fails
	z.Close()
}

func (p *pools) borrow() *bytes.Buffer {
	b, _ := p.buffers.Get().(*bytes.Buffer)
	if b == nil {
		b = new(bytes.Buffer)
	}
	b.Reset()
	return b
}

// giveBack keeps a buffer for the next answer, unless one huge answer made it
// grow beyond what is worth keeping.
func (p *pools) giveBack(b *bytes.Buffer) {
	const worthKeeping = 512 << 10
	if b.Cap() <= worthKeeping {
		p.buffers.Put(b)
	}
}
