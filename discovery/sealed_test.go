package discovery

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// testSealer is AES-GCM with a random nonce.
type testSealer struct{ cipher.AEAD }

func newSealer(t testing.TB, key byte) testSealer {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{key}, 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return testSealer{aead}
}

func (s testSealer) Seal(plain []byte) []byte { return s.AEAD.Seal(nil, nil, plain, nil) }

func (s testSealer) Open(sealed []byte) ([]byte, bool) {
	plain, err := s.AEAD.Open(nil, nil, sealed, nil)
	return plain, err == nil
}

// TestCircleIsSeenByItsOwnOnly has two circles and an open box on one link.
func TestCircleIsSeenByItsOwnOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		var sent [][]byte
		w.tap = func(from *wire, b []byte, _ netip.AddrPort) {
			if from.host != w.hosts[3] {
				sent = append(sent, bytes.Clone(b))
			}
		}
		ours, other := newSealer(t, 1), newSealer(t, 2)
		a := w.host().plug(2, "lan", v4(1), v6(1)).run(t, testSelf(1), Options{Sealer: ours})
		b := w.host().plug(2, "lan", v4(2), v6(2)).run(t, testSelf(2), Options{Sealer: ours})
		c := w.host().plug(2, "lan", v4(3), v6(3)).run(t, testSelf(3), Options{Sealer: other})
		open := w.host().plug(2, "lan", v4(4), v6(4)).run(t, testSelf(4), Options{})
		a.finds(t, 3*time.Second, b.self)
		b.finds(t, 3*time.Second, a.self)
		time.Sleep(time.Minute)
		if a.ears.count() != 1 || b.ears.count() != 1 || c.ears.count() != 0 || open.ears.count() != 0 {
			t.Errorf("found: a %d, b %d, c %d, the open box %d", a.ears.count(), b.ears.count(), c.ears.count(), open.ears.count())
		}
		b.stop()
		a.loses(t, 3*time.Second, b.self)
		w.mu.Lock()
		defer w.mu.Unlock()
		sizes := map[int]int{}
		for _, p := range sent {
			sizes[len(p)]++
			for _, told := range []string{"NODE", "first", "Box", "oucan", "_tcp", "BCAN"} {
				if bytes.Contains(p, []byte(told)) {
					t.Errorf("%q is in %q", told, p)
				}
			}
		}
		if len(sizes) != 1 {
			t.Errorf("packets of more than one size: %v", sizes)
		}
	})
}

// TestCircleWithAWrongClock: one box woke in 1970, or is a day ahead, and they
// find each other all the same, and stay together.
func TestCircleWithAWrongClock(t *testing.T) {
	for _, off := range []time.Duration{-50 * 365 * 24 * time.Hour, 24 * time.Hour, sealedWindow + time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newAir()
			wrong := func() time.Time { return time.Now().Add(off) }
			a := w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{Sealer: newSealer(t, 1)})
			time.Sleep(time.Minute)
			b := w.host().plug(2, "lan", v4(2)).run(t, testSelf(2), Options{Sealer: newSealer(t, 1), Clock: wrong})
			a.finds(t, 12*time.Second, b.self)
			b.finds(t, 12*time.Second, a.self)
			time.Sleep(10 * time.Minute)
			if a.ears.count() != 1 || b.ears.count() != 1 || a.ears.goneCount(b.self.ID) != 0 || b.ears.goneCount(a.self.ID) != 0 {
				t.Errorf("%v off: they lost each other", off)
			}
			b.stop()
			a.loses(t, 3*time.Second, b.self)
		})
	}
}

// TestClockThatIsSetBack: a box learns that its clock was wrong.
func TestClockThatIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		began, off := time.Now(), time.Hour
		clock := func() time.Time {
			if time.Since(began) > time.Minute {
				return time.Now()
			}
			return time.Now().Add(off)
		}
		a := w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{Sealer: newSealer(t, 1)})
		b := w.host().plug(2, "lan", v4(2)).run(t, testSelf(2), Options{Sealer: newSealer(t, 1), Clock: clock})
		a.finds(t, 12*time.Second, b.self)
		time.Sleep(2 * time.Hour)
		if a.ears.goneCount(b.self.ID) != 0 || b.ears.goneCount(a.self.ID) != 0 {
			t.Error("they lost each other")
		}
	})
}

