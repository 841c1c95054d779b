package discovery

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"boucan/record"
)

func FuzzDecodeBeacon(f *testing.F) {
	v := readVectors(f)
	for _, c := range v.Beacons {
		f.Add(unhex(f, c.Packet))
	}
	for _, c := range v.BadBeacons {
		f.Add(unhex(f, c.Packet))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := decodeBeacon(p)
		if err != nil {
			return
		}
		if again := b.encode(); !bytes.HasPrefix(p, again) || len(again) > maxBeacon {
			t.Errorf("%x reads as %+v, which is %x", p, b, again)
		}
	})
}

// packetSeeds are mDNS packets, right and wrong.
func packetSeeds(t testing.TB) [][]byte {
	v := readVectors(t)
	var seeds [][]byte
	for _, s := range []string{v.MDNS.Announcement, v.MDNS.Probe, v.MDNS.Goodbye} {
		seeds = append(seeds, unhex(t, s))
	}
	for _, c := range v.Responses {
		seeds = append(seeds, unhex(t, c.Packet))
	}
	seeds = append(seeds,
		nil, make([]byte, 12), bytes.Repeat([]byte{0xff}, 40),
		unhex(t, "000000000001000000000000"+"c00c000c0001"),             // a name that points to itself
		unhex(t, "000000000001000000000000"+"03612e62"+"00"+"000c0001"), // a dot in a label
		unhex(t, "000084000000ffff00000000"),                            // more records than bytes
		unhex(t, "000084030000000000000000"),                            // an error
		unhex(t, "000028000000000000000000"),                            // not a query but an update
	)
	return seeds
}

// FuzzPacket gives whatever comes to a whole node, which must survive it within
// its limits.
func FuzzPacket(f *testing.F) {
	for _, p := range packetSeeds(f) {
		f.Add(p, false)
		f.Add(p, true)
	}
	f.Fuzz(func(t *testing.T, p []byte, probing bool) {
		if m, err := decode(p); err == nil {
			checkDecoded(t, &m)
		}
		w := newAir()
		h := w.host().plug(2, "lan", v4(1), v6(1))
		e := newEngine(newService(testSelf(1), newEars(t), Options{}, h))
		now := time.Now()
		e.look(t.Context(), now)
		e.tick(t.Context(), now)
		s := e.links[2].speakers[0]
		s.owned = !probing
		a := arrival{from: netip.MustParseAddrPort("169.254.77.2:5353"), index: 2}
		for _, parse := range []func([]byte, arrival) (packet, error){s.receive(e), e.receiveBeacon} {
			if got, err := parse(p, a); err == nil {
				e.handle(got, now)
			}
		}
		for range 10 {
			now = now.Add(100 * time.Millisecond)
			e.tick(t.Context(), now)
		}
		if n := len(e.table.peers); n > maxClaims+1 {
			t.Errorf("one packet made %d peers", n)
		}
		close(e.done)
		e.close()
		e.readers.Wait()
	})
}

func checkDecoded(t *testing.T, m *message) {
	t.Helper()
	if len(m.questions) > maxQuestions || len(m.answers)+len(m.authority)+len(m.additional) > maxResources {
		t.Error("a limit does not hold")
	}
	h := hear(m)
	if len(h.claims)+len(h.bare)+len(h.gone) > maxClaims {
		t.Errorf("heard of %d boxes", len(h.claims)+len(h.bare)+len(h.gone))
	}
	for _, c := range h.claims {
		if !validToken(c.id, MaxID) || !validToken(c.instance, MaxInstance) || c.port == 0 || len(c.addrs) > maxAddrs ||
			record.CleanLine(c.name, maxName) != c.name {
			t.Errorf("claim %+v", c)
		}
	}
	p, err := m.encode(1 << 16)
	if err != nil {
		return // names beyond what may be written
	}
	again, err := decode(p)
	if err != nil || again.response != m.response || !sameRecords(again.answers, m.answers) ||
		!sameRecords(again.authority, m.authority) || !sameRecords(again.additional, m.additional) {
		t.Errorf("%+v is written and read as %+v, %v", m, again, err)
	}
}

func sameRecords(a, b []resource) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}

// TestLimitsOfAMessage counts what is read of a packet at and past each limit.
func TestLimitsOfAMessage(t *testing.T) {
	r := resource{name: "x.", kind: dnsmessage.TypeA, ttl: 1, addr: netip.MustParseAddr("1.2.3.4")}
	for _, more := range []int{0, 1} {
		m := message{response: true}
		for range maxQuestions + more {
			m.questions = append(m.questions, question{name: "x.", kind: dnsmessage.TypeA})
		}
		for range maxResources - 2 {
			m.answers = append(m.answers, r)
		}
		m.authority = []resource{r}
		for range 1 + more {
			m.additional = append(m.additional, r)
		}
		p, err := m.encode(1 << 16)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(p)
		if err != nil || len(got.questions) != maxQuestions || len(got.answers) != maxResources-2 || len(got.authority) != 1 || len(got.additional) != 1 {
			t.Errorf("%d past the limits: read %d questions and %d, %d, %d records, %v", more,
				len(got.questions), len(got.answers), len(got.authority), len(got.additional), err)
		}
		var boxes message
		for n := range maxClaims + more {
			z := newZone(&Self{ID: fmt.Sprint("id", n), Instance: "1", Port: 1}, conflicts{own: n}, nil)
			boxes.answers = append(boxes.answers, z.announced(false)...)
		}
		if h := hear(&boxes); len(h.claims) != maxClaims {
			t.Errorf("%d past the limit: %d boxes of one packet", more, len(h.claims))
		}
	}
}

