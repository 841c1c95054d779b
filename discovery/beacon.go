package discovery

import (
	"encoding/binary"
	"errors"
	"time"
)

// The beacon's wire format (spec/discovery.md, section 4).
const (
	// BeaconPort is the UDP port of beacons: "BOUCA" on a telephone's keys, in
	// the range that IANA leaves to whoever registers and has not given away.
	BeaconPort = 26822

	beaconMagic   = "BCAN"
	beaconVersion = 1
	beaconHeader  = len(beaconMagic) + 1 + 1 + 2 + 1
	// maxBeacon is the longest beacon this program makes, in bytes.
	maxBeacon = beaconHeader + 4 + MaxID + MaxInstance + maxName + MaxID
)

// What a beacon's flags say.
const (
	beaconBye   = 1 << iota // the sender is going
	beaconAsk               // whoever is wanted should say that it is here
	beaconAloud             // and say it to all, not to the asker alone
	beaconFlags = beaconBye | beaconAsk | beaconAloud
)

// errBeacon covers all bytes that are no beacon of this version.
var errBeacon = errors.New("beacon is malformed")

// beacon is one datagram of the second path.
type beacon struct {
	flags    byte
	port     uint16        // TCP port of the sender's transport
	next     time.Duration // the sender means to be heard again within this; whole seconds, 1 to 255
	id       string
	instance string
	name     string // may be empty
	wanted   string // of an ask: the one peer that is meant, empty for all
}

func (b *beacon) encode() []byte {
	p := make([]byte, 0, maxBeacon)
	p = append(p, beaconMagic...)
	p = append(p, beaconVersion, b.flags)
	p = binary.BigEndian.AppendUint16(p, b.port)
	p = append(p, byte(b.next/time.Second))
	for _, s := range []string{b.id, b.instance, b.name, b.wanted} {
		p = append(p, byte(len(s)))
		p = append(p, s...)
	}
	return p
}

// decodeBeacon reads one datagram. Bytes behind the last field are left for
// later versions and ignored. The name is as it came; claims clean it.
func decodeBeacon(p []byte) (beacon, error) {
	if len(p) < beaconHeader || string(p[:len(beaconMagic)]) != beaconMagic || p[4] != beaconVersion {
		return beacon{}, errBeacon
	}
	b := beacon{flags: p[5], port: binary.BigEndian.Uint16(p[6:]), next: time.Duration(p[8]) * time.Second}
	p = p[beaconHeader:]
	for _, f := range []struct {
		to   *string
		most int
	}{{&b.id, MaxID}, {&b.instance, MaxInstance}, {&b.name, maxName}, {&b.wanted, MaxID}} {
		if len(p) == 0 || int(p[0]) > f.most || len(p) < 1+int(p[0]) {
			return beacon{}, errBeacon
		}
		n := 1 + int(p[0])
		*f.to, p = string(p[1:n]), p[n:]
	}
	if b.flags&^beaconFlags != 0 || b.port == 0 || b.next == 0 ||
		!validToken(b.id, MaxID) || !validToken(b.instance, MaxInstance) ||
		(b.wanted != "" && !validToken(b.wanted, MaxID)) {
		return beacon{}, errBeacon
	}
	return b, nil
}

// validToken reports whether s has 1 to most characters of [0-9A-Za-z_-].
func validToken(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// How often a node speaks (spec/discovery.md, section 5).
const (
	beaconFastest = 5 * time.Second
	beaconSlowest = 60 * time.Second
	beaconShare   = 125 * time.Millisecond // of the air, for each peer that is near
)

// beaconInterval is the time between beacons where so many peers are heard: all
// of them together stay near eight a second.
func beaconInterval(peers int) time.Duration {
	return min(max(time.Duration(peers)*beaconShare, beaconFastest), beaconSlowest)
}

// promise is the interval in whole seconds, as beacons carry it.
func promise(interval time.Duration) time.Duration {
	return (interval + time.Second - 1).Truncate(time.Second)
}
