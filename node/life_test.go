package node

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
)

var (
	lifeSeeds = flag.Int("life.seeds", 1, "random lives of a box with a quota")
	lifeSteps = flag.Int("life.steps", 30, "steps of each")
)

// life is a random life of box b, which has a quota, among two others that come
// and go, and what people may rely on.
type life struct {
	t       *testing.T
	r       *rand.Rand
	others  [2]*testBox
	on      [2]bool
	b       *testBox
	quota   int64
	lowered bool              // the quota, since it last held
	next    int               // number of the next file
	offered [2]map[string]int // numbers of what the others offer, by name
	dropped map[string]int    // on b, by visitors
	own     map[string]int    // b's operator's
	pinned  map[string]bool
	opened  map[string]bool // by somebody on b
	dead    bool            // the first of the others is gone for good
	exists  map[string]bool // contents that lie anywhere
}

const (
	lifeQuota    = 600_000
	lifeExcluded = "*.iso"
)

// content is that of file number n: no two are alike, and some are of two chunks.
func (l *life) content(n int) string {
	size := 2000 + n*7919%60_000
	if n%9 == 8 {
		size += 1 << 20
	}
	return fmt.Sprintf("%06d", n) + randomText(byte(n), size)
}

// TestRandomLives: whatever happens in whatever order, a box with a quota keeps to
// it, never loses what is its operator's, dropped or pinned, never lets the last
// copy of anything go, and never copies what is excluded.
func TestRandomLives(t *testing.T) {
	for seed := range *lifeSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := &life{
				t: t, r: rand.New(rand.NewPCG(uint64(seed), 9)), quota: lifeQuota, on: [2]bool{true, true},
				dropped: map[string]int{}, own: map[string]int{}, pinned: map[string]bool{}, opened: map[string]bool{}, exists: map[string]bool{},
			}
			for i := range l.others {
				l.others[i] = newBox(t, fmt.Sprint("other", i))
				l.offered[i] = map[string]int{}
			}
			l.b = newKeeper(t, t.TempDir()+"/b", l.policy())
			for step := range *lifeSteps {
				what := l.step()
				if l.check(); t.Failed() {
					t.Fatalf("step %d: %s", step, what)
				}
			}
			l.end()
		})
	}
}

func (l *life) policy() Policy { return Policy{Quota: l.quota, Exclude: []string{lifeExcluded}} }

func (l *life) name() (string, int) {
	l.next++
	ext := []string{"txt", "jpg", "iso"}[l.r.IntN(3)]
	return fmt.Sprintf("file %03d.%s", l.next, ext), l.next
}

// pick is one of the names, "" where there are none.
func (l *life) pick(names map[string]int) string {
	sorted := slices.Sorted(maps.Keys(names))
	if len(sorted) == 0 {
		return ""
	}
	return sorted[l.r.IntN(len(sorted))]
}

