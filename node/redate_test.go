package node

import (
	"path/filepath"
	"testing"
	"time"

	"boucan/record"
	"boucan/replica"
)

// wrongBox starts a box whose system's clock is off and that nobody puts right.
func wrongBox(t *testing.T, dir string, off time.Duration) *testBox {
	t.Helper()
	log := &testLog{}
	c := config(dir, log)
	c.system = later(off)
	b := startWith(t, c)
	b.log = log
	return b
}

// fill has people do on a box what they do, and returns the undo code of a drop.
func (b *testBox) fill() string {
	b.t.Helper()
	b.drop("dropped.txt", "by a visitor")
	b.add("added.txt", "by the operator")
	b.put("folder.txt", "by hand")
	if _, err := b.Say(b.t.Context(), "lobby", "eve", "hello"); err != nil {
		b.t.Fatal(err)
	}
	code := b.undoable("regretted.txt", "regretted").Undo
	eventually(b.t, "all is listed", func() bool {
		return b.has("added.txt", "dropped.txt", "folder.txt", "regretted.txt")
	})
	return code
}

// checkDates holds what fill made against the true time.
func (b *testBox) checkDates() {
	b.t.Helper()
	eventually(b.t, "everything is there with right dates", func() bool {
		if !b.has("added.txt", "dropped.txt", "folder.txt", "regretted.txt") {
			return false
		}
		for _, f := range b.ls() {
			if time.Since(f.Created) > time.Hour || time.Until(f.Created) > time.Second || time.Until(f.Expires) < 80*day {
				return false
			}
		}
		said, err := b.History(b.t.Context(), "lobby", 10)
		return err == nil && len(said) == 1 && time.Since(said[0].At) < time.Hour
	})
}

// TestWhatWasMadeUnderAWrongClock is not lost when the clock is put right, in
// either direction, and comes to those who know the time.
func TestWhatWasMadeUnderAWrongClock(t *testing.T) {
	for what, off := range map[string]time.Duration{"in 1970": in1970(), "ahead": 73 * 365 * day} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "wrong")
			wrong := wrongBox(t, dir, off)
			code := wrong.fill()
			wrong.stop()
			wrong = wrongBox(t, dir, off) // nothing of it is only in memory
			if _, err := wrong.SetClock(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			wrong.checkDates()
			good := startWith(t, keptConfig(t, "good"))
			eventually(t, "the good box has all", func() bool {
				return good.has("added.txt", "dropped.txt", "folder.txt", "regretted.txt")
			})
			for _, kind := range []record.Kind{record.KindFile, record.KindMessage} {
				ids, err := wrong.node.records.IDsBy(wrong.node.key.Key(), kind, 0)
				if want := map[record.Kind]int{record.KindFile: 4, record.KindMessage: 1}[kind]; err != nil || len(ids) != want {
					t.Errorf("%d records of kind %d are left, want %d, %v", len(ids), kind, want, err)
				}
			}
			if _, err := wrong.Undo(t.Context(), code); err != nil {
				t.Errorf("the code of a drop that was dated anew: %v", err)
			}
			eventually(t, "the drop is gone everywhere", func() bool {
				return good.has("added.txt", "dropped.txt", "folder.txt") && wrong.has("added.txt", "dropped.txt", "folder.txt")
			})
			wrong.stop()
			wrong = wrongBox(t, dir, off)
			if off < 0 && time.Until(wrong.node.clock.Now()).Abs() > time.Minute {
				t.Errorf("after another start it is %v", wrong.node.clock.Now())
			}
			if !wrong.has("added.txt", "dropped.txt", "folder.txt") {
				t.Errorf("after another start it has %v", wrong.here())
			}
		})
	}
}

// keptConfig is the configuration of a box whose clock is kept right.
func keptConfig(t *testing.T, name string) Config {
	c := config(filepath.Join(t.TempDir(), name), &testLog{})
	c.system, c.kept = time.Now, func() bool { return true }
	return c
}

// TestWhatOthersMadeAheadIsPutOut, but not before the clock has proved itself.
func TestWhatOthersMadeAheadIsPutOut(t *testing.T) {
	b := wrongBox(t, filepath.Join(t.TempDir(), "b"), 73*365*day)
	r := signAs(t, 7, record.Draft{
		Created: time.Now().Add(73 * 365 * day), Life: fileLife,
		Body: record.File{Name: "ahead.txt", CID: cidOf(record.CodecRaw, "ahead"), Size: 5},
	})
	if added, err := b.node.records.Receive(t.Context(), r.Encode()); !added || err != nil {
		t.Fatal(added, err)
	}
	if _, err := b.SetClock(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if b.node.clock.sureFor(recallAfter) {
		t.Error("the clock is sure at once")
	}
	if !b.lists("ahead.txt") {
		t.Errorf("it lists %v", b.ls())
	}
	b.node.clock.mu.Lock()
	b.node.clock.sure = time.Now().Add(-recallAfter)
	b.node.clock.mu.Unlock()
	if !b.node.clock.sureFor(recallAfter) {
		t.Error("the clock is not sure after a day")
	}
	if err := b.node.recall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !b.lists() {
		t.Errorf("it lists %v", b.ls())
	}
}

// TestTheOperatorsWord counts for less than NTP and for more than peers.
func TestTheOperatorsWord(t *testing.T) {
	m := &machine{t: t, table: &memoryTable{}, kept: true}
	c := m.start()
	if err := c.told(time.Now().Add(time.Hour)); err == nil {
		t.Error("set although NTP keeps it")
	}
	c.stop()
	m.turn(func() { m.kept, m.off = false, in1970() })
	c = m.start()
	for _, wrong := range []time.Time{time.Unix(0, 0), c.build.Add(-time.Second), timeOf(record.MaxTime)} {
		if err := c.told(wrong); err == nil {
			t.Errorf("set to %v", wrong)
		}
	}
	if err := c.told(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for i := range byte(9) {
		c.heard(peerNo(i), addrNo(i), replica.Hello{Clock: time.Now().UnixMilli(), Source: replica.ClockSynced})
	}
	c.mu.Lock()
	c.stands = 0
	c.hearPeers()
	c.mu.Unlock()
	wantWithin(t, "against nine peers", off(c)-time.Hour, time.Second)
	if _, source, _ := c.said(); source != replica.ClockOperator {
		t.Errorf("known by %v", source)
	}
	c.stop()
}
