package webui

import (
	"html/template"
	"net/http"

	"boucan/record"
)

type undoView struct {
	frame
	Name    string // of the file; empty for a message
	Code    string // to be sent; empty where it is done
	Kept    bool   // another still shares the same bytes
	Address string // of this page, to be kept, and as a picture
	QR      template.HTML
}

// undoPage answers GET /undo/{code}: what the code is for, and a button. Looking
// does nothing, since mail programs and messengers look at links by themselves.
func (s *Server) undoPage(w http.ResponseWriter, r *http.Request) {
	code, err := record.ParseUndoCode(r.PathValue("code"))
	if err != nil {
		s.fail(w, r, ErrNoUndo)
		return
	}
	name, err := s.files.Undoable(r.Context(), code)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v := undoView{frame: s.frame(r, s.languages.of(r)), Name: name, Code: code.String()}
	v.Address = s.origin(r) + "/undo/" + v.Code
	v.QR = qrSVG(v.Address, v.T("undo.title"))
	w.Header().Set("Cache-Control", "no-store")
	s.writePage(w, r, http.StatusOK, "undo", v)
}

// undoForm answers POST /undo/{code}.
func (s *Server) undoForm(w http.ResponseWriter, r *http.Request) {
	done, err := s.undo(r, r.PathValue("code"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	s.writePage(w, r, http.StatusOK, "undo", undoView{frame: s.frame(r, s.languages.of(r)), Name: done.Name, Kept: done.Kept})
}

// apiUndo answers POST /api/v1/undo.
func (s *Server) apiUndo(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Code string `json:"code"`
	}
	if err := readJSON(w, r, &in); err != nil {
		s.fail(w, r, err)
		return
	}
	done, err := s.undo(r, in.Code)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.writeJSON(w, r, http.StatusOK, struct {
		Name string `json:"name"`
		Kept bool   `json:"kept"`
	}{done.Name, done.Kept})
}

func (s *Server) undo(r *http.Request, text string) (Undone, error) {
	code, err := record.ParseUndoCode(text)
	if err != nil {
		return Undone{}, ErrNoUndo
	}
	return s.files.Undo(r.Context(), code)
}
