package share

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boucan/share/dropdir"
)

func TestHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hints
		h.init()
		if paths, wait := h.take(time.Now()); len(paths) != 0 || wait != 0 {
			t.Errorf("%q %v of nothing", paths, wait)
		}
		for i := range maxHints {
			h.add(fmt.Sprint(i))
			h.add(fmt.Sprint(i))
		}
		if paths, wait := h.take(time.Now()); len(paths) != 0 || wait != debounce {
			t.Errorf("%q %v at once", paths, wait)
		}
		<-time.After(debounce)
		if paths, _ := h.take(time.Now()); len(paths) != maxHints {
			t.Errorf("%d paths at the limit", len(paths))
		}
		for i := range maxHints + 1 {
			h.add(fmt.Sprint(i))
		}
		<-time.After(debounce)
		if paths, _ := h.take(time.Now()); !slices.Equal(paths, []string{""}) {
			t.Errorf("%d paths one past the limit", len(paths))
		}
		// Who never rests is looked at all the same.
		began := time.Now()
		for {
			h.add("busy")
			if paths, _ := h.take(time.Now()); len(paths) > 0 {
				break
			}
			<-time.After(debounce / 2)
		}
		if took := time.Since(began); took < debounceMost || took > debounceMost+debounce {
			t.Errorf("looked at after %v", took)
		}
	})
}

func TestUnsettled(t *testing.T) {
	u := unsettled{files: map[string]writing{}}
	now := time.Now()
	for i := range maxUnsettled {
		u.seen(dropdir.Entry{Path: fmt.Sprint(i)}, now)
	}
	if u.over || len(u.files) != maxUnsettled {
		t.Errorf("%d files at the limit", len(u.files))
	}
	u.seen(dropdir.Entry{Path: "one more"}, now)
	if !u.over || len(u.files) != maxUnsettled {
		t.Errorf("%d files one past the limit", len(u.files))
	}
	if paths, wait := u.take(now); len(paths) != 0 || wait != againSoonest {
		t.Errorf("%d paths, wait %v", len(paths), wait)
	}
	u.forget("0")
	if paths, _ := u.take(now); !slices.Equal(paths, []string{""}) {
		t.Errorf("there is room again: %q", paths)
	}

	e := dropdir.Entry{Path: "x", Size: 1}
	u.seen(e, now)
	if lain := u.seen(e, now.Add(8*time.Second)); lain != 8*time.Second || u.lain(e, now.Add(9*time.Second)) != 9*time.Second {
		t.Errorf("lain for %v", lain)
	}
	if again := u.files["x"].again.Sub(now); again != 10*time.Second {
		t.Errorf("again after %v", again)
	}
	e.Size++
	if lain := u.seen(e, now.Add(9*time.Second)); lain != 0 || u.lain(e, now.Add(9*time.Second)) != 0 {
		t.Errorf("written, and lain for %v", lain)
	}
	if lain := u.seen(e, now.Add(time.Hour)); lain == 0 || u.files["x"].again.Sub(now.Add(time.Hour)) != againLatest {
		t.Errorf("again after %v", u.files["x"].again)
	}
}

func TestMissingIsBounded(t *testing.T) {
	l := &look{f: &follower{}, known: 5}
	for i := range maxMissing {
		l.miss(fmt.Sprint(i), known{})
		l.miss(fmt.Sprint(i), known{})
	}
	l.miss("held", known{held: true})
	if m := l.f.missing; len(m.paths) != maxMissing || m.more != 0 || m.known != 5 {
		t.Errorf("%d paths and %d at the limit", len(m.paths), m.more)
	}
	l.miss("one more", known{})
	if m := l.f.missing; len(m.paths) != maxMissing || m.more != 1 {
		t.Errorf("%d paths and %d one past the limit", len(m.paths), m.more)
	}
}

func TestMissingIsJudgedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &look{f: &follower{}}
		began := time.Now()
		for i := 0; ; i++ {
			l.miss(fmt.Sprint(i), known{})
			if l.f.missing.wait(time.Now()) <= 0 {
				break
			}
			<-time.After(goneQuiet / 2)
		}
		if took := time.Since(began); took != goneLatest {
			t.Errorf("judged after %v", took)
		}
		l.f.missing = missing{}
		l.miss("x", known{})
		if wait := l.f.missing.wait(time.Now()); wait != goneQuiet {
			t.Errorf("judged after %v", wait)
		}
	})
}

