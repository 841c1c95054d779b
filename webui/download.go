package webui

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"boucan/record"
)

// contentPolicy holds what strangers dropped, should a browser show it: no
// script, no form, no origin. The styles are those of the browser's own
// players.
const contentPolicy = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"

// pdfPolicy is contentPolicy without the sandbox, in which browsers refuse to
// start their PDF viewers. Those viewers run outside this page's origin.
const pdfPolicy = "default-src 'none'; object-src 'self'; img-src 'self'; style-src 'unsafe-inline'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// playPolicy is contentPolicy for what browsers play. Chromium's player asks for
// the bytes once more, as its page's origin, and the sandbox alone would leave it
// none: then nothing plays. Without allow-scripts the origin is of no use to
// anything else.
const playPolicy = contentPolicy + " allow-same-origin"

func policyOf(contentType string) string {
	switch {
	case contentType == pdfType:
		return pdfPolicy
	case strings.HasPrefix(contentType, "video/"), strings.HasPrefix(contentType, "audio/"):
		return playPolicy
	}
	return contentPolicy
}

// copyBytes is how much of what comes from another box is passed on at a time.
const copyBytes = 64 << 10

// download answers GET /f/{cid}/{name}. The name is for people and for the
// saved file; the CID alone says which bytes.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	cid, err := record.ParseCID(r.PathValue("cid"))
	if err != nil {
		s.fail(w, r, ErrUnknown)
		return
	}
	f, file, err := s.open(r, cid)
	if err != nil {
		switch {
		case errors.Is(err, ErrNotHere) && file.Damaged:
			err = ErrDamaged
		case errors.Is(err, ErrNotHere):
			err = &notHereError{file.From}
		}
		s.fail(w, r, err)
		return
	}
	defer f.Close()
	contentType := typeOf(file.Name, file.MediaType)
	if contentType == "" {
		if contentType, err = sniff(f); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	name := record.CleanName(r.PathValue("name"))
	attachment := !inline[contentType] || r.URL.Query().Has("dl")

	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", disposition(attachment, path.Base(name)))
	h.Set("Content-Security-Policy", policyOf(contentType))
	h.Set("ETag", tagOf(cid))
	// The bytes of a CID never change, but they may be taken down: ask again,
	// and be told 304.
	h.Set("Cache-Control", "private, no-cache")
	rc := http.NewResponseController(w)
	// A read deadline would end the request's context in the middle.
	_ = rc.SetReadDeadline(time.Time{})
	http.ServeContent(&pacedWriter{ResponseWriter: w, rc: rc}, r, "", time.Time{}, f)
}

// open opens a file here, or on another box while it comes. Where the client has
// the bytes already, nobody else is asked for them.
func (s *Server) open(r *http.Request, cid record.CID) (Content, File, error) {
	f, file, err := s.files.Open(r.Context(), cid)
	switch {
	case err == nil:
		return f, file, nil
	case !errors.Is(err, ErrNotHere):
		return nil, file, err
	case r.Header.Get("If-None-Match") == tagOf(cid):
		return unread{}, file, nil // which is answered with 304
	}
	return s.files.Fetch(r.Context(), cid)
}

// tagOf is the ETag of the bytes of a CID.
func tagOf(cid record.CID) string { return `"` + cid.String() + `"` }

// unread is the content of a file that the client has already.
type unread struct{}

func (unread) Read([]byte) (int, error)       { return 0, io.EOF }
func (unread) Seek(int64, int) (int64, error) { return 0, nil }
func (unread) Close() error                   { return nil }

func sniff(f Content) (string, error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return "", err
	}
	_, err = f.Seek(0, io.SeekStart)
	return sniffed(head[:n]), err
}

// pacedWriter sends a file in steps of stepBytes, each with a deadline of its
// own, and leaves the sending itself to the kernel: ReadFrom hands the *os.File
// through to the connection, which a plain wrapper would prevent (sendfile(2)).
type pacedWriter struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (p *pacedWriter) ReadFrom(r io.Reader) (n int64, err error) {
	to, ok := p.ResponseWriter.(io.ReaderFrom)
	from, limited := r.(*io.LimitedReader)
	if !limited {
		return io.Copy(struct{ io.Writer }{p}, r)
	}
	if _, file := from.R.(*os.File); !ok || !file {
		return io.CopyBuffer(struct{ io.Writer }{p}, r, make([]byte, copyBytes))
	}
	for from.N > 0 {
		_ = p.rc.SetWriteDeadline(time.Now().Add(stepTime))
		step := &io.LimitedReader{R: from.R, N: min(from.N, stepBytes)}
		sent, err := to.ReadFrom(step)
		n += sent
		from.N -= sent
		if err != nil || sent == 0 {
			return n, err
		}
	}
	return n, nil
}

// Write gives each piece a deadline of its own: what comes from another box may
// have been waited for.
func (p *pacedWriter) Write(b []byte) (int, error) {
	_ = p.rc.SetWriteDeadline(time.Now().Add(stepTime))
	return p.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