func TestLimitsOfText(t *testing.T) {
	for more, whole := range []bool{true, false} {
		c := claim{port: 1}
		c.readText([]string{"id=" + strings.Repeat("i", MaxID+more), "instance=1", "name=" + strings.Repeat("n", maxName+more)})
		if c.whole() != whole || len(c.name) != maxName {
			t.Errorf("id %d bytes past the limit: whole %v, name of %d bytes", more, c.whole(), len(c.name))
		}
		c = claim{port: 1}
		c.readText([]string{"id=i", "instance=" + strings.Repeat("n", MaxInstance+more)})
		if c.whole() != whole {
			t.Errorf("instance %d bytes past the limit: whole %v", more, c.whole())
		}
	}
}

func TestForeignNamesAreSteppedOver(t *testing.T) {
	// An answer whose name has a dot inside a label, then one of ours.
	foreign, _ := hex.DecodeString("0000840000000002" + "00000000" + "03612e620000010001000000780004" + "01020304")
	ours := "075f626f7563616e045f746370056c6f63616c00" + "000c0001" + "00001194" + "0004" + "0178c01f"
	p, _ := hex.DecodeString(hex.EncodeToString(foreign) + ours)
	m, err := decode(p)
	if err != nil || len(m.answers) != 1 || m.answers[0].name != nodeType {
		t.Errorf("read %+v, %v", m, err)
	}
}

// TestLongestSelf holds the size of what is said by the longest node.
func TestLongestSelf(t *testing.T) {
	self := Self{
		ID: strings.Repeat("i", MaxID), Instance: strings.Repeat("n", MaxInstance), Name: strings.Repeat("N", maxName),
		Port: 1, HTTPPort: 1, Protocol: strings.Repeat("p", maxProtocol),
	}
	if err := self.check(); err != nil {
		t.Fatal(err)
	}
	var addrs []netip.Prefix
	for n := range 20 {
		addrs = append(addrs, netip.PrefixFrom(source(n), 8), netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("fe80::%d", n)), 64))
	}
	z := newZone(&self, conflicts{own: 100, web: 100}, addrs)
	for what, m := range map[string]message{
		"announcement": {response: true, answers: z.announced(false)}, "probe": z.probe(),
	} {
		p, err := m.encode(minMTU - packetOverhead)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		t.Logf("longest %s: %d bytes", what, len(p))
	}
	if n := len(z.web) - len(webType) - 1; n > maxLabel {
		t.Errorf("a label of %d bytes", n)
	}
}

func TestAdditionalRecordsAreLeftOutFirst(t *testing.T) {
	z := newZone(&Self{ID: "id", Instance: "1", Port: 1}, conflicts{}, []netip.Prefix{netip.PrefixFrom(source(1), 8)})
	m := message{response: true, answers: z.announced(false), additional: z.announced(false)}
	alone, err := message{response: true, answers: m.answers}.encode(maxMTU)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := m.encode(len(alone)); err != nil || len(p) != len(alone) {
		t.Errorf("%d bytes, %v, want %d", len(p), err, len(alone))
	}
	if _, err := m.encode(len(alone) - 1); err == nil {
		t.Error("a message of answers that do not fit was made")
	}
}

// TestKnownAnswersFillSeveralPackets has a node that knows a crowd ask.
func TestKnownAnswersFillSeveralPackets(t *testing.T) {
	h := newAir().host().plug(2, "lan", v4(1))
	o := h.outsider(t, mdnsPort)
	e := newEngine(newService(testSelf(1), newEars(t), Options{}, h))
	now := time.Now()
	e.look(context.Background(), now)
	e.links[2].open(context.Background(), now)
	s := e.links[2].speakers[0]
	for _, c := range []struct{ known, packets int }{{0, 1}, {30, 1}, {100, 3}, {MaxPeers, maxQueryParts}} {
		clear(e.table.peers)
		for n := range c.known {
			e.table.peers[fmt.Sprint(n)] = &peer{labels: map[string]*labelHeard{
				fmt.Sprintf("boucan-%06d.%s", n, nodeType): {index: 2, at: now},
			}}
		}
		s.query(now)
		answers := 0
		for i := range c.packets {
			d := <-o.c.in
			m, err := decode(d.b)
			if err != nil || len(d.b) > s.limit() || m.truncated != (i < c.packets-1) || len(m.questions) != max(0, 1-i) {
				t.Errorf("packet %d of %d with %d known: %+v, %v", i, c.packets, c.known, m, err)
			}
			answers += len(m.answers)
		}
		if len(o.c.in) != 0 || (c.packets < maxQueryParts && answers != c.known+1) {
			t.Errorf("%d known answers of %d in %d packets and %d more", answers, c.known+1, c.packets, len(o.c.in))
		}
	}
	close(e.done)
	e.close()
	e.readers.Wait()
}

func TestHostNames(t *testing.T) {
	a, b := conflicts{}, conflicts{own: 1, web: 2}
	self := &Self{ID: "12D3KooWabcDEF", Name: "Dr. Who's box\n"}
	for got, want := range map[string]string{
		a.hostLabel(self.ID): "boucan-abcdef",
		b.hostLabel(self.ID): "boucan-abcdef-2",
		a.webLabel(self):     "Dr- Who's box",
		b.webLabel(self):     "Dr- Who's box (abcdef-2)",
		a.webLabel(&Self{}):  "Boucan",
		HostName("abc"):      "boucan-abc.local",
	} {
		if got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
}
