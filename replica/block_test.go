package replica_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/replica/testdata/memlog"
)

func TestBlockedNames(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"*.exe", []string{"a.exe", "A.EXE", "x/y/a.Exe"}, []string{"a.exe.txt", "exe", "aexe"}},
		{"a.txt", []string{"a.txt", "x/a.txt", "A.TXT"}, []string{"ba.txt", "a.txt/x", "a_txt"}},
		{"x/*", []string{"x/a", "x/y/z"}, []string{"y/x/a", "xa"}},
		{"*secret*", []string{"a secret.txt", "x/Secrets/a"}, []string{"sec ret"}},
		{"a?c", []string{"abc", "aéc", "x/a c"}, []string{"ac", "abbc"}},
		{"a*b*c", []string{"abc", "aXbYbZc", "aabbcc"}, []string{"acb", "abcd"}},
		{"*é*", []string{"café", "é"}, []string{"cafe"}},
	} {
		s := open(t, memlog.New(), replica.Options{Now: newClock().Now})
		if err := s.BlockName(t.Context(), c.pattern); err != nil {
			t.Fatal(err)
		}
		for _, name := range c.yes {
			add(t, s, replica.ErrBlocked, file(t, 0, epoch, name))
		}
		for _, name := range c.no {
			add(t, s, nil, file(t, 0, epoch, name))
		}
	}
}

func TestBlockedNamesGoAndStayAway(t *testing.T) {
	onEachLog(t, func(t *testing.T, log replica.Log) {
		heard := newJournal(t)
		o := replica.Options{Now: newClock().Now, Listener: heard}
		s := open(t, log, o)
		var bad, good []*record.Record
		for i := range 700 { // more than one page
			bad = append(bad, file(t, i%3, epoch, fmt.Sprintf("%d.EXE", i)))
			good = append(good, file(t, i%3, epoch, fmt.Sprintf("%d.txt", i)))
		}
		add(t, s, nil, bad...)
		add(t, s, nil, good...)
		heard.take()
		if err := s.BlockName(t.Context(), "*.exe"); err != nil {
			t.Fatal(err)
		}
		_, removed := heard.take()
		same(t, "removed", newestFirst(removed...), newestFirst(bad...)...)
		s = open(t, log, o)
		add(t, s, replica.ErrBlocked, bad...)
		mail := message(t, 0, epoch, "r", "x.exe")
		add(t, s, nil, mail)
		if got := s.Blocks().Names; len(got) != 1 || got[0] != "*.exe" {
			t.Errorf("blocked %q", got)
		}
		if !s.Blocked(record.File{Name: "x.exe"}) || s.Blocked(record.File{Name: "x.txt"}) {
			t.Error("Blocked says otherwise")
		}
		if err := s.UnblockName(t.Context(), "*.exe"); err != nil {
			t.Fatal(err)
		}
		add(t, open(t, log, o), nil, bad...)
	})
}

func TestPatternsAreBounded(t *testing.T) {
	s := open(t, memlog.New(), replica.Options{Now: newClock().Now})
	for _, bad := range []string{"", "*", "?", "**?*", strings.Repeat("a", replica.MaxPattern+1)} {
		if err := s.BlockName(t.Context(), bad); !errors.Is(err, replica.ErrPattern) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
	for i := range replica.MaxBlockedNames {
		if err := s.BlockName(t.Context(), fmt.Sprintf("%0*d", replica.MaxPattern, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.BlockName(t.Context(), "one more"); !errors.Is(err, replica.ErrTooManyBlocks) {
		t.Errorf("one more: %v", err)
	}
	if err := s.BlockCID(t.Context(), cidOf("a")); err != nil {
		t.Errorf("a file has no room: %v", err)
	}
}

// TestABlockThatWasBrokenOffIsFinished at the next start, and looked for only once.
func TestABlockThatWasBrokenOffIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New()
		s := open(t, log, replica.Options{})
		f := sign(t, 0, time.Now(), day, record.File{Name: "a.exe", CID: cidOf("a")})
		g := sign(t, 1, time.Now(), day, record.File{Name: "b", CID: cidOf("b")})
		add(t, s, nil, f, g)
		for _, block := range []func(context.Context) error{
			func(ctx context.Context) error { return s.BlockName(ctx, "*.exe") },
			func(ctx context.Context) error { return s.BlockAuthor(ctx, public(1)) },
		} {
			log.Fail(1) // it is noted, and nothing is removed
			if err := block(t.Context()); !errors.Is(err, memlog.ErrDisk) {
				t.Fatal(err)
			}
		}
		log.Fail(-1)
		s = open(t, log, replica.Options{})
		if s.Len() != 2 {
			t.Fatalf("%d records", s.Len())
		}
		stop := run(t, s.Run)
		synctest.Wait()
		stop()
		if s.Len() != 0 {
			t.Errorf("%d records left", s.Len())
		}
		blocks, _ := log.Scan([]byte("b"), []byte("c"))
		for _, v := range blocks {
			if len(v) != 1 || v[0] != 2 {
				t.Errorf("a block is not done: %v", v)
			}
		}
	})
}

func TestUndoable(t *testing.T) {
	onEachLog(t, func(t *testing.T, log replica.Log) {
		now := newClock()
		s := open(t, log, replica.Options{Now: now.Now})
		f, other := secretFile(t, 0, "f", "sesame"), secretFile(t, 0, "g", "other")
		plain := file(t, 0, epoch, "plain")
		add(t, s, nil, f, other, plain)
		id := f.ID()
		ask := func(prefix []byte, secret string) []*record.Record {
			t.Helper()
			found, err := s.Undoable(prefix, []byte(secret))
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		same(t, "found", ask(id[:8], "sesame"), f)
		same(t, "found by the whole id", ask(id[:], "sesame"), f)
		same(t, "with another's secret", ask(id[:8], "other"))
		same(t, "with none", ask(id[:8], ""))
		plainID := plain.ID()
		same(t, "what nobody has a secret for", ask(plainID[:8], ""))
		now.advance(30 * day)
		same(t, "when it has expired", ask(id[:8], "sesame"))
	})
}

func TestHiddenBy(t *testing.T) {
	s := open(t, memlog.New(), replica.Options{Now: newClock().Now, Trusted: func(k record.Key) bool { return k == public(1) }})
	f := file(t, 0, epoch, "f")
	check := func(by record.Key, hidden bool) {
		t.Helper()
		if got, is, err := s.HiddenBy(f.ID(), public(0)); err != nil || is != hidden || got != by {
			t.Errorf("hidden %v by %s, %v", is, got, err)
		}
	}
	add(t, s, nil, f)
	check(record.Key{}, false)
	add(t, s, nil, takedown(t, 2, epoch, f, ""))
	check(record.Key{}, false)
	add(t, s, nil, takedown(t, 1, epoch, f, ""))
	check(public(1), true)
}
