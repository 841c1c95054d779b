package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"boucan/record"
)

// A catalogue that is filled at the start is the one that the same records make
// one by one, in whatever order either gets them.
func TestFillIsAdd(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var keys []ed25519.PrivateKey
	for i := range 3 {
		keys = append(keys, ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), byte(i))))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var recs []*record.Record
	for range 3000 { // names, bytes and boxes meet in every way
		name, bytes := fmt.Sprintf("Film %d.mp4", rng.IntN(400)), rng.IntN(600)
		r, err := record.Sign(keys[rng.IntN(len(keys))], record.Draft{
			Created: now.Add(time.Duration(rng.IntN(1_000_000)) * time.Second), Life: fileLife,
			Body: record.File{Name: name, Size: 10, Description: fmt.Sprint("about ", bytes), CID: record.NewCID(record.CodecRaw, sha256.Sum256(fmt.Append(nil, bytes)))},
		})
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, r)
	}
	self := record.Key(keys[0].Public().(ed25519.PublicKey))
	list := func(c *catalogue) (rows []row) {
		c.all(func(r *row) bool { rows = append(rows, *r); return true })
		return rows
	}
	one := newCatalogue(self)
	for _, r := range recs {
		f, err := r.File()
		if err != nil {
			t.Fatal(err)
		}
		one.add(r, f)
	}
	rng.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
	other := newCatalogue(self)
	other.fill(len(recs)/2, slices.Values(recs)) // the count is a guess
	a, b := list(one), list(other)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("entry %d is\n%+v one by one, and at once\n%+v", i, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("%d entries one by one, %d at once", len(a), len(b))
	}
	// It goes on as any other.
	for _, r := range recs {
		one.remove(r.ID())
		other.remove(r.ID())
		af, ab := one.size()
		bf, bb := other.size()
		if af != bf || ab != bb {
			t.Fatalf("%d entries of %d bytes are left of one, %d of %d of the other", af, ab, bf, bb)
		}
	}
	if n := other.byID.count + other.byCID.count + other.byName.count + len(other.byAge.blocks); n != 0 {
		t.Errorf("%d things are left of nothing", n)
	}
}

// What is read at the start makes little that is thrown away: a router's collector
// has most to do when most of its memory is taken already.
func TestFillMakesLittleGarbage(t *testing.T) {
	recs := benchRecords(t, 4000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := newCatalogue(recs[0].Author)
	c.fill(len(recs), slices.Values(recs))
	runtime.ReadMemStats(&after)
	// An entry with its offer, the name, the name folded and the media type.
	if each := float64(after.Mallocs-before.Mallocs) / float64(len(recs)); each > 4.5 {
		t.Errorf("%.1f allocations a file", each)
	}
	runtime.KeepAlive(c)
}

func TestLedgerCountsWhatIsGone(t *testing.T) {
	g := newLedger(Policy{})
	now := time.Unix(1_800_000_000, 0)
	cid := func(i byte) record.CID { return record.NewCID(record.CodecRaw, [32]byte{i}) }
	for i := range byte(3) {
		g.settle(cid(i), 10, record.Key{1}, classCopy, now)
	}
	for range 300 { // the rounds begin anew
		gone := g.count()
		g.settle(cid(0), 10, record.Key{1}, classCopy, now)
		g.settle(cid(1), 10, record.Key{1}, classCopy, now)
		if left := gone(); len(left) != 1 || left[0] != cid(2) {
			t.Fatalf("gone: %v", left)
		}
		g.settle(cid(2), 10, record.Key{1}, classCopy, now) // it is weighed, and lies here after all
	}
	g.forget(cid(2))
	gone := g.count()
	g.settle(cid(1), 20, record.Key{1}, classDrop, now)
	if left := gone(); len(left) != 1 || left[0] != cid(0) || !g.isHere(cid(1)) || g.isHere(cid(2)) {
		t.Errorf("gone: %v", left)
	}
}

// The soft limit of memory is never below what is in use: the collector would run
// without a pause.
func TestSoftLimitFollowsWhatIsInUse(t *testing.T) {
	was := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(was)
	p := Profile{Soft: 1 << 20}
	debug.SetMemoryLimit(p.Soft)
	held := make([][]byte, 64)
	for i := range held {
		held[i] = make([]byte, 1<<20)
	}
	runtime.GC()
	p.follow()
	if limit := debug.SetMemoryLimit(-1); limit < 72<<20 {
		t.Errorf("%d MiB in use, and the limit is %d MiB", len(held), limit>>20)
	}
	runtime.KeepAlive(held)
	if p.Soft = 1 << 40; p.softLimit(1<<20, 1<<20) != 1<<40 {
		t.Error("the limit falls below the profile's")
	}
}
