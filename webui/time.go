package webui

import (
	"net/http"
	"time"

	"boucan/record"
)

// apiTime answers POST /api/v1/time: a visitor's browser says what time it is, to a
// box that does not know.
func (s *Server) apiTime(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Now int64 `json:"now"` // Unix milliseconds
	}
	if err := readJSON(w, r, &in); err != nil {
		s.fail(w, r, err)
		return
	}
	if in.Now <= 0 || in.Now > record.MaxTime {
		s.fail(w, r, errMalformed)
		return
	}
	s.box.HearTime(s.visitors.of(r), time.UnixMilli(in.Now))
	w.WriteHeader(http.StatusNoContent)
}
