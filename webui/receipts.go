package webui

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

// Limits of the receipts: pages that say what became of a form's files. They
// live in memory only, under names nobody can guess.
const (
	receiptLife     = 15 * time.Minute
	maxReceipts     = 256
	maxReceiptFiles = 4 * MaxFilesPerForm // in all receipts together
)

// receipts keeps the outcomes of the last drops.
type receipts struct {
	now func() time.Time

	mu    sync.Mutex
	kept  map[string][]outcome
	order []receiptRef // oldest first
	files int          // outcomes in all
}

type receiptRef struct {
	token string
	made  time.Time
}

func newReceipts(now func() time.Time) *receipts {
	return &receipts{now: now, kept: make(map[string][]outcome)}
}

// keep remembers outcomes and returns the name to ask for them by. The oldest
// go where there is no room, never these.
func (c *receipts) keep(outcomes []outcome) (token string) {
	token = rand.Text()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweepLocked()
	for len(c.order) > 0 && (len(c.order) >= maxReceipts || c.files+len(outcomes) > maxReceiptFiles) {
		c.dropOldestLocked()
	}
	c.kept[token] = outcomes
	c.order = append(c.order, receiptRef{token, c.now()})
	c.files += len(outcomes)
	return token
}

// of returns the outcomes kept under token.
func (c *receipts) of(token string) ([]outcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweepLocked()
	outcomes, ok := c.kept[token]
	return outcomes, ok
}

func (c *receipts) sweepLocked() {
	for len(c.order) > 0 && c.now().Sub(c.order[0].made) > receiptLife {
		c.dropOldestLocked()
	}
}

func (c *receipts) dropOldestLocked() {
	oldest := c.order[0].token
	c.files -= len(c.kept[oldest])
	delete(c.kept, oldest)
	c.order = append(c.order[:0], c.order[1:]...)
}

type droppedView struct {
	frame
	Outcomes []outcomeView
	Saved    int // saved or already here
	Refused  int
	Undoable bool // some can be taken back
}

type outcomeView struct {
	Name, State, Why string // State is saved, already or refused
	Stays            string // for how long
	Undo             string // link to the page that takes it back
	Cleaned          string // what became of what identified, in words
	File             *fileView
}

// dropped answers GET /dropped/{token}: what became of each file of a form.
func (s *Server) dropped(w http.ResponseWriter, r *http.Request) {
	outcomes, ok := s.receipts.of(r.PathValue("token"))
	if !ok {
		// Forgotten, as it says it will be; the list tells what is here.
		http.Redirect(w, r, withLang("/", r), http.StatusSeeOther)
		return
	}
	lang := s.languages.of(r)
	v := droppedView{frame: s.frame(r, lang)}
	for _, o := range outcomes {
		one := outcomeView{Name: o.name, State: o.state()}
		if o.problem != "" {
			v.Refused++
			one.Why = lang.problem(problem{code: o.problem}, v.now)
		} else {
			v.Saved++
			if days := daysLeft(o.file, v.now); days > 0 {
				one.Stays = lang.N("js.drop.stays", days)
			}
			f := v.file(o.file)
			one.File = &f
			if o.cleaned != "" && o.cleaned != "nothing" {
				one.Cleaned = v.T("js.clean." + o.cleaned)
			}
			if o.undo != "" {
				one.Undo, v.Undoable = v.Link("/undo/"+o.undo), true
			}
		}
		v.Outcomes = append(v.Outcomes, one)
	}
	w.Header().Set("Cache-Control", "no-store")
	s.writePage(w, r, http.StatusOK, "dropped", v)
}

func (o outcome) state() string {
	switch {
	case o.problem != "":
		return "refused"
	case o.already:
		return "already"
	}
	return "saved"
}
