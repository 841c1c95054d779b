package discovery

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"boucan/record"
)

// Names under which boxes are found (spec/discovery.md, section 3).
const (
	nodeType   = "_boucan._tcp.local."
	webType    = "_http._tcp.local."
	allTypes   = "_services._dns-sd._udp.local." // RFC 6763, section 9
	hostPrefix = "boucan-"
	local      = ".local."

	maxLabel      = 63 // bytes of one label (RFC 1035, section 2.3.4)
	defaultLabel  = "Boucan"
	shortID       = 6 // characters of the id in a host name
	maxZoneFamily = 4 // addresses of one family that one interface announces
)

// Times to live of our records, in seconds (RFC 6762, section 10).
const (
	hostTTL   = 120  // records that hold a host name or an address
	otherTTL  = 4500 // all others
	legacyTTL = 10   // of any record in an answer to a legacy resolver (section 6.7)
)

// shortName is the end of an id in letters and digits of one case, as host
// names compare.
func shortName(id string) string {
	if len(id) > shortID {
		id = id[len(id)-shortID:]
	}
	return strings.NewReplacer("_", "x", "-", "x").Replace(lower(id))
}

// HostName is the name under which mDNS resolves to the box with this id, as
// "boucan-1a2b3c.local". Where another machine of the link already has that
// name, the box answers to "boucan-1a2b3c-2.local" instead.
func HostName(id string) string { return hostPrefix + shortName(id) + ".local" }

// conflicts counts the names that others turned out to own (RFC 6762, section
// 9); the next candidates follow from it.
type conflicts struct {
	own int // of host and node, which go together
	web int
}

func (c conflicts) hostLabel(id string) string {
	label := hostPrefix + shortName(id)
	if c.own > 0 {
		label += "-" + strconv.Itoa(c.own+1)
	}
	return label
}

// webLabel is the box's name as a Bonjour browser lists it.
func (c conflicts) webLabel(self *Self) string {
	suffix := ""
	if c.web > 0 {
		suffix = " (" + shortName(self.ID)
		if c.web > 1 {
			suffix += "-" + strconv.Itoa(c.web)
		}
		suffix += ")"
	}
	label := strings.ReplaceAll(self.Name, ".", "-") // one label, no name of several
	label = record.CleanLine(label, maxLabel-len(suffix))
	if label == "" {
		label = defaultLabel
	}
	return label + suffix
}

// zone is what one node says on one interface.
type zone struct {
	host, node, web string     // unique names; web is empty where no page is announced
	records         []resource // in the order of an announcement; NSEC come last
}

// newZone builds the records of self for an interface with these addresses.
func newZone(self *Self, taken conflicts, addrs []netip.Prefix) *zone {
	label := taken.hostLabel(self.ID)
	z := &zone{host: label + local, node: label + "." + nodeType}
	z.ptr(allTypes, nodeType)
	z.service(nodeType, z.node, self.Port, nodeText(self))
	if self.HTTPPort != 0 {
		z.web = taken.webLabel(self) + "." + webType
		z.ptr(allTypes, webType)
		z.service(webType, z.web, self.HTTPPort, []string{"path=/"})
	}
	types := z.addresses(addrs)
	z.nsec(z.node, dnsmessage.TypeTXT, dnsmessage.TypeSRV)
	if z.web != "" {
		z.nsec(z.web, dnsmessage.TypeTXT, dnsmessage.TypeSRV)
	}
	z.nsec(z.host, types...)
	return z
}

func nodeText(self *Self) []string {
	text := []string{"id=" + self.ID, "instance=" + self.Instance}
	if name := record.CleanLine(self.Name, maxName); name != "" {
		text = append(text, "name="+name)
	}
	if self.Protocol != "" {
		text = append(text, "proto="+self.Protocol)
	}
	return text
}

func (z *zone) ptr(name, target string) {
	z.records = append(z.records, resource{name: name, kind: dnsmessage.TypePTR, ttl: otherTTL, target: target})
}

func (z *zone) service(kind, name string, port uint16, text []string) {
	z.ptr(kind, name)
	z.records = append(z.records,
		resource{name: name, kind: dnsmessage.TypeSRV, flush: true, ttl: hostTTL, target: z.host, port: port},
		resource{name: name, kind: dnsmessage.TypeTXT, flush: true, ttl: otherTTL, text: text})
}

