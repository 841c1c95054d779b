package webui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"boucan/record"
)

// Limits of drops, in bytes.
const (
	// maxUpload is the longest body that carries files. One file alone is held
	// to record.MaxBlob by Files.
	maxUpload = record.MaxBlob + 64<<20
	// maxField is how much of a form's other fields is read at all.
	maxField = 16 << 10
	// maxDrain is how much of a refused body is read to its end, so that the
	// browser gets to see the answer: most give up on a connection that closes
	// while they still send.
	maxDrain = 256 << 20
	// maxDays is how long a drop may be asked to stay, in days.
	maxDays = 90
	// longestName is how much of a file's given name is looked at.
	longestName = 8 * record.MaxName
)

// outcome is what became of one file of a drop.
type outcome struct {
	name    string // as given, cleaned
	file    File   // where it was saved or here already
	already bool
	undo    string // undo code, where it was saved
	cleaned string // a word of cleanedWord, where it was saved
	problem string // a code, where it was refused
}

// keepMetadata is the name of the form field, and of the query's, by which a
// visitor has a file stored as it is, with what identifies in it. In a form it
// stands before the files: they are taken in as they come.
const keepMetadata = "keep-metadata"

// cleanedWord is what became of what identified in a file, in one word of the
// API; empty where there is nothing to say.
func cleanedWord(d Dropped) string {
	switch {
	case d.Cleaned == record.CleanedDone && d.Location:
		return "location"
	case d.Cleaned == record.CleanedDone:
		return "removed"
	case d.Cleaned == record.CleanedNothing:
		return "nothing"
	case d.Cleaned == record.CleanedCannot:
		return "cannot"
	case d.Cleaned == record.CleanedKept:
		return "kept"
	}
	return ""
}

// chosen reports whether a box of a form is ticked, by what it sends.
func chosen(value string) bool { return value != "" && value != "0" && value != "false" }

// dropForm answers POST /: a form with files, as a browser without JavaScript or
// curl -F sends it. Each file is kept as it streams by; nothing is written aside.
func (s *Server) dropForm(w http.ResponseWriter, r *http.Request) {
	if !s.beginUpload() {
		s.fail(w, r, ErrBusy)
		return
	}
	defer s.endUpload()
	body := s.paced(w, r)
	outcomes, err := s.dropParts(r, body)
	if err == nil && len(outcomes) == 0 {
		err = errNoFile
	}
	if err != nil && len(outcomes) == 0 {
		body.drain()
		s.fail(w, r, err)
		return
	}
	if err != nil {
		// What came before the fault is saved; say so, and what was lost.
		outcomes = append(outcomes, outcome{problem: problemOf(err).code})
		body.drain()
	}
	if wantsJSON(r) {
		s.writeJSON(w, r, statusOf(outcomes), apiOutcomes(outcomes))
		return
	}
	token := s.receipts.keep(outcomes)
	http.Redirect(w, r, withLang("/dropped/"+token, r), http.StatusSeeOther)
}

// dropParts keeps the files of a form in the order in which they come.
func (s *Server) dropParts(r *http.Request, body *pacedBody) ([]outcome, error) {
	// net/http looks at the request's own body when it ends the answer, so that
	// stays as it is.
	r = r.WithContext(r.Context())
	r.Body = struct {
		io.Reader
		io.Closer
	}{body, r.Body}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, errMalformed
	}
	var outcomes []outcome
	o := DropOptions{KeepMetadata: chosen(r.URL.Query().Get(keepMetadata))} // of the files that follow
	for range MaxFormParts {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) {
			return outcomes, nil
		}
		if err != nil {
			return outcomes, formError(err)
		}
		name, isFile := partName(part)
		if !isFile {
			value, err := io.ReadAll(io.LimitReader(part, maxField))
			if err != nil {
				return outcomes, formError(err)
			}
			if err := o.wish(part.FormName(), string(value)); err != nil {
				return outcomes, err
			}
			continue
		}
		if len(outcomes) == MaxFilesPerForm {
			return outcomes, errTooMany
		}
		one, ok, err := s.dropPart(r.Context(), name, part, body, o)
		if ok {
			outcomes = append(outcomes, one)
		}
		if err != nil {
			return outcomes, err
		}
	}
	return outcomes, errTooMany
}

