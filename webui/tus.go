package webui

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"boucan/record"
)

// Drops in pieces, by the tus protocol (tus.io, version 1.0.0, with the extensions
// creation, expiration and termination), below /api/v1/uploads. API.md says what is
// particular to this box.
const (
	tusVersion    = "1.0.0"
	tusExtensions = "creation,expiration,termination"
	tusBody       = "application/offset+octet-stream"
	// MaxUploadNote is the longest Upload-Metadata header, in bytes.
	MaxUploadNote = 16 << 10
	// maxMetadata is how many pairs it may have.
	maxMetadata = 16
)

// uploadSecret is the last part of an upload's address. Whoever has it may go on
// with the upload, see what became of it, and end it; nobody else can.
type uploadSecret string

// secretLength is that of crypto/rand's Text, 130 bits of chance.
const secretLength = 26

// id is what the box knows the upload by. The secret cannot be found from it.
func (t uploadSecret) id() UploadID { return sha256.Sum256([]byte("boucan upload\x00" + t)) }

// undo is the secret that takes the drop back. Whoever asks twice what became of an
// upload gets the same one, though the box keeps neither.
func (t uploadSecret) undo() *[record.SecretSize]byte {
	sum := sha256.Sum256([]byte("boucan upload undo\x00" + t))
	return (*[record.SecretSize]byte)(sum[:])
}

// tusRoutes adds the addresses of the protocol.
func (s *Server) tusRoutes(mux *http.ServeMux) {
	mux.HandleFunc("OPTIONS /api/v1/uploads", s.tusOptions)
	mux.HandleFunc("OPTIONS /api/v1/uploads/{upload}", s.tusOptions)
	mux.HandleFunc("POST /api/v1/uploads", s.tus(s.tusCreate))
	mux.HandleFunc("HEAD /api/v1/uploads/{upload}", s.tus(s.tusHead))
	mux.HandleFunc("PATCH /api/v1/uploads/{upload}", s.tus(s.tusPatch))
	mux.HandleFunc("DELETE /api/v1/uploads/{upload}", s.tus(s.tusDelete))
	mux.HandleFunc("POST /api/v1/uploads/{upload}", s.tus(s.tusOverride))
	mux.HandleFunc("GET /api/v1/uploads/{upload}", s.uploadState)
}

// tus wraps what answers one method of the protocol. An error means that nothing
// was answered yet.
func (s *Server) tus(answer func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Tus-Resumable", tusVersion)
		w.Header().Set("Cache-Control", "no-store")
		if r.Header.Get("Tus-Resumable") != tusVersion {
			w.Header().Set("Tus-Version", tusVersion)
			s.refuse(w, r, problem{code: codeMalformed, status: http.StatusPreconditionFailed})
			return
		}
		if err := answer(w, r); err != nil {
			s.fail(w, r, err)
		}
	}
}

func (s *Server) tusOptions(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Tus-Resumable", tusVersion)
	h.Set("Tus-Version", tusVersion)
	h.Set("Tus-Extension", tusExtensions)
	h.Set("Tus-Max-Size", strconv.FormatInt(record.MaxBlob, 10))
	w.WriteHeader(http.StatusNoContent)
}

// tusOverride is for clients that can send nothing but GET and POST.
func (s *Server) tusOverride(w http.ResponseWriter, r *http.Request) error {
	switch r.Header.Get("X-HTTP-Method-Override") {
	case http.MethodPatch:
		return s.tusPatch(w, r)
	case http.MethodDelete:
		return s.tusDelete(w, r)
	case http.MethodHead:
		return s.tusHead(w, r)
	}
	return errMalformed
}

