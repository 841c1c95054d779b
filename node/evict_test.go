package node

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"boucan/record"
)

// offerMany puts files of one size into a box's folder.
func (b *testBox) offerMany(from, n, size int) (names []string) {
	b.t.Helper()
	for i := from; i < from+n; i++ {
		name := fmt.Sprintf("%03d.bin", i)
		b.put(name, randomText(byte(i), size))
		names = append(names, name)
	}
	eventually(b.t, "the files are offered", func() bool {
		here := b.here()
		return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(here, name) })
	})
	return names
}

// A drop makes copies go that another box has, the oldest first, and nothing else.
func TestADropMakesCopiesGo(t *testing.T) {
	a := newBox(t, "a")
	const size = 100_000
	a.offerMany(0, 12, size)
	b := newKeeper(t, t.TempDir()+"/b", Policy{Quota: 16 * size})
	b.put("own.bin", randomText(201, size))
	eventually(t, "copies came", func() bool { return b.policy().Copies.Files == 11 && b.ls()["own.bin"].Here })
	pinned := b.policy().Next[0].Name
	if _, err := b.Pin(t.Context(), pinned); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pin counts", func() bool { return b.policy().Pinned.Files == 1 })
	oldest := b.policy().Next
	b.drop("first.bin", randomText(202, 4*size))
	b.drop("large.bin", randomText(203, 6*size))
	p := b.policy()
	if p.Drops.Bytes != 10*size || p.Drops.Bytes+p.Pinned.Bytes+p.Copies.Bytes > 16*size || p.Copies.Files < 3 {
		t.Errorf("%+v", p)
	}
	for _, n := range oldest[:4] {
		if b.ls()[n.Name].Here {
			t.Errorf("%s is still here, and came before others", n.Name)
		}
	}
	if ls := b.ls(); !ls[pinned].Here || !ls["own.bin"].Here || !ls["first.bin"].Here || !ls["large.bin"].Here || len(ls) != 15 {
		t.Error("what must stay went")
	}
	if got := b.get(oldest[0].Name); got != a.get(oldest[0].Name) {
		t.Error("what was let go of does not come back when somebody opens it")
	}
	if status := b.tryDrop("too large.bin", randomText(204, 6*size)); status != http.StatusInsufficientStorage {
		t.Errorf("a drop that cannot fit beside drops and pins: %d", status)
	}
	if _, err := b.Unpin(t.Context(), pinned); err != nil {
		t.Fatal(err)
	}
	eventually(t, "and the pin is gone", func() bool { return b.policy().Pinned.Files == 0 })
}

// What no other box shows to have stays, whoever needs the room.
func TestTheLastCopyStays(t *testing.T) {
	a := newBox(t, "a")
	const size = 100_000
	a.offerMany(0, 9, size)
	dir := t.TempDir() + "/b"
	b := newKeeper(t, dir, Policy{Quota: 12 * size})
	eventually(t, "copies came", func() bool { return b.policy().Copies.Files == 8 })
	a.stop()
	eventually(t, "b is alone", func() bool { return b.node.peers.connected() == 0 })
	b.drop("fits.bin", randomText(202, 3*size))
	if status := b.tryDrop("large.bin", randomText(203, 2*size)); status != http.StatusInsufficientStorage {
		t.Errorf("a drop for which the last copies would have to go: %d", status)
	}
	c := newCaller(t, t.TempDir()+"/c") // knows all, has nothing
	eventually(t, "c lists all", func() bool { return len(c.ls()) == 10 })
	if status := b.tryDrop("large.bin", randomText(203, 2*size)); status != http.StatusInsufficientStorage {
		t.Errorf("a drop for which the last copies would have to go: %d", status)
	}
	if p := b.policy(); p.Copies.Files != 8 || p.Drops.Files != 1 {
		t.Errorf("%+v", p)
	}
	c.stop()
	b.stop()
	// With a lower quota nothing is lost either; a pinned file that is not here
	// waits.
	b = newKeeper(t, dir, Policy{Quota: 4 * size})
	eventually(t, "it is counted", func() bool { return b.policy().Copies.Files == 8 })
	if b.policy().Room != 0 {
		t.Error("there is room")
	}
}

