// Package boucan_test holds the house together: who may import whom, and a few
// habits that the compiler cannot see. A new edge is one line below, with its
// reason; GOALS.md and docs/decisions/0001-the-house.md say what the walls are
// for.
package boucan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// edge is one allowed import. From is a package of this module, To is another,
// or an import path outside it; a To outside allows everything below it.
type edge struct{ from, to, why string }

// edges is everything a package may import apart from the standard library.
var edges = []edge{
	{"cmd/boucan", "node", "the program starts a node and knows nothing of what is in it"},
	{"cmd/boucan", "control", "the other commands talk to the running node"},
	{"cmd/boucan", "record", "what strangers wrote is cleaned in one way before a terminal sees it"},
	{"cmd/boucan", "github.com/alecthomas/kong", "the command line"},
	{"cmd/boucan", "github.com/schollz/progressbar/v3", "progress of what takes time"},
	{"cmd/boucan", "golang.org/x/term", "is the output a terminal, and how wide"},
	{"cmd/boucan", "rsc.io/qr", "the page's address as a picture in the terminal"},

	{"node", "chat", "composition root"},
	{"node", "circle", "composition root"},
	{"node", "control", "composition root"},
	{"node", "discovery", "composition root"},
	{"node", "record", "composition root"},
	{"node", "replica", "composition root"},
	{"node", "share", "composition root"},
	{"node", "share/dropdir", "the data folder's files are opened through it"},
	{"node", "store", "composition root"},
	{"node", "webui", "composition root"},
	{"node", "github.com/libp2p/go-libp2p", "the host: peers, encryption, multiplexing"},
	{"node", "github.com/libp2p/go-libp2p-pubsub", "live push between peers"},
	{"node", "github.com/multiformats/go-multiaddr", "how libp2p writes addresses"},
	{"node", "golang.org/x/sync", "the parts run and end together"},
	{"node", "golang.org/x/sys", "the lock on the data folder, AES in the processor, memory"},

	{"chat", "record", "messages are records"},
	{"circle", "golang.org/x/crypto", "XChaCha20-Poly1305, for announcements"},
	{"discovery", "record", "how long a name may be, and what may be shown of it"},
	{"discovery", "golang.org/x/net", "DNS messages; zones and interfaces of multicast packets"},
	{"replica", "record", "what it replicates"},
	{"replica", "github.com/fxamacker/cbor/v2", "frames on the wire"},
	{"share", "clean", "what identifies is removed before the CID is taken"},
	{"share", "record", "CIDs, keys, names"},
	{"share", "share/dropdir", "every file operation goes through it"},
	{"share/dropdir", "record", "what a clean name is"},
	{"share/dropdir", "github.com/fsnotify/fsnotify", "changes of the folder made by hand"},
	{"share/dropdir", "golang.org/x/sys", "free space, and what a file system can do"},
	{"share/dropdir", "golang.org/x/text", "names that differ by normalisation or case only"},
	{"store", "github.com/dgraph-io/badger/v4", "the store on 64-bit machines, here only"},
	{"store", "go.etcd.io/bbolt", "the store on 32-bit machines, here only"},
	{"webui", "record", "CIDs, names"},
	{"webui", "", "the licence, to be read on every box"},
	{"webui", "github.com/gorilla/websocket", "live chat, here only"},
	{"webui", "rsc.io/qr", "a page's address as a picture, to pass it on"},

	{"record", "github.com/fxamacker/cbor/v2", "the canonical encoding"},
	{"record", "github.com/mr-tron/base58", "peer IDs in text"},

	{"bench/start", "node", "fills a data folder as a node has it"},
	{"bench/replicate", "control", "how far the boxes are that it measures"},
	{"bench/replicate", "golang.org/x/sys", "entering a network namespace, syncing a file system"},
	{"bench/replicate", "github.com/libp2p/go-libp2p", "what TLS and yamux alone would do, to compare with"},
	{"bench/replicate", "github.com/multiformats/go-multiaddr", "how libp2p writes addresses"},

	{"lab", "golang.org/x/sys", "entering a network namespace"},
	{"lab/alone", "golang.org/x/sys", "raising loopback in a new namespace"},
	{"lab", "golang.org/x/text", "names that differ by normalisation only"},
}

// testEdges is what tests may import besides.
var testEdges = []edge{
	{"cmd/boucan", "lab/alone", "tests run in a network of their own"},
	{"node", "lab/alone", "tests run in a network of their own"},
	{"node", "replica/testdata/memlog", "many nodes under virtual time, where no disk is"},
	{"replica", "replica/testdata/memlog", "the store's twin in memory, whose writes can fail"},
	{"replica", "store", "records are tried on the real store"},
	{"share", "golang.org/x/sys", "a lab's sticks are mounted, pulled and cut"},
	{"share", "store", "the index is tried on the real store"},
	{"webui", "webui/testdata/membox", "a box in memory, which the browser tests use too"},
}

// machines are the targets whose build tags choose between different imports.
var machines = []string{"amd64", "mipsle"}

