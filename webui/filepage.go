package webui

import (
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"

	"boucan/record"
)

// sharing is an address to pass on, and as a picture.
type sharing struct {
	Address string
	QR      template.HTML // empty where the address is too long for one
}

// sharing makes the address of a page, which the language is not part of.
func (s *Server) sharing(r *http.Request, lang *language, to string) sharing {
	address := s.origin(r) + to
	return sharing{address, qrSVG(address, lang.T("share.qr"))}
}

// crumb is a folder above something.
type crumb struct{ Name, URL string }

// crumbs are the folders above a name, outermost first.
func (f frame) crumbs(name string) []crumb {
	var out []crumb
	for i, c := range name {
		if c == '/' {
			out = append(out, crumb{path.Base(name[:i]), f.Link(folderPageURL(name[:i]))})
		}
	}
	return out
}

type filePageView struct {
	frame
	sharing
	File    fileView
	Folders []crumb
	Inline  bool // browsers show it
}

// Row is what the template "state" takes.
func (v filePageView) Row() rowView { return rowView{v.frame, v.File} }

// filePage answers GET /file/{cid}: what a file is, and how to pass it on. Which of
// the file's names is meant can be said (name=).
func (s *Server) filePage(w http.ResponseWriter, r *http.Request) {
	cid, err := record.ParseCID(r.PathValue("cid"))
	if err != nil {
		s.fail(w, r, ErrUnknown)
		return
	}
	file, err := s.files.Named(r.Context(), cid, cut(r.URL.Query().Get("name"), record.MaxName))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	lang := s.languages.of(r)
	f := s.frame(r, lang)
	s.writePage(w, r, http.StatusOK, "file", filePageView{
		frame: f, sharing: s.sharing(r, lang, filePageURL(cid, "")),
		File: f.file(file), Folders: f.crumbs(file.Name), Inline: inline[typeOf(file.Name, file.MediaType)],
	})
}

type folderPageView struct {
	frame
	sharing
	Name    string
	Folders []crumb
	Rows    []rowView
	Total   int
	Size    string // of what is shown
	More    bool   // than is shown
	Zip     string // empty where it is more than one ZIP holds
}

// folderPage answers GET /folder/{folder...}: what is in it and below it.
func (s *Server) folderPage(w http.ResponseWriter, r *http.Request) {
	folder := r.PathValue("folder")
	if record.CheckName(folder) != nil {
		s.fail(w, r, ErrUnknown)
		return
	}
	page, err := s.files.Folder(r.Context(), folder, MaxPage)
	if err == nil && page.Total == 0 {
		err = ErrUnknown
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	lang := s.languages.of(r)
	v := folderPageView{
		frame: s.frame(r, lang), sharing: s.sharing(r, lang, folderPageURL(folder)),
		Name: path.Base(folder), Total: page.Total, More: page.Total > len(page.Files),
	}
	v.Folders, v.Rows = v.crumbs(folder), v.rows(page.Files)
	var size int64
	for i, f := range page.Files {
		size += f.Size
		row := &v.Rows[i].File
		row.Lead = row.Lead && row.Folder != folder+"/"
	}
	v.Size = v.language.Size(size)
	if page.Total <= MaxZipFiles && size <= MaxZipBytes {
		v.Zip = v.Link("/zip?folder=" + url.QueryEscape(folder))
	}
	s.writePage(w, r, http.StatusOK, "folder", v)
}

func filePageURL(cid record.CID, name string) string {
	to := "/file/" + cid.String()
	if name != "" {
		to += "?name=" + url.QueryEscape(name)
	}
	return to
}

func folderPageURL(folder string) string {
	parts := strings.Split(folder, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return "/folder/" + strings.Join(parts, "/")
}
