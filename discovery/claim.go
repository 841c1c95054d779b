package discovery

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"boucan/record"
)

// claim is what one packet says of one node. Nothing of it is proven.
type claim struct {
	label    string // full mDNS name of the node in lower case; empty in a beacon
	id       string
	instance string
	name     string // cleaned; may be empty
	port     uint16
	addrs    []netip.Addr // as announced, without zones; in a beacon empty
}

// maxClaims is the number of nodes that one packet may speak of.
const maxClaims = 16

// hearsay is what one mDNS response says of nodes.
type hearsay struct {
	claims []claim  // whole ones
	bare   []string // labels that were named without the rest
	gone   []claim  // only label and, where it is known, instance
}

// hear reads a response. What is incomplete or breaks a limit is left out.
func hear(m *message) hearsay {
	var h hearsay
	all := slices.Concat(m.answers, m.additional)
	for _, label := range nodeLabels(all) {
		c := claim{label: label}
		host, named, gone := "", false, false
		for _, r := range all {
			switch {
			case r.kind == dnsmessage.TypePTR && sameName(r.name, nodeType) && sameName(r.target, label):
				named, gone = true, r.ttl == 0
			case r.kind == dnsmessage.TypeSRV && sameName(r.name, label) && r.ttl > 0:
				host, c.port = r.target, r.port
			case r.kind == dnsmessage.TypeTXT && sameName(r.name, label):
				c.readText(r.text)
			}
		}
		switch {
		case gone:
			h.gone = append(h.gone, claim{label: label, instance: c.instance})
		case host != "" && c.whole():
			c.addrs = addressesOf(all, host)
			h.claims = append(h.claims, c)
		case named:
			h.bare = append(h.bare, label)
		}
	}
	return h
}

// nodeLabels lists the nodes that the records are about.
func nodeLabels(rs []resource) []string {
	var labels []string
	for _, r := range rs {
		name := r.name
		if r.kind == dnsmessage.TypePTR {
			if !sameName(name, nodeType) {
				continue
			}
			name = r.target
		}
		if len(name) < len("x.")+len(nodeType) || !under(name, "."+nodeType) {
			continue
		}
		name = lower(name)
		if !slices.Contains(labels, name) && len(labels) < maxClaims {
			labels = append(labels, name)
		}
	}
	return labels
}

// readText reads the strings of a TXT record; of a key that comes twice the
// first counts (RFC 6763, section 6.4).
func (c *claim) readText(text []string) {
	for _, s := range slices.Backward(text) {
		key, value, _ := strings.Cut(s, "=")
		switch lower(key) {
		case "id":
			c.id = value
		case "instance":
			c.instance = value
		case "name":
			c.name = record.CleanLine(value, maxName)
		}
	}
	if !validToken(c.instance, MaxInstance) {
		c.instance = ""
	}
}

func (c *claim) whole() bool {
	return c.port != 0 && c.instance != "" && validToken(c.id, MaxID)
}

func addressesOf(rs []resource, host string) []netip.Addr {
	var addrs []netip.Addr
	for _, r := range rs {
		if (r.kind == dnsmessage.TypeA || r.kind == dnsmessage.TypeAAAA) && r.ttl > 0 &&
			sameName(r.name, host) && len(addrs) < maxAddrs {
			addrs = append(addrs, r.addr.Unmap())
		}
	}
	return addrs
}

// concerns reports whether a packet can matter to any node. Most of what passes
// on a busy link does not.
func concerns(m *message) bool {
	for _, q := range m.questions {
		if ourKind(q.name) {
			return true
		}
	}
	for _, rs := range [][]resource{m.answers, m.authority, m.additional} {
		for _, r := range rs {
			if ourKind(r.name) {
				return true
			}
		}
	}
	return false
}

func ourKind(name string) bool {
	return under(name, nodeType) || under(name, webType) || sameName(name, allTypes) ||
		len(name) > len(hostPrefix) && sameName(name[:len(hostPrefix)], hostPrefix)
}
