package webui

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Codes of what can go wrong, in the API's answers and as the last part of the
// keys "problem.*" in the string catalogues.
const (
	codeFull      = "full"
	codeTooLarge  = "too_large"
	codeAway      = "away"
	codeOther     = "other_storage"
	codeReadOnly  = "read_only"
	codeFailing   = "failing"
	codeDamaged   = "damaged"
	codeNotHere   = "not_here"
	codeUnknown   = "unknown"
	codeNoUpload  = "no_upload"
	codeOffset    = "offset"
	codeRemoved   = "removed"
	codeLied      = "lied"
	codeBlocked   = "blocked"
	codeNoUndo    = "no_undo"
	codeRoom      = "room"
	codeEmpty     = "empty"
	codeTooLong   = "too_long"
	codeTooFast   = "too_fast"
	codeBusy      = "busy"
	codeCut       = "cut"
	codeMalformed = "malformed"
	codeNoFile    = "no_file"
	codeTooMany   = "too_many"
	codeNoPick    = "no_pick"
	codeZipLarge  = "zip_large"
	codeForeign   = "foreign"
	codeWrongHost = "wrong_host"
	codeNotHeld   = "not_held"
	codeFormat    = "format"
	codeInternal  = "internal"
)

// problem is what a visitor is told of an error.
type problem struct {
	code   string
	status int
	wait   time.Duration // when to come back; 0 where that does not help
	from   BoxRef        // codeNotHere: the box that had it, where known
}

var (
	errMalformed     = errors.New("request is malformed")
	errNoFile        = errors.New("form carries no file")
	errTooMany       = errors.New("form carries too many files")
	errNothingPicked = errors.New("no file is chosen")
	errZipLarge      = errors.New("more than one ZIP holds")
	errTusBody       = errors.New("piece of an upload is not called that")
	errDrained       = errors.New("refused body is too long to read to its end")
)

// problemOf finds what to tell of err. Anything unknown is internal.
func problemOf(err error) problem {
	var fast *TooFastError
	var here *notHereError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &fast):
		return problem{code: codeTooFast, status: http.StatusTooManyRequests, wait: fast.Wait}
	case errors.As(err, &here):
		return problem{codeNotHere, http.StatusServiceUnavailable, notHereWait, here.from}
	case errors.As(err, &large), errors.Is(err, ErrTooLarge):
		return problem{code: codeTooLarge, status: http.StatusRequestEntityTooLarge}
	}
	for _, p := range []struct {
		is error
		problem
	}{
		{ErrFull, problem{code: codeFull, status: http.StatusInsufficientStorage}},
		{ErrAway, problem{code: codeAway, status: http.StatusServiceUnavailable, wait: time.Minute}},
		{ErrOther, problem{code: codeOther, status: http.StatusServiceUnavailable, wait: time.Minute}},
		{ErrReadOnly, problem{code: codeReadOnly, status: http.StatusServiceUnavailable, wait: time.Minute}},
		{ErrFailing, problem{code: codeFailing, status: http.StatusServiceUnavailable, wait: time.Minute}},
		{ErrDamaged, problem{code: codeDamaged, status: http.StatusServiceUnavailable, wait: notHereWait}},
		{ErrNotHere, problem{code: codeNotHere, status: http.StatusServiceUnavailable, wait: notHereWait}},
		{ErrUnknown, problem{code: codeUnknown, status: http.StatusNotFound}},
		{ErrRemoved, problem{code: codeRemoved, status: http.StatusGone}},
		{ErrBlocked, problem{code: codeBlocked, status: http.StatusForbidden}},
		{ErrNoUndo, problem{code: codeNoUndo, status: http.StatusNotFound}},
		{ErrNoUpload, problem{code: codeNoUpload, status: http.StatusNotFound}},
		{ErrOffset, problem{code: codeOffset, status: http.StatusConflict}},
		{errTusBody, problem{code: codeMalformed, status: http.StatusUnsupportedMediaType}},
		{ErrLied, problem{code: codeLied, status: http.StatusNotFound}},
		{ErrRoom, problem{code: codeRoom, status: http.StatusNotFound}},
		{ErrEmpty, problem{code: codeEmpty, status: http.StatusUnprocessableEntity}},
		{ErrTooLong, problem{code: codeTooLong, status: http.StatusRequestEntityTooLarge}},
		{ErrBusy, problem{code: codeBusy, status: http.StatusServiceUnavailable, wait: 5 * time.Second}},
		{errNotHeld, problem{code: codeNotHeld, status: http.StatusNotFound}},
		{errUncached, problem{code: codeNotHeld, status: http.StatusPreconditionFailed}},
		{errFormat, problem{code: codeFormat, status: http.StatusNotAcceptable}},
		{errNoFormat, problem{code: codeFormat, status: http.StatusBadRequest}},
		{errMalformed, problem{code: codeMalformed, status: http.StatusBadRequest}},
		{errNoFile, problem{code: codeNoFile, status: http.StatusUnprocessableEntity}},
		{errTooMany, problem{code: codeTooMany, status: http.StatusRequestEntityTooLarge}},
		{errNothingPicked, problem{code: codeNoPick, status: http.StatusUnprocessableEntity}},
		{errZipLarge, problem{code: codeZipLarge, status: http.StatusRequestEntityTooLarge}},
		{io.ErrUnexpectedEOF, problem{code: codeCut, status: http.StatusBadRequest}},
		{os.ErrDeadlineExceeded, problem{code: codeCut, status: http.StatusRequestTimeout}},
	} {
		if errors.Is(err, p.is) {
			return p.problem
		}
	}
	return problem{code: codeInternal, status: http.StatusInternalServerError}
}

