package webui

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"boucan/record"
)

// lobby is the room every box has.
const lobby = "lobby"

// postTime is how long a message may take to become durable.
const postTime = 30 * time.Second

// newOnce names one attempt to say something.
func newOnce() string { return rand.Text() }

// chatForm answers POST /chat/{room}: the form of a browser without JavaScript.
func (s *Server) chatForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, MaxForm)
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, bodyError(err))
		return
	}
	nick, room := r.PostForm.Get("nick"), r.PathValue("room")
	d := Draft{Room: room, Nick: nick, Text: r.PostForm.Get("text"), Once: r.PostForm.Get("once")}
	if id, err := record.ParseID(r.PostForm.Get("reply")); err == nil {
		d.Reply = &id
	}
	_, err := s.say(r, d)
	if err != nil && !errors.Is(err, ErrEmpty) { // an empty form says nothing and shows the room again
		s.fail(w, r, err)
		return
	}
	q := url.Values{}
	if nick = record.CleanLine(cut(nick, 4*record.MaxNick), record.MaxNick); nick != "" {
		q.Set("nick", nick) // the only place to remember it in: there are no cookies
	}
	if lang := chosenLang(r); lang != "" {
		q.Set("lang", lang)
	}
	to := url.URL{Path: "/", RawQuery: q.Encode(), Fragment: "say"}
	if room != lobby {
		to.Path = "/room/" + room
	}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

// say posts for the visitor who sent r. It goes on when the visitor's link
// drops: the phone that tries again finds its message said, once.
func (s *Server) say(r *http.Request, d Draft) (Message, error) {
	d.Visitor = s.visitors.of(r)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), postTime)
	defer cancel()
	return s.rooms.Post(ctx, d)
}

// readJSON reads a small body that is one JSON value and nothing else.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxForm))
	if err := body.Decode(into); err != nil {
		return bodyError(err)
	}
	if _, err := body.Token(); err != io.EOF {
		return errMalformed
	}
	return nil
}

// bodyError is what reading a small body failed with, as a visitor knows it.
func bodyError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return ErrTooLong
	}
	return errMalformed
}