func (l *life) step() string {
	i := l.r.IntN(2)
	if l.dead {
		i = 1
	}
	a := l.others[i]
	switch op := l.r.IntN(12); {
	case op < 3 && l.on[i]:
		for range 3 {
			name, n := l.name()
			a.put(name, l.content(n))
			l.offered[i][name] = n
		}
		eventually(l.t, "it is offered", func() bool {
			ls := a.ls()
			return !slices.ContainsFunc(slices.Collect(maps.Keys(l.offered[i])), func(name string) bool { return !ls[name].Here })
		})
		return "another box offers files"
	case op < 6:
		name, n := l.name()
		switch status := l.b.tryDrop(name, l.content(n)); status {
		case http.StatusCreated:
			l.dropped[name] = n
			return "a drop"
		case http.StatusInsufficientStorage:
			return "a drop that is refused"
		default:
			l.t.Errorf("a drop is answered with %d", status)
		}
	case op == 6:
		name, n := l.name()
		l.b.put(name, l.content(n))
		l.own[name] = n
		return "a file of the operator's"
	case op == 7:
		if name := l.pick(l.offered[i]); name != "" && l.b.ls()[name].Name != "" {
			if _, err := l.b.Pin(l.t.Context(), name); err == nil {
				l.pinned[name] = true
				return "a pin of " + name
			}
		}
	case op == 8:
		for name := range l.pinned {
			if _, err := l.b.Unpin(l.t.Context(), name); err != nil {
				l.t.Error(err)
			}
			delete(l.pinned, name)
			l.opened[name] = true // it may be here all the same
			return "an end of a pin"
		}
	case op == 9:
		quota := int64(lifeQuota - l.r.IntN(3)*100_000)
		l.lowered = l.lowered || quota < l.quota
		l.quota = quota
		l.b.stop()
		l.b = newKeeper(l.t, l.b.dir, l.policy())
		return "a restart"
	case op == 10 && l.on[i]:
		a.stop()
		l.on[i] = false
		if i == 0 && l.r.IntN(3) == 0 {
			l.dead = true
			l.exists = l.anywhere() // what it alone had is gone
			return "another box goes for ever"
		}
		return "another box goes"
	case op == 10:
		l.others[i] = startBox(l.t, a.dir, nil)
		l.on[i] = true
		return "another box comes"
	default:
		name := l.pick(l.offered[i])
		if name == "" || !l.on[i] || l.b.ls()[name].Name == "" || l.b.node.peers.connected() == 0 {
			break
		}
		l.opened[name] = true
		if resp, body := l.b.page(name); resp.StatusCode == http.StatusOK && body != l.content(l.offered[i][name]) {
			l.t.Errorf("%s comes wrong", name)
		}
		return "somebody opens " + name
	}
	return "nothing"
}

// anywhere is all contents that lie on the disk of any box.
func (l *life) anywhere() map[string]bool {
	all := map[string]bool{}
	for _, b := range []*testBox{l.others[0], l.others[1], l.b} {
		if l.dead && b == l.others[0] {
			continue
		}
		for _, content := range b.folder() {
			all[content] = true
		}
	}
	return all
}

// check holds what must hold at every moment.
func (l *life) check() {
	l.t.Helper()
	here := map[string]bool{} // what lies in b's folder, by content
	var guests int64
	own := map[string]bool{}
	for _, n := range l.own {
		own[l.content(n)] = true
	}
	for _, content := range l.b.folder() {
		here[content] = true
		if !own[content] {
			guests += int64(len(content))
		}
	}
	if l.lowered && guests <= l.quota {
		l.lowered = false
	}
	if guests > l.quota && !l.lowered {
		l.t.Errorf("%d bytes are kept for others, over the quota of %d", guests, l.quota)
	}
	for _, kept := range []map[string]int{l.dropped, l.own} {
		for name, n := range kept {
			if !here[l.content(n)] {
				l.t.Errorf("%s is lost", name)
			}
		}
	}
	now := l.anywhere()
	for content := range l.exists {
		if !now[content] {
			l.t.Errorf("the last copy of %s is gone", content[:6])
		}
	}
	l.exists = now
	for i := range l.offered {
		for name, n := range l.offered[i] {
			if strings.HasSuffix(name, ".iso") && !l.pinned[name] && !l.opened[name] && here[l.content(n)] {
				l.t.Errorf("%s is excluded, and was copied", name)
			}
		}
	}
}

// end has all come together, and checks what holds in the end.
func (l *life) end() {
	for i := range l.others {
		if !l.on[i] && !(l.dead && i == 0) {
			l.others[i] = startBox(l.t, l.others[i].dir, nil)
		}
	}
	eventually(l.t, "what is pinned is here, and all is within the quota", func() bool {
		ls, p := l.b.ls(), l.b.policy()
		for name := range l.pinned {
			if _, lost := l.offered[0][name]; !ls[name].Here && !(lost && l.dead) {
				return false
			}
		}
		return p.Drops.Bytes+p.Pinned.Bytes+p.Copies.Bytes <= l.quota || p.Copies.Bytes == 0
	})
	l.check()
}
