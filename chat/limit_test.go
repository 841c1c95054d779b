package chat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestVisitorRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(newLog(t), Options{VisitorRate: Rate{Burst: 3, Every: 2 * time.Second}})
		post := func(visitor string) error {
			_, err := h.Post(t.Context(), Draft{Visitor: visitor, Room: Lobby, Text: "x"})
			return err
		}
		for range 3 {
			if err := post("a"); err != nil {
				t.Fatal(err)
			}
		}
		var fast *TooFastError
		if err := post("a"); !errors.As(err, &fast) || !errors.Is(err, ErrTooFast) || fast.Wait != 2*time.Second {
			t.Fatalf("fourth at once: %v", err)
		}
		if err := post("b"); err != nil {
			t.Errorf("another visitor: %v", err)
		}
		if err := post(""); err != nil {
			t.Errorf("the box's own people: %v", err)
		}
		time.Sleep(fast.Wait - 1)
		if err := post("a"); !errors.Is(err, ErrTooFast) {
			t.Errorf("just before its time: %v", err)
		}
		time.Sleep(1)
		if err := post("a"); err != nil {
			t.Errorf("in time: %v", err)
		}
		time.Sleep(time.Hour)
		for range 3 {
			if err := post("a"); err != nil {
				t.Errorf("after an hour: %v", err)
			}
		}
		if err := post("a"); !errors.Is(err, ErrTooFast) {
			t.Errorf("a bucket holds more than its burst: %v", err)
		}
	})
}

func TestBoxRateBindsAllTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(newLog(t), Options{BoxRate: Rate{Burst: 50, Every: time.Second}})
		refused := 0
		for i := range 60 {
			if _, err := h.Post(t.Context(), Draft{Visitor: fmt.Sprint(i), Room: Lobby, Text: "x"}); errors.Is(err, ErrTooFast) {
				refused++
			}
		}
		if refused != 10 {
			t.Errorf("%d of 60 refused, want 10", refused)
		}
		if n := len(h.limits.known); n != 50 {
			t.Errorf("%d visitors remembered: those who were refused need none", n)
		}
	})
}

func TestVisitorsAreBoundedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(newLog(t), Options{VisitorRate: Rate{Burst: 2, Every: time.Second}, BoxRate: Rate{Burst: 1 << 20}})
		post := func(visitor string) {
			if _, err := h.Post(t.Context(), Draft{Visitor: visitor, Room: Lobby, Text: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range MaxVisitors + 1 {
			post(fmt.Sprint("v", i))
		}
		if n := len(h.limits.known); n != MaxVisitors {
			t.Errorf("%d visitors held", n)
		}
		time.Sleep(time.Minute)
		post("late")
		if n := len(h.limits.known); n != 1 {
			t.Errorf("%d visitors held after a quiet minute", n)
		}
	})
}

func TestClockSetBack(t *testing.T) {
	now := time.Unix(2e9, 0)
	h := New(newLog(t), Options{Now: func() time.Time { return now }, VisitorRate: Rate{Burst: 1, Every: time.Second}})
	say(t, h, "x")
	now = time.Unix(1e9, 0)
	if _, err := h.Post(t.Context(), Draft{Visitor: "v", Room: Lobby, Text: "x"}); !errors.Is(err, ErrTooFast) {
		t.Errorf("a clock set back gave a token: %v", err)
	}
	now = now.Add(time.Second)
	say(t, h, "x")
}

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		log.hold = make(chan struct{})
		h := New(log, Options{VisitorRate: Rate{Burst: 1, Every: time.Hour}})
		d := Draft{Visitor: "v", Room: Lobby, Text: "hello", Once: "k"}
		got := make([]Message, 3)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				m, err := h.Post(t.Context(), d)
				if err != nil {
					t.Error(err)
				}
				got[i] = m
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.Post(ctx, d); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting with a dead context: %v", err)
		}
		close(log.hold)
		wg.Wait()
		if len(log.recs) != 1 || got[0].ID != got[1].ID || got[1].ID != got[2].ID {
			t.Errorf("%d records for one attempt", len(log.recs))
		}
		for _, other := range []Draft{
			{Visitor: "v", Room: Lobby, Text: "other", Once: "k"},
			{Visitor: "v", Room: "kitchen", Text: "hello", Once: "k"},
			{Visitor: "v", Room: Lobby, Text: "hello", Once: "l"},
		} {
			if _, err := h.Post(t.Context(), other); !errors.Is(err, ErrTooFast) {
				t.Errorf("%+v was taken for the same post: %v", other, err)
			}
		}
		if _, err := h.Post(t.Context(), Draft{Visitor: "w", Room: Lobby, Text: "hello", Once: "k"}); err != nil || len(log.recs) != 2 {
			t.Errorf("another visitor's post was swallowed: %v", err)
		}
	})
}

func TestOnceMayBeRetriedAfterAFailure(t *testing.T) {
	log := newLog(t)
	h := New(log, generous)
	log.fail = errors.New("disk")
	d := Draft{Visitor: "v", Room: Lobby, Text: "hello", Once: "k"}
	if _, err := h.Post(t.Context(), d); !errors.Is(err, log.fail) {
		t.Fatal(err)
	}
	log.fail = nil
	if _, err := h.Post(t.Context(), d); err != nil || len(log.recs) != 1 {
		t.Errorf("the retry: %v", err)
	}
	for i := range MaxOnce {
		d.Once = fmt.Sprint(i)
		if _, err := h.Post(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.once.posts) != MaxOnce || len(h.once.order) != MaxOnce {
		t.Errorf("%d attempts remembered", len(h.once.posts))
	}
}

func TestManyAtOnce(t *testing.T) {
	h := New(newLog(t), generous)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				sub, err := h.Subscribe(Lobby)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := h.Post(t.Context(), Draft{Room: Lobby, Text: fmt.Sprint(i, j)}); err != nil {
					t.Error(err)
				}
				if _, err := h.History(Lobby, Cursor{}, 20); err != nil {
					t.Error(err)
				}
				sub.Close()
			}
		})
	}
	wg.Wait()
	if list, err := h.History(Lobby, Cursor{}, MaxHistory); err != nil || len(list) != MaxHistory {
		t.Errorf("%d messages, %v", len(list), err)
	}
}