// notHereWait is when to ask again for a file that no box in reach has.
const notHereWait = 30 * time.Second

// notHereError is an ErrNotHere that knows which box has the file.
type notHereError struct{ from BoxRef }

func (e *notHereError) Error() string        { return ErrNotHere.Error() }
func (e *notHereError) Is(target error) bool { return target == ErrNotHere }

// cause is the innermost error, without the names that the errors around it
// carry: a file's name belongs to its visitor and not into the log.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// troubleOf is the code of what keeps anything from being dropped, "" for nothing.
func troubleOf(u Usage) string {
	if u.Trouble == nil {
		return ""
	}
	return problemOf(u.Trouble).code
}

// refuse answers with a problem in the form the client wants.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, p problem) {
	if p.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(p.wait)))
	}
	w.Header().Set("Cache-Control", "no-store")
	lang := s.languages.of(r)
	if wantsJSON(r) {
		s.writeJSON(w, r, p.status, apiError{apiProblem{
			Code: p.code, Message: lang.problem(p, s.now()), RetryAfter: seconds(p.wait),
		}})
		return
	}
	if wantsPlain(r) && p.code != codeWrongHost {
		s.writeBody(w, r, p.status, "text/plain; charset=utf-8", []byte(lang.problem(p, s.now())+"\n"))
		return
	}
	v := problemView{frame: s.frame(r, lang), Title: lang.T("problem.title." + p.code), Text: lang.problem(p, s.now())}
	v.Wrong = p.code == codeWrongHost
	if p.wait > 0 && r.Method == http.MethodGet {
		v.Again = r.URL.RequestURI()
	}
	s.writePage(w, r, p.status, "problem", v)
}

type problemView struct {
	frame
	Title, Text string
	Again       string // where to ask again, empty where that does not help
	Wrong       bool   // asked under a foreign host: nothing of the box is shown but its address
}

// problem is the sentence for p.
func (l *language) problem(p problem, now time.Time) string {
	switch {
	case p.code == codeTooFast:
		return l.T("problem.too_fast", "n", seconds(p.wait))
	case p.code == codeNotHere && !p.from.Self && boxLabel(p.from) != "" && !p.from.Seen.IsZero():
		return l.T("problem.not_here.box", "box", boxLabel(p.from), "age", l.Age(p.from.Seen, now))
	}
	return l.T("problem." + p.code)
}

// seconds rounds up, so that whoever waits that long has waited long enough.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