// TestRecordingsAreNotBelieved: a stranger sends again what he heard, to boxes
// that are still there, that were started anew, and that were elsewhere.
func TestRecordingsAreNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		var sent [][]byte
		w.tap = func(_ *wire, b []byte, to netip.AddrPort) {
			if to.Port() == BeaconPort {
				sent = append(sent, bytes.Clone(b))
			}
		}
		ours := newSealer(t, 1)
		wrong := func() time.Time { return time.Now().Add(-24 * time.Hour) }
		a := w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{Sealer: ours})
		b := w.host().plug(2, "lan", v4(2)).run(t, testSelf(2), Options{Sealer: ours})
		lost := w.host().plug(2, "lan", v4(3)).run(t, testSelf(3), Options{Sealer: ours, Clock: wrong})
		a.finds(t, 3*time.Second, b.self)
		a.finds(t, 12*time.Second, lost.self)
		lost.finds(t, 12*time.Second, a.self)
		b.stop()
		lost.stop()
		a.loses(t, 10*time.Second, b.self)
		a.loses(t, 10*time.Second, lost.self)
		time.Sleep(sealedWindow + time.Minute)

		fresh := w.host().plug(2, "lan", v4(4))
		anew := testSelf(5)
		c := fresh.run(t, anew, Options{Sealer: ours})
		a.finds(t, 12*time.Second, anew)
		w.mu.Lock()
		recorded := sent
		w.tap = nil
		w.mu.Unlock()
		time.Sleep(time.Minute)
		heardA, heardC, before := a.ears.count(), c.ears.count(), w.sent()[BeaconPort]
		stranger := arrival{from: netip.MustParseAddrPort("169.254.77.99:26822"), index: 2}
		direct := 0
		w.mu.Lock()
		w.tap = func(_ *wire, _ []byte, to netip.AddrPort) {
			if !isBroadcast(to.Addr()) {
				direct++
			}
		}
		w.mu.Unlock()
		for _, p := range recorded {
			w.hosts[0].inject(BeaconPort, p, stranger)
			fresh.inject(BeaconPort, p, stranger)
			time.Sleep(50 * time.Millisecond)
		}
		if a.ears.count() != heardA || c.ears.count() != heardC {
			t.Errorf("believed recordings: %d and %d peers, before %d and %d", a.ears.count(), c.ears.count(), heardA, heardC)
		}
		if p, _ := a.ears.peer(anew.ID); len(p.Addrs) != 1 {
			t.Errorf("a recording gave a peer the addresses %v", p.Addrs)
		}
		if direct != 0 {
			t.Errorf("answered %d recordings", direct)
		}
		if len(recorded) < 20 || before == 0 {
			t.Errorf("%d packets were recorded", len(recorded))
		}
	})
}

func TestFreshnessIsLimited(t *testing.T) {
	self := testSelf(1)
	now := time.Now()
	f := newFreshness(&self, func() time.Time { return now })
	for n := range 2 * maxStarts {
		s := sealed{beacon: beacon{id: "x", instance: fmt.Sprint(n)}, stamp: now.UnixMilli(), count: 1}
		if !f.believes(&s, now) || len(f.heard) != min(n+1, maxStarts) {
			t.Fatalf("%d starts after %d", len(f.heard), n+1)
		}
		s.stamp = 0
		if f.believes(&s, now) || len(f.doubted) != min(n+1, maxDoubted) {
			t.Fatalf("%d doubted after %d", len(f.doubted), n+1)
		}
	}
	s := sealed{beacon: beacon{id: "y", instance: "1"}}
	for _, c := range []struct {
		off  time.Duration
		want bool
	}{
		{sealedWindow, true}, {sealedWindow + time.Millisecond, false}, {-sealedWindow, true}, {-sealedWindow - time.Millisecond, false},
	} {
		s.count++
		if s.stamp = now.Add(c.off).UnixMilli(); f.believes(&s, now) != c.want {
			t.Errorf("a stamp %v off: believed is not %v", c.off, c.want)
		}
	}
	later := now.Add(doubtedLife + time.Second)
	f.doubted[startMark{1}] = later
	if names := f.naming(); names == [sealedNames]startMark{} || len(f.doubted) != maxDoubted+1 {
		t.Errorf("named %v of %d", names, len(f.doubted))
	}
}

