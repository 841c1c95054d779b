//go:build lab

package replica

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stranger is an implementation of negentropy that is not ours, as a process
// (testdata/negentropy-peer).
type stranger struct {
	t   *testing.T
	in  *bufio.Writer
	out *bufio.Scanner
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	program := filepath.Join(t.TempDir(), "peer")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "testdata/negentropy-peer"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the other implementation: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), program)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _, _ = io.Copy(io.Discard, out); _ = cmd.Wait() })
	s := &stranger{t: t, in: bufio.NewWriterSize(in, 1<<20), out: bufio.NewScanner(out)}
	s.out.Buffer(nil, 64<<20)
	return s
}

// takes hands it a set; word is start or answer.
func (s *stranger) takes(o *order, limit int, word string) {
	fmt.Fprintln(s.in)
	for _, it := range o.all(0, o.size()) {
		fmt.Fprintf(s.in, "item %d %s\n", it.created, it.id)
	}
	fmt.Fprintf(s.in, "limit %d\n%s\n", limit, word)
}

func (s *stranger) say(msg []byte) { fmt.Fprintln(s.in, hex.EncodeToString(msg)) }

// hear returns its next message, or nil with what it learned in the end.
func (s *stranger) hear() (msg []byte, haves, needs []string) {
	s.t.Helper()
	if err := s.in.Flush(); err != nil {
		s.t.Fatal(err)
	}
	for s.out.Scan() {
		word, rest, _ := strings.Cut(s.out.Text(), " ")
		switch word {
		case "msg":
			msg, err := hex.DecodeString(rest)
			if err != nil {
				s.t.Fatal(err)
			}
			return msg, nil, nil
		case "have":
			haves = append(haves, rest)
		case "need":
			needs = append(needs, rest)
		case "done":
			return nil, haves, needs
		}
	}
	s.t.Fatalf("the other implementation ended: %v", s.out.Err())
	return nil, nil, nil
}

// TestAnotherImplementation lets random sets be compared by this implementation
// and one that is not ours, in both roles. Every byte that ours writes is what
// the other writes in its place, and both learn the whole difference.
func TestAnotherImplementation(t *testing.T) {
	other := newStranger(t)
	rng := rand.New(rand.NewPCG(7, 8))
	limits := []int{0, 4096, 5000, 60_000, maxMessage}
	messages := 0
	for round := range 300 {
		a, b, want := randomSides(rng, round)
		limitA, limitB := limits[rng.IntN(len(limits))], limits[rng.IntN(len(limits))]

		// The other begins; each of its messages is what ours would have said.
		other.takes(a, limitA, "start")
		ours, learner := beginEvenly(a), &learned{order: a}
		for {
			msg, haves, needs := other.hear()
			if msg == nil && ours == nil {
				want.check(t, round, haves, needs)
				sameIDs(t, "have", learner.haves, slices.Clone(want.haves))
				sameIDs(t, "need", learner.needs, slices.Clone(want.needs))
				break
			}
			if string(msg) != string(ours) {
				t.Fatalf("round %d: the initiator says %d bytes, the other implementation %d others\n%x\n%x", round, len(ours), len(msg), ours, msg)
			}
			reply, err := (reconciler{limit: limitB}).answer(b, msg)
			if err != nil {
				t.Fatalf("round %d: its message is refused: %v", round, err)
			}
			messages++
			other.say(reply)
			if ours, err = (reconciler{limit: limitA}).learn(a, reply, learner); err != nil {
				t.Fatal(err)
			}
		}

		// Ours begins, as it does on the wire, and the other answers.
		other.takes(b, limitB, "answer")
		learner = &learned{order: a}
		for msg := (reconciler{limit: limitA}).begin(a); msg != nil; {
			other.say(msg)
			reply, _, _ := other.hear()
			mine, err := (reconciler{limit: limitB}).answer(b, msg)
			if err != nil || string(mine) != string(reply) {
				t.Fatalf("round %d: the responder says %d bytes, %v, the other implementation %d others", round, len(mine), err, len(reply))
			}
			messages++
			if msg, err = (reconciler{limit: limitA}).learn(a, reply, learner); err != nil {
				t.Fatal(err)
			}
		}
		sameIDs(t, "have", learner.haves, slices.Clone(want.haves))
		sameIDs(t, "need", learner.needs, slices.Clone(want.needs))
	}
	t.Logf("%d round trips, both ways the same bytes", messages)
}

// differing is what two sets lack of each other, as the first side sees it.
type differing struct{ haves, needs []string }

func (d differing) check(t *testing.T, round int, haves, needs []string) {
	t.Helper()
	slices.Sort(haves)
	slices.Sort(needs)
	if !slices.Equal(slices.Compact(haves), sorted(d.haves)) || !slices.Equal(slices.Compact(needs), sorted(d.needs)) {
		t.Fatalf("round %d: the other implementation learned %d and %d ids, want %d and %d", round, len(haves), len(needs), len(d.haves), len(d.needs))
	}
}

func sorted(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}

// randomSides makes two sets that differ in anything between nothing and all.
func randomSides(rng *rand.Rand, round int) (a, b *order, d differing) {
	a, b = newOrder(), newOrder()
	n, times := rng.IntN(4000), 1+rng.Uint64N(5000)
	lackA, lackB := rng.IntN(30)*rng.IntN(2), rng.IntN(30)*rng.IntN(2)
	for i := range n {
		it := item{created: 1_790_000_000_000 + rng.Uint64N(times), id: numbered(round<<16 | i)}
		inA, inB := rng.IntN(100) >= lackA, rng.IntN(100) >= lackB
		if inA {
			a.insert(it)
		}
		if inB {
			b.insert(it)
		}
		switch {
		case inA && !inB:
			d.haves = append(d.haves, it.id.String())
		case inB && !inA:
			d.needs = append(d.needs, it.id.String())
		}
	}
	a.settle()
	b.settle()
	return a, b, d
}
