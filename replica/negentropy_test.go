package replica

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"boucan/record"
)

// vectorTime, vectorSide and vectorCase are spec/vectors/negentropy.json.
type vectorTime struct{ Base, Share, Step uint64 }

type vectorSide struct {
	Ranges  [][2]int
	Without []int
}

type vectorCase struct {
	Name           string
	Time           vectorTime
	Initiator      vectorSide
	Responder      vectorSide
	InitiatorLimit int `json:"initiator_limit"`
	ResponderLimit int `json:"responder_limit"`
	Messages       []json.RawMessage
	Have           json.RawMessage
	Need           json.RawMessage
}

type vectorFile struct {
	Cases     []vectorCase
	Versions  []struct{ Name, Message, Reply string }
	Malformed []struct{ Name, Message string }
}

func readVectors(t testing.TB) vectorFile {
	t.Helper()
	b, err := os.ReadFile("../spec/vectors/negentropy.json")
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func numbered(i int) record.ID { return sha256.Sum256([]byte(strconv.Itoa(i))) }

func (s vectorSide) order(when vectorTime) *order {
	o := newOrder()
	for _, r := range s.Ranges {
		for i := r[0]; i < r[1]; i++ {
			if !slices.Contains(s.Without, i) {
				o.insert(item{when.Base + uint64(i)/when.Share*when.Step, numbered(i)})
			}
		}
	}
	o.settle()
	return o
}

// learned collects what an initiator is told, runs written out.
type learned struct {
	order *order
	haves []record.ID
	needs []record.ID
}

func (l *learned) need(id record.ID) { l.needs = append(l.needs, id) }
func (l *learned) have(first, last item) {
	for i := l.order.lowerBound(first); ; i++ {
		it := l.order.at(i)
		l.haves = append(l.haves, it.id)
		if it == last {
			return
		}
	}
}

// talk lets two sides reconcile and returns every message, beginning with msg.
func talk(t testing.TB, msg []byte, a, b *order, limitA, limitB int) ([][]byte, *learned) {
	t.Helper()
	here, there := reconciler{limit: limitA}, reconciler{limit: limitB}
	l := &learned{order: a}
	var msgs [][]byte
	for msg != nil {
		reply, err := there.answer(b, msg)
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, msg, reply)
		if msg, err = here.learn(a, reply, l); err != nil {
			t.Fatal(err)
		}
		if len(msgs) > 20000 {
			t.Fatal("reconciliation does not end")
		}
	}
	return msgs, l
}

// TestNegentropyVectors holds every byte of both sides against the vectors.
func TestNegentropyVectors(t *testing.T) {
	for _, c := range readVectors(t).Cases {
		t.Run(c.Name, func(t *testing.T) {
			here, there := c.Initiator.order(c.Time), c.Responder.order(c.Time)
			msgs, l := talk(t, beginEvenly(here), here, there, c.InitiatorLimit, c.ResponderLimit)
			if len(msgs) != len(c.Messages) {
				t.Fatalf("%d messages, want %d", len(msgs), len(c.Messages))
			}
			for i, raw := range c.Messages {
				if got := renderLike(raw, msgs[i]); got != string(raw) {
					t.Fatalf("message %d is %s, want %s", i, got, raw)
				}
			}
			for _, part := range []struct {
				name string
				got  []record.ID
				want json.RawMessage
			}{{"have", l.haves, c.Have}, {"need", l.needs, c.Need}} {
				if got := renderIDs(part.want, part.got); got != string(part.want) {
					t.Errorf("%s is %s, want %s", part.name, got, part.want)
				}
			}
		})
	}
}

// renderLike writes msg as the vector writes its own: hexadecimal or a digest.
func renderLike(raw json.RawMessage, msg []byte) string {
	if raw[0] == '"' {
		return strconv.Quote(hex.EncodeToString(msg))
	}
	return fmt.Sprintf(`{"size": %d, "sha256": "%x"}`, len(msg), sha256.Sum256(msg))
}

func renderIDs(raw json.RawMessage, ids []record.ID) string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		names = append(names, id.String())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if raw[0] == '[' {
		for i := range names {
			names[i] = strconv.Quote(names[i])
		}
		return "[" + strings.Join(names, ", ") + "]"
	}
	return fmt.Sprintf(`{"count": %d, "sha256": "%x"}`, len(names), sha256.Sum256([]byte(strings.Join(names, ""))))
}

func TestNegentropyVersions(t *testing.T) {
	o := newOrder()
	o.insert(item{12345, record.ID(bytes.Repeat([]byte{0xee}, 32))})
	o.settle()
	for _, v := range readVectors(t).Versions {
		msg, _ := hex.DecodeString(v.Message)
		reply, err := reconciler{}.answer(o, msg)
		if err != nil || hex.EncodeToString(reply) != v.Reply {
			t.Errorf("%s: reply %x, %v, want %s", v.Name, reply, err, v.Reply)
		}
		if msg[0] != negentropyV1 {
			if _, err := (reconciler{}).learn(o, msg, &learned{order: o}); err == nil {
				t.Errorf("%s: the initiator took it", v.Name)
			}
		}
	}
}

func TestNegentropyMalformed(t *testing.T) {
	o := vectorSide{Ranges: [][2]int{{0, 100}}}.order(vectorTime{1000, 1, 1})
	for _, v := range readVectors(t).Malformed {
		msg, err := hex.DecodeString(v.Message)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (reconciler{}).answer(o, msg); err != errNegentropy {
			t.Errorf("%s: responder says %v", v.Name, err)
		}
		if _, err := (reconciler{}).learn(o, msg, &learned{order: o}); err != errNegentropy {
			t.Errorf("%s: initiator says %v", v.Name, err)
		}
	}
}

