package share

import (
	"testing"
	"time"
)

// Where there is no damage nobody looks for any, so the count of it must be right
// even if the tally of an index is lost.
func TestDamageIsCountedAtTheStart(t *testing.T) {
	b := newBox(t)
	k := known{cid: cidOf("film"), size: 4}
	g := newBatch(b.table, tally{}, 0)
	if err := g.add("film", k); err != nil {
		t.Fatal(err)
	}
	if err := g.spoil("film", k, allChunks(k.size), time.UnixMilli(1)); err != nil {
		t.Fatal(err)
	}
	var pairs []pair
	for _, p := range g.pairs() {
		if p.key != settingTally {
			pairs = append(pairs, p)
		}
	}
	if err := writePairs(b.table, pairs); err != nil {
		t.Fatal(err)
	}
	if b.Damaged(k.cid) {
		t.Error("damage that nobody counted is known")
	}
	b.again()
	if !b.Damaged(k.cid) || b.Damaged(cidOf("other")) || b.Usage().Damaged != 1 {
		t.Errorf("damage is not known after a start: %+v", b.Usage())
	}
}
