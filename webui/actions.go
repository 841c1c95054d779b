package webui

import (
	"net/http"
)

type actionsView struct {
	frame
	Days []actionDay
}

// actionDay is what was done on one day.
type actionDay struct {
	Day   string
	Lines []actionLine
}

type actionLine struct{ Text, Ref string }

// actionsPage answers GET /actions: what this box's operator removed and blocked.
func (s *Server) actionsPage(w http.ResponseWriter, r *http.Request) {
	lang := s.languages.of(r)
	v := actionsView{frame: s.frame(r, lang)}
	for _, a := range s.box.Actions() {
		if n := len(v.Days); n == 0 || v.Days[n-1].Day != a.Day {
			v.Days = append(v.Days, actionDay{Day: a.Day})
		}
		day := &v.Days[len(v.Days)-1]
		day.Lines = append(day.Lines, actionLine{lang.T("action." + a.Did + "." + a.What), a.Ref})
	}
	s.writePage(w, r, http.StatusOK, "actions", v)
}

type (
	apiAction struct {
		Day  string `json:"day"` // as 2026-07-14, UTC
		Did  string `json:"did"`
		What string `json:"what"`
		Ref  string `json:"ref"`
	}
	apiActionList struct {
		Actions []apiAction `json:"actions"`
	}
)

func (s *Server) apiActions(w http.ResponseWriter, r *http.Request) {
	out := apiActionList{Actions: []apiAction{}}
	for _, a := range s.box.Actions() {
		out.Actions = append(out.Actions, apiAction(a))
	}
	s.writeTagged(w, r, out)
}
