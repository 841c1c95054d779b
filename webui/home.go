package webui

import (
	"embed"
	"hash/fnv"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"boucan/record"
)

//go:embed templates/*.html
var templateFiles embed.FS

func (s *Server) parseTemplates() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{"static": s.assets.url}).ParseFS(templateFiles, "templates/*.html")
}

// frame is what every page shows around its own content.
type frame struct {
	*language
	Languages []*language
	Box       Self
	Path      string     // of this page
	query     url.Values // of this page
	now       time.Time
	self      record.Key
}

func (s *Server) frame(r *http.Request, lang *language) frame {
	box := s.self()
	return frame{
		language: lang, Languages: s.languages.list, Box: box, Path: r.URL.Path, query: r.URL.Query(), now: s.now(), self: box.ID,
	}
}

// self is what this box says of itself, with a name in any case.
func (s *Server) self() Self {
	box := s.box.Self()
	if box.Name == "" {
		box.Name = box.ID.Short()
	}
	return box
}

// Link is a link to a page of this box that keeps the chosen language.
func (f frame) Link(to string) string {
	if lang := f.query.Get("lang"); lang != "" && lang == f.Code {
		sep := "?"
		if strings.Contains(to, "?") {
			sep = "&"
		}
		return to + sep + "lang=" + lang
	}
	return to
}

// InLanguage is this page in another language. A page that answers a form has
// no address of its own to come back to; the home page stands in for it.
func (f frame) InLanguage(code string) string {
	q := url.Values{"lang": {code}}
	if text := searchText(f.query); text != "" && f.Path == "/" {
		q.Set("q", text)
	}
	to := "/"
	for _, own := range []string{"/dropped/", "/undo/", "/file/", "/folder/", "/room", "/actions", "/boxes", "/about", "/poster"} {
		if strings.HasPrefix(f.Path, own) {
			to = (&url.URL{Path: f.Path}).EscapedPath()
		}
	}
	if name := f.query.Get("name"); name != "" && strings.HasPrefix(to, "/file/") {
		q.Set("name", name)
	}
	return to + "?" + q.Encode()
}

// ScriptStrings are the words the script needs.
func (f frame) ScriptStrings() map[string]string { return f.script }

// withLang carries the language of r on to another page of this box.
func withLang(to string, r *http.Request) string {
	lang := chosenLang(r)
	if lang == "" {
		return to
	}
	u, err := url.Parse(to)
	if err != nil {
		return to
	}
	q := u.Query()
	q.Set("lang", lang)
	u.RawQuery = q.Encode()
	return u.String()
}

// ChosenLang is the language that the visitor chose, for forms to carry on; empty
// where it is the browser's.
func (f frame) ChosenLang() string {
	if f.Link("/") == "/" {
		return ""
	}
	return f.Code
}

type homeView struct {
	frame
	talkView
	Search             string
	Rows, Rest         template.HTML // the list, what the script needs
	Shown              int           // files on the page
	Total, First, Last int
	Newer, Older       string // links, empty where there is nothing
	Peers              []peerView
	Connected          int
	Usage              Usage
	Full               bool
	Trouble            string // code of what keeps anything from being dropped, "" for nothing
	MaxFile            int64
	AsksTime           bool
}

type fileView struct {
	ID, URL, Save, Folder, Base, Short string
	Page, In, Into                     string // its page; its folder and that one's page, empty where it is in none
	Lead                               bool   // the link to the folder stands above it
	Kind, KindName, Size, Age, When    string
	From                               string // empty where it is this box
	Seen, SeenAge                      string // when that was last heard of; empty where it is not known
	State                              string // here, mending, coming, near or away
	Percent                            int
}

type messageView struct {
	ID, Nick, Initial, Box, Age, When string
	Words                             []piece
	Colour                            int
	Tag                               string
	Reply                             string // link to the form that answers to it
	Answers                           *quote // nil where it answers to nothing
	From, Mark                        string // what tells people apart, for the script
}

type peerView struct {
	Name, Seen string
	Connected  bool
	Files      int
}

// rowView and messageRow are what the templates "row" and "message" take: the
// thing itself and the page around it. Blank ones are the shapes that the script
// fills in, so that each is written once.
type (
	rowView struct {
		Frame frame
		File  fileView
	}
	messageRow struct {
		Frame   frame
		Message messageView
	}
)

