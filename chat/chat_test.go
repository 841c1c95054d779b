package chat

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boucan/record"
)

// memoryLog is a Log that keeps signed records in memory.
type memoryLog struct {
	key ed25519.PrivateKey

	mu    sync.Mutex
	recs  []*record.Record
	reads int
	fail  error
	hold  chan struct{} // where set, Publish waits for it
}

func newLog(t testing.TB) *memoryLog {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &memoryLog{key: key}
}

func (l *memoryLog) Publish(ctx context.Context, m record.Message) (*record.Record, error) {
	if l.hold != nil {
		<-l.hold
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return nil, l.fail
	}
	// Each message is dated a millisecond after the one before.
	rec, err := record.Sign(l.key, record.Draft{
		Created: time.UnixMilli(1_700_000_000_000 + int64(len(l.recs))), Life: time.Hour, Body: m,
	})
	if err == nil {
		l.recs = append(l.recs, rec)
	}
	return rec, err
}

func (l *memoryLog) Rooms() ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	var rooms []string
	for _, r := range l.recs {
		m, err := r.Message()
		if err != nil {
			return nil, err
		}
		rooms = append(rooms, m.Room)
	}
	slices.Sort(rooms)
	return slices.Compact(rooms), l.fail
}

func (l *memoryLog) Messages(room string, before Cursor, limit int) ([]*record.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	var out []*record.Record
	for _, r := range slices.Backward(l.recs) {
		m, err := r.Message()
		if err != nil {
			return nil, err
		}
		id := r.ID()
		earlier := before == Cursor{} || cmp.Or(cmp.Compare(r.Created, before.Created), slices.Compare(id[:], before.ID[:])) < 0
		if m.Room == room && earlier && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (l *memoryLog) remove(id record.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recs = slices.DeleteFunc(l.recs, func(r *record.Record) bool { return r.ID() == id })
}

// generous limits for tests that are not about limits.
var generous = Options{VisitorRate: Rate{Burst: 1 << 20}, BoxRate: Rate{Burst: 1 << 20}}

func say(t *testing.T, h *Hub, text string) Message {
	t.Helper()
	m, err := h.Post(t.Context(), Draft{Visitor: "v", Room: Lobby, Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPostIsPublishedAndHeard(t *testing.T) {
	log := newLog(t)
	o := generous
	o.BoxName = func(k record.Key) string { return "box " + k.Short() }
	h := New(log, o)
	sub, err := h.Subscribe(Lobby)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	other, err := h.Subscribe("kitchen")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()

	reply := record.ID{1, 2, 3}
	m, err := h.Post(t.Context(), Draft{Visitor: "v", Room: Lobby, Nick: " Zoé\u202e ", Text: "  hi\r\nyou\x00 ", Mark: 7, Reply: &reply})
	if err != nil {
		t.Fatal(err)
	}
	if m.Nick != "Zoé" || m.Text != "hi\nyou" || m.Mark != 7 || *m.Reply != reply || m.Room != Lobby {
		t.Errorf("posted as %+v", m)
	}
	if m.Box != "box "+m.From.Short() {
		t.Errorf("box is %q", m.Box)
	}
	if e := <-sub.C; e.Message.ID != m.ID || e.Withdrawn || e.Message.Box != m.Box {
		t.Errorf("heard %+v", e)
	}
	// The caller may hand the same record in again; nobody hears it twice.
	h.Deliver(log.recs[0])
	if len(sub.C) != 0 || len(other.C) != 0 {
		t.Error("a message was heard twice, or in another room")
	}
	list, err := h.History(Lobby, Cursor{}, 10)
	if err != nil || len(list) != 1 || list[0].ID != m.ID || list[0].Box != m.Box {
		t.Errorf("history is %+v, %v", list, err)
	}
}

func TestDeliverFromAnotherBox(t *testing.T) {
	here, there := newLog(t), newLog(t)
	h := New(here, generous)
	sub, _ := h.Subscribe(Lobby)
	defer sub.Close()
	rec, err := there.Publish(t.Context(), record.Message{Room: Lobby, Text: "from afar"})
	if err != nil {
		t.Fatal(err)
	}
	h.Deliver(rec)
	if e := <-sub.C; e.Message.Text != "from afar" || e.Message.From != rec.Author {
		t.Errorf("heard %+v", e)
	}
	takedown, err := record.Sign(there.key, record.Draft{Created: time.UnixMilli(1), Life: time.Hour, Body: record.Takedown{}})
	if err != nil {
		t.Fatal(err)
	}
	h.Deliver(takedown)
	h.Withdraw(rec)
	if e := <-sub.C; !e.Withdrawn || e.Message.ID != rec.ID() {
		t.Errorf("heard %+v, want the withdrawal", e)
	}
	h.Deliver(rec) // late, by another path
	if len(sub.C) != 0 {
		t.Error("a withdrawn message came back")
	}
}

func TestRefusals(t *testing.T) {
	h := New(newLog(t), generous)
	long := strings.Repeat("x", record.MaxMessage)
	for _, c := range []struct {
		name  string
		draft Draft
		want  error
	}{
		{"nothing", Draft{Room: Lobby}, ErrEmpty},
		{"blanks", Draft{Room: Lobby, Text: " \n\t\u00a0\u3000"}, ErrEmpty},
		{"controls", Draft{Room: Lobby, Text: "\x00\u202e\u2066\x7f"}, ErrEmpty},
		{"invisible", Draft{Room: Lobby, Text: "\u200b\u2060"}, ErrEmpty},
		{"not UTF-8", Draft{Room: Lobby, Text: "\xff\xfe"}, ErrEmpty},
		{"at the limit", Draft{Room: Lobby, Text: long}, nil},
		{"one past", Draft{Room: Lobby, Text: long + "x"}, ErrTooLong},
		{"limit after trimming", Draft{Room: Lobby, Text: "  " + long + "\n"}, nil},
		{"far past", Draft{Room: Lobby, Text: strings.Repeat("x", maxInput+1)}, ErrTooLong},
		{"long nick", Draft{Room: Lobby, Text: "x", Nick: strings.Repeat("é", record.MaxNick)}, nil},
		{"endless nick", Draft{Room: Lobby, Text: "x", Nick: strings.Repeat("x", maxInput+1)}, ErrTooLong},
		{"long visitor", Draft{Room: Lobby, Text: "x", Visitor: strings.Repeat("v", MaxKey+1)}, ErrTooLong},
		{"long once", Draft{Room: Lobby, Text: "x", Once: strings.Repeat("v", MaxKey+1)}, ErrTooLong},
		{"no room", Draft{Text: "x"}, ErrRoom},
		{"bad room", Draft{Room: "a/b", Text: "x"}, ErrRoom},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := h.Post(t.Context(), c.draft)
			if !errors.Is(err, c.want) {
				t.Fatalf("err is %v, want %v", err, c.want)
			}
			if err == nil && len(m.Nick) > record.MaxNick {
				t.Errorf("nick of %d bytes", len(m.Nick))
			}
		})
	}
}

func TestRoomNames(t *testing.T) {
	good := []string{Lobby, "a", "salle-2", "кухня", "غرفة", "部屋", "two words", "v1.2_x", strings.Repeat("r", record.MaxRoom)}
	bad := []string{"", "Lobby", " a", "a ", "a  b", "a/b", "a?b", "a#b", "a\nb", "-a", "a.", "..", "<b>", "a\u202eb", "\xff",
		strings.Repeat("r", record.MaxRoom+1)}
	for _, n := range good {
		if err := CheckRoom(n); err != nil {
			t.Errorf("%q: %v", n, err)
		}
	}
	h := New(newLog(t), generous)
	for _, n := range bad {
		if err := CheckRoom(n); !errors.Is(err, ErrRoom) {
			t.Errorf("%q: %v", n, err)
		}
		if _, err := h.Subscribe(n); !errors.Is(err, ErrRoom) {
			t.Errorf("subscribe %q: %v", n, err)
		}
		if _, err := h.History(n, Cursor{}, 1); !errors.Is(err, ErrRoom) {
			t.Errorf("history %q: %v", n, err)
		}
	}
}

func TestHistoryPages(t *testing.T) {
	log := newLog(t)
	h := New(log, generous)
	for i := range MaxHistory + 10 {
		say(t, h, fmt.Sprint(i))
	}
	list, err := h.History(Lobby, Cursor{}, 1<<30)
	if err != nil || len(list) != MaxHistory {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	if list[0].Text != "10" || list[MaxHistory-1].Text != fmt.Sprint(MaxHistory+9) {
		t.Errorf("from %s to %s", list[0].Text, list[MaxHistory-1].Text)
	}
	older, err := h.History(Lobby, Cursor{Created: list[0].At.UnixMilli(), ID: list[0].ID}, 4)
	if err != nil || len(older) != 4 || older[0].Text != "6" || older[3].Text != "9" {
		t.Errorf("older page is %+v, %v", older, err)
	}
	if none, err := h.History(Lobby, Cursor{}, -1); err != nil || len(none) != 0 {
		t.Errorf("negative limit: %d messages, %v", len(none), err)
	}
}

func TestHistoryIsReadOnceUntilSomethingChanges(t *testing.T) {
	log := newLog(t)
	h := New(log, generous)
	m := say(t, h, "one")
	say(t, h, "two")
	for range 5 {
		if list, err := h.History(Lobby, Cursor{}, 50); err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
	}
	if log.reads != 1 {
		t.Errorf("read the log %d times", log.reads)
	}
	gone := log.recs[0]
	log.remove(m.ID)
	h.Withdraw(gone)
	if list, err := h.History(Lobby, Cursor{}, 50); err != nil || len(list) != 1 || list[0].Text != "two" {
		t.Errorf("after the withdrawal: %+v, %v", list, err)
	}
	say(t, h, "three")
	if list, err := h.History(Lobby, Cursor{}, 1); err != nil || len(list) != 1 || list[0].Text != "three" {
		t.Errorf("after a post: %+v, %v", list, err)
	}
}

func TestRoomsAreReadOnceUntilSomethingIsSaid(t *testing.T) {
	log := newLog(t)
	now := time.UnixMilli(1_700_000_000_000)
	h := New(log, Options{Now: func() time.Time { return now }})
	want := func(want ...string) {
		t.Helper()
		if got, err := h.Rooms(); err != nil || !slices.Equal(got, want) {
			t.Errorf("rooms %q, %v; want %q", got, err, want)
		}
	}
	want("lobby")
	say(t, h, "hello")
	if _, err := h.Post(t.Context(), Draft{Room: "garden", Text: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Publish(t.Context(), record.Message{Room: "NOT HERE", Text: "x"}); err != nil {
		t.Fatal(err)
	}
	want("lobby", "garden")
	reads := log.reads
	want("lobby", "garden")
	if log.reads != reads {
		t.Error("the rooms are read again though nothing was said")
	}
	log.mu.Lock()
	log.recs = log.recs[:1] // the rest ran out
	log.mu.Unlock()
	now = now.Add(roomsFor)
	want("lobby")
	log.fail = errors.New("broken")
	now = now.Add(roomsFor)
	if _, err := h.Rooms(); !errors.Is(err, log.fail) {
		t.Errorf("a broken log: %v", err)
	}
}

func TestSlowSubscriberIsDroppedAndOthersAreNot(t *testing.T) {
	h := New(newLog(t), generous)
	slow, _ := h.Subscribe(Lobby)
	quick, _ := h.Subscribe(Lobby)
	defer quick.Close()
	for i := range MaxBacklog + 1 {
		say(t, h, fmt.Sprint(i))
		if e := <-quick.C; e.Message.Text != fmt.Sprint(i) {
			t.Fatalf("quick heard %q", e.Message.Text)
		}
	}
	n := 0
	for range slow.C {
		n++
	}
	if n != MaxBacklog {
		t.Errorf("slow got %d events before the end, want %d", n, MaxBacklog)
	}
	slow.Close() // harmless
	slow.Close()
}

func TestSubscribersAreBounded(t *testing.T) {
	h := New(newLog(t), generous)
	subs := make([]*Subscription, 0, MaxSubscribers)
	for range MaxSubscribers {
		s, err := h.Subscribe(Lobby)
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, s)
	}
	if _, err := h.Subscribe(Lobby); !errors.Is(err, ErrBusy) {
		t.Errorf("one past the limit: %v", err)
	}
	for _, s := range subs {
		s.Close()
	}
	if _, err := h.Subscribe(Lobby); err != nil {
		t.Errorf("after all left: %v", err)
	}
}

func TestRoomsAreBounded(t *testing.T) {
	h := New(newLog(t), generous)
	for i := range 2 * MaxRooms { // reading alone never fills the table
		if _, err := h.History(fmt.Sprint("r", i), Cursor{}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.rooms) != MaxRooms {
		t.Errorf("%d rooms in memory", len(h.rooms))
	}
	for i := range MaxRooms {
		s, err := h.Subscribe(fmt.Sprint("r", i))
		if err != nil {
			t.Fatal(i, err)
		}
		defer s.Close()
	}
	if _, err := h.Subscribe("one-more"); !errors.Is(err, ErrBusy) {
		t.Errorf("one room past the limit: %v", err)
	}
	if _, err := h.History("one-more", Cursor{}, 1); err != nil {
		t.Errorf("reading it: %v", err)
	}
}

func FuzzCheckRoom(f *testing.F) {
	for _, s := range []string{Lobby, "", "A", "a b", "a..b", "\u202ea", "غرفة"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckRoom(s) == nil {
			if err := (record.Message{Room: s, Text: "x"}).Check(); err != nil {
				t.Errorf("room %q passes here and fails in a record: %v", s, err)
			}
		}
	})
}