func (z *zone) addresses(addrs []netip.Prefix) []dnsmessage.Type {
	var types []dnsmessage.Type
	for _, f := range []struct {
		v6   bool
		kind dnsmessage.Type
	}{{false, dnsmessage.TypeA}, {true, dnsmessage.TypeAAAA}} {
		n := 0
		for _, p := range addrs {
			if p.Addr().Is6() != f.v6 || n == maxZoneFamily {
				continue
			}
			z.records = append(z.records, resource{name: z.host, kind: f.kind, flush: true, ttl: hostTTL, addr: p.Addr()})
			n++
		}
		if n > 0 {
			types = append(types, f.kind)
		}
	}
	return types
}

func (z *zone) nsec(name string, types ...dnsmessage.Type) {
	z.records = append(z.records, resource{name: name, kind: typeNSEC, flush: true, ttl: hostTTL, types: types})
}

// owns reports whether name is to be ours alone.
func (z *zone) owns(name string) bool {
	return sameName(name, z.host) || sameName(name, z.node) || (z.web != "" && sameName(name, z.web))
}

// answers lists the records, by index, that answer q. A name of ours that has
// no record of the wanted type is answered with its NSEC record (RFC 6762,
// section 6.1).
func (z *zone) answers(q question) []int {
	var found []int
	for i, r := range z.records {
		if r.kind != typeNSEC && (q.kind == r.kind || q.kind == dnsmessage.TypeALL) && sameName(q.name, r.name) {
			found = append(found, i)
		}
	}
	if len(found) == 0 && z.owns(q.name) {
		for i, r := range z.records {
			if r.kind == typeNSEC && sameName(q.name, r.name) {
				found = append(found, i)
			}
		}
	}
	return found
}

// extra lists what whoever gets these answers will ask for next (RFC 6763,
// section 12): for a service its SRV and TXT records, for a host name its
// addresses, and for a host without addresses of one family the word that it
// has none (RFC 6762, section 6.2).
func (z *zone) extra(answers []int) []int {
	in := make([]bool, len(z.records))
	for _, i := range answers {
		in[i] = true
	}
	var more []int
	want := func(name string) {
		for i, r := range z.records {
			if !in[i] && sameName(name, r.name) && (r.kind != typeNSEC || (sameName(name, z.host) && len(r.types) == 1)) {
				in[i] = true
				more = append(more, i)
			}
		}
	}
	for _, i := range answers {
		if r := z.records[i]; r.kind == dnsmessage.TypePTR && r.name != allTypes {
			want(r.target)
		}
	}
	for _, i := range append(answers[:len(answers):len(answers)], more...) {
		switch r := z.records[i]; r.kind {
		case dnsmessage.TypeSRV:
			want(r.target)
		case dnsmessage.TypeA, dnsmessage.TypeAAAA:
			want(r.name)
		}
	}
	return more
}

// pick copies records by index.
func (z *zone) pick(indexes []int) []resource {
	rs := make([]resource, len(indexes))
	for n, i := range indexes {
		rs[n] = z.records[i]
	}
	return rs
}

// announced is all that is sent unasked (RFC 6762, section 8.3) or, without its
// life, in a goodbye (section 10.1). What other boxes say in the same words is
// not taken back.
func (z *zone) announced(goodbye bool) []resource {
	var rs []resource
	for _, r := range z.records {
		if r.kind == typeNSEC || (goodbye && r.name == allTypes) {
			continue
		}
		if goodbye {
			r.ttl = 0
		}
		rs = append(rs, r)
	}
	return rs
}

// probe asks for the unique names and says what they would hold (RFC 6762,
// section 8.1). The questions want multicast answers: a unicast answer may
// reach another program that shares our port (section 15.1).
func (z *zone) probe() message {
	var m message
	for _, name := range []string{z.node, z.web, z.host} {
		if name == "" {
			continue
		}
		m.questions = append(m.questions, question{name: name, kind: dnsmessage.TypeALL})
		m.authority = append(m.authority, z.unique(name)...)
	}
	return m
}

// unique is what a name of ours holds, as probes carry and compare it.
func (z *zone) unique(name string) []resource {
	var rs []resource
	for _, r := range z.records {
		if r.kind != typeNSEC && r.flush && sameName(r.name, name) {
			r.flush = false
			rs = append(rs, r)
		}
	}
	return rs
}

// disputes reports whether r, sent by another, denies what we say of a name of
// ours (RFC 6762, section 9).
func (z *zone) disputes(r resource) bool {
	switch r.kind {
	case dnsmessage.TypeSRV, dnsmessage.TypeTXT, dnsmessage.TypeA, dnsmessage.TypeAAAA:
	default:
		return false
	}
	if r.ttl == 0 || !z.owns(r.name) {
		return false
	}
	for _, o := range z.records {
		if o.same(r) {
			return false
		}
	}
	return true
}
