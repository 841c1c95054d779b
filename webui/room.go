package webui

import (
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"boucan/record"
)

const (
	// shownRooms is how many rooms a page names; the rest is under "all rooms".
	shownRooms = 12
	// quoteRunes is how much of a message is shown above the answer to it.
	quoteRunes = 80
	// maxImages is how many pictures one message shows; the rest are links.
	maxImages = 4
)

// talkView is a room as a page shows it.
type talkView struct {
	Room, Nick, Once string
	Lobby            bool
	Alone            bool // nothing else is on the page
	Talk             template.HTML
	Said             int
	Earlier          string // link, empty where there is nothing before
	Rooms            []roomLink
	More             string // link to all rooms, empty where these are all
	Answer           *quote // what the form answers to
	MaxText, MaxNick int64
}

type roomLink struct {
	Name, URL   string
	Lobby, Here bool
}

// quote is the message that another one answers to.
type quote struct {
	ID, Nick, Text string // Text is empty where it is not on the page
}

type roomView struct {
	frame
	talkView
	Rest template.HTML
}

// room is the link to where a room is talked in.
func (f frame) room(name string) string {
	if name == lobby {
		return f.Link("/") + "#chat"
	}
	return f.Link("/room/" + url.PathEscape(name))
}

// openRoom answers GET /room?name=: the form of a visitor who opens a room, and, without
// a name, the list of all.
func (s *Server) openRoom(w http.ResponseWriter, r *http.Request) {
	name := strings.ToLower(record.CleanLine(cut(r.URL.Query().Get("name"), 4*record.MaxRoom), record.MaxRoom))
	if name == "" {
		s.roomsPage(w, r)
		return
	}
	if _, err := s.rooms.History(name, Cursor{}, 1); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, s.frame(r, s.languages.of(r)).room(name), http.StatusSeeOther)
}

// roomsPage lists all rooms.
func (s *Server) roomsPage(w http.ResponseWriter, r *http.Request) {
	f := s.frame(r, s.languages.of(r))
	links, _, err := s.roomLinks(f, "", -1)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.writePage(w, r, http.StatusOK, "rooms", struct {
		frame
		Rooms []roomLink
	}{f, links})
}

