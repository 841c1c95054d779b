package discovery

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// outsider is another mDNS program on the segment.
type outsider struct {
	t     *testing.T
	c     *wire
	index int
}

func (h *machine) outsider(t *testing.T, port uint16) *outsider {
	o := &outsider{t: t, c: h.open(port, false, 0), index: 2}
	t.Cleanup(func() { _ = o.c.close() })
	return o
}

func (o *outsider) send(m message) {
	o.t.Helper()
	p, err := m.encode(maxPacket)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.c.write(p, mdnsGroup4, o.index); err != nil {
		o.t.Fatal(err)
	}
}

// heard is what came within d from others, responses and queries.
func (o *outsider) heard(d time.Duration) (responses, queries []message) {
	o.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	for {
		select {
		case g := <-o.c.in:
			if g.a.from.Addr() == o.own() {
				continue
			}
			m, err := decode(g.b)
			if err != nil {
				o.t.Fatal(err)
			}
			var whole dnsmessage.Message
			if err := whole.Unpack(g.b); err != nil {
				o.t.Fatal(err)
			}
			m.answers = append(m.answers, denials(whole.Answers)...)
			m.additional = append(m.additional, denials(whole.Additionals)...)
			if m.response {
				responses = append(responses, m)
			} else {
				queries = append(queries, m)
			}
		default:
			return responses, queries
		}
	}
}

// denials picks the NSEC records out of a section, which nodes do not read.
func denials(section []dnsmessage.Resource) []resource {
	var rs []resource
	for _, r := range section {
		if r.Header.Type == typeNSEC {
			rs = append(rs, resource{name: r.Header.Name.String(), kind: typeNSEC})
		}
	}
	return rs
}

func (o *outsider) own() netip.Addr { return o.c.host.links[1].addrs[0].Addr() }

func ask(name string, kind dnsmessage.Type) message {
	return message{questions: []question{{name: name, kind: kind}}}
}

// settled is a node that has said all it says at first, and an outsider.
func settled(t *testing.T, port uint16, addrs ...string) (*running, *outsider) {
	w := newAir()
	r := w.host().plug(2, "lan", addrs...).run(t, testSelf(1), Options{})
	o := w.host().plug(2, "lan", v4(9)).outsider(t, port)
	time.Sleep(10*time.Second + 500*time.Millisecond)
	o.heard(0)
	return r, o
}

const (
	testHost = "boucan-000001.local."
	testNode = "boucan-000001._boucan._tcp.local."
	testWeb  = "Box 1._http._tcp.local."
)

func kinds(rs []resource) string {
	var names []string
	for _, r := range rs {
		name := strings.TrimPrefix(r.kind.String(), "Type")
		if r.kind == typeNSEC {
			name = "NSEC"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		question      question
		answers, more string
	}{
		{question{name: nodeType, kind: dnsmessage.TypePTR}, "PTR", "SRV TXT A NSEC"},
		{question{name: "_BOUCAN._Tcp.LOCAL.", kind: dnsmessage.TypePTR}, "PTR", "SRV TXT A NSEC"},
		{question{name: webType, kind: dnsmessage.TypePTR}, "PTR", "SRV TXT A NSEC"},
		{question{name: allTypes, kind: dnsmessage.TypePTR}, "PTR PTR", ""},
		{question{name: testNode, kind: dnsmessage.TypeSRV}, "SRV", "A NSEC"},
		{question{name: testNode, kind: dnsmessage.TypeTXT}, "TXT", ""},
		{question{name: testNode, kind: dnsmessage.TypeALL}, "SRV TXT", "A NSEC"},
		{question{name: testNode, kind: dnsmessage.TypeA}, "NSEC", ""},
		{question{name: testWeb, kind: dnsmessage.TypeALL}, "SRV TXT", "A NSEC"},
		{question{name: testHost, kind: dnsmessage.TypeA}, "A", "NSEC"},
		{question{name: testHost, kind: dnsmessage.TypeAAAA}, "NSEC", ""},
		{question{name: "boucan-other.local.", kind: dnsmessage.TypeA}, "", ""},
		{question{name: "_ipp._tcp.local.", kind: dnsmessage.TypePTR}, "", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, o := settled(t, mdnsPort, v4(1))
			o.send(message{questions: []question{c.question}})
			rs, _ := o.heard(time.Second)
			if c.answers == "" {
				if len(rs) != 0 {
					t.Errorf("%v was answered", c.question)
				}
				return
			}
			if len(rs) != 1 || kinds(rs[0].answers) != c.answers || kinds(rs[0].additional) != c.more {
				t.Errorf("%v was answered with %v", c.question, rs)
			}
		})
	}
}

func TestAnswerToLegacyResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := settled(t, 33333, v4(1))
		q := ask(testHost, dnsmessage.TypeA)
		q.id = 0xbeef
		o.send(q)
		rs, _ := o.heard(time.Second)
		if len(rs) != 1 || rs[0].id != q.id || !slices.Equal(rs[0].questions, q.questions) || len(rs[0].answers) != 1 {
			t.Fatalf("got %v", rs)
		}
		if a := rs[0].answers[0]; a.flush || a.ttl > legacyTTL || a.addr != netip.MustParseAddr("169.254.77.1") {
			t.Errorf("got %v", a)
		}
	})
}

func TestAnswerToOneAskerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o := settled(t, mdnsPort, v4(1))
		third := r.net.(*machine).air.host().plug(2, "lan", v4(8)).outsider(t, mdnsPort)
		q := ask(testNode, dnsmessage.TypeSRV)
		q.questions[0].unicast = true
		o.send(q)
		if rs, _ := o.heard(time.Second); len(rs) != 1 {
			t.Errorf("the asker got %d answers, want 1", len(rs))
		}
		if rs, _ := third.heard(0); len(rs) != 0 {
			t.Error("a third heard what the asker alone wanted")
		}
		time.Sleep(hostTTL / 4 * time.Second) // now all may need it again
		o.heard(0)
		third.heard(0)
		o.send(q)
		if rs, _ := third.heard(time.Second); len(rs) != 1 {
			t.Errorf("a third heard %d answers, want the one that all need", len(rs))
		}
	})
}

func TestKnownAnswerIsNotRepeated(t *testing.T) {
	for ttl, want := range map[uint32]int{otherTTL: 0, otherTTL / 2: 0, otherTTL/2 - 1: 1} {
		synctest.Test(t, func(t *testing.T) {
			_, o := settled(t, mdnsPort, v4(1))
			q := ask(nodeType, dnsmessage.TypePTR)
			q.answers = []resource{{name: nodeType, kind: dnsmessage.TypePTR, ttl: ttl, target: testNode}}
			o.send(q)
			if rs, _ := o.heard(time.Second); len(rs) != want {
				t.Errorf("with %d s known there were %d answers, want %d", ttl, len(rs), want)
			}
		})
	}
}

func TestKnownAnswersInFurtherPackets(t *testing.T) {
	for _, knows := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			_, o := settled(t, mdnsPort, v4(1))
			q := ask(nodeType, dnsmessage.TypePTR)
			q.truncated = true
			o.send(q)
			if rs, _ := o.heard(300 * time.Millisecond); len(rs) != 0 {
				t.Error("did not wait for the rest of the known answers")
			}
			rest := message{}
			if knows {
				rest.answers = []resource{{name: nodeType, kind: dnsmessage.TypePTR, ttl: otherTTL, target: testNode}}
			}
			o.send(rest)
			if rs, _ := o.heard(time.Second); (len(rs) == 0) != knows {
				t.Errorf("known %v: %d answers", knows, len(rs))
			}
		})
	}
}

func TestRecordIsMulticastOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := settled(t, mdnsPort, v4(1))
		for range 100 {
			o.send(ask(testNode, dnsmessage.TypeSRV))
			time.Sleep(100 * time.Millisecond)
		}
		if rs, _ := o.heard(2 * time.Second); len(rs) < 9 || len(rs) > 12 {
			t.Errorf("%d answers in ten seconds", len(rs))
		}
	})
}

func TestProbesAnnouncementsAndGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		o := w.host().plug(2, "lan", v4(9)).outsider(t, mdnsPort)
		r := w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{})
		rs, qs := o.heard(900 * time.Millisecond)
		probes := 0
		for _, q := range qs {
			if len(q.authority) > 0 {
				probes++
				if kinds(q.authority) != "SRV TXT SRV TXT A" || len(q.questions) != 3 {
					t.Errorf("probe %v", q)
				}
			}
		}
		if probes != probeCount || len(rs) > 1 {
			t.Errorf("%d probes and %d announcements in the first 0.9 s", probes, len(rs))
		}
		more, _ := o.heard(10 * time.Second)
		rs = append(rs, more...)
		if len(rs) != announceCount {
			t.Errorf("%d announcements, want %d", len(rs), announceCount)
		}
		for _, a := range rs {
			if kinds(a.answers) != "PTR PTR SRV TXT PTR PTR SRV TXT A" {
				t.Errorf("announced %s", kinds(a.answers))
			}
			for _, r := range a.answers {
				if r.flush != (r.kind != dnsmessage.TypePTR) {
					t.Errorf("cache-flush bit of %v", r)
				}
			}
		}
		go r.stop()
		rs, _ = o.heard(time.Second)
		if len(rs) != farewells {
			t.Fatalf("%d goodbyes, want %d", len(rs), farewells)
		}
		for _, r := range rs[0].answers {
			if r.ttl != 0 || r.name == allTypes {
				t.Errorf("goodbye with %v", r)
			}
		}
	})
}

func TestTakenNameIsGivenUp(t *testing.T) {
	for name, other := range map[string]resource{
		"host": {name: testHost, kind: dnsmessage.TypeA, flush: true, ttl: 120, addr: netip.MustParseAddr("169.254.77.9")},
		"node": {name: testNode, kind: dnsmessage.TypeTXT, flush: true, ttl: 4500, text: []string{"id=other"}},
		"web":  {name: testWeb, kind: dnsmessage.TypeSRV, flush: true, ttl: 120, target: "other.local.", port: 80},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newAir()
				o := w.host().plug(2, "lan", v4(9)).outsider(t, mdnsPort)
				w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{})
				time.Sleep(300 * time.Millisecond)
				o.heard(0)
				o.send(message{response: true, answers: []resource{other}})
				rs, _ := o.heard(5 * time.Second)
				if len(rs) == 0 {
					t.Fatal("nothing was announced")
				}
				for _, m := range rs {
					for _, r := range m.answers {
						if sameName(r.name, other.name) {
							t.Errorf("announced %v, which is another's", r)
						}
					}
				}
			})
		})
	}
}

// TestOwnedNameIsDefended has a conflict show up once the name is ours: it is
// probed for again, and kept where nobody answers (RFC 6762, section 9).
func TestOwnedNameIsDefended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := settled(t, mdnsPort, v4(1))
		o.send(message{response: true, answers: []resource{
			{name: testHost, kind: dnsmessage.TypeA, flush: true, ttl: 120, addr: netip.MustParseAddr("169.254.77.9")},
		}})
		rs, qs := o.heard(6 * time.Second)
		probes := slices.ContainsFunc(qs, func(q message) bool { return len(q.authority) > 0 })
		if !probes || len(rs) == 0 || !sameName(rs[0].answers[len(rs[0].answers)-1].name, testHost) {
			t.Errorf("probed %v, announced %v", probes, rs)
		}
		probe := message{
			questions: []question{{name: testHost, kind: dnsmessage.TypeALL}},
			authority: []resource{{name: testHost, kind: dnsmessage.TypeA, ttl: 120, addr: netip.MustParseAddr("169.254.77.9")}},
		}
		o.send(probe)
		if rs, _ := o.heard(250 * time.Millisecond); len(rs) != 1 || kinds(rs[0].answers) != "A" {
			t.Errorf("a probe for our name was answered with %v", rs)
		}
	})
}

// TestProbeAgainstProbe has another probe for the same name at the same time:
// the later records win (RFC 6762, section 8.2).
func TestProbeAgainstProbe(t *testing.T) {
	for addr, wait := range map[string]bool{"169.254.77.0": false, "169.254.77.9": true} {
		synctest.Test(t, func(t *testing.T) {
			w := newAir()
			o := w.host().plug(2, "lan", v4(9)).outsider(t, mdnsPort)
			w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{})
			time.Sleep(300 * time.Millisecond)
			o.send(message{
				questions: []question{{name: testHost, kind: dnsmessage.TypeALL}},
				authority: []resource{{name: testHost, kind: dnsmessage.TypeA, ttl: 120, addr: netip.MustParseAddr(addr)}},
			})
			if rs, _ := o.heard(900 * time.Millisecond); (len(rs) == 0) != wait {
				t.Errorf("against %s: announced %v, should wait %v", addr, rs, wait)
			}
		})
	}
}

func TestForgedGoodbyeIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, o := settled(t, mdnsPort, v4(1))
		b := a.net.(*machine).air.host().plug(2, "lan", v4(2)).run(t, testSelf(2), Options{})
		b.finds(t, 3*time.Second, a.self)
		time.Sleep(5 * time.Second)
		for range 10 {
			o.send(message{response: true, answers: []resource{{name: nodeType, kind: dnsmessage.TypePTR, target: testNode}}})
			time.Sleep(3 * time.Second)
		}
		if n := b.ears.goneCount(a.self.ID); n != 0 {
			t.Errorf("%d of ten forged goodbyes were believed", n)
		}
	})
}

// TestBareNameIsAskedFor has another implementation name a box without its
// SRV and TXT records.
func TestBareNameIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, o := settled(t, mdnsPort, v4(1))
		const label = "another._boucan._tcp.local."
		bare := message{response: true, answers: []resource{{name: nodeType, kind: dnsmessage.TypePTR, ttl: otherTTL, target: label}}}
		for range 10 {
			o.send(bare)
		}
		_, qs := o.heard(time.Second)
		if len(qs) != 1 || qs[0].questions[0].name != label || qs[0].questions[0].kind != dnsmessage.TypeALL {
			t.Fatalf("asked %v", qs)
		}
		o.send(message{response: true, answers: []resource{
			{name: label, kind: dnsmessage.TypeSRV, flush: true, ttl: 120, target: "another.local.", port: 4711},
			{name: label, kind: dnsmessage.TypeTXT, flush: true, ttl: 4500, text: []string{"ID=another", "instance=1", "id=first one counts"}},
		}})
		within(t, time.Second, "contact", func() bool { _, ok := a.ears.peer("another"); return ok })
		p, _ := a.ears.peer("another")
		if want := netip.MustParseAddrPort("169.254.77.9:4711"); len(p.Addrs) != 1 || p.Addrs[0] != want {
			t.Errorf("found at %v, want %v", p.Addrs, want)
		}
	})
}

func TestResponseFromAnotherPortIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, o := settled(t, 5354, v4(1))
		z := newZone(&Self{ID: "other", Instance: "1", Port: 1}, conflicts{}, nil)
		o.send(message{response: true, answers: z.announced(false)})
		time.Sleep(3 * time.Second)
		if a.ears.count() != 0 {
			t.Error("a response from another port than 5353 was believed")
		}
	})
}

// TestAddressesElsewhereAreNotBelieved has a box claim to be at addresses that
// no neighbour of ours can have.
func TestAddressesElsewhereAreNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, o := settled(t, mdnsPort, v4(1))
		var addrs []netip.Prefix
		for _, s := range []string{"8.8.8.8/32", "127.0.0.1/8", "224.0.0.1/4", "169.254.77.9/16"} {
			addrs = append(addrs, netip.MustParsePrefix(s))
		}
		z := newZone(&Self{ID: "other", Instance: "1", Port: 1}, conflicts{}, addrs)
		o.send(message{response: true, answers: z.announced(false)})
		within(t, time.Second, "contact", func() bool { return a.ears.count() == 1 })
		p, _ := a.ears.peer("other")
		if want := netip.MustParseAddrPort("169.254.77.9:1"); len(p.Addrs) != 1 || p.Addrs[0] != want {
			t.Errorf("found at %v, want %v", p.Addrs, want)
		}
	})
}

func TestQueriesGrowRareAndNameWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAir()
		o := w.host().plug(2, "lan", v4(9)).outsider(t, mdnsPort)
		a := w.host().plug(2, "lan", v4(1)).run(t, testSelf(1), Options{})
		_, qs := o.heard(10 * time.Minute)
		n := 0
		for _, q := range qs {
			if len(q.authority) == 0 {
				n++
			}
		}
		if n < 14 || n > 20 {
			t.Errorf("%d queries in ten minutes", n)
		}
		last := qs[len(qs)-1]
		if len(last.answers) != 1 || !sameName(last.answers[0].target, testNode) {
			t.Errorf("a query without our own name: %v", last)
		}
		w.host().plug(2, "lan", v4(2)).run(t, testSelf(2), Options{})
		a.finds(t, 3*time.Second, testSelf(2))
		_, qs = o.heard(2 * time.Minute)
		if last = qs[len(qs)-1]; len(last.answers) != 2 {
			t.Errorf("a query that does not name the box that is known: %v", last)
		}
	})
}
