package node

import (
	"hash/maphash"
	"math"
	"time"

	"boucan/record"
)

// class is for whom bytes are kept.
type class uint8

const (
	classCopy   class = iota // others have them too, and this box may let go of them
	classPinned              // the operator wants them here
	classDrop                // visitors dropped them here
	classes
)

// stake is what one blob takes.
type stake struct {
	cid   record.CID
	size  int64
	by    *account // whose share a copy is taken from
	since uint32   // when it came or was entered, Unix seconds
	class class
	state stakeState
	round uint8 // of the ledger when it was settled last
}

type stakeState uint8

const (
	stakeHere  stakeState = iota
	stakeWish             // the keeper wants it
	stakeAsked            // somebody asked for it
)

// stake finds what is entered of a blob, nil for nothing; mu is held.
func (g *ledger) stake(cid record.CID) *stake {
	return g.blobs.find(maphash.Bytes(g.seed, cid[:]), func(s *stake) bool { return s.cid == cid })
}

// set enters a stake in the place of the one there was; mu is held.
func (g *ledger) set(cid record.CID, s stake, by record.Key) {
	g.unset(cid)
	s.by = g.accounts[by]
	if s.by == nil {
		s.by = &account{key: by}
		g.accounts[by] = s.by
	}
	s.by.blobs++
	s.cid, s.round = cid, g.round
	g.add(s, 1)
	g.blobs.put(&s)
}

// unset takes a stake out; mu is held.
func (g *ledger) unset(cid record.CID) {
	s := g.stake(cid)
	if s == nil {
		return
	}
	g.blobs.remove(s)
	g.add(*s, -1)
	if s.by.blobs--; s.by.blobs == 0 {
		delete(g.accounts, s.by.key)
	}
}

func (g *ledger) add(s stake, times int64) {
	if s.state == stakeHere {
		g.here[s.class] += times * s.size
		g.blobsOf[s.class] += int(times)
	} else {
		g.coming += times * s.size
	}
	if s.class == classCopy {
		s.by.bytes += times * s.size
		if s.state != stakeHere {
			g.copying += times * s.size
		}
	}
}

// isHere reports whether the blob is entered as lying here.
func (g *ledger) isHere(cid record.CID) bool {
	s, ok := g.known(cid)
	return ok && s.state == stakeHere
}

// count begins a look at all that lies here. The function returned lists, when it
// is over, what is entered as lying here and was not settled meanwhile.
func (g *ledger) count() (gone func() []record.CID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.round++
	round := g.round
	return func() []record.CID {
		return g.list(func(_ record.CID, s stake) bool { return s.state == stakeHere && s.round != round })
	}
}

// list returns the blobs for which keep holds.
func (g *ledger) list(keep func(record.CID, stake) bool) []record.CID {
	g.mu.Lock()
	defer g.mu.Unlock()
	var cids []record.CID
	for _, s := range g.blobs.slots {
		if s != nil && keep(s.cid, *s) {
			cids = append(cids, s.cid)
		}
	}
	return cids
}

// seconds is a time in a stake.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), math.MaxUint32)) }