// Blank is the shape of a file's row.
func (v homeView) Blank() rowView { return rowView{v.frame, fileView{Kind: kindOther, State: "here"}} }

// BlankMessage is the shape of a message's row.
func (f frame) BlankMessage() messageRow { return messageRow{Frame: f} }

// home answers GET /: the drop area, the list and the lobby.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	q, err := queryOf(r.URL.Query(), DefaultPage)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page, err := s.files.List(r.Context(), q)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	usage := s.box.Usage()
	v := homeView{
		frame: s.frame(r, s.languages.of(r)), Search: q.Text, Total: page.Total,
		Usage: usage, Full: usage.Room == 0, Trouble: troubleOf(usage),
		AsksTime: s.box.AsksTime(),
		MaxFile:  record.MaxBlob,
	}
	if v.talkView, err = s.talkOf(r, v.frame, lobby); err != nil {
		s.fail(w, r, err)
		return
	}
	v.addPages(page, q)
	v.addPeers(s.box.Peers())
	if err := s.addParts(&v, page.Files); err != nil {
		s.fail(w, r, err)
		return
	}
	s.writePage(w, r, http.StatusOK, "home", v)
}

// addParts adds what makes up most of the page.
func (s *Server) addParts(v *homeView, files []File) (err error) {
	v.Shown = len(files)
	list := s.fragments.sum("rows", v.language)
	list.minute(v.now)
	list.text(v.Link("/")) // rows link to pages
	for _, f := range files {
		list.file(f)
	}
	if v.Rows, err = s.part(list, "rows", func() any { return v.rows(files) }); err != nil {
		return err
	}
	v.Rest, err = s.part(s.fragments.sum("rest", v.language), "rest", func() any { return v })
	return err
}

// queryOf reads q, offset and limit. It reports errMalformed for numbers that
// are none or out of range.
func queryOf(v url.Values, otherwise int) (Query, error) {
	q := Query{Text: searchText(v), Limit: otherwise}
	for _, n := range []struct {
		name     string
		to       *int
		min, max int
	}{{"offset", &q.Offset, 0, MaxOffset}, {"limit", &q.Limit, 1, MaxPage}} {
		if v.Get(n.name) == "" {
			continue
		}
		i, err := strconv.Atoi(v.Get(n.name))
		if err != nil || i < n.min || i > n.max {
			return Query{}, errMalformed
		}
		*n.to = i
	}
	return q, nil
}

func searchText(v url.Values) string {
	return record.CleanLine(cut(v.Get("q"), 4*MaxQuery), MaxQuery)
}

func cut(s string, most int) string { return s[:min(len(s), most)] }

// rows makes the rows of the list. Names that stand twice on one page get the
// end of their CID.
func (f frame) rows(files []File) []rowView {
	count := make(map[string]int)
	for _, one := range files {
		count[one.Name]++
	}
	rows := make([]rowView, 0, len(files))
	above := ""
	for _, one := range files {
		row := rowView{f, f.file(one)}
		row.File.Lead = row.File.Folder != "" && row.File.Folder != above
		above = row.File.Folder
		if count[one.Name] > 1 {
			row.File.Short = one.CID.Short()
		}
		rows = append(rows, row)
	}
	return rows
}

// talk makes the rows of a room.
func (f frame) talk(messages []Message) []messageRow {
	rows := make([]messageRow, 0, len(messages))
	for _, m := range messages {
		row := messageRow{f, f.message(m)}
		row.Message.Answers = f.quote(m.Reply, messages)
		rows = append(rows, row)
	}
	return rows
}

// addPages adds where in the list this page is.
func (v *homeView) addPages(page Page, q Query) {
	v.First, v.Last = min(q.Offset+1, page.Total), q.Offset+len(page.Files)
	if q.Offset > 0 {
		v.Newer = v.pageLink(q, max(0, q.Offset-q.Limit))
	}
	if v.Last < page.Total && len(page.Files) > 0 {
		v.Older = v.pageLink(q, v.Last)
	}
}

