//go:build linux

package alone

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// splitting is set, in the environment, in the run that TestSplit looks at; with the
// value of failing one of its tests fails.
const (
	splitting = "BOUCAN_TEST_SPLIT"
	failing   = "failing"
)

func TestMain(m *testing.M) {
	if os.Getenv(splitting) != "" {
		os.Exit(Split(m, 3))
	}
	os.Exit(m.Run())
}

// TestSplit: each test runs once, whichever process has it, and one that fails is
// not overheard.
func TestSplit(t *testing.T) {
	if os.Getenv(splitting) != "" {
		return
	}
	for _, how := range []string{"well", failing} {
		run := exec.CommandContext(t.Context(), os.Args[0], "-test.v")
		run.Env = append(os.Environ(), splitting+"="+how)
		out, err := run.Output()
		if (err == nil) != (how != failing) {
			t.Errorf("%s: ended with %v\n%s", how, err, out)
		}
		for _, name := range []string{"TestSplit", "TestOne", "TestTwo", "TestThree", "TestFour"} {
			if n := strings.Count(string(out), "=== RUN   "+name+"\n"); n != 1 {
				t.Errorf("%s: %s ran %d times\n%s", how, name, n, out)
			}
		}
	}
	out, err := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=TestOne").Output()
	if err != nil || strings.Contains(string(out), "TestTwo") {
		t.Errorf("one test by name: %v\n%s", err, out)
	}
}

func TestOne(*testing.T)   {}
func TestTwo(*testing.T)   {}
func TestThree(*testing.T) {}

func TestFour(t *testing.T) {
	if os.Getenv(splitting) == failing {
		t.Error("as it was told")
	}
}