// roomPage answers GET /room/{room}?before=&reply=.
func (s *Server) roomPage(w http.ResponseWriter, r *http.Request) {
	v := roomView{frame: s.frame(r, s.languages.of(r))}
	var err error
	if v.talkView, err = s.talkOf(r, v.frame, r.PathValue("room")); err == nil {
		v.Alone = true
		v.Rest, err = s.part(s.fragments.sum("chatrest", v.language), "chatrest", func() any { return v })
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.writePage(w, r, http.StatusOK, "room", v)
}

// talkOf makes what a page shows of a room: the newest messages, or those before a cursor.
func (s *Server) talkOf(r *http.Request, f frame, room string) (v talkView, err error) {
	query := r.URL.Query()
	var before Cursor
	if text := query.Get("before"); text != "" {
		if before, err = parseCursor(text); err != nil {
			return v, errMalformed
		}
	}
	messages, err := s.rooms.History(room, before, homeMessages)
	if err != nil {
		return v, err
	}
	v = talkView{
		Room: room, Lobby: room == lobby, Said: len(messages), Once: newOnce(),
		Nick:    record.CleanLine(cut(query.Get("nick"), 4*record.MaxNick), record.MaxNick),
		MaxText: record.MaxMessage, MaxNick: record.MaxNick,
	}
	if len(messages) == homeMessages {
		v.Earlier = f.Link("/room/" + url.PathEscape(room) + "?before=" + cursorOf(messages[0]))
	}
	v.Answer = f.answer(query.Get("reply"), messages)
	links, more, err := s.roomLinks(f, room, shownRooms)
	if err != nil {
		return v, err
	}
	v.Rooms = links
	if more {
		v.More = f.Link("/room")
	}
	talk := s.fragments.sum("talk", f.language)
	talk.minute(f.now)
	talk.text(f.Link("/")) // the links in it carry the language on, or not
	for _, m := range messages {
		talk.message(m)
	}
	v.Talk, err = s.part(talk, "talk", func() any { return f.talk(messages) })
	return v, err
}

// roomLinks names rooms, the one that is shown among them; more says that there are others.
func (s *Server) roomLinks(f frame, here string, most int) (links []roomLink, more bool, err error) {
	names, err := s.rooms.RoomNames()
	if err != nil {
		return nil, false, err
	}
	met := here == ""
	for _, name := range names {
		if most >= 0 && len(links) == most {
			more = true
			break
		}
		met = met || name == here
		links = append(links, roomLink{Name: name, URL: f.room(name), Lobby: name == lobby, Here: name == here})
	}
	if !met {
		links = append(links, roomLink{Name: here, URL: f.room(here), Here: true})
	}
	return links, more, nil
}

// answer is the message that somebody without a script wants to answer.
func (f frame) answer(id string, messages []Message) *quote {
	to, err := record.ParseID(id)
	if err != nil {
		return nil
	}
	return f.quote(&to, messages)
}

// quote finds what a message answers to among those on the page.
func (f frame) quote(to *record.ID, messages []Message) *quote {
	if to == nil {
		return nil
	}
	q := &quote{ID: to.String()}
	for _, m := range messages {
		if m.ID == *to {
			if q.Nick = m.Nick; q.Nick == "" {
				q.Nick = f.T("js.chat.someone")
			}
			q.Text = firstRunes(strings.Join(strings.Fields(m.Text), " "), quoteRunes)
		}
	}
	return q
}

func firstRunes(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// piece is a part of a message: words, a link, or a picture.
type piece struct {
	Text, URL string
	Image     bool
	Out       bool // it leads off this box
}

// pieces finds the links in a message: web addresses, and files of this or any box, which
// all boxes have under the same path. Everything else is words.
func pieces(text string) []piece {
	var out []piece
	words := func(s string) {
		if n := len(out); n > 0 && out[n-1].URL == "" {
			out[n-1].Text += s
		} else if s != "" {
			out = append(out, piece{Text: s})
		}
	}
	images := 0
	for len(text) > 0 {
		at := strings.IndexFunc(text, func(r rune) bool { return r != ' ' && r != '\n' })
		if at < 0 {
			at = len(text)
		}
		words(text[:at])
		if text = text[at:]; text == "" {
			break
		}
		end := strings.IndexAny(text, " \n")
		if end < 0 {
			end = len(text)
		}
		word := text[:end]
		text = text[end:]
		link := strings.TrimLeft(word, "([{«“\"'")
		before := word[:len(word)-len(link)]
		link = strings.TrimRight(link, ".,;:!?)]}»”\"'")
		switch p := pieceOf(link); {
		case p.URL == "":
			words(word)
		default:
			if p.Image && images == maxImages {
				p.Image = false
			}
			if p.Image {
				images++
			}
			words(before)
			out = append(out, p)
			words(word[len(before)+len(link):])
		}
	}
	return out
}

// pieceOf is the link that a word is; without URL where it is none.
func pieceOf(word string) piece {
	if strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://") {
		if u, err := url.Parse(word); err == nil && u.Host != "" && u.User == nil {
			return piece{Text: word, URL: word, Out: true}
		}
		return piece{}
	}
	rest, ok := strings.CutPrefix(word, "/f/")
	if !ok {
		return piece{}
	}
	cid, name, ok := strings.Cut(rest, "/")
	if _, err := record.ParseCID(cid); !ok || err != nil || name == "" || strings.ContainsAny(name, "/?#") {
		return piece{}
	}
	plain, err := url.PathUnescape(name)
	if err != nil || plain != path.Base(plain) {
		return piece{}
	}
	return piece{Text: record.CleanLine(plain, len(plain)), URL: "/f/" + cid + "/" + url.PathEscape(plain), Image: kindOf(plain, "") == kindImage}
}
