package chat

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"boucan/record"
)

// seenSet remembers the last size ids. It is not safe for concurrent use.
type seenSet struct {
	ring []record.ID
	next int
	in   map[record.ID]struct{}
}

func newSeenSet(size int) *seenSet {
	return &seenSet{ring: make([]record.ID, 0, size), in: make(map[record.ID]struct{}, size)}
}

// add reports whether id is new, and remembers it.
func (s *seenSet) add(id record.ID) bool {
	if _, ok := s.in[id]; ok {
		return false
	}
	if len(s.ring) < cap(s.ring) {
		s.ring = append(s.ring, id)
	} else {
		delete(s.in, s.ring[s.next])
		s.ring[s.next] = id
		s.next = (s.next + 1) % len(s.ring)
	}
	s.in[id] = struct{}{}
	return true
}

// onceTable makes the second of two equal posts return the first one's result,
// also while the first is still being written: a doubly tapped button, a retry
// after a lost answer. It remembers the last MaxOnce posts.
type onceTable struct {
	mu    sync.Mutex
	posts map[[sha256.Size]byte]*onePost
	order [][sha256.Size]byte // oldest first
}

type onePost struct {
	done chan struct{} // closed when message and err are set
	msg  Message
	err  error
}

func newOnceTable() *onceTable {
	return &onceTable{posts: make(map[[sha256.Size]byte]*onePost)}
}

// do runs post unless one of the same key has run or is running; then it waits
// for that one, or for ctx. A post that failed is forgotten and may be tried again.
func (t *onceTable) do(ctx context.Context, key [sha256.Size]byte, post func() (Message, error)) (Message, error) {
	t.mu.Lock()
	p, again := t.posts[key]
	if !again {
		p = &onePost{done: make(chan struct{})}
		t.posts[key] = p
		t.order = append(t.order, key)
		if len(t.order) > MaxOnce {
			delete(t.posts, t.order[0])
			t.order = append(t.order[:0], t.order[1:]...)
		}
	}
	t.mu.Unlock()
	if again {
		select {
		case <-p.done:
			return p.msg, p.err
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
	defer close(p.done)
	p.msg, p.err = post()
	if p.err != nil {
		t.forget(key)
	}
	return p.msg, p.err
}

func (t *onceTable) forget(key [sha256.Size]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.posts, key)
	for i, k := range t.order {
		if k == key {
			t.order = append(t.order[:i], t.order[i+1:]...)
			return
		}
	}
}

// onceKey stands for visitor, once and all that is said, each with its length
// before it so that no two differ in their seams only.
func onceKey(visitor, once string, m record.Message) [sha256.Size]byte {
	h := sha256.New()
	for _, s := range []string{visitor, once, m.Room, m.Nick, m.Text, string(m.Reply)} {
		h.Write(binary.AppendUvarint(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	return [sha256.Size]byte(h.Sum(nil))
}
