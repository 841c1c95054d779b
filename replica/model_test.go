package replica_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica/testdata/memlog"
)

// The model test lets some boxes live through a chance life of drops, edits,
// takedowns, trust, blocks, partitions, restarts and clocks that are wrong, and holds
// what each of them shows against what a few lines of model say it may show. One seed is one
// story. More of them, or one again:
//
//	BOUCAN_MODEL_SEEDS=2000 go test ./replica -run TestModel
//	BOUCAN_MODEL_SEED=1234 go test ./replica -run TestModel -v
const (
	seedsVariable   = "BOUCAN_MODEL_SEEDS"
	seedVariable    = "BOUCAN_MODEL_SEED"
	usualModelSeeds = 16
	modelSteps      = 120
)

func modelSeeds(t *testing.T) []uint64 {
	t.Helper()
	if text := os.Getenv(seedVariable); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		return []uint64{seed}
	}
	count := usualModelSeeds
	if text := os.Getenv(seedsVariable); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", seedsVariable, err)
		}
	}
	seeds := make([]uint64, count)
	for i := range seeds {
		seeds[i] = uint64(i + 1)
	}
	return seeds
}

func TestModel(t *testing.T) {
	for _, seed := range modelSeeds(t) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, seed, dir)
				defer m.close()
				for step := range modelSteps {
					m.step(step)
					m.wait()
					m.check()
					if t.Failed() {
						t.Fatalf("after step %d: say %s=%d to see it again", step, seedVariable, seed)
					}
				}
				m.heal()
				m.check()
				m.checkAlike()
				if t.Failed() {
					t.Fatalf("after all was healed: say %s=%d to see it again", seedVariable, seed)
				}
			})
		})
	}
}

// step does one thing that may happen.
func (m *model) step(n int) {
	type deed struct {
		weight int
		name   string
		do     func(b *modelBox)
	}
	deeds := []deed{
		{20, "drop", m.drop},
		{6, "say", m.say},
		{8, "edit", m.edit},
		{6, "take down own", m.takeDownOwn},
		{6, "undo", m.undo},
		{8, "moderate", m.moderate},
		{3, "take down by a carrier", m.carryTakedown},
		{5, "take down without right", m.forge},
		{10, "replay", m.replay},
		{7, "trust", m.changeTrust},
		{7, "block", m.changeBlock},
		{10, "links", func(*modelBox) { m.changeLinks() }},
		{6, "restart", m.restart},
		{4, "crash", m.crash},
		{5, "clock", m.changeClock},
	}
	total := 0
	for _, d := range deeds {
		total += d.weight
	}
	at := m.rng.IntN(total)
	b := m.boxes[m.rng.IntN(len(m.boxes))]
	for _, d := range deeds {
		if at -= d.weight; at < 0 {
			m.t.Logf("%3d %s box %d: %s", n, time.Now().Format("02 15:04:05"), b.n, d.name)
			if b.on() || d.name == "links" || d.name == "restart" {
				d.do(b)
			}
			return
		}
	}
}

// wait lets some time go by: often next to none, now and then hours.
func (m *model) wait() {
	switch m.rng.IntN(10) {
	case 0:
		pass(time.Duration(m.rng.Int64N(int64(5 * time.Hour))))
	case 1, 2, 3:
		pass(time.Duration(m.rng.Int64N(int64(4 * time.Minute))))
	case 4, 5, 6:
		pass(time.Duration(m.rng.Int64N(int64(4 * time.Second))))
	default:
		synctest.Wait()
	}
}

// draft is a draft that lives for some hours or days.
func (m *model) draft(b *modelBox, body record.Body) record.Draft {
	life := 2*time.Hour + time.Duration(m.rng.Int64N(int64(3*day)))
	return record.Draft{Created: b.now(), Life: life, Body: body}
}

func (m *model) drop(b *modelBox) {
	d := m.draft(b, m.someFile())
	var secret []byte
	if m.rng.IntN(3) > 0 {
		secret = fmt.Append(nil, "secret ", m.rng.Uint64())
		d.Undo = record.UndoHash(secret)
	}
	m.publish(b, m.made(b, d, secret))
}

// someFile is one of few files and names, so that blocks and doubles meet them.
func (m *model) someFile() record.File {
	names := []string{"a.exe", "b.txt", "sub/c.EXE", "d.txt", "secret plan.txt"}
	content := strconv.Itoa(m.rng.IntN(12))
	return record.File{Name: names[m.rng.IntN(len(names))], CID: cidOf(content), Size: 1}
}

func (m *model) say(b *modelBox) {
	m.publish(b, m.made(b, m.draft(b, record.Message{Room: "lobby", Text: fmt.Sprint(m.rng.Uint64())}), nil))
}

// edit puts another version in the place of a file, as the library does when a file
// of the folder changes: the new record and the takedown of the old go out together.
func (m *model) edit(b *modelBox) {
	if old := m.pick(func(x *modelRecord) bool { return x.author == b.n && b.holds(x) }); old != nil {
		m.publish(b, m.made(b, m.draft(b, m.someFile()), nil), m.takedown(b, old, nil, 0))
	}
}

