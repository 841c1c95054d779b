package node

import (
	"math/rand/v2"
	"testing"
)

// TestFinderHoldsWhatAMapHolds, with hashes that often meet: as many as have one
// home, and homes at the end of the table.
func TestFinderHoldsWhatAMapHolds(t *testing.T) {
	type thing struct{ key, twin int }
	for _, spread := range []uint64{1, 1 << 20, 1 << 58, 1 << 63} {
		random := rand.New(rand.NewPCG(spread, 1))
		f := finder[thing]{hash: func(x *thing) uint64 { return uint64(x.key) * spread }}
		all := make(map[int]*thing)
		look := func(key int) *thing {
			return f.find(uint64(key)*spread, func(x *thing) bool { return x.key == key })
		}
		for step := range 20_000 {
			key := random.IntN(300)
			switch there := all[key]; {
			case there == nil:
				all[key] = &thing{key: key}
				f.put(all[key])
			case random.IntN(4) == 0:
				all[key] = &thing{key: key, twin: step}
				f.swap(there, all[key])
			default:
				f.remove(there)
				delete(all, key)
			}
			if step%50 != 0 {
				continue
			}
			if f.count != len(all) {
				t.Fatalf("spread %d, step %d: %d held, want %d", spread, step, f.count, len(all))
			}
			for key := range 300 {
				if look(key) != all[key] {
					t.Fatalf("spread %d, step %d: key %d finds %v, want %v", spread, step, key, look(key), all[key])
				}
			}
		}
		for _, x := range all {
			f.remove(x)
		}
		if f.count != 0 || len(f.slots) > finderLeast {
			t.Errorf("spread %d: %d left in %d slots", spread, f.count, len(f.slots))
		}
	}
}

// Looking for what is not there asks next to nothing of what is: each question
// goes to another place in memory.
func TestFinderAsksLittleForWhatIsNotThere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	f := finder[uint64]{hash: func(x *uint64) uint64 { return *x }}
	for range 10_000 {
		x := random.Uint64()
		f.put(&x)
	}
	asked := 0
	for range 10_000 {
		f.find(random.Uint64(), func(*uint64) bool { asked++; return false })
	}
	if asked > 2000 {
		t.Errorf("%d questions for 10,000 that are not there", asked)
	}
}