func (s *Server) tusCreate(w http.ResponseWriter, r *http.Request) error {
	size, err := tusNumber(r, "Upload-Length")
	if err != nil {
		return err
	}
	note := r.Header.Get("Upload-Metadata")
	name, o, err := readMetadata(note)
	if err != nil {
		return err
	}
	secret := uploadSecret(rand.Text())
	o.Size = size
	u, err := s.files.BeginUpload(r.Context(), secret.id(), name, note, o)
	if err == nil && size == 0 {
		_, err = s.finishUpload(r.Context(), secret, u)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/uploads/"+string(secret))
	w.Header().Set("Content-Length", "0")
	tellUpload(w.Header(), u)
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (s *Server) tusHead(w http.ResponseWriter, r *http.Request) error {
	_, u, err := s.findUpload(r)
	if err != nil {
		return err
	}
	w.Header().Set("Upload-Length", strconv.FormatInt(u.Size, 10))
	if u.Note != "" {
		w.Header().Set("Upload-Metadata", u.Note)
	}
	tellUpload(w.Header(), u)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) tusPatch(w http.ResponseWriter, r *http.Request) error {
	if !s.beginUpload() {
		return ErrBusy
	}
	defer s.endUpload()
	body := s.paced(w, r)
	u, err := s.patch(r, body)
	if err != nil {
		if body.failed != nil {
			err = formError(body.failed)
		}
		body.drain()
		return err
	}
	tellUpload(w.Header(), u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) patch(r *http.Request, body *pacedBody) (Upload, error) {
	offset, err := tusNumber(r, "Upload-Offset")
	if err != nil {
		return Upload{}, err
	}
	if r.Header.Get("Content-Type") != tusBody {
		return Upload{}, errTusBody
	}
	secret, err := secretOf(r)
	if err != nil {
		return Upload{}, err
	}
	end, err := s.senders.begin(r.Context(), secret.id(), body.interrupt)
	if err != nil {
		return Upload{}, err
	}
	defer end()
	u, err := s.files.LookUpload(r.Context(), secret.id())
	switch {
	case err != nil:
		return Upload{}, err
	case offset != u.Offset:
		return Upload{}, ErrOffset
	case r.ContentLength > u.Size-u.Offset:
		return Upload{}, ErrTooLarge
	}
	body.wanted(true)
	u, err = s.files.AppendUpload(r.Context(), secret.id(), offset, body)
	body.wanted(false)
	if err != nil || u.Offset != u.Size {
		return u, err
	}
	var more [1]byte
	if n, _ := body.Read(more[:]); n > 0 {
		return Upload{}, ErrTooLarge
	}
	_, err = s.finishUpload(r.Context(), secret, u)
	return u, err
}

// finishUpload makes a drop of an upload that has come whole.
func (s *Server) finishUpload(ctx context.Context, secret uploadSecret, u Upload) (Dropped, error) {
	name, o, err := readMetadata(u.Note)
	if err != nil {
		return Dropped{}, err
	}
	o.Size, o.Secret = u.Size, secret.undo()
	d, err := s.files.FinishUpload(ctx, secret.id(), name, o)
	if errors.Is(err, ErrBlocked) {
		err = errors.Join(err, s.files.EndUpload(ctx, secret.id()))
	}
	return d, err
}

func (s *Server) tusDelete(w http.ResponseWriter, r *http.Request) error {
	secret, _, err := s.findUpload(r)
	if err != nil {
		return err
	}
	if err := s.files.EndUpload(r.Context(), secret.id()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// uploadState answers GET: how far an upload is, or what it has become.
func (s *Server) uploadState(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	secret, u, err := s.findUpload(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out := apiUpload{Offset: u.Offset, Size: u.Size, Expires: stamp(u.Ends)}
	if u.Done {
		d, err := s.finishUpload(r.Context(), secret, u)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		dropped := s.apiDropped(d)
		out.Dropped = &dropped
	}
	s.writeJSON(w, r, http.StatusOK, out)
}

// findUpload finds the upload that a request is about. Whoever still sends to it
// is interrupted: a link that broke is often known to one end only, and only its
// owner has the address.
func (s *Server) findUpload(r *http.Request) (uploadSecret, Upload, error) {
	secret, err := secretOf(r)
	if err != nil {
		return "", Upload{}, err
	}
	if err := s.senders.interrupt(r.Context(), secret.id()); err != nil {
		return "", Upload{}, err
	}
	u, err := s.files.LookUpload(r.Context(), secret.id())
	return secret, u, err
}

func secretOf(r *http.Request) (uploadSecret, error) {
	secret := r.PathValue("upload")
	if len(secret) != secretLength {
		return "", ErrNoUpload
	}
	return uploadSecret(secret), nil
}

func tellUpload(h http.Header, u Upload) {
	h.Set("Upload-Offset", strconv.FormatInt(u.Offset, 10))
	h.Set("Upload-Expires", u.Ends.UTC().Format(http.TimeFormat))
}

// tusNumber reads a header that must be a number of bytes.
func tusNumber(r *http.Request, name string) (int64, error) {
	text := r.Header.Get(name)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, errMalformed
	}
	return n, nil
}

// readMetadata reads an Upload-Metadata header: pairs of a key and a value in
// base64, with commas between them. Keys that are not known here mean nothing.
func readMetadata(header string) (name string, o DropOptions, err error) {
	name = "unnamed"
	if header == "" {
		return name, o, nil
	}
	if len(header) > MaxUploadNote || strings.Count(header, ",") >= maxMetadata {
		return "", o, errMalformed
	}
	seen := make(map[string]bool)
	for pair := range strings.SplitSeq(header, ",") {
		key, text, _ := strings.Cut(strings.TrimSpace(pair), " ")
		value, err := base64.StdEncoding.DecodeString(text)
		if err != nil || key == "" || seen[key] {
			return "", o, errMalformed
		}
		seen[key] = true
		switch key {
		case "filename":
			if name = string(value); name == "" || len(name) > longestName {
				return "", o, errMalformed
			}
			name = record.CleanName(name)
		case "filetype":
			o.MediaType = mediaType(string(value))
		default:
			if err := o.wish(key, string(value)); err != nil {
				return "", o, err
			}
		}
	}
	return name, o, nil
}

// senders are the requests that add to an upload now.
type senders struct {
	mu  sync.Mutex
	now map[UploadID]*sender
}

type sender struct {
	stop  func() // may be called more than once, from any goroutine; does not block
	ended chan struct{}
}

// begin takes the place of whoever sends to an upload. end must follow.
func (c *senders) begin(ctx context.Context, id UploadID, stop func()) (end func(), err error) {
	mine := &sender{stop, make(chan struct{})}
	for {
		if err := c.interrupt(ctx, id); err != nil {
			return nil, err
		}
		c.mu.Lock()
		if c.now[id] == nil {
			c.now[id] = mine
			c.mu.Unlock()
			break
		}
		c.mu.Unlock()
	}
	return func() {
		c.mu.Lock()
		delete(c.now, id)
		c.mu.Unlock()
		close(mine.ended)
	}, nil
}

// interrupt ends whoever sends to an upload, and waits until what came is kept.
func (c *senders) interrupt(ctx context.Context, id UploadID) error {
	c.mu.Lock()
	other := c.now[id]
	if other != nil {
		other.stop() // not later: its connection may carry another request then
	}
	c.mu.Unlock()
	if other == nil {
		return nil
	}
	select {
	case <-other.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
