package webui_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"boucan/record"
	"boucan/webui"
)

// fakeDAG is a root with blocks below it, each of them at a byte of its own.
type fakeDAG struct {
	blocks [][]byte // the root first
	broken int      // the block that fails in its middle, 0 for none
	asked  atomic.Value
	open   atomic.Int32
}

func blockCID(i int, block []byte) record.CID {
	codec := byte(record.CodecRaw)
	if i == 0 {
		codec = record.CodecDagPB
	}
	return record.NewCID(codec, sha256.Sum256(block))
}

func (d *fakeDAG) cid() record.CID { return blockCID(0, d.blocks[0]) }

func (d *fakeDAG) Size() int64 { return int64(len(d.blocks) - 1) }

func (d *fakeDAG) Close() error {
	d.open.Add(-1)
	return nil
}

func (d *fakeDAG) Walk(from, to int64, once bool, visit webui.Visitor) error {
	d.asked.Store(fmt.Sprint(from, "-", to, " ", once))
	for i, block := range d.blocks {
		if i > 0 && (int64(i) <= from || int64(i) > to) {
			continue
		}
		err := visit(blockCID(i, block), len(block), func(w io.Writer) error {
			if i == d.broken && i > 0 || d.broken < 0 {
				_, _ = w.Write(block[:len(block)/2]) // fails anyway
				return webui.ErrNotHere
			}
			_, err := w.Write(block)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// door is a box that holds one DAG.
func door(t *testing.T) (*site, *fakeDAG) {
	t.Helper()
	s := start(t, webui.Options{Hosts: func(host string) bool { return host != "elsewhere.example" }})
	d := &fakeDAG{blocks: [][]byte{[]byte("root"), bytes.Repeat([]byte("a"), 100), nil, bytes.Repeat([]byte("b"), 3000)}}
	s.DAGs(func(cid record.CID) (webui.DAG, error) {
		if cid != d.cid() {
			return nil, fmt.Errorf("open: %w", webui.ErrNotHere)
		}
		d.open.Add(1)
		return d, nil
	})
	t.Cleanup(func() {
		if n := d.open.Load(); n != 0 {
			t.Errorf("%d are still open", n)
		}
	})
	return s, d
}

const (
	raw = "application/vnd.ipld.raw"
	car = "application/vnd.ipld.car"
)

func TestRawBlock(t *testing.T) {
	s, d := door(t)
	path := "/ipfs/" + d.cid().String()
	for _, a := range []answer{
		s.get(t, path+"?format=raw").wants(t, 200),
		s.get(t, path+"?format=raw", "Accept", car).wants(t, 200),
		s.get(t, path, "Accept", raw).wants(t, 200),
		s.get(t, "/ipfs/B"+strings.ToUpper(d.cid().String()[1:]), "Accept", "text/html, "+raw+";q=0.1, */*;q=0.9").wants(t, 200),
		s.do(t, "HEAD", path+"?format=raw", nil).wants(t, 200),
	} {
		if a.body != "root" && a.Request.Method == "GET" || a.ContentLength != 4 {
			t.Errorf("%q of %d bytes", a.body, a.ContentLength)
		}
		wants := map[string]string{
			"Content-Type": raw, "ETag": `"` + d.cid().String() + `.raw"`, "X-Content-Type-Options": "nosniff",
			"Cache-Control": "private, max-age=29030400, immutable", "X-Ipfs-Path": path, "X-Ipfs-Roots": d.cid().String(),
			"Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "", "Content-Location": "",
		}
		if !strings.Contains(a.Request.URL.RawQuery, "format") {
			wants["Content-Location"] = path + "?format=raw"
		}
		for k, want := range wants {
			if got := a.Header.Get(k); got != want {
				t.Errorf("%s is %q, want %q", k, got, want)
			}
		}
		if got := a.Header.Get("Content-Disposition"); !strings.HasPrefix(got, `attachment; filename="`+d.cid().String()+`.bin"`) {
			t.Errorf("saved as %s", got)
		}
	}
	if got := s.get(t, path+"?format=raw&filename=a%0d%0ab.x").wants(t, 200).Header.Get("Content-Disposition"); !strings.Contains(got, "b.x") {
		t.Errorf("saved as %s", got)
	}
	same := s.get(t, path+"?format=raw", "If-None-Match", `"x", W/"`+d.cid().String()+`.raw"`).wants(t, 304)
	if same.body != "" || same.Header.Get("ETag") == "" {
		t.Errorf("unchanged: %q %q", same.body, same.Header.Get("ETag"))
	}
}

func TestIPFSRefusals(t *testing.T) {
	s, d := door(t)
	held := "/ipfs/" + d.cid().String()
	other := "/ipfs/" + record.NewCID(record.CodecRaw, [32]byte{1}).String()
	for _, c := range []struct {
		path   string
		header []string
		status int
		says   string
	}{
		{other + "?format=raw", nil, 404, "does not hold"},
		{other + "?format=car", nil, 404, "does not hold"},
		{other + "?format=car", []string{"Cache-Control", "only-if-cached"}, 412, "does not hold"},
		{"/ipfs/QmfM2r8seH2GiRaC4esTjeraXEachRt8ZsSeGaWTPLyMoG?format=raw", nil, 404, "does not hold"},
		{"/ipfs/bafkqabtimvwgy3yk?format=raw", nil, 404, "does not hold"}, // an identity CID
		{"/ipfs/nonsense?format=raw", nil, 400, "not understand"},
		{"/ipfs/bafynonsense?format=raw", nil, 400, "not understand"},
		{"/ipfs/b%2e%2e?format=raw", nil, 400, "not understand"},
		{held + "/below?format=raw", nil, 400, "not understand"},
		{held + "/below?format=car", nil, 404, "does not hold"},
		{held, []string{"Accept", ""}, 400, "format=raw"},
		{held, []string{"Accept", "*/*"}, 406, "format=raw"},
		{held, []string{"Accept", "application/*, " + raw + ";q=0"}, 406, "format=raw"},
		{held, []string{"Accept", car + "; version=2"}, 406, "format=raw"},
		{held, []string{"Accept", car + "; order=foo"}, 406, "format=raw"},
		{held + "?format=car", []string{"Accept", car + "; dups=maybe"}, 406, "format=raw"},
		{held + "?format=tar", nil, 406, "format=raw"},
		{held + "?format=ipns-record", nil, 406, "format=raw"},
		{held + "?format=car&car-version=2", nil, 400, "not understand"},
		{held + "?format=car&car-order=foo", nil, 400, "not understand"},
		{held + "?format=car&car-dups=", nil, 400, "not understand"},
		{held + "?format=car&dag-scope=some", nil, 400, "not understand"},
		{held + "?format=car&entity-bytes=5", nil, 400, "not understand"},
		{held + "?format=car&entity-bytes=*:5", nil, 400, "not understand"},
		{held + "?format=car&entity-bytes=0:99999999999999999999", nil, 400, "not understand"},
		{held + "?format=car&entity-bytes=3:*", nil, 400, "not understand"},
		{held + "?format=raw", []string{"Service-Worker", "script"}, 400, "not understand"},
		{held + "?format=raw", []string{"Host", "elsewhere.example"}, 421, ""},
		{held + "?format=raw", []string{"Accept", "text/html", "Host", "elsewhere.example"}, 421, "<html"},
	} {
		a := s.get(t, c.path, c.header...).wants(t, c.status, c.says)
		if got := a.Header.Get("Content-Type"); c.status != 421 && got != "text/plain; charset=utf-8" {
			t.Errorf("%s %q: refused as %s", c.path, c.header, got)
		}
		for _, k := range []string{"ETag", "Content-Disposition", "X-Ipfs-Path", "Access-Control-Allow-Origin"} {
			if a.Header.Get(k) != "" {
				t.Errorf("%s %q: refused with %s", c.path, c.header, k)
			}
		}
		if a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %q: a refusal may be cached", c.path, c.header)
		}
	}
	s.get(t, held, "Accept", "text/html,*/*;q=0.8").wants(t, 406, "<html", "IPFS")
	s.do(t, "POST", held+"?format=raw", nil).wants(t, 404)
}

// sections reads a CAR: its header, and its blocks by the ends of their CIDs.
func sections(t *testing.T, body string) (header string, blocks []string) {
	t.Helper()
	for first := true; len(body) > 0; first = false {
		length, n := binary.Uvarint([]byte(body))
		if n <= 0 || int(length) > len(body)-n {
			t.Fatalf("%d bytes of a section of %d", len(body)-n, length)
		}
		section := body[n:][:length]
		body = body[n+int(length):]
		if first {
			header = section
			continue
		}
		cid, data := record.CID([]byte(section)), section[len(record.CID{}):]
		if cid.Digest() != sha256.Sum256([]byte(data)) {
			t.Errorf("%v holds other bytes", cid)
		}
		blocks = append(blocks, fmt.Sprint(len(data)))
	}
	return header, blocks
}

func TestCAR(t *testing.T) {
	s, d := door(t)
	path := "/ipfs/" + d.cid().String()
	cid := d.cid()
	wantHeader := "\xa2\x65roots\x81\xd8\x2a\x58\x25\x00" + string(cid[:]) + "\x67version\x01"
	all := "4 100 0 3000"
	for _, c := range []struct{ query, accept, walked, blocks, dups, tag string }{
		{"?format=car", "", "0-3 true", all, "n", "all.n"},
		{"", car, "0-3 true", all, "n", "all.n"},
		{"", car + ";order=dfs;dups=y;version=1", "0-3 false", all, "y", "all.y"},
		{"", car + ";order=foo, " + raw + ";q=0.1, " + car + ";dups=n;q=0.5", "0-3 true", all, "n", "all.n"},
		{"?format=car&car-dups=y", car + ";dups=n", "0-3 false", all, "y", "all.y"},
		{"?format=car&car-version=1&car-order=unk&car-dups=n", "", "0-3 true", all, "n", "all.n"},
		{"?format=car&dag-scope=all", "", "0-3 true", all, "n", "all.n"},
		{"?format=car&dag-scope=entity", "", "0-3 true", all, "n", "entity.n"},
		{"?format=car&dag-scope=block", "", "0-0 true", "4", "n", "block.n"},
		{"?format=car&entity-bytes=0:*", "", "0-3 true", all, "n", "entity.n.0:*"},
		{"?format=car&entity-bytes=0:0", "", "0-1 true", "4 100", "n", "entity.n.0:0"},
		{"?format=car&entity-bytes=1:99&dag-scope=block", "", "1-3 true", "4 0 3000", "n", "entity.n.1:99"},
		{"?format=car&entity-bytes=-1:*", "", "2-3 true", "4 3000", "n", "entity.n.-1:*"},
		{"?format=car&entity-bytes=-99:-2", "", "0-2 true", "4 100 0", "n", "entity.n.-99:-2"},
		{"?format=car&entity-bytes=2:1", "", "2-2 true", "4", "n", "entity.n.2:1"},
		{"?format=car&entity-bytes=0:-9", "", "0-0 true", "4", "n", "entity.n.0:-9"},
	} {
		header := []string{"Accept", c.accept}
		a := s.get(t, path+c.query, header...).wants(t, 200)
		gotHeader, blocks := sections(t, a.body)
		if got := strings.Join(blocks, " "); gotHeader != wantHeader || got != c.blocks || d.asked.Load() != c.walked {
			t.Errorf("%s %s: header %q, blocks %s, walked %v", c.query, c.accept, gotHeader, got, d.asked.Load())
		}
		if got, want := a.Header.Get("Content-Type"), car+"; version=1; order=dfs; dups="+c.dups; got != want {
			t.Errorf("%s %s: type %s, want %s", c.query, c.accept, got, want)
		}
		if got, want := a.Header.Get("ETag"), `"`+d.cid().String()+".car."+c.tag+`"`; got != want {
			t.Errorf("%s %s: tag %s, want %s", c.query, c.accept, got, want)
		}
		if at := a.Header.Get("Content-Location"); at != "" {
			again := s.get(t, at).wants(t, 200)
			if again.body != a.body || again.Header.Get("ETag") != a.Header.Get("ETag") {
				t.Errorf("%s %s: %s is another", c.query, c.accept, at)
			}
		} else if c.query == "" {
			t.Errorf("%s: the address does not say what this is, and nothing else does", c.accept)
		}
		head := s.do(t, "HEAD", path+c.query, nil, header...).wants(t, 200)
		s.get(t, path+c.query, append(header, "If-None-Match", head.Header.Get("ETag"))...).wants(t, 304)
	}
}

func TestIPFSProbe(t *testing.T) {
	s, _ := door(t)
	a := s.get(t, "/ipfs/bafkqaaa?format=raw").wants(t, 200)
	if a.body != "" || a.ContentLength != 0 || a.Header.Get("Content-Type") != raw {
		t.Errorf("%q %s", a.body, a.Header.Get("Content-Type"))
	}
	s.do(t, "HEAD", "/ipfs/bafkqaaa", nil, "Accept", raw).wants(t, 200)
	header, blocks := sections(t, s.get(t, "/ipfs/bafkqaaa?format=car").wants(t, 200).body)
	if header != "\xa2\x65roots\x81\xd8\x2a\x45\x00\x01\x55\x00\x00\x67version\x01" || len(blocks) != 0 {
		t.Errorf("header %q, %d blocks", header, len(blocks))
	}
}

// What turns out wrong is never sent as a whole answer.
func TestIPFSAnswerThatBreaks(t *testing.T) {
	fetch := func(s *site, d *fakeDAG, query string) error {
		res, err := http.Get(s.http.URL + "/ipfs/" + d.cid().String() + query)
		if err != nil {
			return err // nothing had left the buffer
		}
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
		return err
	}
	s, d := door(t)
	d.broken = 3
	for _, query := range []string{"?format=car", "?format=car&entity-bytes=2:2"} {
		if err := fetch(s, d, query); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s came as if it was all: %v", query, err)
		}
	}
	s, d = door(t)
	d.broken, d.blocks[0] = -1, bytes.Repeat([]byte("x"), 100<<10)
	if err := fetch(s, d, "?format=raw"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a block came as if it was all: %v", err)
	}
	// Where nothing was sent yet, the answer says so.
	s, d = door(t)
	d.broken, d.blocks[0] = -1, []byte("x")
	s.get(t, "/ipfs/"+d.cid().String()+"?format=raw").wants(t, 404, "does not hold")
}

func TestIPFSWhenTheStorageIsAway(t *testing.T) {
	s, d := door(t)
	s.DAGs(func(record.CID) (webui.DAG, error) { return nil, webui.ErrAway })
	a := s.get(t, "/ipfs/"+d.cid().String()+"?format=raw").wants(t, 503, "unplugged")
	if a.Header.Get("Retry-After") == "" {
		t.Error("nobody is told when to come back")
	}
}
