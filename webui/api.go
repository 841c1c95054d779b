package webui

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"boucan/record"
)

// The types below are the JSON of API.md. Times are RFC 3339 in UTC.
type (
	apiError struct {
		Error apiProblem `json:"error"`
	}
	apiProblem struct {
		Code       string `json:"code"`
		Message    string `json:"message"`
		RetryAfter int    `json:"retryAfter,omitempty"` // seconds
	}
	apiRef struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		Self bool   `json:"self"`
	}
	apiFileJSON struct {
		ID    string `json:"id"`
		CID   string `json:"cid"`
		Name  string `json:"name"`
		Size  int64  `json:"size"`
		Kind  string `json:"kind"`
		Added string `json:"added"`
		// Expires is when it goes unless somebody offers it anew.
		Expires     string `json:"expires,omitempty"`
		Description string `json:"description,omitempty"`
		From        apiRef `json:"from"`
		State       string `json:"state"` // here, mending, coming, near, away
		Seen        string `json:"seen,omitempty"`
		Landed      int64  `json:"landed"`
		URL         string `json:"url"`
	}
	apiFileList struct {
		Total  int           `json:"total"`
		Offset int           `json:"offset"`
		Files  []apiFileJSON `json:"files"`
	}
	apiDropped struct {
		File    apiFileJSON `json:"file"`
		Already bool        `json:"already"`
		Undo    string      `json:"undo"`
		Days    int         `json:"days"`              // that the file stays, as it stands now
		Cleaned string      `json:"cleaned,omitempty"` // location, removed, nothing, cannot, kept
	}
	apiUpload struct {
		Offset  int64       `json:"offset"`
		Size    int64       `json:"size"`
		Expires string      `json:"expires"`
		Dropped *apiDropped `json:"dropped,omitempty"` // once it is finished
	}
	apiOutcome struct {
		Name    string `json:"name"`
		State   string `json:"state"` // saved, already, refused
		CID     string `json:"cid,omitempty"`
		Cleaned string `json:"cleaned,omitempty"`
		Undo    string `json:"undo,omitempty"`
		Problem string `json:"problem,omitempty"`
	}
	apiResults struct {
		Results []apiOutcome `json:"results"`
	}
	apiMessage struct {
		ID     string `json:"id"`
		Room   string `json:"room"`
		Nick   string `json:"nick"`
		Text   string `json:"text"`
		Mark   uint32 `json:"mark"`
		Tag    string `json:"tag,omitempty"`
		Reply  string `json:"reply,omitempty"`
		From   apiRef `json:"from"`
		At     string `json:"at"`
		Colour int    `json:"colour"`
	}
	apiMessageList struct {
		Messages []apiMessage `json:"messages"`
		Before   string       `json:"before,omitempty"` // cursor of the page before
	}
	apiDraft struct {
		Nick  string `json:"nick"`
		Text  string `json:"text"`
		Reply string `json:"reply"`
		Once  string `json:"once"`
		Mark  string `json:"mark"` // the browser's secret for this room
	}
	apiPeer struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		Connected bool   `json:"connected"`
		LastSeen  string `json:"lastSeen,omitempty"`
		Files     int    `json:"files"`
		Bytes     int64  `json:"bytes"`
		Hops      int    `json:"hops"` // 0 where it is not known
	}
	apiPeerList struct {
		Peers []apiPeer `json:"peers"`
	}
	apiTransfer struct {
		CID    string `json:"cid"`
		Name   string `json:"name"`
		Landed int64  `json:"landed"`
		Size   int64  `json:"size"`
	}
	apiBoxJSON struct {
		ID        string        `json:"id"`
		Name      string        `json:"name"`
		URL       string        `json:"url"`
		Software  string        `json:"software"`
		Usage     apiUsage      `json:"usage"`
		Limits    apiLimits     `json:"limits"`
		Transfers []apiTransfer `json:"transfers"`
	}
	apiUsage struct {
		Files int   `json:"files"`
		Bytes int64 `json:"bytes"`
		Room  int64 `json:"room"` // bytes that may still be dropped
		Total int64 `json:"total"`
		// Trouble is the code of what keeps anything from being dropped.
		Trouble string `json:"trouble,omitempty"`
		// Stopped says that nothing more is copied, because the disk is nearly full.
		Stopped bool `json:"stopped"`
	}
	apiLimits struct {
		File    int64 `json:"file"`    // bytes
		Name    int   `json:"name"`    // bytes
		Message int   `json:"message"` // bytes
		Nick    int   `json:"nick"`    // bytes
	}
)

