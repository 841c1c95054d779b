//go:build lab

package discovery_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"boucan/discovery"
)

// resident is a process's memory in bytes, and what it spent of the CPU.
func resident(t *testing.T, pid int) (bytes int, cpu time.Duration) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			bytes = kib << 10
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, s := range f[11:13] { // user and system time, in ticks of 10 ms (proc_pid_stat(5))
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		cpu += time.Duration(n) * 10 * time.Millisecond
	}
	return bytes, cpu
}

func TestFloodOnTheWire(t *testing.T) {
	const mostGrowth = 8 << 20
	l := newLAN(t, 3, "both")
	selves := []discovery.Self{selfOf(1), selfOf(2)}
	first := l.start(1, selves[0])
	first.settle(5 * time.Second)
	before, cpuBefore := resident(t, first.cmd.Process.Pid)
	sh(t, "ip -n %s route add 224.0.0.0/4 dev eth0", l.host(3))
	flood := l.role(3, "flood")
	out, err := flood.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := flood.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flood.Process.Kill(); _ = flood.Wait() })
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("the flood does not run")
	}
	first.settle(10 * time.Second)
	second := l.start(2, selves[1])
	e := first.finds(15*time.Second, selves[1])
	t.Logf("in a flood, contact after %v", e.At.Sub(second.up).Round(time.Millisecond))
	second.finds(15*time.Second, selves[0])
	first.settle(10 * time.Second)
	after, cpuAfter := resident(t, first.cmd.Process.Pid)
	t.Logf("20 s of flood: memory from %d to %d KiB, CPU %v", before>>10, after>>10, cpuAfter-cpuBefore)
	if after > before+mostGrowth {
		t.Errorf("memory grew by %d KiB", (after-before)>>10)
	}
	lines, peers := 0, map[string]bool{}
	for _, e := range first.past {
		switch e.What {
		case "log":
			lines++
		case "found":
			peers[e.Peer.ID] = true
		}
	}
	t.Logf("%d log lines, %d peers", lines, len(peers))
	if lines > 10 || len(peers) > 50 {
		t.Errorf("%d log lines and %d peers from one who floods", lines, len(peers))
	}
}