func (m *model) takeDownOwn(b *modelBox) {
	if x := m.pick(func(x *modelRecord) bool { return x.author == b.n && b.holds(x) }); x != nil {
		m.publish(b, m.takedown(b, x, nil, 0))
	}
}

// undo is somebody who knows the secret, at any box that has the record.
func (m *model) undo(b *modelBox) {
	if x := m.pick(func(x *modelRecord) bool { return x.secret != nil && b.holds(x) }); x != nil {
		m.publish(b, m.takedown(b, x, x.secret, 0))
	}
}

// moderate takes down what another box made: it holds where the box is trusted.
func (m *model) moderate(b *modelBox) {
	if x := m.pick(func(x *modelRecord) bool { return x.author != b.n && b.holds(x) }); x != nil {
		m.publish(b, m.takedown(b, x, nil, 0))
	}
}

// carryTakedown brings a takedown to a box that may not have its target yet.
func (m *model) carryTakedown(b *modelBox) {
	if x := m.pick(func(x *modelRecord) bool { return x.living() }); x != nil {
		m.bring(b, m.takedown(m.boxes[x.author], x, nil, 0))
	}
}

// forge signs what must not hold: with a wrong secret, or for too short a time.
func (m *model) forge(b *modelBox) {
	x := m.pick(func(x *modelRecord) bool { return x.living() && x.r.Expires > b.now().Add(time.Hour).UnixMilli() })
	switch {
	case x == nil:
	case m.rng.IntN(2) == 0:
		m.publish(b, m.takedown(b, x, []byte("wrong"), 0))
	default:
		m.publish(b, m.takedown(b, x, x.secret, time.Minute))
	}
}

// replay brings a record that was made at some time back to a box.
func (m *model) replay(b *modelBox) {
	if len(m.all) == 0 {
		return
	}
	for range 1 + m.rng.IntN(8) {
		m.bring(b, m.all[m.rng.IntN(len(m.all))])
	}
}

func (m *model) changeTrust(b *modelBox) {
	other := public(m.rng.IntN(len(m.boxes)))
	b.setTrust(other, !b.trusts(other))
	m.must(b.set().Retrust(m.t.Context()))
	b.syncer().Nudge()
}

func (m *model) changeBlock(b *modelBox) {
	ctx, set := m.t.Context(), b.set()
	switch m.rng.IntN(3) {
	case 0:
		cid := cidOf(strconv.Itoa(m.rng.IntN(12)))
		if flip(b.cids, cid) {
			m.must(set.BlockCID(ctx, cid))
		} else {
			m.must(set.UnblockCID(ctx, cid))
		}
	case 1:
		pattern := []string{"*.exe", "secret*", "?.TXT"}[m.rng.IntN(3)]
		if flip(b.names, pattern) {
			m.must(set.BlockName(ctx, pattern))
		} else {
			m.must(set.UnblockName(ctx, pattern))
		}
	case 2:
		author := (b.n + 1 + m.rng.IntN(len(m.boxes)-1)) % len(m.boxes)
		if flip(b.authors, author) {
			m.must(set.BlockAuthor(ctx, public(author)))
		} else {
			m.must(set.UnblockAuthor(ctx, public(author)))
		}
	}
	b.syncer().Nudge()
}

func (m *model) changeLinks() {
	for range 1 + m.rng.IntN(len(m.boxes)) {
		i, j := m.rng.IntN(len(m.boxes)), m.rng.IntN(len(m.boxes))
		switch {
		case i == j:
		case m.rng.IntN(2) == 0:
			m.w.cut(i, j)
		case m.boxes[i].on() && m.boxes[j].on():
			m.w.connect(i, j)
		}
	}
}

// restart switches a box off, or on again.
func (m *model) restart(b *modelBox) {
	if b.on() {
		m.off(b)
		return
	}
	m.on(b)
}

// crash makes the disk fail at some write, and then the box.
func (m *model) crash(b *modelBox) {
	log, ok := b.node.log.(*memlog.Log)
	if !ok {
		m.off(b)
		m.on(b)
		return
	}
	log.Fail(m.rng.IntN(3))
	for range 4 {
		[]func(*modelBox){m.drop, m.edit, m.takeDownOwn, m.undo, m.replay}[m.rng.IntN(5)](b)
	}
	m.off(b)
	log.Fail(-1)
	m.on(b)
}

// changeClock sets a box's clock: mostly some minutes wrong, at times to 1970, as a
// router's is that has no battery and has met nobody yet.
func (m *model) changeClock(b *modelBox) {
	if m.rng.IntN(4) == 0 {
		b.skew.Store(-time.Now().UnixNano())
		return
	}
	b.skew.Store(m.rng.Int64N(int64(2*clockError)) - int64(clockError))
}