func (s *Server) apiBox(w http.ResponseWriter, r *http.Request) {
	self, usage := s.box.Self(), s.box.Usage()
	out := apiBoxJSON{
		ID: self.ID.String(), Name: self.Name, URL: self.URL, Software: self.Software,
		Usage:     apiUsage{Files: usage.Files, Bytes: usage.Bytes, Room: usage.Room, Total: usage.Total, Trouble: troubleOf(usage), Stopped: usage.Stopped},
		Limits:    apiLimits{File: record.MaxBlob, Name: record.MaxName, Message: record.MaxMessage, Nick: record.MaxNick},
		Transfers: []apiTransfer{},
	}
	for _, t := range s.box.Transfers() {
		out.Transfers = append(out.Transfers, apiTransfer{CID: t.CID.String(), Name: t.Name, Landed: t.Landed, Size: t.Size})
	}
	s.writeTagged(w, r, out)
}

func (s *Server) apiPeers(w http.ResponseWriter, r *http.Request) {
	out := apiPeerList{Peers: []apiPeer{}}
	for _, p := range s.box.Peers() {
		one := apiPeer{ID: p.ID.String(), Name: boxLabel(BoxRef{ID: p.ID, Name: p.Name}), Connected: p.Connected, Files: p.Files, Bytes: p.Bytes, Hops: p.Hops}
		if !p.LastSeen.IsZero() {
			one.LastSeen = stamp(p.LastSeen)
		}
		out.Peers = append(out.Peers, one)
	}
	s.writeTagged(w, r, out)
}

func (s *Server) apiFiles(w http.ResponseWriter, r *http.Request) {
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
	out := apiFileList{Total: page.Total, Offset: q.Offset, Files: make([]apiFileJSON, 0, len(page.Files))}
	for _, f := range page.Files {
		out.Files = append(out.Files, s.apiFile(f))
	}
	s.writeTagged(w, r, out)
}

func (s *Server) apiFile(f File) apiFileJSON {
	out := apiFileJSON{
		ID: f.ID.String(), CID: f.CID.String(), Name: f.Name, Size: f.Size, Kind: kindOf(f.Name, f.MediaType), Added: stamp(f.Added),
		From:  apiRef{ID: f.From.ID.String(), Name: boxLabel(f.From), Self: f.From.Self},
		State: stateOf(f), Landed: f.Landed, URL: fileURL(f),
	}
	if out.Description = f.Description; !f.Expires.IsZero() {
		out.Expires = stamp(f.Expires)
	}
	if out.State == "away" && !f.From.Self && !f.From.Seen.IsZero() {
		out.Seen = stamp(f.From.Seen)
	}
	return out
}

func (s *Server) apiDropped(d Dropped) apiDropped {
	return apiDropped{File: s.apiFile(d.File), Already: d.Already, Undo: d.Undo, Days: daysLeft(d.File, s.now()), Cleaned: cleanedWord(d)}
}

// daysLeft is how many days a file stays, begun ones included; 0 where that is not
// known.
func daysLeft(f File, now time.Time) int {
	const day = 24 * time.Hour
	if f.Expires.IsZero() {
		return 0
	}
	return int(max(f.Expires.Sub(now)+day-time.Minute, day) / day)
}

func apiOutcomes(outcomes []outcome) apiResults {
	out := apiResults{Results: make([]apiOutcome, 0, len(outcomes))}
	for _, o := range outcomes {
		one := apiOutcome{Name: o.name, State: o.state(), Problem: o.problem}
		if o.problem == "" {
			one.CID, one.Undo, one.Cleaned = o.file.CID.String(), o.undo, o.cleaned
		}
		out.Results = append(out.Results, one)
	}
	return out
}

// statusOf is 201 where every file is kept, the first refusal's status where
// none is, 200 between the two.
func statusOf(outcomes []outcome) int {
	kept, refused := 0, 0
	for _, o := range outcomes {
		if o.problem == "" {
			kept++
		} else if refused == 0 {
			refused = statusOfCode(o.problem)
		}
	}
	switch {
	case refused == 0:
		return http.StatusCreated
	case kept == 0:
		return refused
	}
	return http.StatusOK
}

