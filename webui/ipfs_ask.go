package webui

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"mime"
	"net/url"
	"strconv"
	"strings"

	"boucan/record"
)

// Limits of what is asked of the IPFS door.
const (
	maxCIDText = 200 // bytes of a CID
	maxAccepts = 32  // media types of an Accept header that are looked at
)

// blockAsk is what a request to the IPFS door asks for.
type blockAsk struct {
	cid      record.CID
	probe    bool // it is probeCID instead
	car      bool
	dups     bool   // blocks that came before are sent again
	scope    string // of a CAR: block, entity or all
	bytes    byteRange
	saveAs   string
	location string // the same with all that was negotiated in the URL, where that differs
}

// byteRange is entity-bytes. Negative numbers count from the end.
type byteRange struct {
	asked    bool
	from, to int64 // both included
	toEnd    bool  // to is "*"
}

// parseBlockAsk reads a request. It fails with errMalformed, errFormat, errNoFormat,
// or errNotHeld where no box can hold what is asked for.
func parseBlockAsk(cid, path string, query url.Values, accept []string) (blockAsk, error) {
	var a blockAsk
	n, err := negotiate(query, accept)
	if err != nil {
		return a, err
	}
	a.car, a.dups = n.car, n.dups
	if a.probe = cid == probeCID; !a.probe {
		if a.cid, err = parseBlockCID(cid); err != nil {
			return a, err
		}
	}
	if a.scope = query.Get("dag-scope"); a.scope == "" {
		a.scope = "all"
	}
	if !a.car {
		a.scope = ""
	} else if a.scope != "block" && a.scope != "entity" && a.scope != "all" {
		return a, errMalformed
	} else if a.bytes, err = parseBytes(query.Get("entity-bytes")); err != nil {
		return a, err
	}
	if a.bytes.asked {
		a.scope = "entity"
	}
	switch {
	case path != "" && !a.car:
		return a, errMalformed // a block has no path
	case path != "":
		return a, errNotHeld // files have nothing below them
	}
	a.saveAs = record.CleanLine(query.Get("filename"), record.MaxNamePart)
	if !n.inURL {
		a.location = a.url()
	}
	return a, nil
}

// negotiated is the format of an answer.
type negotiated struct {
	car, dups bool
	inURL     bool // the URL alone says so
}

// negotiate chooses the format: by the URL, else by the Accept header, which must
// name one. What would be a file's bytes has to be asked for elsewhere, so a client
// that takes anything gets nothing.
func negotiate(query url.Values, accept []string) (negotiated, error) {
	format := query.Get("format")
	if format != "" && format != "raw" && format != "car" {
		return negotiated{}, errFormat
	}
	if format == "" && strings.TrimSpace(strings.Join(accept, "")) == "" {
		return negotiated{}, errNoFormat
	}
	best, bestQ := accepted{}, 0.0
	named := false // in the format that the URL asks for
	for _, m := range parseAccept(accept) {
		if format != "" && m.car != (format == "car") {
			continue
		}
		named = true
		if m.possible && m.q > bestQ {
			best, bestQ = m, m.q
		}
	}
	if bestQ == 0 && (format == "" || named) {
		return negotiated{}, errFormat // only in ways that there are not
	}
	n := negotiated{car: best.car || format == "car", dups: best.dups == "y", inURL: format != ""}
	if !n.car {
		return n, nil
	}
	for _, p := range []struct{ name, values string }{{"car-version", "1"}, {"car-order", "dfs unk"}, {"car-dups", "y n"}} {
		v := query.Get(p.name)
		if query.Has(p.name) && (v == "" || strings.Contains(v, " ") || !strings.Contains(" "+p.values+" ", " "+v+" ")) {
			return n, errMalformed
		}
	}
	if v := query.Get("car-dups"); v != "" {
		n.dups = v == "y"
	} else if n.dups {
		n.inURL = false
	}
	return n, nil
}

// accepted is one media type of an Accept header that this door has.
type accepted struct {
	car      bool
	dups     string
	possible bool // with the parameters it came with
	q        float64
}

// parseAccept reads Accept headers (RFC 9110, section 12.5.1).
func parseAccept(headers []string) (all []accepted) {
	n := 0
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		if n++; n > maxAccepts {
			break
		}
		name, params, err := mime.ParseMediaType(part)
		if err != nil || name != rawType && name != carType {
			continue
		}
		a := accepted{car: name == carType, dups: params["dups"], possible: true, q: 1}
		if q, ok := params["q"]; ok {
			if a.q, err = strconv.ParseFloat(q, 64); err != nil || !(a.q >= 0 && a.q <= 1) {
				a.q = 0
			}
		}
		if a.car {
			a.possible = oneOf(params["version"], "", "1") && oneOf(params["order"], "", "dfs", "unk") && oneOf(a.dups, "", "y", "n")
		}
		all = append(all, a)
	}
	return all
}

func oneOf(s string, of ...string) bool {
	for _, o := range of {
		if s == o {
			return true
		}
	}
	return false
}

