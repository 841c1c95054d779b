//go:build lab

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// program is the boucan that boxes run. TestMain sets it before any test.
var program string

func TestMain(m *testing.M) {
	code, err := prepareAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		code = 1
	}
	os.Exit(code)
}

func prepareAndRun(m *testing.M) (int, error) {
	if os.Geteuid() != 0 {
		return 0, fmt.Errorf("the lab makes network namespaces and must run as root")
	}
	for _, tool := range []string{"ip", "tc", "bridge", "unshare", "sysctl", "sh", "hostname", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return 0, err
		}
	}
	if err := sweep(); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "boucan-lab-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if program = os.Getenv("BOUCAN_BIN"); program == "" {
		program = filepath.Join(dir, "boucan")
		build := exec.Command("go", "build", "-o", program, "boucan/cmd/boucan")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build boucan: %w\n%s", err, out)
		}
	}
	return m.Run(), nil
}

// sweep removes namespaces of runs that were killed before they could.
func sweep() error {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		ns := strings.Fields(line)[0]
		parts := strings.Split(ns, "-")
		if len(parts) != 4 || parts[0] != "bcn" {
			continue
		}
		pid, err := strconv.Atoi(parts[2])
		if err != nil || syscall.Kill(pid, 0) == nil {
			continue // not ours, or its run goes on
		}
		pids, err := exec.Command("ip", "netns", "pids", ns).Output()
		if err != nil {
			return fmt.Errorf("list processes of %s: %w", ns, err)
		}
		for p := range strings.FieldsSeq(string(pids)) {
			if n, err := strconv.Atoi(p); err == nil {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
		if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
			return fmt.Errorf("delete %s: %w: %s", ns, err, out)
		}
	}
	return nil
}