func statusOfCode(code string) int {
	switch code {
	case codeFull:
		return http.StatusInsufficientStorage
	case codeTooLarge, codeTooMany:
		return http.StatusRequestEntityTooLarge
	case codeAway, codeOther, codeReadOnly, codeFailing:
		return http.StatusServiceUnavailable
	case codeBlocked:
		return http.StatusForbidden
	case codeInternal:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

func (s *Server) apiMessages(w http.ResponseWriter, r *http.Request) {
	limit, before := homeMessages, Cursor{}
	v := r.URL.Query()
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxMessages {
			s.fail(w, r, errMalformed)
			return
		}
		limit = n
	}
	if text := v.Get("before"); text != "" {
		var err error
		if before, err = parseCursor(text); err != nil {
			s.fail(w, r, errMalformed)
			return
		}
	}
	messages, err := s.rooms.History(r.PathValue("room"), before, limit)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	self := s.box.Self().ID
	out := apiMessageList{Messages: make([]apiMessage, 0, len(messages))}
	for _, m := range messages {
		out.Messages = append(out.Messages, apiMessageOf(m, self))
	}
	if len(messages) == limit {
		out.Before = cursorOf(messages[0])
	}
	s.writeTagged(w, r, out)
}

// cursorOf stands before a message.
func cursorOf(m Message) string { return fmt.Sprintf("%d-%s", m.At.UnixMilli(), m.ID) }

// apiRooms answers GET /api/v1/rooms.
func (s *Server) apiRooms(w http.ResponseWriter, r *http.Request) {
	names, err := s.rooms.RoomNames()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.writeTagged(w, r, struct {
		Rooms []string `json:"rooms"`
	}{names})
}

func parseCursor(text string) (Cursor, error) {
	at, id, _ := strings.Cut(text, "-")
	created, err := strconv.ParseInt(at, 10, 64)
	if err != nil || created < 0 || created > record.MaxTime {
		return Cursor{}, errMalformed
	}
	rid, err := record.ParseID(id)
	return Cursor{Created: created, ID: rid}, err
}

func apiMessageOf(m Message, self record.Key) apiMessage {
	out := apiMessage{
		ID: m.ID.String(), Room: m.Room, Nick: m.Nick, Text: m.Text, Mark: m.Mark, Tag: spoken(m.Mark), At: stamp(m.At), Colour: colourOf(m),
		From: apiRef{ID: m.From.String(), Name: boxLabel(BoxRef{ID: m.From, Name: m.Box}), Self: m.From == self},
	}
	if m.Reply != nil {
		out.Reply = m.Reply.String()
	}
	return out
}

func (s *Server) apiPost(w http.ResponseWriter, r *http.Request) {
	var in apiDraft
	if err := readJSON(w, r, &in); err != nil {
		s.fail(w, r, err)
		return
	}
	d := Draft{Room: r.PathValue("room"), Nick: in.Nick, Text: in.Text, Once: in.Once}
	if in.Reply != "" {
		id, err := record.ParseID(in.Reply)
		if err != nil {
			s.fail(w, r, errMalformed)
			return
		}
		d.Reply = &id
	}
	var err error
	if d.Mark, err = s.markOf(d.Room, in.Mark); err != nil {
		s.fail(w, r, err)
		return
	}
	m, err := s.say(r, d)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.writeJSON(w, r, http.StatusCreated, apiMessageOf(m, s.box.Self().ID))
}

// writeTagged is writeJSON with an ETag over the content, so that a page that
// polls costs a few bytes while nothing changes.
func (s *Server) writeTagged(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := fnv.New64a()
	h.Write(b)
	tag := `W/"` + strconv.FormatUint(h.Sum64(), 36) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.writeBody(w, r, http.StatusOK, "application/json; charset=utf-8", b)
}

// apiLive answers GET /api/v1/live?room=: the websocket that tells what changes.
func (s *Server) apiLive(w http.ResponseWriter, r *http.Request) {
	room := r.URL.Query().Get("room")
	if room == "" {
		room = lobby
	}
	if !sameOrigin(r) {
		s.refuse(w, r, problem{code: codeForeign, status: http.StatusForbidden})
		return
	}
	if err := s.live.serve(w, r, room); err != nil {
		s.fail(w, r, err)
	}
}

// sameOrigin holds a websocket's Origin against the Host it was sent to (RFC
// 6455, section 10.2). Programs that are no browsers send none.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
