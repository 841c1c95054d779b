package alone

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// whole are the flags of the testing package with which a run is not split: they
// name tests, or a file that one process writes.
var whole = []string{
	"bench", "blockprofile", "coverprofile", "cpuprofile", "fuzz", "gocoverdir", "list", "memprofile",
	"mutexprofile", "run", "shuffle", "skip", "trace",
}

// Split is Run in so many processes at one time, each with its share of the tests and
// a network of its own: tests of boxes wait more than they work, and two that run in
// one network would meet. What each writes comes in one piece. Where a flag names
// tests, or a file to write, it is Run. It returns the exit code.
func Split(m *testing.M, processes int) int {
	if os.Getenv(inside) != "" {
		return Run(m)
	}
	flag.Parse()
	if slices.ContainsFunc(whole, func(name string) bool {
		f := flag.Lookup("test." + name)
		return f != nil && f.Value.String() != f.DefValue
	}) {
		return Run(m)
	}
	list, err := exec.Command("/proc/self/exe", "-test.list=.").Output()
	if err != nil {
		return Run(m)
	}
	shares := make([]share, processes)
	for i, name := range strings.Fields(string(list)) {
		s := &shares[i%processes]
		s.tests = append(s.tests, name)
	}
	var all sync.WaitGroup
	for i := range shares {
		all.Go(func() { shares[i].run() })
	}
	all.Wait()
	worst := 0
	for _, s := range shares {
		_, _ = os.Stdout.Write(s.text.Bytes())
		worst = max(worst, s.code)
	}
	if err := joinLogs(shares); err != nil {
		fmt.Fprintln(os.Stderr, "log of what the tests read:", err)
		return max(worst, 1)
	}
	return worst
}

// share is what one process runs, and how that went.
type share struct {
	tests []string
	code  int
	text  bytes.Buffer
	log   string // path of its log, "" where none is wanted
}

func (s *share) run() {
	args := append([]string{"-test.run=^(" + strings.Join(s.tests, "|") + ")$"}, os.Args[1:]...)
	if path := testLog(); path != "" {
		s.log = fmt.Sprintf("%s.%p", path, s)
		args = append(args, "-test.testlogfile="+s.log)
	}
	var ok bool
	if s.code, ok = runInside(args, &s.text, &s.text); !ok {
		s.code = 1
		fmt.Fprintln(&s.text, "no process could be started for a share of the tests")
	}
}

// testLog is the file in which the go command wants to be told which files and
// variables the tests look at, by which it knows whether a result still holds.
func testLog() string { return flag.Lookup("test.testlogfile").Value.String() }

// joinLogs makes one log of those of all shares.
func joinLogs(shares []share) error {
	const head = "# test log\n"
	joined := []byte(head)
	for _, s := range shares {
		if s.log == "" {
			return nil
		}
		text, err := os.ReadFile(s.log)
		if err != nil {
			return err
		}
		joined = append(joined, bytes.TrimPrefix(text, []byte(head))...)
		if err := os.Remove(s.log); err != nil {
			return err
		}
	}
	return os.WriteFile(testLog(), joined, 0o600)
}