func TestEachBeaconIsTakenOnce(t *testing.T) {
	var w window
	if w.take(0) {
		t.Error("a count that nobody sends was taken")
	}
	for _, c := range []struct {
		count uint32
		want  bool
	}{
		{1, true}, {1, false}, {3, true}, {2, true}, {2, false}, {3, false}, {1, false}, {0, false},
		{66, true}, {4, true}, {4, false}, {2, false}, {67, true}, {3, false}, {4, false}, {5, true},
		{1 << 31, true}, {67, false}, {1<<31 - 64, true}, {1<<31 - 65, false}, {1<<32 - 1, true}, {1<<32 - 1, false},
	} {
		if w.take(c.count) != c.want {
			t.Errorf("%d after %+v: not %v", c.count, w, c.want)
		}
	}
}

func TestSealedIsOneSize(t *testing.T) {
	for _, b := range []beacon{
		{port: 1, next: time.Second, id: "a", instance: "b"},
		{flags: beaconFlags, port: 65535, next: 255 * time.Second, id: strings.Repeat("i", MaxID), instance: strings.Repeat("n", MaxInstance), name: strings.Repeat("m", maxName), wanted: strings.Repeat("w", MaxID)},
	} {
		s := sealed{beacon: b, stamp: 1 << 40, count: 1<<32 - 1, names: [sealedNames]startMark{{1}, {2}, {3}, {4}}}
		p := s.encode()
		if got, err := decodeSealed(p); err != nil || !reflect.DeepEqual(got, s) || len(p) != sealedSize {
			t.Errorf("%d bytes, decoded %+v, %v", len(p), got, err)
		}
		for _, wrong := range [][]byte{p[:sealedSize-1], append(bytes.Clone(p), 0)} {
			if _, err := decodeSealed(wrong); err == nil {
				t.Errorf("%d bytes are taken", len(wrong))
			}
		}
	}
}

// FuzzSealed gives a node of a circle whatever a member may have sealed, and
// what nobody has.
func FuzzSealed(f *testing.F) {
	s := sealed{beacon: beacon{flags: beaconAsk, port: 1, next: time.Second, id: "a", instance: "b"}, stamp: 1 << 40}
	f.Add(s.encode(), true)
	f.Add(s.encode(), false)
	f.Add(make([]byte, sealedSize), true)
	f.Fuzz(func(t *testing.T, p []byte, seal bool) {
		if s, err := decodeSealed(p); err == nil {
			if again, err := decodeSealed(s.encode()); err != nil || !reflect.DeepEqual(again, s) {
				t.Errorf("%+v is written and read as %+v, %v", s, again, err)
			}
		}
		sealer := newSealer(t, 1)
		h := newAir().host().plug(2, "lan", v4(1))
		e := newEngine(newService(testSelf(1), newEars(t), Options{Sealer: sealer}, h))
		now := time.Now()
		e.look(t.Context(), now)
		if seal {
			p = sealer.Seal(p)
		}
		if got, err := e.receiveBeacon(p, arrival{from: netip.MustParseAddrPort("169.254.77.2:26822"), index: 2}); err == nil {
			e.handle(got, now)
		}
		e.tick(t.Context(), now.Add(time.Second))
		if n := len(e.table.peers); n > 1 || n > 0 && !seal {
			t.Errorf("one packet made %d peers", n)
		}
		close(e.done)
		e.close()
		e.readers.Wait()
	})
}
