package discovery

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Limits of one DNS message that is taken in; what is beyond them is not read.
const (
	maxPacket    = 9000 // bytes (RFC 6762, section 17)
	maxQuestions = 64
	maxResources = 512 // in all sections together
)

// typeNSEC is the record that says which types a name has (RFC 4034).
const typeNSEC dnsmessage.Type = 47

const (
	classMask = 0x7fff
	topBit    = 0x8000 // unicast wanted in a question, cache flush in a record (RFC 6762, section 18.12 and 18.13)
)

// question is one question of class IN or ANY.
type question struct {
	name    string // as on the wire, with its final dot
	kind    dnsmessage.Type
	unicast bool // an answer to the asker alone will do (RFC 6762, section 5.4)
}

// resource is one resource record of class IN and of a type this package knows.
type resource struct {
	name  string // as on the wire, with its final dot
	kind  dnsmessage.Type
	flush bool   // the whole set of this name and type (RFC 6762, section 10.2)
	ttl   uint32 // seconds

	target string            // PTR, SRV
	rank   uint32            // SRV: priority and weight
	port   uint16            // SRV
	text   []string          // TXT
	addr   netip.Addr        // A, AAAA
	types  []dnsmessage.Type // NSEC, ascending, all below 256; only written, never read
}

// message is one mDNS packet, or the part of it that this package reads.
type message struct {
	id         uint16 // 0 but in legacy unicast (RFC 6762, section 6.7)
	response   bool
	truncated  bool // more known answers follow (RFC 6762, section 7.2)
	questions  []question
	answers    []resource
	authority  []resource // of a probe: what the sender would like to own
	additional []resource
}

// errMessage covers all bytes that are no DNS message to be read.
var errMessage = errors.New("DNS message is malformed")

// lower folds ASCII only, as names compare (RFC 6762, section 16).
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// sameName compares as lower does, without memory of its own.
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if x, y := a[i], b[i]; x != y && (x^y != 0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

func under(name, suffix string) bool {
	return len(name) >= len(suffix) && sameName(name[len(name)-len(suffix):], suffix)
}

// decode reads a packet as far as the limits allow. Names with a dot inside a
// label are none of ours, and what carries one is stepped over.
func decode(p []byte) (message, error) {
	var parser dnsmessage.Parser
	h, err := parser.Start(p)
	if err != nil {
		return message{}, errMessage
	}
	if h.OpCode != 0 || h.RCode != 0 { // RFC 6762, sections 18.3 and 18.11
		return message{}, errMessage
	}
	m := message{id: h.ID, response: h.Response, truncated: h.Truncated}
	if m.questions, err = readQuestions(&parser); err != nil {
		return message{}, err
	}
	left := maxResources
	for _, s := range []struct {
		to     *[]resource
		header func() (dnsmessage.ResourceHeader, error)
		skip   func() error
	}{
		{&m.answers, parser.AnswerHeader, parser.SkipAnswer},
		{&m.authority, parser.AuthorityHeader, parser.SkipAuthority},
		{&m.additional, parser.AdditionalHeader, parser.SkipAdditional},
	} {
		for ; ; left-- {
			h, err := s.header()
			if errors.Is(err, dnsmessage.ErrSectionDone) {
				break
			}
			if left == 0 {
				return m, nil
			}
			if err == nil {
				var r resource
				if r, err = readResource(&parser, h); err == nil {
					*s.to = append(*s.to, r)
					continue
				}
			}
			if s.skip() != nil {
				return message{}, errMessage
			}
		}
	}
	return m, nil
}

func readQuestions(parser *dnsmessage.Parser) ([]question, error) {
	var qs []question
	for {
		q, err := parser.Question()
		switch {
		case errors.Is(err, dnsmessage.ErrSectionDone):
			return qs, nil
		case err != nil:
			if parser.SkipQuestion() != nil {
				return nil, errMessage
			}
			continue
		case len(qs) == maxQuestions:
			continue // keeps the parser going to the answers
		}
		if c := q.Class & classMask; c == dnsmessage.ClassINET || c == dnsmessage.ClassANY {
			qs = append(qs, question{q.Name.String(), q.Type, q.Class&topBit != 0})
		}
	}
}

var errSkip = errors.New("record is of no concern")

// readResource reads the body behind h. After an error the parser still stands
// before it.
func readResource(p *dnsmessage.Parser, h dnsmessage.ResourceHeader) (resource, error) {
	r := resource{name: h.Name.String(), kind: h.Type, flush: h.Class&topBit != 0, ttl: h.TTL}
	if h.Class&classMask != dnsmessage.ClassINET {
		return r, errSkip
	}
	switch h.Type {
	case dnsmessage.TypePTR:
		b, err := p.PTRResource()
		r.target = b.PTR.String()
		return r, err
	case dnsmessage.TypeSRV:
		b, err := p.SRVResource()
		r.target, r.port, r.rank = b.Target.String(), b.Port, uint32(b.Priority)<<16|uint32(b.Weight)
		return r, err
	case dnsmessage.TypeTXT:
		b, err := p.TXTResource()
		r.text = b.TXT
		return r, err
	case dnsmessage.TypeA:
		b, err := p.AResource()
		r.addr = netip.AddrFrom4(b.A)
		return r, err
	case dnsmessage.TypeAAAA:
		b, err := p.AAAAResource()
		r.addr = netip.AddrFrom16(b.AAAA)
		return r, err
	}
	return r, errSkip
}

// errPacketFull says that a message does not fit even without its additional
// records.
var errPacketFull = errors.New("DNS message does not fit into a packet")

// encode writes the message within limit bytes, leaving additional records out
// from the end where they do not fit.
func (m message) encode(limit int) ([]byte, error) {
	for {
		p, err := m.build()
		if err != nil {
			return nil, err
		}
		if len(p) <= limit {
			return p, nil
		}
		if len(m.additional) == 0 {
			return nil, errPacketFull
		}
		m.additional = m.additional[:len(m.additional)-1]
	}
}

func (m message) build() ([]byte, error) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{
		ID: m.id, Response: m.response, Truncated: m.truncated,
		Authoritative: m.response, // RFC 6762, section 18.4
	})
	b.EnableCompression()
	err := b.StartQuestions()
	for _, q := range m.questions {
		class := dnsmessage.ClassINET
		if q.unicast {
			class |= topBit
		}
		n, nameErr := dnsmessage.NewName(q.name)
		err = errors.Join(err, nameErr, b.Question(dnsmessage.Question{Name: n, Type: q.kind, Class: class}))
	}
	for _, s := range []struct {
		start   func() error
		records []resource
	}{{b.StartAnswers, m.answers}, {b.StartAuthorities, m.authority}, {b.StartAdditionals, m.additional}} {
		err = errors.Join(err, s.start())
		for _, r := range s.records {
			err = errors.Join(err, r.build(&b))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("build DNS message: %w", err)
	}
	return b.Finish()
}