// module is what go.mod calls this project.
const module = "boucan"

// listed is the part of go list's answer that the rules look at.
type listed struct {
	ImportPath   string
	Standard     bool
	Dir          string
	CgoFiles     []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImportsKeepToTheTable(t *testing.T) {
	used := make(map[edge]bool)
	for _, machine := range machines {
		for _, p := range goList(t, machine, "0", "./...") {
			from := inside(p.ImportPath)
			for _, to := range p.Imports {
				checkEdge(t, from, to, edges, used)
			}
			for _, to := range append(p.TestImports, p.XTestImports...) {
				if inside(to) != from {
					checkEdge(t, from, to, slices.Concat(edges, testEdges), used)
				}
			}
		}
	}
	for _, e := range slices.Concat(edges, testEdges) {
		if !used[e] {
			t.Errorf("nothing uses the allowed import %s → %s any more: take the line away", e.from, e.to)
		}
	}
}

// checkEdge marks every line of the table that allows the import, and fails
// where there is none.
func checkEdge(t *testing.T, from, to string, table []edge, used map[edge]bool) {
	t.Helper()
	outside := strings.Contains(strings.Split(to, "/")[0], ".")
	local := to == module || strings.HasPrefix(to, module+"/")
	if !outside && !local {
		return // the standard library
	}
	allowed := false
	for _, e := range table {
		if e.from != from {
			continue
		}
		if local && inside(to) == e.to || outside && (to == e.to || strings.HasPrefix(to, e.to+"/")) {
			used[e], allowed = true, true
		}
	}
	if !allowed {
		t.Errorf("forbidden import: %s → %s", from, to)
	}
}

// inside is a package's path below the module's root.
func inside(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

func TestEveryAllowedImportHasItsReason(t *testing.T) {
	seen := make(map[[2]string]bool)
	for _, e := range slices.Concat(edges, testEdges) {
		if e.why == "" {
			t.Errorf("%s → %s has no reason", e.from, e.to)
		}
		if k := [2]string{e.from, e.to}; seen[k] {
			t.Errorf("%s → %s stands twice", e.from, e.to)
		} else {
			seen[k] = true
		}
	}
}

// TestEveryDependencyIsExplained: its reason, licence and weight stand in one
// table.
func TestEveryDependencyIsExplained(t *testing.T) {
	const page = "docs/decisions/0005-dependencies.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edges {
		if strings.Contains(strings.Split(e.to, "/")[0], ".") && !strings.Contains(string(text), "\n| "+e.to+" |") {
			t.Errorf("%s has no row for %s", page, e.to)
		}
	}
}

// TestNothingNeedsC: one go build must make the program for every router, also
// where a C compiler is at hand and go would use it.
func TestNothingNeedsC(t *testing.T) {
	for _, p := range goList(t, "amd64", "1", "-deps", "./...") {
		if !p.Standard && len(p.CgoFiles) > 0 {
			t.Errorf("%s needs C: %v", p.ImportPath, p.CgoFiles)
		}
	}
}

// TestProgramLinksNoUnusedTransport: importing the wrong libp2p package links
// every transport it has, and doubles the program.
func TestProgramLinksNoUnusedTransport(t *testing.T) {
	refused := []string{
		"github.com/quic-go", "github.com/pion", "github.com/libp2p/go-libp2p/p2p/transport/quic",
		"github.com/libp2p/go-libp2p/p2p/transport/quicreuse", "github.com/libp2p/go-libp2p/p2p/transport/webrtc",
		"github.com/libp2p/go-libp2p/p2p/transport/webtransport", "github.com/libp2p/go-libp2p/config",
	}
	for _, machine := range machines {
		for _, p := range goList(t, machine, "0", "-deps", "./cmd/boucan") {
			for _, r := range refused {
				if p.ImportPath == r || strings.HasPrefix(p.ImportPath, r+"/") {
					t.Errorf("on %s the program links %s", machine, p.ImportPath)
				}
			}
			if p.ImportPath == "github.com/libp2p/go-libp2p" {
				t.Errorf("on %s the program links libp2p's root package, which brings every transport", machine)
			}
		}
	}
}

// TestNoPackageWithoutASubject: a package named after nothing collects
// everything.
func TestNoPackageWithoutASubject(t *testing.T) {
	for _, p := range goList(t, "amd64", "0", "./...") {
		for part := range strings.SplitSeq(inside(p.ImportPath), "/") {
			if slices.Contains([]string{"util", "utils", "helper", "helpers", "common", "misc", "internal"}, part) {
				t.Errorf("%s: name a package after what it owns", p.ImportPath)
			}
		}
	}
}

// goList asks the go command about packages, the lab's among them.
func goList(t *testing.T, machine, cgo string, args ...string) []listed {
	t.Helper()
	args = append([]string{"list", "-tags=lab", "-json=ImportPath,Standard,Dir,CgoFiles,Imports,TestImports,XTestImports"}, args...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+machine, "CGO_ENABLED="+cgo)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, problems.Bytes())
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
