package webui

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path"
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

// download answers GET /f/{cid}/{name}. The name is for people and for the
// saved file; the CID alone says which bytes.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	cid, err := record.ParseCID(r.PathValue("cid"))
	if err != nil {
		s.fail(w, r, ErrUnknown)
		return
	}
	f, file, err := s.files.Open(r.Context(), cid)
	if err != nil {
		if errors.Is(err, ErrNotHere) {
			err = &notHereError{box: boxLabel(file.From)}
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
	h.Set("Content-Security-Policy", contentPolicy)
	if contentType == pdfType {
		h.Set("Content-Security-Policy", pdfPolicy)
	}
	h.Set("ETag", `"`+cid.String()+`"`)
	// The bytes of a CID never change, but they may be taken down: ask again,
	// and be told 304.
	h.Set("Cache-Control", "private, no-cache")
	rc := http.NewResponseController(w)
	// A read deadline would end the request's context in the middle.
	_ = rc.SetReadDeadline(time.Time{})
	http.ServeContent(&pacedWriter{ResponseWriter: w, rc: rc}, r, "", time.Time{}, f)
}

func sniff(f *os.File) (string, error) {
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	return sniffed(head[:n]), nil
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
	if !ok || !limited {
		return io.Copy(struct{ io.Writer }{p.ResponseWriter}, r)
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

// Unwrap lets http.ResponseController reach the connection.
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