// With a quota that is lower than what is here, copies go until it holds, as far
// as another box has them.
func TestALowerQuotaIsKeptTo(t *testing.T) {
	a := newBox(t, "a")
	const size = 100_000
	a.offerMany(0, 12, size)
	dir := t.TempDir() + "/b"
	b := newKeeper(t, dir, Policy{})
	eventually(t, "copies came", func() bool { return b.policy().Copies.Files == 12 })
	b.drop("drop.bin", randomText(202, size))
	b.stop()
	b = newKeeper(t, dir, Policy{Quota: 5 * size})
	eventually(t, "the quota holds", func() bool {
		p := b.policy()
		return p.Drops.Files == 1 && p.Drops.Bytes+p.Copies.Bytes <= 5*size && p.Copies.Files >= 2
	})
	before := b.here()
	b.stop()
	b = newKeeper(t, dir, Policy{Quota: 5 * size})
	eventually(t, "and it stays so", func() bool { return b.node.peers.connected() == 1 && slices.Equal(b.here(), before) })
}

// A crash between the deletion of a file and that of its entry is not taken for a
// removal by hand.
func TestACrashWhileLettingGo(t *testing.T) {
	a := newBox(t, "a")
	const size = 2 << 20
	a.offerMany(0, 3, size)
	dir := t.TempDir() + "/b"
	b := newKeeper(t, dir, Policy{})
	eventually(t, "copies came", func() bool { return len(b.here()) == 3 })
	cid := func(name string) record.CID {
		c, err := record.ParseCID(b.ls()[name].CID)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	gone, stays := cid("000.bin"), cid("001.bin")
	if err := b.node.library.leaving.note(gone, stays); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b.rm("000.bin")
	b = newKeeper(t, dir, Policy{})
	eventually(t, "it comes again", func() bool { return b.has("000.bin", "001.bin", "002.bin") })
	if b.node.blobs.Refused(gone) {
		t.Error("it is refused")
	}
	if left, err := b.node.library.leaving.list(); err != nil || len(left) > 0 {
		t.Errorf("%d notes are left, %v", len(left), err)
	}
	// And where the folder was away at the start, so that only a look tells.
	if err := b.node.library.leaving.note(gone); err != nil {
		t.Fatal(err)
	}
	b.rm("000.bin")
	eventually(t, "it comes again while the box runs", func() bool {
		left, err := b.node.library.leaving.list()
		return err == nil && len(left) == 0 && b.has("000.bin", "001.bin", "002.bin")
	})
	b.rm("002.bin")
	eventually(t, "what a person removes is not fetched again", func() bool { return b.node.blobs.Refused(cid("002.bin")) })
}

// Two boxes that both have a copy do not both let go of it.
func TestWhoKeepsACopyIsAgreed(t *testing.T) {
	var a, b record.Key
	a[0], b[0] = 1, 2
	first := 0
	for i := range 1000 {
		h := randomText(byte(i), 64) + fmt.Sprint(i)
		cid := record.NewCID(record.CodecRaw, [32]byte([]byte(h[:32])))
		if ranksBefore(a, b, cid) == ranksBefore(b, a, cid) {
			t.Fatal("both rank before the other, or none does")
		}
		if ranksBefore(a, a, cid) {
			t.Fatal("a box ranks before itself")
		}
		if ranksBefore(a, b, cid) {
			first++
		}
	}
	if first < 400 || first > 600 {
		t.Errorf("one of two boxes keeps %d of 1000", first)
	}
}

// While the author is away, two boxes that need room at the same moment each let
// go of some of what the other keeps, and of nothing that the other lets go of.
func TestTwoBoxesDoNotBothLetGo(t *testing.T) {
	a := newBox(t, "a")
	const size = 50_000
	a.offerMany(0, 24, size)
	dir := t.TempDir()
	policy := Policy{Quota: 36 * size}
	b, c := newKeeper(t, dir+"/b", policy), newKeeper(t, dir+"/c", policy)
	eventually(t, "both have all", func() bool { return b.policy().Copies.Files == 24 && c.policy().Copies.Files == 24 })
	a.stop()
	eventually(t, "they are alone", func() bool {
		return b.node.peers.connected() == 1 && c.node.peers.connected() == 1
	})
	var both sync.WaitGroup
	for i, box := range []*testBox{b, c} {
		both.Go(func() {
			for n := range 10 {
				box.tryDrop(fmt.Sprintf("drop %d %d.bin", i, n), randomText(byte(100+10*i+n), 3*size))
			}
		})
	}
	both.Wait()
	if b.policy().Copies.Files == 24 && c.policy().Copies.Files == 24 {
		t.Error("nobody let go of anything")
	}
	left := map[string]bool{}
	for _, box := range []*testBox{b, c} {
		for _, content := range box.folder() {
			left[content] = true
		}
	}
	for i := range 24 {
		if !left[randomText(byte(i), size)] {
			t.Errorf("the last copy of file %d is gone", i)
		}
	}
}

func TestPinsBeatTheRest(t *testing.T) {
	a := newBox(t, "a")
	const size = 100_000
	a.put("small.bin", randomText(1, size))
	a.put("large.bin", randomText(2, 9*size))
	a.put("huge.bin", randomText(3, 20*size))
	eventually(t, "a offers them", func() bool { return len(a.here()) == 3 })
	dir := t.TempDir() + "/b"
	policy := Policy{Mirror: MirrorNone, Quota: 12 * size}
	b := newKeeper(t, dir, policy)
	eventually(t, "b lists them", func() bool { return len(b.ls()) == 3 })
	if f, err := b.Pin(t.Context(), "small.bin"); err != nil || !f.Pinned {
		t.Fatalf("%+v, %v", f, err)
	}
	if _, err := b.Pin(t.Context(), "nothing"); err == nil {
		t.Error("what nobody offers is pinned")
	}
	if _, err := b.Pin(t.Context(), "huge.bin"); err == nil || !strings.Contains(err.Error(), "--quota") {
		t.Errorf("what does not fit: %v", err)
	}
	eventually(t, "the pinned one comes", func() bool { return b.has("small.bin") && b.policy().Pinned.Files == 1 })
	a.stop()
	eventually(t, "b is alone", func() bool { return b.node.peers.connected() == 0 })
	if _, err := b.Pin(t.Context(), "large.bin"); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b = newKeeper(t, dir, policy)
	a = startBox(t, a.dir, nil)
	eventually(t, "what was pinned while nobody had it comes", func() bool { return b.has("large.bin", "small.bin") })
	eventually(t, "it is counted as pinned", func() bool {
		p := b.policy()
		return p.Pinned.Files == 2 && p.Copies.Files == 0
	})
	a.rm("large.bin")
	eventually(t, "a pin ends with the offer", func() bool { return b.has("small.bin") && len(b.node.library.pins.list()) == 1 })
}

func TestLimitOfPins(t *testing.T) {
	b := newBox(t, "b")
	p := b.node.library.pins
	p.mu.Lock()
	for i := range maxPins - 1 {
		var cid record.CID
		cid[5], cid[6], cid[7] = byte(i), byte(i>>8), byte(i>>16)
		p.set[cid] = struct{}{}
	}
	p.mu.Unlock()
	last := record.NewCID(record.CodecRaw, [32]byte{1})
	if err := p.pin(last); err != nil {
		t.Error(err)
	}
	if err := p.pin(last); err != nil {
		t.Error(err)
	}
	if err := p.pin(record.NewCID(record.CodecRaw, [32]byte{2})); err != errManyPins {
		t.Errorf("one more: %v", err)
	}
}
