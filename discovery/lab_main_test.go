//go:build lab

package discovery_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"boucan/discovery"
)

// roleVariable makes the test binary play another part inside a namespace: a
// node, a flooder or a tap.
const roleVariable = "BOUCAN_DISCOVERY_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		os.Exit(m.Run())
	case "node":
		os.Exit(playNode())
	case "flood":
		os.Exit(playFlood())
	case "tap":
		os.Exit(playTap())
	}
	os.Exit(2)
}

// event is one line that a node writes.
type event struct {
	At   time.Time
	What string // "up", "found", "gone", "log"
	Peer discovery.Peer
	Text string
}

// reporter is a Listener that writes what it is told. Which peers a transport
// would hold comes as lines on standard input: "hold ID" and "release ID".
type reporter struct {
	mu   sync.Mutex
	out  *json.Encoder
	held map[string]bool
}

func (r *reporter) report(e event) {
	e.At = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.out.Encode(e)
}

func (r *reporter) Found(p discovery.Peer) { r.report(event{What: "found", Peer: p}) }
func (r *reporter) Gone(id string)         { r.report(event{What: "gone", Peer: discovery.Peer{ID: id}}) }

func (r *reporter) Alive(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[id]
}

// Write makes log lines events.
func (r *reporter) Write(line []byte) (int, error) {
	r.report(event{What: "log", Text: strings.TrimSpace(string(line))})
	return len(line), nil
}

func (r *reporter) listen() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		what, id, _ := strings.Cut(in.Text(), " ")
		r.mu.Lock()
		r.held[id] = what == "hold"
		r.mu.Unlock()
	}
}

func playNode() int {
	var self discovery.Self
	if err := json.Unmarshal([]byte(os.Args[len(os.Args)-1]), &self); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	r := &reporter{out: json.NewEncoder(os.Stdout), held: map[string]bool{}}
	go r.listen() // ends with the process
	r.report(event{What: "up"})
	s := discovery.New(self, r, discovery.Options{Logger: slog.New(slog.NewTextHandler(r, nil))})
	if err := s.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