// parseBlockCID reads a CID. What is one, but not of the kind that a box's blocks
// have, is not held; what is none is malformed.
func parseBlockCID(s string) (record.CID, error) {
	if cid, err := record.ParseCID(s); err == nil {
		return cid, nil
	}
	if len(s) < 4 || len(s) > maxCIDText {
		return record.CID{}, errMalformed
	}
	for _, c := range []byte(s) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return record.CID{}, errMalformed
		}
	}
	switch s[0] {
	case 'b', 'B':
		b, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(s[1:]))
		if err != nil || !plausible(b) {
			return record.CID{}, errMalformed
		}
		// The same block in capitals, or a CID of another kind.
		if cid, err := record.ParseCID(strings.ToLower(s)); err == nil {
			return cid, nil
		}
	case 'f', 'F', 'k', 'K', 'z', 'Q': // other ways to write CIDs; clients write base32
	default:
		return record.CID{}, errMalformed
	}
	return record.CID{}, errNotHeld
}

// plausible reports whether b is a CIDv1: version, codec, and a multihash of the
// length it says.
func plausible(b []byte) bool {
	version, n := binary.Uvarint(b)
	if n <= 0 || version != 1 {
		return false
	}
	b = b[n:]
	for range 2 { // codec, hash function
		if _, n = binary.Uvarint(b); n <= 0 {
			return false
		}
		b = b[n:]
	}
	length, n := binary.Uvarint(b)
	return n > 0 && length == uint64(len(b)-n)
}

// parseBytes reads entity-bytes; empty is none.
func parseBytes(s string) (byteRange, error) {
	if s == "" {
		return byteRange{}, nil
	}
	from, to, ok := strings.Cut(s, ":")
	b := byteRange{asked: true, toEnd: to == "*"}
	var err error
	if b.from, err = parseOffset(from); err != nil || !ok {
		return byteRange{}, errMalformed
	}
	if !b.toEnd {
		if b.to, err = parseOffset(to); err != nil {
			return byteRange{}, errMalformed
		}
	}
	return b, nil
}

func parseOffset(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && strconv.FormatInt(n, 10) != s {
		err = errMalformed // one way to write it, so that there is one tag for it
	}
	return n, err
}

func (b byteRange) String() string {
	if b.toEnd {
		return fmt.Sprintf("%d:*", b.from)
	}
	return fmt.Sprintf("%d:%d", b.from, b.to)
}

// span is the part of size bytes that is asked for, from..to-1; empty for the root
// alone. It fails with errMalformed where all of it is behind the end.
func (a blockAsk) span(size int64) (from, to int64, err error) {
	if a.scope == "block" {
		return 0, 0, nil
	}
	if !a.bytes.asked {
		return 0, size, nil
	}
	from, to = a.bytes.from, a.bytes.to
	if from < 0 {
		from = max(0, size+from)
	}
	switch {
	case a.bytes.toEnd:
		to = size
	case to < 0:
		to = size + to + 1
	default:
		to = min(to, size-1) + 1
	}
	if from >= size && size > 0 {
		return 0, 0, errMalformed
	}
	return from, max(from, to), nil
}

// name is the CID as text.
func (a blockAsk) name() string {
	if a.probe {
		return probeCID
	}
	return a.cid.String()
}

// root is the CID in binary: that of the probe is a raw codec and an identity
// multihash of nothing.
func (a blockAsk) root() []byte {
	if a.probe {
		return []byte{1, record.CodecRaw, 0, 0}
	}
	return a.cid[:]
}

// tag is the ETag: the same bytes have the same.
func (a blockAsk) tag() string {
	tag := a.name() + ".raw"
	if a.car {
		tag = a.name() + ".car." + a.scope + "." + a.repeats()
	}
	if a.bytes.asked {
		tag += "." + a.bytes.String()
	}
	return `"` + tag + `"`
}

// matches reports whether an If-None-Match header has the tag (RFC 9110, section
// 13.1.2).
func (a blockAsk) matches(headers []string) bool {
	for tag := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == a.tag() {
			return true
		}
	}
	return false
}

func (a blockAsk) repeats() string {
	if a.dups {
		return "y"
	}
	return "n"
}

func (a blockAsk) contentType() string {
	if a.car {
		return carType + "; version=1; order=dfs; dups=" + a.repeats()
	}
	return rawType
}

func (a blockAsk) fileName() string {
	switch {
	case a.saveAs != "":
		return a.saveAs
	case a.car:
		return a.name() + ".car"
	}
	return a.name() + ".bin"
}

// url is the address that says all by itself.
func (a blockAsk) url() string {
	u := "/ipfs/" + a.name() + "?format=raw"
	if a.car {
		u = "/ipfs/" + a.name() + "?format=car&dag-scope=" + a.scope + "&car-version=1&car-order=dfs&car-dups=" + a.repeats()
	}
	if a.bytes.asked {
		u += "&entity-bytes=" + a.bytes.String()
	}
	if a.saveAs != "" {
		u += "&filename=" + url.QueryEscape(a.saveAs)
	}
	return u
}
