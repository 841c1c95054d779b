package discovery

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

// vectors is spec/vectors/discovery.json.
type vectors struct {
	Hosts []struct{ ID, Host string }
	// Intervals says how often to speak where so many peers are heard.
	Intervals []struct{ Peers, Seconds, Promise float64 }
	Beacons   []struct {
		Packet                     string // hexadecimal
		Flags, Next                int
		Port                       uint16
		ID, Instance, Name, Wanted string
	}
	BadBeacons []struct{ Packet, Why string }
	Sealed     []struct {
		Plain  string
		Stamp  int64
		Count  uint32
		Names  []struct{ ID, Instance string }
		Beacon struct {
			Flags, Next                int
			Port                       uint16
			ID, Instance, Name, Wanted string
		}
	}
	MDNS struct {
		Self                         Self
		Addresses                    []netip.Prefix
		Announcement, Probe, Goodbye string
	}
	Responses []struct {
		Packet, About string
		Claims        []struct {
			Label, ID, Instance, Name string
			Port                      uint16
			Addresses                 []netip.Addr
		}
		Bare, Gone []string
	}
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("../spec/vectors/discovery.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectorsOfNamesAndTimes(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Hosts {
		if got := HostName(c.ID); got != c.Host {
			t.Errorf("host name of %s is %s, want %s", c.ID, got, c.Host)
		}
	}
	for _, c := range v.Intervals {
		d := beaconInterval(int(c.Peers))
		if got := d.Seconds(); got != c.Seconds {
			t.Errorf("interval with %v peers is %v s, want %v", c.Peers, got, c.Seconds)
		}
		if got := promise(d).Seconds(); got != c.Promise {
			t.Errorf("promise with %v peers is %v s, want %v", c.Peers, got, c.Promise)
		}
	}
	if len(v.Hosts) == 0 || len(v.Intervals) == 0 {
		t.Error("vectors are missing")
	}
}

func TestVectorsOfBeacons(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Beacons {
		want := beacon{
			flags: byte(c.Flags), port: c.Port, next: time.Duration(c.Next) * time.Second,
			id: c.ID, instance: c.Instance, name: c.Name, wanted: c.Wanted,
		}
		if got := hex.EncodeToString(want.encode()); got != c.Packet {
			t.Errorf("encodes to %s, want %s", got, c.Packet)
		}
		if got, err := decodeBeacon(unhex(t, c.Packet)); err != nil || got != want {
			t.Errorf("decodes to %+v, %v, want %+v", got, err, want)
		}
	}
	for _, c := range v.BadBeacons {
		if b, err := decodeBeacon(unhex(t, c.Packet)); err == nil {
			t.Errorf("%s: decodes to %+v", c.Why, b)
		}
	}
	if len(v.Beacons) == 0 || len(v.BadBeacons) == 0 {
		t.Error("vectors are missing")
	}
}

func TestVectorsOfSealedBeacons(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Sealed {
		want := sealed{stamp: c.Stamp, count: c.Count, beacon: beacon{
			flags: byte(c.Beacon.Flags), port: c.Beacon.Port, next: time.Duration(c.Beacon.Next) * time.Second,
			id: c.Beacon.ID, instance: c.Beacon.Instance, name: c.Beacon.Name, wanted: c.Beacon.Wanted,
		}}
		for n, s := range c.Names {
			want.names[n] = markOf(s.ID, s.Instance)
		}
		if got := hex.EncodeToString(want.encode()); got != c.Plain {
			t.Errorf("encodes to %s, want %s", got, c.Plain)
		}
		if got, err := decodeSealed(unhex(t, c.Plain)); err != nil || got != want {
			t.Errorf("decodes to %+v, %v, want %+v", got, err, want)
		}
	}
	if len(v.Sealed) == 0 {
		t.Error("vectors are missing")
	}
}

func TestVectorsOfMDNS(t *testing.T) {
	v := readVectors(t)
	z := newZone(&v.MDNS.Self, conflicts{}, v.MDNS.Addresses)
	for _, c := range []struct {
		what string
		m    message
		want string
	}{
		{"announcement", message{response: true, answers: z.announced(false)}, v.MDNS.Announcement},
		{"goodbye", message{response: true, answers: z.announced(true)}, v.MDNS.Goodbye},
		{"probe", z.probe(), v.MDNS.Probe},
	} {
		p, err := c.m.encode(maxMTU - packetOverhead)
		if got := hex.EncodeToString(p); err != nil || got != c.want {
			t.Errorf("%s is %s, %v, want %s", c.what, got, err, c.want)
		}
	}
	for _, c := range v.Responses {
		m, err := decode(unhex(t, c.Packet))
		if err != nil {
			t.Errorf("%s: %v", c.About, err)
			continue
		}
		h := hear(&m)
		var gone []string
		for _, g := range h.gone {
			gone = append(gone, g.label)
		}
		if !slices.Equal(h.bare, c.Bare) || !slices.Equal(gone, c.Gone) || len(h.claims) != len(c.Claims) {
			t.Errorf("%s: heard %+v", c.About, h)
			continue
		}
		for i, want := range c.Claims {
			got := h.claims[i]
			if got.label != want.Label || got.id != want.ID || got.instance != want.Instance || got.name != want.Name ||
				got.port != want.Port || !slices.Equal(got.addrs, want.Addresses) {
				t.Errorf("%s: heard %+v, want %+v", c.About, got, want)
			}
		}
	}
	if len(v.Responses) == 0 {
		t.Error("vectors are missing")
	}
}
