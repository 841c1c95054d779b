package dropdir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	for _, most := range []int{0, 2} {
		t.Run(fmt.Sprint("watches ", most), func(t *testing.T) {
			d := openDir(t)
			if most > 0 {
				d.o.MaxWatches = most
			}
			d.put(t, "a/b/old", "x")
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			defer all.Wait()
			defer cancel()
			hints, complete := make(chan string, 1000), make(chan bool, 10)
			all.Go(func() {
				d.Watch(ctx, func(p string) { hints <- p }, func(c bool) { complete <- c })
			})
			if c := <-complete; c != (most == 0) {
				t.Fatalf("complete is %v", c)
			}
			expect := func(want string) {
				t.Helper()
				deadline := time.After(10 * time.Second)
				for {
					select {
					case p := <-hints:
						if p == want || p == "" {
							return
						}
					case <-deadline:
						t.Fatalf("no hint of %q", want)
					}
				}
			}
			d.put(t, "top", "x")
			expect("top")
			d.put(t, ".hidden", "x")
			if most == 0 {
				d.put(t, "a/b/new", "x")
				expect("a/b/new")
				d.put(t, "made/sub/x", "x")
				expect("made")
				os.Remove(filepath.Join(d.path, "a/b/old"))
				expect("a/b/old")
				os.Rename(filepath.Join(d.path, "a/b"), filepath.Join(d.path, "moved"))
				expect("moved")
				d.put(t, "moved/y", "x")
				expect("moved/y")
			} else {
				d.put(t, "made/x", "x")
				expect("made")
			}
			// Another stick: watching goes on there.
			os.Rename(d.path, d.path+".pulled")
			if d.Look() {
				t.Error("present")
			}
			os.Rename(d.path+".pulled", d.path)
			if !d.Look() {
				t.Error("away")
			}
			<-complete
			d.put(t, "back", "x")
			expect("back")
		})
	}
}

// What a Placer moved to its place is hinted at only once somebody is at it.
func TestWatchOfPlaced(t *testing.T) {
	d := openDir(t)
	d.put(t, "a/old", "x")
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	hints, complete := make(chan string, 1000), make(chan bool, 10)
	all.Go(func() {
		d.Watch(ctx, func(p string) { hints <- p }, func(c bool) { complete <- c })
	})
	<-complete
	last := ""
	expect := func(want string) {
		t.Helper()
		for got := range hints {
			if got == want {
				last = got
				return
			}
			if got != last { // a file that is made is also written
				t.Errorf("hint of %q before %q", got, want)
			}
		}
	}
	known := newNames()
	for i := range 100 {
		d.place(t, known, fmt.Sprint("a/", i), "", "x")
	}
	d.put(t, "top", "x")
	expect("top")
	path := filepath.Join(d.path, "a/1")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("a/1")
	d.put(t, "a/1", "another")
	expect("a/1")
	if len(d.current.Load().ours.new)+len(d.current.Load().ours.old) != 0 {
		t.Error("files are remembered of which the system has told")
	}
}
