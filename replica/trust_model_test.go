package replica_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"boucan/record"
	"boucan/replica"
)

// What may happen to a box whose operator makes up their mind about a moderator.
const (
	meetsAuthor    = 'a' // who has the record
	meetsModerator = 'm' // who has the takedown, and nothing else
	changesMind    = 'c' // trusts the moderator, or no longer does
	changesOff     = 'o' // the same while the box is off
)

// longestMind is how many of these there are in one story.
const longestMind = 4

// TestEveryOrderOfTrust lets a record, a moderator's takedown of it and the trust in
// that moderator come and go in every order, and holds the box to what the operator
// said last: it shows the record exactly when it does not trust the moderator. All of it
// is sooner than what was refused once would be asked for again by itself.
func TestEveryOrderOfTrust(t *testing.T) {
	var tell func(story string)
	tell = func(story string) {
		if len(story) == longestMind {
			synctest.Test(t, func(t *testing.T) { followMind(t, story) })
			return
		}
		for _, deed := range []rune{meetsAuthor, meetsModerator, changesMind, changesOff} {
			tell(story + string(deed))
		}
	}
	tell("")
}

func followMind(t *testing.T, story string) {
	// The box has the least key, so that it begins what is said between two boxes:
	// then it is the one to tell what it asks for.
	nodes := []int{0, 1, 2}
	slices.SortFunc(nodes, func(i, j int) int {
		a, b := public(i), public(j)
		return bytes.Compare(a[:], b[:])
	})
	box, author, moderator := nodes[0], nodes[1], nodes[2]
	trusted := false
	w := newNetwork(t, 3)
	w.nodes[moderator].options.Trusted = func(k record.Key) bool { return k == public(moderator) }
	w.nodes[box].options.Trusted = func(k record.Key) bool { return trusted && k == public(moderator) }
	w.start()
	defer w.stop()
	r := message(t, author, time.Now(), "r", "disputed")
	add(t, w.nodes[author].set, nil, r)
	down := takedown(t, moderator, time.Now(), r, "")
	add(t, w.nodes[moderator].set, nil, down)
	heard := false
	meet := func(other int) {
		w.connect(box, other)
		pass(20 * time.Second)
		w.cut(box, other)
		heard = heard || other == moderator
	}
	change := func() {
		trusted = !trusted
		if err := w.nodes[box].set.Retrust(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.nodes[box].syncer.Nudge()
	}
	for i, deed := range story {
		switch deed {
		case meetsAuthor:
			meet(author)
		case meetsModerator:
			meet(moderator)
		case changesMind:
			change()
		case changesOff:
			w.nodes[box].halt()
			trusted = !trusted
			w.nodes[box].start()
			synctest.Wait()
		}
		if trusted && heard && shows(t, w.nodes[box].set, r) {
			t.Fatalf("%s: it trusts the moderator and shows the record", story[:i+1])
		}
	}
	w.connect(box, author)
	w.connect(box, moderator)
	for range 3 { // and once more either way, while it has both
		pass(time.Minute)
		if is := shows(t, w.nodes[box].set, r); is == trusted {
			t.Errorf("%s: trusted %v, shown %v", story, trusted, is)
		}
		change()
	}
	if !shows(t, w.nodes[box].set, down) {
		t.Errorf("%s: the takedown is not kept", story)
	}
}

func shows(t *testing.T, set *replica.Set, r *record.Record) bool {
	t.Helper()
	_, there, err := set.Get(r.ID())
	if err != nil {
		t.Fatal(err)
	}
	return there
}