// TestReconcileFigures holds the bytes and rounds of a comparison of 100,000
// records within the figures of spec/sync.md, section 6.
func TestReconcileFigures(t *testing.T) {
	const n, month = 100_000, 30 * 24 * 3600_000
	rng := rand.New(rand.NewPCG(5, 6))
	base := make([]item, n)
	for i := range base {
		base[i] = item{1790000000000 + rng.Uint64N(month), numbered(i)}
	}
	with := func(extra []item, without map[int]bool) *order {
		o := newOrder()
		for i, it := range base {
			if !without[i] {
				o.insert(it)
			}
		}
		for _, it := range extra {
			o.insert(it)
		}
		o.settle()
		return o
	}
	recent := func(from, n int) (items []item) {
		for i := range n {
			items = append(items, item{1790000000000 + month + rng.Uint64N(3600_000), numbered(1<<24 + from + i)})
		}
		return items
	}
	scattered := func(n int) map[int]bool {
		m := map[int]bool{}
		for len(m) < n {
			m[rng.IntN(len(base))] = true
		}
		return m
	}
	all := with(nil, nil)
	for _, c := range []struct {
		name  string
		a, b  *order
		bytes int
	}{
		{"no difference", all, all, 400},
		{"10 recent here", with(recent(0, 10), nil), all, 2000},
		{"10 recent there", all, with(recent(0, 10), nil), 2000},
		{"10 recent, some each", with(recent(0, 5), nil), with(recent(5, 5), nil), 2000},
		{"100 recent here", with(recent(0, 100), nil), all, 3500},
		{"100 recent there", all, with(recent(0, 100), nil), 3500},
		{"100 recent, some each", with(recent(0, 50), nil), with(recent(50, 50), nil), 3500},
		{"100 scattered here", all, with(nil, scattered(100)), 120_000},
		{"100 scattered there", with(nil, scattered(100)), all, 120_000},
		{"100 scattered, some each", with(nil, scattered(50)), with(nil, scattered(50)), 120_000},
	} {
		msgs, _ := talk(t, reconciler{}.begin(c.a), c.a, c.b, maxMessage, maxMessage)
		size := 0
		for _, msg := range msgs {
			size += len(msg)
		}
		t.Logf("%s: %d bytes in %d round trips", c.name, size, len(msgs)/2)
		if size > c.bytes || len(msgs) > 6 {
			t.Errorf("%s: %d bytes in %d round trips, want at most %d in 3", c.name, size, len(msgs)/2, c.bytes)
		}
	}
}

// TestNegentropyConverges: whatever two sides hold and however small their
// frames, the initiator learns exactly the difference.
func TestNegentropyConverges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 150 {
		a, b := newOrder(), newOrder()
		n, times := rng.IntN(3000), 1+rng.Uint64N(3000)
		onlyA, onlyB := rng.IntN(40), rng.IntN(40)
		var wantHave, wantNeed []string
		for i := range n {
			it := item{created: rng.Uint64N(times), id: numbered(round<<16 | i)}
			inA, inB := rng.IntN(100) >= onlyB, rng.IntN(100) >= onlyA
			if inA {
				a.insert(it)
			}
			if inB {
				b.insert(it)
			}
			switch {
			case inA && !inB:
				wantHave = append(wantHave, it.id.String())
			case inB && !inA:
				wantNeed = append(wantNeed, it.id.String())
			}
		}
		a.settle()
		b.settle()
		limits := []int{0, 4096, 5000, 60000}
		_, l := talk(t, reconciler{}.begin(a), a, b, limits[rng.IntN(4)], limits[rng.IntN(4)])
		sameIDs(t, "have", l.haves, wantHave)
		sameIDs(t, "need", l.needs, wantNeed)
	}
}

func sameIDs(t *testing.T, what string, got []record.ID, want []string) {
	t.Helper()
	names := make([]string, 0, len(got))
	for _, id := range got {
		names = append(names, id.String())
	}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(slices.Compact(names), slices.Compact(want)) {
		t.Fatalf("%s: learned %d ids, want %d", what, len(names), len(want))
	}
}

// FuzzNegentropy: any bytes are answered within the limit or refused, and a reply
// is itself a message that the other side accepts.
func FuzzNegentropy(f *testing.F) {
	vectors := readVectors(f)
	for _, m := range vectors.Malformed {
		b, _ := hex.DecodeString(m.Message)
		f.Add(b)
	}
	for _, c := range vectors.Cases {
		for _, raw := range c.Messages {
			b, _ := hex.DecodeString(strings.Trim(string(raw), `"`))
			f.Add(b)
		}
	}
	o := vectorSide{Ranges: [][2]int{{0, 500}}}.order(vectorTime{1790000000000, 3, 7})
	r := reconciler{limit: 4096}
	f.Fuzz(func(t *testing.T, msg []byte) {
		if reply, err := r.answer(o, msg); err == nil {
			if len(reply) > r.limit {
				t.Fatalf("reply of %d bytes", len(reply))
			}
			if _, err := r.learn(o, reply, &learned{order: o}); err != nil {
				t.Fatalf("our own reply is refused: %v", err)
			}
		}
		if next, err := r.learn(o, msg, &learned{order: o}); err == nil && next != nil {
			if len(next) > r.limit {
				t.Fatalf("message of %d bytes", len(next))
			}
			if _, err := r.answer(o, next); err != nil {
				t.Fatalf("our own message is refused: %v", err)
			}
		}
	})
}