// dropPart keeps one file. ok is false for the empty part that a browser sends
// where nobody chose a file. An error is one of the connection: no file can
// follow.
func (s *Server) dropPart(ctx context.Context, name string, part *multipart.Part, body *pacedBody, options DropOptions) (o outcome, ok bool, err error) {
	content := io.Reader(part)
	if name == "" {
		var first [1]byte
		n, err := io.ReadFull(part, first[:])
		if err == io.EOF {
			return o, false, nil
		}
		name, content = "unnamed", io.MultiReader(bytes.NewReader(first[:n]), part)
	}
	o.name = record.CleanName(name)
	body.wanted(true)
	options.Size, options.MediaType = -1, mediaType(part.Header.Get("Content-Type"))
	d, err := s.files.Drop(ctx, o.name, content, options)
	body.wanted(false)
	if err == nil {
		o.file, o.already, o.undo, o.cleaned = d.File, d.Already, d.Undo, cleanedWord(d)
		return o, true, nil
	}
	if body.failed != nil {
		return o, false, formError(body.failed)
	}
	o.problem = s.dropProblem(ctx, err)
	// The rest of a refused file is read past, so that the next one can be tried
	// and the answer be seen.
	_, err = io.Copy(io.Discard, part)
	return o, true, formErrorOrNil(err)
}

// Names of what whoever drops something may say of it: fields of a form, which
// stand before the files, parameters of a query, keys of an upload's metadata.
const (
	wishDescription = "description"
	wishDays        = "days"
)

// wish takes in one of those; others say nothing. An empty value is none.
func (o *DropOptions) wish(name, value string) error {
	switch {
	case value == "":
	case name == keepMetadata:
		o.KeepMetadata = chosen(value)
	case name == wishDescription:
		o.Description = record.CleanText(cut(value, 4*record.MaxDescription), record.MaxDescription)
	case name == wishDays:
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxDays {
			return errMalformed
		}
		o.Life = time.Duration(n) * 24 * time.Hour
	}
	return nil
}

// dropProblem is the code of a failed drop; what no visitor caused is logged.
func (s *Server) dropProblem(ctx context.Context, err error) string {
	p := problemOf(err)
	if p.code == codeInternal && ctx.Err() == nil {
		s.logger.Error("webui: drop failed", "err", cause(err))
	}
	return p.code
}