func (r resource) build(b *dnsmessage.Builder) error {
	name, err := dnsmessage.NewName(r.name)
	if err != nil {
		return err
	}
	h := dnsmessage.ResourceHeader{Name: name, Type: r.kind, Class: dnsmessage.ClassINET, TTL: r.ttl}
	if r.flush {
		h.Class |= topBit
	}
	switch r.kind {
	case dnsmessage.TypePTR, dnsmessage.TypeSRV:
		target, err := dnsmessage.NewName(r.target)
		if err != nil {
			return err
		}
		if r.kind == dnsmessage.TypePTR {
			return b.PTRResource(h, dnsmessage.PTRResource{PTR: target})
		}
		return b.SRVResource(h, dnsmessage.SRVResource{Priority: uint16(r.rank >> 16), Weight: uint16(r.rank), Port: r.port, Target: target})
	case dnsmessage.TypeTXT:
		return b.TXTResource(h, dnsmessage.TXTResource{TXT: r.text})
	case dnsmessage.TypeA:
		return b.AResource(h, dnsmessage.AResource{A: r.addr.As4()})
	case dnsmessage.TypeAAAA:
		return b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: r.addr.As16()})
	case typeNSEC:
		return b.UnknownResource(h, dnsmessage.UnknownResource{Type: typeNSEC, Data: r.data()})
	}
	return fmt.Errorf("build DNS message: no way to write type %d", r.kind)
}

// data is the body on the wire without compression, as records are compared
// (RFC 6762, section 8.2) and NSEC records are sent (section 18.14).
func (r resource) data() []byte {
	switch r.kind {
	case dnsmessage.TypePTR:
		return wireName(r.target)
	case dnsmessage.TypeSRV:
		p := binary.BigEndian.AppendUint32(nil, r.rank)
		return append(binary.BigEndian.AppendUint16(p, r.port), wireName(r.target)...)
	case dnsmessage.TypeTXT:
		var p []byte
		for _, s := range r.text {
			p = append(append(p, byte(len(s))), s...)
		}
		return p
	case typeNSEC:
		var bits [32]byte
		used := 0
		for _, t := range r.types {
			bits[t/8] |= 0x80 >> (t % 8)
			used = int(t/8) + 1
		}
		return append(append(wireName(r.name), 0, byte(used)), bits[:used]...)
	}
	return r.addr.AsSlice()
}

func wireName(s string) []byte {
	var p []byte
	for label := range strings.SplitSeq(s, ".") {
		if label != "" {
			p = append(append(p, byte(len(label))), label...)
		}
	}
	return append(p, 0)
}

// same reports whether two records say the same, whatever their TTL.
func (r resource) same(o resource) bool {
	if r.kind != o.kind || !sameName(r.name, o.name) {
		return false
	}
	switch r.kind {
	case dnsmessage.TypePTR:
		return sameName(r.target, o.target)
	case dnsmessage.TypeSRV:
		return r.rank == o.rank && r.port == o.port && sameName(r.target, o.target)
	}
	return bytes.Equal(r.data(), o.data())
}

// compareRecords orders two sets of records of one name, as two nodes do that
// probe for it at the same time: the later set wins (RFC 6762, section 8.2.1).
func compareRecords(a, b []resource) int {
	order := func(x, y resource) int {
		if x.kind != y.kind {
			return int(x.kind) - int(y.kind)
		}
		return bytes.Compare(x.data(), y.data())
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, order)
	slices.SortFunc(b, order)
	return slices.CompareFunc(a, b, order)
}
