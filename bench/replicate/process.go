package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopLimit is how long a process may take to end after SIGTERM.
const stopLimit = 15 * time.Second

// end is one side of a transfer: a host, and the processes that run there for the
// contestant. It adds up what they cost.
type end struct {
	*host
	dir string // scratch of this side, its own

	mu    sync.Mutex
	procs []*proc
	spent time.Duration // CPU of those that have ended
	peaks map[int]int64 // bytes of resident memory at its highest, by process
}

// proc is a process that was started and not yet waited for by stop.
type proc struct {
	e    *end
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
	err  error         // of its end
}

// start starts a process; its output goes to a log beside the end's scratch.
func (e *end) start(args ...string) (*proc, error) { return e.startWith(nil, args...) }

// startWith is start with variables added to the environment.
func (e *end) startWith(env []string, args ...string) (*proc, error) {
	log, err := os.OpenFile(e.dir+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own descriptor
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = e.dir, log, log
	cmd.Env = append(append(os.Environ(), "HOME="+e.dir), env...)
	if err := e.host.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	p := &proc{e: e, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	e.mu.Lock()
	e.procs = append(e.procs, p)
	e.mu.Unlock()
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		e.ended(p)
	}()
	return p, nil
}

// ended moves the costs of a process to those of the ended.
func (e *end) ended(p *proc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.spent += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	for i, o := range e.procs {
		if o == p {
			e.procs = append(e.procs[:i], e.procs[i+1:]...)
			break
		}
	}
}

// run runs a process to its end.
func (e *end) run(ctx context.Context, args ...string) error {
	p, err := e.start(args...)
	if err != nil {
		return err
	}
	return p.wait(ctx)
}

// wait waits for the process's end, which is to be a good one.
func (p *proc) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.done:
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(p.cmd.Path), p.err, lastLines(p.log))
	}
	return nil
}

// alive reports that the process has not ended.
func (p *proc) alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended: %v\n%s", filepath.Base(p.cmd.Path), p.err, lastLines(p.log))
	default:
		return nil
	}
}

// stop ends every process of the end, the orderly way where that works.
func (e *end) stop() error {
	e.mu.Lock()
	procs := append([]*proc(nil), e.procs...)
	e.mu.Unlock()
	var errs []error
	for _, p := range procs {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, p := range procs {
		select {
		case <-p.done:
		case <-time.After(stopLimit):
			errs = append(errs, fmt.Errorf("%s did not stop within %v", p.cmd.Path, stopLimit))
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
			<-p.done
		}
	}
	return errors.Join(errs...)
}

// lastLines is the end of a log.
func lastLines(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return string(text[max(0, len(text)-most):])
}

// tick is the unit of times in proc(5), stat: sysconf(_SC_CLK_TCK) is 100 on
// every Linux.
const tick = 10 * time.Millisecond

// seen is what proc(5) tells of a process.
type seen struct {
	parent int
	cpu    time.Duration // its own, and that of the children it has waited for
}

// processes looks at all processes.
func processes() map[int]seen {
	all := make(map[int]seen)
	dir, err := os.Open("/proc")
	if err != nil {
		return all
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended
		}
		// The name in brackets may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 15 {
			continue
		}
		s := seen{}
		s.parent, _ = strconv.Atoi(fields[1])
		for _, f := range fields[11:15] {
			n, _ := strconv.ParseInt(f, 10, 64)
			s.cpu += time.Duration(n) * tick
		}
		all[pid] = s
	}
	return all
}

// look notes what the end's processes and their descendants have cost so far and
// returns their CPU, together with that of those which have ended.
func (e *end) look(all map[int]seen) (cpu time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	mine := make(map[int]bool)
	for _, p := range e.procs {
		mine[p.cmd.Process.Pid] = true
	}
	for grown := true; grown; {
		grown = false
		for pid, s := range all {
			if mine[s.parent] && !mine[pid] {
				mine[pid], grown = true, true
			}
		}
	}
	cpu = e.spent
	for pid := range mine {
		cpu += all[pid].cpu
		if peak := highest(pid); peak > e.peaks[pid] {
			e.peaks[pid] = peak
		}
	}
	return cpu
}

// resetPeaks counts the memory of what runs from now on (proc(5), clear_refs).
func (e *end) resetPeaks() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.peaks = make(map[int]int64)
	for _, p := range e.procs {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
			return fmt.Errorf("count peak memory anew: %w", err)
		}
	}
	return nil
}

// peak is the resident memory of the end's processes at their highest, added up.
func (e *end) peak() (bytes int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.peaks {
		bytes += n
	}
	return bytes
}

// highest is the most resident memory a process has had (proc(5), VmHWM).
func highest(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	var room [4096]byte
	n, _ := io.ReadFull(f, room[:])
	_, rest, ok := strings.Cut(string(room[:n]), "VmHWM:")
	if !ok {
		return 0
	}
	var kb int64
	_, _ = fmt.Sscan(rest, &kb)
	return kb << 10
}

// listens reports whether a process of the end's host has the TCP port open
// (proc(5), net/tcp: state 0A).
func (e *end) listens(port string) bool {
	n, err := strconv.Atoi(port)
	if err != nil {
		return false
	}
	found := false
	_ = e.do(func() error {
		for _, table := range []string{"tcp", "tcp6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + table)
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(text)) {
				fields := strings.Fields(line)
				found = found || len(fields) > 3 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", n))
			}
		}
		return nil
	})
	return found
}
