package replica

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// TestOrder holds the blocked order against a sorted slice, through growth and decay.
func TestOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	o := newOrder()
	var model []item
	for step := range 24000 {
		grow := 4 // of 5 steps
		if step/4000%2 == 1 {
			grow = 1
		}
		it := item{created: rng.Uint64N(500), id: numbered(rng.IntN(50000))}
		if rng.IntN(5) >= grow && len(model) > 0 && rng.IntN(20) > 0 {
			it = model[rng.IntN(len(model))]
		}
		at, found := slices.BinarySearchFunc(model, it, item.compare)
		switch {
		case rng.IntN(5) < grow:
			if o.insert(it) == found {
				t.Fatal("insert disagrees about what was there")
			}
			if !found {
				model = slices.Insert(model, at, it)
			}
		default:
			if o.remove(it) != found {
				t.Fatal("remove disagrees about what was there")
			}
			if found {
				model = slices.Delete(model, at, at+1)
			}
		}
		if step%50 == 0 {
			o.settle()
			checkOrder(t, o, model, rng)
		}
	}
	for _, it := range model {
		o.remove(it)
	}
	o.settle()
	checkOrder(t, o, nil, rng)
	if len(o.blocks) != 0 {
		t.Errorf("%d empty blocks left", len(o.blocks))
	}
}

// TestOrderIsSmall: a router holds 100,000 records in this much memory, in whatever
// order they came.
func TestOrderIsSmall(t *testing.T) {
	const n, most = 100_000, 6_000_000
	rng := rand.New(rand.NewPCG(8, 9))
	for name, created := range map[string]func(i int) uint64{
		"as they were made":      func(i int) uint64 { return uint64(i) },
		"newest first":           func(i int) uint64 { return uint64(n - i) },
		"at random":              func(int) uint64 { return rng.Uint64N(1 << 40) },
		"one kind after another": func(i int) uint64 { return uint64(i % (n / 4)) },
	} {
		o := newOrder()
		for i := range n {
			o.insert(item{created(i), numbered(i)})
		}
		o.settle()
		size := len(o.blocks)*int(unsafe.Sizeof(block{})) + cap(o.blocks)*8 + cap(o.before)*int(unsafe.Sizeof(before{}))
		t.Logf("%s: %d bytes", name, size)
		if size > most {
			t.Errorf("%s: %d bytes, want at most %d", name, size, most)
		}
	}
}

func checkOrder(t *testing.T, o *order, model []item, rng *rand.Rand) {
	t.Helper()
	if o.size() != len(model) {
		t.Fatalf("size %d, want %d", o.size(), len(model))
	}
	lo := rng.IntN(len(model) + 1)
	hi := lo + rng.IntN(len(model)-lo+1)
	var s sum
	for _, it := range model[lo:hi] {
		s = s.plus(sumOf(it.id))
	}
	if o.fingerprint(lo, hi) != s.fingerprint(hi-lo) {
		t.Fatalf("fingerprint of [%d, %d) of %d is wrong", lo, hi, len(model))
	}
	next := lo
	for i, it := range o.all(lo, hi) {
		if i != next || it != model[i] || o.at(i) != it || o.lowerBound(it) != i || !o.contains(it) {
			t.Fatalf("item %d is wrong", i)
		}
		next++
	}
	if next != hi {
		t.Fatalf("walk ended at %d, want %d", next, hi)
	}
}
