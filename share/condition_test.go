package share

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"boucan/share/dropdir"
)

// saidBook keeps what a box says in its log.
type saidBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *saidBook) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *saidBook) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), what)
}

func (b *box) condition() Condition { return b.Usage().Condition }

// A disk that gives nothing back, and loses names without a word, is no hand that
// removes them: nothing is withdrawn, drops are refused, and when it is well again
// all goes on.
func TestDiskThatLosesNames(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	said := &saidBook{}
	b.options.Logger = slog.New(slog.NewTextHandler(said, nil))
	b.again()
	for _, name := range []string{"a", "b", "c"} {
		b.put(name, name)
	}
	b.run()
	b.catalog.until(t, "all", func() bool { return len(b.catalog.appeared) == 3 })
	marker, err := os.ReadFile(b.at(".boucan/marker"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.at(".boucan/marker"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.remove("a")
	waitFor(t, "it is seen", func() bool { return b.condition() == dropdir.Failing })
	if _, err := b.Drop(t.Context(), "x", strings.NewReader("x")); !errors.Is(err, ErrFailing) {
		t.Errorf("drop: %v", err)
	}
	if got := b.read(cidOf("b")); got != "b" {
		t.Errorf("what can be read is %q", got)
	}
	b.put("a", "a")
	if err := os.WriteFile(b.at(".boucan/marker"), marker, 0o644); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it is well again", func() bool { return b.condition() == dropdir.Fine })
	b.drop("x", "x")
	b.remove("c")
	b.catalog.until(t, "c", func() bool { return len(b.catalog.vanished) > 0 })
	if told := b.catalog.toldOf(); !slices.Equal(told[3:], []string{"-c"}) {
		t.Errorf("told of %q", told)
	}
	for what, want := range map[string]int{"reports errors of its own": 1, "takes what is written to it again": 1, "could not look": 0} {
		if got := said.count(what); got != want {
			t.Errorf("%q is said %d times, want %d", what, got, want)
		}
	}
}

// Each thing that is put in the place of the folder is said once, and what to do.
func TestSticksAreToldApart(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	said := &saidBook{}
	changed := make(chan struct{}, 100)
	b.options.Logger = slog.New(slog.NewTextHandler(said, nil))
	b.options.Changed = func() { changed <- struct{}{} }
	b.again()
	b.put("mine", "mine")
	b.run()
	b.catalog.until(t, "mine", func() bool { return len(b.catalog.appeared) == 1 })
	other := newBox(t)
	pulled := b.files() + ".pulled"
	if err := os.Rename(b.files(), pulled); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		put  func() error
		want Condition
		say  string
	}{
		{func() error { return os.Mkdir(b.files(), 0o755) }, dropdir.Unplugged, "put the stick back"},
		{func() error { return os.WriteFile(b.at("photo.jpg"), nil, 0o644) }, dropdir.Unmarked, "boucan confirm"},
		{func() error { return errors.Join(os.RemoveAll(b.files()), os.Rename(other.files(), b.files())) }, dropdir.Other, "another stick"},
		{func() error { return errors.Join(os.Rename(b.files(), other.files()), os.Rename(pulled, b.files())) }, dropdir.Fine, "is back"},
	} {
		if err := c.put(); err != nil {
			t.Fatal(err)
		}
		for b.condition() != c.want || said.count(c.say) == 0 {
			<-changed
		}
		if c.want != dropdir.Fine {
			if _, err := b.Drop(t.Context(), "x", strings.NewReader("x")); !errors.Is(err, ErrAway) {
				t.Errorf("%s: drop: %v", c.want, err)
			}
			if _, err := os.Stat(b.at(".boucan/incoming")); err == nil && c.want != dropdir.Other {
				t.Errorf("%s: something was written", c.want)
			}
		}
	}
	b.put("more", "more")
	b.catalog.until(t, "more", func() bool { return len(b.catalog.appeared) == 2 })
	if told := b.catalog.toldOf(); !slices.Equal(told, []string{"+mine", "+more"}) {
		t.Errorf("told of %q", told)
	}
	for _, say := range []string{"nothing, or an empty folder", "is not this box's", "another stick is in the place", "the shared folder is back"} {
		if n := said.count(say); n != 1 {
			t.Errorf("%q is said %d times", say, n)
		}
	}
}
