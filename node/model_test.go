package node

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"boucan/record"
)

var ledgerSeeds = flag.Int("ledger.seeds", 200, "random histories that the ledger is held to")

// TestLedgerKeepsItsLimits holds the ledger to a plain model: whatever is asked
// of it in whatever order, what is promised and kept stays within quota and disk,
// one author's copies leave others room, and its sums are those of its parts.
func TestLedgerKeepsItsLimits(t *testing.T) {
	for seed := range *ledgerSeeds {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		p := Policy{Quota: int64(r.IntN(3)) * 1000, Mirror: Mirror(r.IntN(3) * 300), Reserve: 100}
		g := newLedger(p)
		h := &history{t: t, r: r, g: g, disk: 2000, total: 2100, drops: map[int]int64{}}
		for step := range 400 {
			what := h.step()
			if !h.holds() {
				t.Fatalf("seed %d, step %d: after %s, with %+v", seed, step, what, p)
			}
		}
	}
}

// history is a random life of a ledger, and what it stands for.
type history struct {
	t     *testing.T
	r     *rand.Rand
	g     *ledger
	disk  int64 // bytes that lie on the disk of what is not in the ledger
	total int64
	drops map[int]int64 // promised, by number
	next  int
}

// space is what the disk would say: what lies here is off it.
func (h *history) space() space {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	used := h.g.written
	for _, n := range h.g.here {
		used += n
	}
	return space{room: h.disk - used, total: h.total}
}

func (h *history) cid() record.CID {
	return record.NewCID(record.CodecRaw, [32]byte{byte(h.r.IntN(40))})
}

func (h *history) step() string {
	cid, size, now := h.cid(), int64(h.r.IntN(300)), time.Unix(int64(h.r.IntN(1000)), 0)
	var by record.Key
	by[0] = byte(h.r.IntN(3))
	s := h.space()
	was, known := h.g.known(cid)
	switch h.r.IntN(9) {
	case 0, 1:
		if known && was.state == stakeHere {
			return "nothing"
		}
		room, had := h.roomForCopies(s), h.had(by)
		why := h.g.wish(cid, size, by, classCopy, s, now)
		if why == "" && !known && (size > room || had+size > authorShare*(room-size)) {
			h.t.Errorf("a copy of %d is wanted with room for %d, where its author has %d", size, room, had)
		}
		return fmt.Sprintf("a wish of %d: %q", size, why)
	case 2:
		if !known {
			return fmt.Sprintf("a pin of %d: %q", size, h.g.wish(cid, size, by, classPinned, s, now))
		}
	case 3:
		return fmt.Sprintf("a question of %d: %v", size, h.g.ask(cid, size, by, s, now))
	case 4:
		if known && was.state != stakeHere {
			return fmt.Sprintf("a true size of %d: %v", size, h.g.admit(cid, size, by, s, now))
		}
	case 5:
		if known && was.state != stakeHere {
			h.g.settle(cid, was.size, was.by.key, was.class, now)
			return "an arrival"
		}
	case 6:
		h.g.forget(cid)
		return "a removal"
	case 7:
		if h.g.begin(size, s) {
			h.next++
			h.drops[h.next] = size
			wrote := int64(h.r.IntN(int(size) + 1))
			h.g.wrote(wrote)
			if h.r.IntN(2) == 0 { // it ends, kept or not
				if h.r.IntN(2) == 0 && !known {
					h.g.wrote(size - wrote)
					h.g.end(size, size)
					h.g.settle(cid, size, by, classDrop, now)
				} else {
					h.g.end(size, wrote)
				}
				delete(h.drops, h.next)
				return fmt.Sprintf("a drop of %d that ended", size)
			}
			return fmt.Sprintf("a drop of %d under way", size)
		}
	case 8:
		h.disk += int64(h.r.IntN(101) - 50) // others use the disk, too
		s := h.space()
		h.g.mu.Lock()
		short := s.room - h.g.coming - (h.g.dropping - h.g.written)
		h.g.mu.Unlock()
		if short < 0 {
			h.disk -= short // the reserve is held against what the ledger does, not against others
		}
		return "a change of the disk"
	}
	return "nothing"
}

func (h *history) roomForCopies(s space) int64 {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	return h.g.roomForCopies(s)
}

func (h *history) had(by record.Key) int64 {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	if a := h.g.accounts[by]; a != nil {
		return a.bytes
	}
	return 0
}

// holds reports whether everything is within its limits and the sums are right.
func (h *history) holds() bool {
	h.t.Helper()
	s := h.space()
	g := h.g
	g.mu.Lock()
	defer g.mu.Unlock()
	var here [classes]int64
	var coming, copying int64
	authors := map[record.Key]int64{}
	for _, b := range g.blobs.slots {
		if b == nil {
			continue
		}
		if b.state == stakeHere {
			here[b.class] += b.size
		} else {
			coming += b.size
			if b.class == classCopy {
				copying += b.size
			}
		}
		if b.class == classCopy {
			authors[b.by.key] += b.size
		}
	}
	for key, a := range g.accounts {
		if a.bytes != authors[key] || a.blobs == 0 {
			h.t.Errorf("an author is said to have %d bytes in %d blobs and has %d", a.bytes, a.blobs, authors[key])
		}
	}
	if here != g.here || coming != g.coming || copying != g.copying {
		h.t.Errorf("sums are %v, %d, %d; should be %v, %d, %d", g.here, g.coming, g.copying, here, coming, copying)
	}
	if q := g.policy.Quota; q > 0 && g.total(s) > q {
		h.t.Errorf("%d are kept and promised, over the quota of %d", g.total(s), q)
	}
	if left := s.room - g.coming - (g.dropping - g.written); left < 0 {
		h.t.Errorf("%d bytes are promised that the disk does not have", -left)
	}
	return !h.t.Failed()
}

// A single author leaves a quarter of the room to others, ten share it, and many
// keys get the less the more there are.
func TestAuthorsShareTheRoom(t *testing.T) {
	s := space{room: math.MaxInt64 / 4, total: 0}
	for authors, most := range map[int][2]int64{1: {740_000, 750_000}, 2: {420_000, 750_000}, 10: {90_000, 750_000}} {
		g := newLedger(Policy{Mirror: 1_000_000})
		had := make([]int64, authors)
		for i := range 100_000 { // all of them flood, in turn
			var by record.Key
			by[0] = byte(i % authors)
			cid := record.NewCID(record.CodecRaw, [32]byte{byte(i), byte(i >> 8), byte(i >> 16)})
			if g.wish(cid, 100, by, classCopy, s, time.Unix(0, 0)) == "" {
				had[i%authors] += 100
			}
		}
		for _, n := range had {
			if n < most[0] || n > most[1] {
				t.Errorf("of %d authors, one has %d", authors, n)
			}
		}
		var late record.Key
		late[0] = 255
		if g.wish(record.NewCID(record.CodecRaw, [32]byte{1, 2, 3, 4}), 10_000, late, classCopy, s, time.Unix(0, 0)) != "" {
			t.Errorf("after %d floods, another author finds no room", authors)
		}
	}
}
