package replica

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkReconcile is the comparison alone, both sides, at 100,000 records.
func BenchmarkReconcile(b *testing.B) {
	for _, c := range []struct {
		name   string
		differ int
	}{{"no difference", 0}, {"100 scattered", 100}, {"1000 scattered", 1000}} {
		b.Run(c.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(5, 6))
			here, there := newOrder(), newOrder()
			for i := range 100_000 {
				it := item{1790000000000 + rng.Uint64N(30*24*3600_000), numbered(i)}
				here.insert(it)
				if rng.IntN(100_000) >= c.differ {
					there.insert(it)
				}
			}
			here.settle()
			there.settle()
			for b.Loop() {
				talk(b, reconciler{}.begin(here), here, there, maxMessage, maxMessage)
			}
		})
	}
}