func TestSuspects(t *testing.T) {
	var s suspects
	for i := range 64 {
		if !s.add(fmt.Sprint(i)) {
			t.Fatalf("no room for %d", i)
		}
	}
	if s.add("one more") || !s.add("0") {
		t.Error("one past the limit")
	}
	if got := s.take(); len(got) != 64 || len(s.take()) != 0 {
		t.Errorf("%d taken", len(got))
	}
}

func TestNameTwins(t *testing.T) {
	t.Parallel()
	table, err := openTable(t.TempDir() + "/table")
	if err != nil {
		t.Fatal(err)
	}
	defer table.log.Close()
	g := newBatch(table, tally{}, 0)
	var paths []string
	for i := range maxNameTwins + 1 { // spellings of one name
		name := []byte("abcdefghij")
		for bit := range 8 {
			if i>>bit&1 == 1 {
				name[bit] -= 'a' - 'A'
			}
		}
		paths = append(paths, string(name))
		if err := g.addName(string(name)); err != nil {
			t.Fatal(err)
		}
	}
	v, _, _ := g.get(foldKey(keyName, "abcdefghij"))
	if len(v) != 8*maxNameTwins {
		t.Errorf("%d bytes of twins", len(v))
	}
	for _, p := range paths {
		if taken, _ := g.File("abcdefghij"); !taken && p != paths[maxNameTwins] {
			t.Errorf("free before %q is gone", p)
		}
		if err := g.dropName(p); err != nil {
			t.Fatal(err)
		}
	}
	if taken, _ := g.File("abcdefghij"); taken {
		t.Error("taken by nobody")
	}
}

// Long paths fill a write to the index by bytes, folders of their own by pairs.
func TestIndexWritesFitTheStore(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	deep := strings.Repeat(strings.Repeat("d", 150)+"/", 6)
	for i := range 400 {
		b.put(fmt.Sprintf("%s%d", deep, i), fmt.Sprint("long ", i))
		b.put(fmt.Sprintf("a/b/c/%d/e/f/x", i), fmt.Sprint("deep ", i))
		b.put(fmt.Sprint("flat ", i), fmt.Sprint("flat ", i))
	}
	b.run()
	b.catalog.until(t, "all", func() bool { return len(b.catalog.appeared) == 1200 })
	for i := range 400 {
		b.put(fmt.Sprintf("%s%d", deep, i), fmt.Sprint("long again ", i))
	}
	b.catalog.until(t, "edited", func() bool { return len(b.catalog.vanished) == 400 })
	if len(b.listed()) != 1200 || b.Usage().Files != 1200 {
		t.Errorf("%d listed", len(b.listed()))
	}
}

// Without a watch what changes is found by looking now and then.
func TestLookWithoutWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		b.put("before", "before")
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		teller := &teller{b: b.Blobs, reports: make(chan told)}
		f := newFollower(b.Blobs, teller.tell)
		f.watch = func(ctx context.Context, _ func(string), complete func(bool)) {
			complete(false)
			<-ctx.Done()
		}
		all.Go(func() { f.run(ctx) })
		all.Go(func() {
			if err := teller.run(ctx); err != nil {
				t.Error(err)
			}
		})
		<-time.After(time.Second)
		if got := b.catalog.toldOf(); !slices.Equal(got, []string{"+before"}) {
			t.Errorf("told of %q", got)
		}
		b.put("later", "later")
		b.remove("before")
		<-time.After(lookUnwatched - 2*time.Second)
		if got := b.catalog.toldOf(); len(got) != 1 {
			t.Errorf("told of %q before a look", got)
		}
		<-time.After(presenceEvery + goneQuiet + 2*time.Second)
		if got := b.catalog.toldOf(); !slices.Equal(got, []string{"+before", "+later", "-before"}) {
			t.Errorf("told of %q", got)
		}
		cancel()
		all.Wait()
	})
}