func (v *homeView) pageLink(q Query, offset int) string {
	vals := url.Values{}
	if q.Text != "" {
		vals.Set("q", q.Text)
	}
	if offset > 0 {
		vals.Set("offset", strconv.Itoa(offset))
	}
	if q.Limit != DefaultPage {
		vals.Set("limit", strconv.Itoa(q.Limit))
	}
	to := "/"
	if len(vals) > 0 {
		to += "?" + vals.Encode()
	}
	return v.Link(to) + "#files"
}

func (f frame) file(file File) fileView {
	base := path.Base(file.Name)
	kind := kindOf(file.Name, file.MediaType)
	v := fileView{
		ID: file.ID.String(), URL: fileURL(file), Save: fileURL(file) + "?dl=1",
		Page: f.Link(filePageURL(file.CID, file.Name)), Folder: strings.TrimSuffix(file.Name, base), Base: base,
		Kind: kind, KindName: f.T("js.kind." + kind), Size: f.Size(file.Size),
		Age: f.Age(file.Added, f.now), When: stamp(file.Added), State: stateOf(file),
	}
	if v.Folder != "" {
		v.In = strings.TrimSuffix(v.Folder, "/")
		v.Into = f.Link(folderPageURL(v.In))
	}
	if !file.From.Self {
		v.From = boxLabel(file.From)
		if !file.From.Seen.IsZero() {
			v.Seen, v.SeenAge = stamp(file.From.Seen), f.Age(file.From.Seen, f.now)
		}
	}
	if file.Size > 0 {
		v.Percent = int(min(99, file.Landed*100/file.Size))
	}
	return v
}

// stateOf says where the bytes are: here, here and being repaired, coming, on a box
// that is near, or away on one that is not.
func stateOf(file File) string {
	switch {
	case file.Here:
		return "here"
	case file.Damaged:
		return "mending"
	case file.Landed > 0:
		return "coming"
	case file.From.Near:
		return "near"
	}
	return "away"
}

func fileURL(file File) string {
	return "/f/" + file.CID.String() + "/" + url.PathEscape(path.Base(file.Name))
}

func boxLabel(b BoxRef) string {
	switch {
	case b.Name != "":
		return b.Name
	case b.ID == record.Key{}:
		return ""
	}
	return b.ID.Short()
}

func (f frame) message(m Message) messageView {
	v := messageView{
		ID: m.ID.String(), Nick: m.Nick, Initial: initial(m.Nick), Words: pieces(m.Text), Age: f.Age(m.At, f.now),
		When: stamp(m.At), Colour: colourOf(m), Tag: spoken(m.Mark), Mark: strconv.FormatUint(uint64(m.Mark), 10), From: m.From.String(),
		Reply: f.Link("/room/"+url.PathEscape(m.Room)+"?reply="+m.ID.String()) + "#say",
	}
	if m.From != f.self {
		v.Box = boxLabel(BoxRef{ID: m.From, Name: m.Box})
	}
	return v
}

// initial is the letter in a message's disc, empty for messages without a name.
func initial(nick string) string {
	for _, r := range nick {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	r, _ := utf8.DecodeRuneInString(nick)
	if nick == "" || r == utf8.RuneError {
		return ""
	}
	return string(r)
}

// colours is how many colours the style sheet has for people.
const colours = 8

// colourOf gives one mark, or else one name on one box, one colour, 1 to colours; 0
// where there is neither.
func colourOf(m Message) int {
	switch {
	case m.Mark != 0:
		return 1 + int(m.Mark%colours)
	case m.Nick == "":
		return 0
	}
	h := fnv.New32a()
	h.Write(m.From[:])
	h.Write([]byte(m.Nick))
	return 1 + int(h.Sum32()%colours)
}

func (v *homeView) addPeers(peers []Peer) {
	for _, p := range peers {
		one := peerView{Name: boxLabel(BoxRef{ID: p.ID, Name: p.Name}), Connected: p.Connected, Files: p.Files}
		if p.Connected {
			v.Connected++
		} else if !p.LastSeen.IsZero() {
			one.Seen = v.Age(p.LastSeen, v.now)
		}
		v.Peers = append(v.Peers, one)
	}
}

// stamp is a time in the form of RFC 3339, UTC, to the millisecond.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
