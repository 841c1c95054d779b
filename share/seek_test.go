package share_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"boucan/record"
	"boucan/share"
)

// In a large network a blob may lie with peers that are not connected. Whoever
// waits for it has them sought.
func TestStreamSeeksWhoHasIt(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, none, b := newBox(n), newBox(n), newBox(n)
		data := noise(1, 3<<20)
		w := a.drop("film.mp4", data)
		n.connect(none, b)
		words := 0
		b.seeks(func(author record.Key, waited bool) bool {
			if author != a.key || !waited {
				t.Errorf("sought %v, waited for: %v", author, waited)
			}
			if words++; words == 5 {
				time.AfterFunc(time.Millisecond, func() { n.connect(a, b) })
			}
			return true
		})
		began := time.Now()
		r := b.stream(w)
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %v", len(got), err)
		}
		if took := time.Since(began); words != 5 || took > 10*time.Second {
			t.Errorf("sought %d times, %v", words, took)
		}
	})
}

func TestStreamGivesUpWhereSeekingIsInVain(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := newBox(n), newBox(n)
		w := a.drop("film.mp4", noise(1, 3<<20))
		words := 0
		b.seeks(func(record.Key, bool) bool { words++; return true })
		began := time.Now()
		_, err := b.blobs.Stream(t.Context(), w)
		if took := time.Since(began); !errors.Is(err, share.ErrNotHere) || took < share.StartWait || took > share.StartWait+time.Second || words > 21 {
			t.Errorf("after %v and %d words: %v", took, words, err)
		}
		b.seeks(func(record.Key, bool) bool { return false })
		began = time.Now()
		if _, err := b.blobs.Stream(t.Context(), w); !errors.Is(err, share.ErrNotHere) || time.Since(began) > 2*time.Second {
			t.Errorf("with nobody to hope for, after %v: %v", time.Since(began), err)
		}
	})
}

// What is merely to be copied has its author sought, where nobody else has it.
func TestCopyingSeeksTheAuthor(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, none, b := newBox(n), newBox(n), newBox(n)
		small, large := a.drop("note", noise(1, 1<<10)), a.drop("film.mp4", noise(2, 3<<20))
		n.connect(none, b)
		b.seeks(func(author record.Key, waited bool) bool {
			if author != a.key || waited {
				t.Errorf("sought %v, waited for: %v", author, waited)
			}
			time.AfterFunc(time.Millisecond, func() { n.connect(a, b) })
			return true
		})
		b.blobs.Want(small, large)
		wait(t, time.Minute, "both have come", func() bool { return b.has(small, large) })
	})
}