// apiDrop answers POST /api/v1/files?name=: the body is the file itself. The
// client may choose the undo secret, &secret=, and to keep what identifies,
// &keep-metadata=1.
func (s *Server) apiDrop(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if name == "" || len(name) > longestName {
		s.fail(w, r, errMalformed)
		return
	}
	o := DropOptions{Size: r.ContentLength, MediaType: mediaType(r.Header.Get("Content-Type"))}
	for _, key := range []string{wishDescription, wishDays, keepMetadata} {
		if err := o.wish(key, r.URL.Query().Get(key)); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	if text := r.URL.Query().Get("secret"); text != "" {
		secret, err := record.ParseSecret(text)
		if err != nil {
			s.fail(w, r, errMalformed)
			return
		}
		o.Secret = &secret
	}
	if !s.beginUpload() {
		s.fail(w, r, ErrBusy)
		return
	}
	defer s.endUpload()
	body := s.paced(w, r)
	body.wanted(true)
	d, err := s.files.Drop(r.Context(), record.CleanName(name), body, o)
	body.wanted(false)
	if err != nil {
		if body.failed != nil {
			err = formError(body.failed)
		}
		body.drain()
		s.fail(w, r, err)
		return
	}
	status := http.StatusCreated
	if d.Already {
		status = http.StatusOK
	}
	s.writeJSON(w, r, status, s.apiDropped(d))
}

// beginUpload takes a place among those who drop; endUpload gives it back.
func (s *Server) beginUpload() bool {
	select {
	case s.uploads <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s *Server) endUpload() { <-s.uploads }

// pacedBody is the body of a drop: bounded, with a deadline that moves on as long
// as bytes come, and with a limit on bytes that nobody wants. One goroutine uses it.
type pacedBody struct {
	body   io.Reader
	rc     *http.ResponseController
	failed error // the first error of the connection, io.EOF aside

	due      time.Time
	left     time.Time // when the last Read returned
	step     int64     // bytes since the deadline was set
	awaited  bool      // the client waits for a word before it sends (Expect: 100-continue)
	isWanted bool
	stopped  atomic.Bool // somebody else goes on where this ends
	drained  int64       // unwanted bytes read so far
}

func (s *Server) paced(w http.ResponseWriter, r *http.Request) *pacedBody {
	p := &pacedBody{
		body: http.MaxBytesReader(w, r.Body, maxUpload), rc: http.NewResponseController(w),
		awaited: r.Header.Get("Expect") != "",
	}
	p.extend(time.Now())
	p.left = time.Now()
	return p
}

// extend gives the next step its time.
func (p *pacedBody) extend(now time.Time) {
	p.step = 0
	p.setDue(now.Add(stepTime))
}

// setDue sets the deadline. The answer's own comes on top, for it is written when
// the last byte has come.
func (p *pacedBody) setDue(due time.Time) {
	p.due = due
	_ = p.rc.SetReadDeadline(p.due)
	_ = p.rc.SetWriteDeadline(p.due.Add(answerTime))
}

// interrupt ends the reading, also one under way. It may be called from any
// goroutine.
func (p *pacedBody) interrupt() {
	p.stopped.Store(true)
	_ = p.rc.SetReadDeadline(time.Now())
}

// wanted says whether a drop reads the body, or only what passes over it.
func (p *pacedBody) wanted(yes bool) { p.isWanted = yes }

func (p *pacedBody) Read(b []byte) (int, error) {
	if p.failed != nil {
		return 0, p.failed
	}
	now := time.Now()
	if p.step >= stepBytes && p.due.Sub(now) < stepTime*3/4 {
		p.extend(now)
	} else if away := now.Sub(p.left); away > time.Second {
		p.setDue(p.due.Add(away)) // a slow disk here is not the client's fault
	}
	if p.stopped.Load() { // only now: the deadline that ends it may just have been moved
		p.failed = os.ErrDeadlineExceeded
		return 0, p.failed
	}
	n, err := p.body.Read(b)
	p.left = time.Now()
	p.awaited = false
	p.step += int64(n)
	if !p.isWanted {
		p.drained += int64(n)
		if p.drained > maxDrain && err == nil {
			err = errDrained
		}
	}
	switch {
	case err == io.EOF:
		p.arrived()
	case err != nil:
		p.failed = err
	}
	return n, err
}

// arrived ends the client's deadline: from here on the time is this box's own.
// Left in place it would end the request's context while the disk still writes.
func (p *pacedBody) arrived() {
	_ = p.rc.SetReadDeadline(time.Time{})
	_ = p.rc.SetWriteDeadline(time.Now().Add(saveTime))
}

// drain reads what is left of a refused body, up to maxDrain. A client that
// waits for leave to send is not given it.
func (p *pacedBody) drain() {
	if p.awaited {
		return
	}
	p.isWanted = false
	_, _ = io.Copy(io.Discard, struct{ io.Reader }{p}) // what fails here has been answered already
}

// partName is the name a form part gives its file, with folders. It is not
// Part.FileName, which leaves the folders out.
func partName(part *multipart.Part) (name string, isFile bool) {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return "", false
	}
	name, isFile = params["filename"]
	if len(name) > longestName {
		name = name[len(name)-longestName:]
	}
	// Browsers write these three, and only these, in percent form (WHATWG HTML,
	// "multipart/form-data encoding algorithm").
	return strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n").Replace(name), isFile
}

// mediaType is the client's claim, where it has the form of one.
func mediaType(claim string) string {
	t, _, err := mime.ParseMediaType(claim)
	if err != nil || len(t) > record.MaxMediaType || t == "application/octet-stream" || t == "application/x-www-form-urlencoded" {
		return ""
	}
	return record.CleanLine(t, record.MaxMediaType)
}

// formError is what the end of a body in the middle means.
func formError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) || problemOf(err).code != codeInternal {
		return err
	}
	return errors.Join(io.ErrUnexpectedEOF, err)
}

func formErrorOrNil(err error) error {
	if err == nil {
		return nil
	}
	return formError(err)
}
