package node

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"boucan/record"
)

// ledger counts what this box keeps, and has promised to keep, for others: what
// visitors dropped, what is pinned, and copies. Nothing comes in that was not
// entered here first, so that quota and reserve hold whatever comes at the same
// time. It costs about 75 bytes of memory a blob. It does no I/O. Safe for
// concurrent use.
type ledger struct {
	policy Policy
	seed   maphash.Seed

	mu       sync.Mutex // guards what follows
	blobs    finder[stake]
	round    uint8 // see count
	accounts map[record.Key]*account
	here     [classes]int64 // bytes that lie here
	blobsOf  [classes]int   // blobs that do
	coming   int64          // bytes entered for what is on its way, drops aside
	copying  int64          // those of coming that will be copies
	dropping int64          // bytes promised to drops under way
	written  int64          // those of dropping that are on the disk already
	least    int64          // of what found no room at the last look, the smallest; 0 for none
	roomThen int64          // room for copies at that look
	full     bool           // there was no room for all copies that are wanted
	wanting  int64          // bytes of pinned files that found no room at the last look
	stuck    time.Time      // until when copies are not counted on to make room
}

// account is what copies of one author's files take, in bytes.
type account struct {
	key   record.Key
	bytes int64
	blobs int
}

// space is what the disk says at some moment.
type space struct {
	room  int64 // bytes it takes above the reserve, those that landings have taken already included
	total int64 // bytes of the file system
	begun int64 // bytes of unfinished uploads that it has taken already
}

func newLedger(p Policy) *ledger {
	g := &ledger{policy: p, seed: maphash.MakeSeed(), accounts: make(map[record.Key]*account)}
	g.blobs.hash = func(s *stake) uint64 { return maphash.Bytes(g.seed, s.cid[:]) }
	return g
}

// total is all that is kept or promised; mu is held.
func (g *ledger) total(s space) int64 {
	sum := g.coming + g.dropping + s.begun
	for _, n := range g.here {
		sum += n
	}
	return sum
}

// room is how many bytes more may come, for whatever goes before copies;
// roomForCopies is what copies may take of it. Both may be negative. mu is held.
func (g *ledger) room(s space) int64 {
	r := s.room - g.coming - (g.dropping - g.written)
	if q := g.policy.Quota; q > 0 {
		r = min(r, q-g.total(s))
	}
	return r
}

func (g *ledger) roomForCopies(s space) int64 {
	r := s.room - margin(s.total) - g.coming - (g.dropping - g.written)
	if q := g.policy.Quota; q > 0 {
		r = min(r, q-margin(q)-g.total(s))
	}
	if m := g.policy.Mirror; m > 0 {
		r = min(r, int64(m)-g.here[classCopy]-g.copying)
	}
	return r
}

// refusal is why a blob is not copied.
type refusal string

// The refusals. They are what people read.
const (
	refusedExcluded refusal = "excluded"     // by a pattern
	refusedNone     refusal = "not mirrored" // nothing is copied
	refusedLarge    refusal = "too large"    // it would not fit into an empty box
	refusedRoom     refusal = "no room"      // quota, mirror or disk
	refusedShare    refusal = "its box's share is used"
	refusedByHand   refusal = "removed by hand"
	refusedNobody   refusal = "nobody near has it"
)

// authorShare is how many times what is left free for copies the copies of one
// author may take. One author alone gets three quarters of the room, the next
// three quarters of what is left, and so on: nobody fills the box, and little lies
// idle where few need it.
const authorShare = 3

// judge is why a copy of so many bytes may not be begun now, "" where it may. mu
// is held.
func (g *ledger) judge(size int64, by record.Key, s space) refusal {
	room := g.roomForCopies(s)
	if size > room {
		most := s.total - g.policy.reserve() - margin(s.total)
		if q := g.policy.Quota; q > 0 {
			most = min(most, q-margin(q))
		}
		if m := g.policy.Mirror; m > 0 {
			most = min(most, int64(m))
		}
		if size > most {
			return refusedLarge
		}
		return refusedRoom
	}
	var had int64
	if a := g.accounts[by]; a != nil {
		had = a.bytes
	}
	if had+size > authorShare*(room-size) {
		return refusedShare
	}
	return ""
}

// wish enters a blob that the keeper wants, or says why not. One that is entered
// stays so.
func (g *ledger) wish(cid record.CID, size int64, by record.Key, c class, s space, now time.Time) refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.stake(cid); old != nil && old.class == c {
		if old.state == stakeAsked {
			old.state = stakeWish
		}
		return ""
	}
	g.unset(cid)
	if c == classCopy {
		if why := g.judge(size, by, s); why != "" {
			if why != refusedLarge {
				g.short(size)
				g.full = g.full || why == refusedRoom
			}
			return why
		}
	} else if size > g.room(s) {
		g.short(size)
		g.full = true
		g.wanting += size
		return refusedRoom
	}
	g.set(cid, stake{size: size, since: seconds(now), class: c, state: stakeWish}, by)
	return ""
}

// short notes that something found no room; mu is held.
func (g *ledger) short(size int64) {
	if g.least == 0 || size < g.least {
		g.least = max(size, 1)
	}
}

// missed notes that wishes were given up that could be fulfilled with so much
// room.
func (g *ledger) missed(size int64) {
	if size <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.short(size)
	g.full = true
}

