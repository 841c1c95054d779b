package webui

import (
	"encoding/binary"
	"hash/maphash"
	"html/template"
	"sync"
	"time"
)

// maxFragments is how many bytes of finished HTML are kept.
const maxFragments = 2 << 20

// fragments keeps finished parts of the home page. The list and the lobby are
// most of it and seldom differ from one view to the next, while making them takes
// a router a tenth of a second. A part is found by the hash of everything it
// shows, so that it is never out of date, but for ages, by less than a minute.
type fragments struct {
	seed maphash.Seed

	mu   sync.Mutex
	kept map[uint64]template.HTML
	size int // bytes in kept
}

func newFragments() *fragments {
	return &fragments{seed: maphash.MakeSeed(), kept: make(map[uint64]template.HTML)}
}

func (f *fragments) get(key uint64) (template.HTML, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	html, ok := f.kept[key]
	return html, ok
}

// keep remembers a part; where there is no room, all others go.
func (f *fragments) keep(key uint64, html template.HTML) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, again := f.kept[key]; again || len(html) > maxFragments/2 {
		return
	}
	if f.size+len(html) > maxFragments {
		f.kept, f.size = make(map[uint64]template.HTML), 0
	}
	f.size += len(html)
	f.kept[key] = html
}

// sum hashes what a part shows.
type sum struct{ maphash.Hash }

func (f *fragments) sum(part string, lang *language) *sum {
	h := new(sum)
	h.SetSeed(f.seed)
	h.text(part)
	h.text(lang.Code)
	return h
}

func (h *sum) text(s string) {
	h.number(int64(len(s)))
	h.WriteString(s)
}

func (h *sum) number(n int64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func (h *sum) minute(now time.Time) { h.number(now.Unix() / 60) }

func (h *sum) file(f File) {
	h.Write(f.ID[:])
	h.Write(f.CID[:])
	h.Write(f.From.ID[:])
	for _, s := range []string{f.Name, f.MediaType, f.From.Name, stateOf(f)} {
		h.text(s)
	}
	for _, n := range []int64{f.Size, f.Landed, f.Added.UnixMilli()} {
		h.number(n)
	}
	if stateOf(f) == "away" {
		h.number(f.From.Seen.Unix() / 60)
	}
	if f.From.Self {
		h.number(1)
	}
}

func (h *sum) message(m Message) {
	h.Write(m.ID[:]) // stands for all that the message's record says
	h.text(m.Box)
}

// part renders a template, or finds what it made of the same content before.
func (s *Server) part(h *sum, name string, view func() any) (template.HTML, error) {
	key := h.Sum64()
	if html, ok := s.fragments.get(key); ok {
		return html, nil
	}
	b := s.borrow()
	defer s.giveBack(b)
	if err := s.pages.ExecuteTemplate(b, name, view()); err != nil {
		return "", err
	}
	html := template.HTML(b.String())
	s.fragments.keep(key, html)
	return html, nil
}
