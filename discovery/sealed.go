package discovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// Sealer hides the announcements of a circle from all who are not in it. It is
// called from several goroutines.
type Sealer interface {
	// Seal returns bytes that look random and are no two times the same, longer
	// than plain by a constant of a few dozen.
	Seal(plain []byte) []byte
	// Open is the reverse; false for bytes that nobody of the circle has sealed.
	Open(sealed []byte) (plain []byte, ok bool)
}

// A sealed beacon (spec/discovery.md, section 10). All are of one length, which
// tells nothing of the names in them.
const (
	sealedNames  = 4 // starts that one beacon names
	sealedHeader = 8 + 4 + sealedNames*len(startMark{})
	sealedSize   = 288 // bytes before sealing: header, beacon, zeros

	// sealedWindow is how far apart the clocks of two boxes may be that believe
	// each other at once.
	sealedWindow = 2 * time.Minute

	maxStarts   = 2 * MaxPeers // starts of which is remembered what was heard
	maxDoubted  = 64           // starts whose clock is another
	doubtedLife = 5 * beaconSlowest
)

// startMark stands for one start of one box: eight bytes of a hash of id and
// instance. Zeros stand for none.
type startMark [8]byte

func markOf(id, instance string) startMark {
	sum := sha256.Sum256([]byte(id + "\x00" + instance)) // neither has a zero byte
	return startMark(sum[:8])
}

// sealed is a beacon with what shows that it is no recording of one.
type sealed struct {
	beacon
	stamp int64                  // Unix milliseconds, by the sender's clock
	count uint32                 // of beacons of the sender's start, from 1
	names [sealedNames]startMark // of boxes that the sender heard whose clock is another
}

func (s *sealed) encode() []byte {
	p := make([]byte, 0, sealedSize)
	p = binary.BigEndian.AppendUint64(p, uint64(s.stamp))
	p = binary.BigEndian.AppendUint32(p, s.count)
	for _, n := range s.names {
		p = append(p, n[:]...)
	}
	return append(p, s.beacon.encode()...)[:sealedSize]
}

// decodeSealed reads what was opened.
func decodeSealed(p []byte) (sealed, error) {
	if len(p) != sealedSize {
		return sealed{}, errBeacon
	}
	s := sealed{stamp: int64(binary.BigEndian.Uint64(p)), count: binary.BigEndian.Uint32(p[8:])}
	for n := range s.names {
		copy(s.names[n][:], p[12+n*len(startMark{}):])
	}
	var err error
	s.beacon, err = decodeBeacon(p[sealedHeader:])
	return s, err
}

// receiveBeacon turns what a socket reads into packets for the loop. It runs on
// the reader's goroutine. What others of the port say to one another is passed
// over: boxes of no circle or of another.
func (e *engine) receiveBeacon(p []byte, a arrival) (packet, error) {
	if e.sealer == nil {
		if !bytes.HasPrefix(p, []byte(beaconMagic)) {
			return packet{}, errSkip
		}
		b, err := decodeBeacon(p)
		return packet{arrival: a, beacon: &b}, err
	}
	plain, ok := e.sealer.Open(p)
	if !ok {
		return packet{}, errSkip
	}
	s, err := decodeSealed(plain)
	return packet{arrival: a, beacon: &s.beacon, sealed: &s}, err
}

// pack is a beacon as it goes out.
func (e *engine) pack(b *beacon) []byte {
	if e.sealer == nil {
		return b.encode()
	}
	s := e.fresh.seal(b)
	return e.sealer.Seal(s.encode())
}

// freshness tells sealed beacons from recordings of them, which anyone can make
// and send again. A beacon is believed where its stamp is near the own clock's
// time, or where it names the start of the box that hears it, and in both cases
// only once. So boxes of which one has lost its clock still find each other, by
// their next beacons, and nothing is ever answered to what may be a recording.
//
// It belongs to Run's goroutine.
type freshness struct {
	self    startMark
	clock   func() time.Time
	sent    uint32
	heard   map[startMark]window    // what was believed, at most maxStarts
	doubted map[startMark]time.Time // heard with stamps that are far off, at most maxDoubted
}

func newFreshness(self *Self, clock func() time.Time) *freshness {
	return &freshness{
		self: markOf(self.ID, self.Instance), clock: clock,
		heard: map[startMark]window{}, doubted: map[startMark]time.Time{},
	}
}

// seal adds what shows to others that b is no recording.
func (f *freshness) seal(b *beacon) sealed {
	f.sent++
	return sealed{beacon: *b, stamp: f.clock().UnixMilli(), count: f.sent, names: f.naming()}
}

// naming are starts to be named in the next beacon, by chance where there are
// more than fit.
func (f *freshness) naming() (names [sealedNames]startMark) {
	now, n := time.Now(), 0
	for m, at := range f.doubted {
		switch {
		case now.Sub(at) > doubtedLife:
			delete(f.doubted, m)
		case n < sealedNames:
			names[n] = m
			n++
		}
	}
	return names
}

// believes reports whether s is surely no recording. It is asked once for each.
func (f *freshness) believes(s *sealed, now time.Time) bool {
	from := markOf(s.id, s.instance)
	off := time.Duration(f.clock().UnixMilli()-s.stamp) * time.Millisecond
	near := max(off, -off) <= sealedWindow
	if !near {
		makeRoom(f.doubted, from, maxDoubted)
		f.doubted[from] = now
	}
	if !near && !slices.Contains(s.names[:], f.self) {
		return false
	}
	w := f.heard[from]
	if !w.take(s.count) {
		return false
	}
	makeRoom(f.heard, from, maxStarts)
	f.heard[from] = w
	return true
}

// makeRoom drops any one of most entries where m is not among them.
func makeRoom[V any](all map[startMark]V, m startMark, most int) {
	if _, ok := all[m]; ok || len(all) < most {
		return
	}
	for other := range all {
		delete(all, other)
		return
	}
}

// window knows which beacons of a start were heard, as IPsec does (RFC 4303,
// section 3.4.3): what was sent through several sockets comes in disorder.
type window struct {
	newest uint32
	before uint64 // bit n: newest-1-n was heard
}

// take notes that a beacon was heard; false where it was before, or may have been.
func (w *window) take(count uint32) bool {
	if count > w.newest {
		by := count - w.newest
		w.before = w.before<<by | 1<<(by-1) // what is shifted past the end is gone
		w.newest = count
		return true
	}
	bit := uint64(1) << (w.newest - count - 1) // 0 where it is too old, or the newest itself
	if bit == 0 || w.before&bit != 0 {
		return false
	}
	w.before |= bit
	return true
}