// roomForDrop is how many bytes a drop may have at most, where so many bytes of
// copies that lie here may go.
func (g *ledger) roomForDrop(s space, copies int64) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.room(s)+g.copying+copies)
}

// yielding is how many bytes of copies may make room for what goes before them.
func (g *ledger) yielding(now time.Time) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.stuck) {
		return 0
	}
	return g.here[classCopy]
}

// stuckTime is how long copies are not counted on to make room after no other box
// showed to have enough of them.
const stuckTime = time.Minute

// found notes whether a search for copies to let go of found enough.
func (g *ledger) found(enough bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stuck = now.Add(stuckTime); enough {
		g.stuck = time.Time{}
	}
}

// moment orders the blobs by when they came.
type moment struct {
	since uint32
	cid   record.CID
}

func (m moment) compare(n moment) int {
	return cmp.Or(cmp.Compare(m.since, n.since), bytes.Compare(m.cid[:], n.cid[:]))
}

// oldCopy is a copy that may be let go of.
type oldCopy struct {
	moment
	size int64
}

// copies lists the copies that lie here and came after a moment, oldest first.
func (g *ledger) copies(after moment) []oldCopy {
	var list []oldCopy
	g.mu.Lock()
	for _, s := range g.blobs.slots {
		if s == nil {
			continue
		}
		if m := (moment{s.since, s.cid}); s.state == stakeHere && s.class == classCopy && m.compare(after) > 0 {
			list = append(list, oldCopy{m, s.size})
		}
	}
	g.mu.Unlock()
	slices.SortFunc(list, func(a, b oldCopy) int { return a.compare(b.moment) })
	return list
}

// ask enters a blob that somebody asked for, and reports whether there is room.
func (g *ledger) ask(cid record.CID, size int64, by record.Key, s space, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.stake(cid); old != nil {
		old.since = seconds(now)
		return true
	}
	if size > g.room(s) {
		return false
	}
	g.set(cid, stake{size: size, since: seconds(now), class: classCopy, state: stakeAsked}, by)
	return true
}

// admit corrects the size of what is about to land, and reports whether it fits.
func (g *ledger) admit(cid record.CID, size int64, by record.Key, s space, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := stake{class: classCopy, state: stakeAsked, since: seconds(now)}
	if was := g.stake(cid); was != nil {
		if was.size == size {
			return true
		}
		old, by = *was, was.by.key
		g.unset(cid)
	}
	if size > g.room(s) {
		return false
	}
	old.size = size
	g.set(cid, old, by)
	return true
}

// settle enters what is known to lie here; forget takes out what does not, and
// is not on its way.
func (g *ledger) settle(cid record.CID, size int64, by record.Key, c class, since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.stake(cid); old != nil && old.state == stakeHere && old.size == size && old.class == c && old.by.key == by {
		old.round = g.round
		return
	}
	g.set(cid, stake{size: size, since: seconds(since), class: c, state: stakeHere}, by)
}

func (g *ledger) forget(cid record.CID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unset(cid)
}

// known returns what is entered of a blob.
func (g *ledger) known(cid record.CID) (stake, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.stake(cid); s != nil {
		return *s, true
	}
	return stake{}, false
}

// begin promises room to a drop and reports whether there is that much. more is
// for one that has been promised some; wrote says how much of it is on the disk,
// and end gives it all back.
func (g *ledger) begin(size int64, s space) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if size > g.room(s) {
		return false
	}
	g.dropping += size
	return true
}

func (g *ledger) wrote(size int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.written += size
}

func (g *ledger) end(promised, written int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropping -= promised
	g.written -= written
}

// lacking is how many bytes have to go before so many more may come, 0 or less
// for none.
func (g *ledger) lacking(size int64, s space) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return size - g.room(s)
}

// surplus is how many bytes of copies are to go so that what is not a copy finds
// room at once again, 0 for none. It is none until half of the margin is used.
func (g *ledger) surplus(s space) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	var most int64
	over := func(room, margin int64) {
		if room < margin/2 {
			most = max(most, margin-room)
		}
	}
	over(s.room-g.coming-(g.dropping-g.written), margin(s.total))
	if q := g.policy.Quota; q > 0 {
		over(q-g.total(s), margin(q))
	}
	if g.wanting > 0 {
		most = max(most, g.wanting-g.room(s))
	}
	return min(most, g.here[classCopy])
}

// roomAgain reports whether something that found no room may find some now.
func (g *ledger) roomAgain(s space) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.least == 0 {
		return false
	}
	room := g.roomForCopies(s)
	return room >= g.least && room-g.roomThen >= min(g.least, 1<<20)
}

// looking is called before a look at all that is wanted, looked after it.
func (g *ledger) looking() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.least, g.full, g.wanting = 0, false, 0
}

func (g *ledger) looked(s space) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.roomThen = g.roomForCopies(s)
}

// limit names what keeps copies from coming, "" where something has room.
func (g *ledger) limit(s space) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	room := g.roomForCopies(s)
	if !g.full && room > 0 {
		return ""
	}
	q, m := g.policy.Quota, int64(g.policy.Mirror)
	switch {
	case m > 0 && room == m-g.here[classCopy]-g.copying:
		return limitMirror
	case q > 0 && room == q-margin(q)-g.total(s):
		return limitQuota
	}
	return limitDisk
}

// What keeps copies from coming.
const (
	limitMirror = "mirror"
	limitQuota  = "quota"
	limitDisk   = "disk"
)
