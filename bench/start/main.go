// Command start measures how soon a box serves that holds many records and blobs,
// and what memory that takes. It makes a data folder with so many files, which are
// holes and take no room, starts the program on it several times, asks its page until
// it answers, and looks on while it goes through its folder; docs/scale.md says how to
// read what it prints. With GOARCH=386 it measures what 32-bit routers have: another
// store.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"boucan/node"
)

type options struct {
	files   int
	size    int64
	runs    int
	look    time.Duration
	dir     string
	boucan  string
	profile string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	var o options
	f := flag.NewFlagSet("start", flag.ContinueOnError)
	f.IntVar(&o.files, "files", 100_000, "how many the box holds, each with a record")
	f.Int64Var(&o.size, "size", 20<<20+8, "`bytes` of one file, a hole; at least 1 MiB")
	f.IntVar(&o.runs, "runs", 3, "`times` the program is started; the table shows each")
	f.DurationVar(&o.look, "look", 30*time.Second, "for how long it is looked at after it serves")
	f.StringVar(&o.dir, "dir", "", "`folder` for the data, kept and used again; a temporary one where it is empty")
	f.StringVar(&o.boucan, "boucan", "", "`binary` of this program; built from the source where it is empty")
	f.StringVar(&o.profile, "profile", "router", "`name` of the size profile")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	temporary, err := os.MkdirTemp("", "boucan-start-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	if o.dir == "" {
		o.dir = filepath.Join(temporary, "data")
	}
	if o.boucan == "" {
		o.boucan = filepath.Join(temporary, "boucan")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", o.boucan, "boucan/cmd/boucan")
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+runtime.GOARCH)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build the program: %w", err)
		}
	}
	if err := prepare(ctx, o); err != nil {
		return err
	}
	return o.measure(ctx)
}

// prepare fills the data folder unless it was filled before.
func prepare(ctx context.Context, o options) error {
	done := filepath.Join(o.dir, "filled")
	want := fmt.Sprintln(o.files, o.size)
	if was, err := os.ReadFile(done); err == nil {
		if string(was) != want {
			return fmt.Errorf("%s holds another number of files: name another folder with --dir", o.dir)
		}
		return nil
	}
	profile, err := node.ChooseProfile(o.profile)
	if err != nil {
		return err
	}
	if o.files > profile.Records {
		return fmt.Errorf("the profile %s holds %d records at most", o.profile, profile.Records)
	}
	fmt.Fprintf(os.Stderr, "making %d files of %d bytes in %s\n", o.files, o.size, o.dir)
	if err := node.Fill(ctx, node.Config{Data: o.dir, HTTP: "127.0.0.1:0", Profile: profile}, o.files, o.size); err != nil {
		return err
	}
	return os.WriteFile(done, []byte(want), 0o600)
}

// seen is one start of the program.
type seen struct {
	serves, lists time.Duration // from start to the first page, and to the first file of it
	at            memory        // when it served
	most          memory        // until the look was over
	cpuAt, cpu    time.Duration // of all threads: until it served, and in all
}

// memory is what a process holds, in bytes (proc(5)): all, and what is not pages of
// files, which the kernel may drop.
type memory struct{ all, own int64 }

func (o options) measure(ctx context.Context) error {
	tab := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(os.Stdout, "%d records, %.2f TB of files, profile %s, %s\n", o.files, float64(o.files)*float64(o.size)/1e12, o.profile, runtime.GOARCH)
	fmt.Fprintln(tab, "start\tserves, s\tlists, s\tMB then\tof them its own\tmost MB\tof them its own\tCPU-s then\tCPU-s in all\t")
	mb := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }
	for i := range o.runs {
		s, err := o.start(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(tab, "%d\t%.2f\t%.2f\t%s\t%s\t%s\t%s\t%.2f\t%.1f\t\n", i+1, s.serves.Seconds(), s.lists.Seconds(),
			mb(s.at.all), mb(s.at.own), mb(s.most.all), mb(s.most.own), s.cpuAt.Seconds(), s.cpu.Seconds())
	}
	return tab.Flush()
}

// start runs the program once.
func (o options) start(ctx context.Context) (s seen, err error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return s, err
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		return s, err
	}
	cmd := exec.CommandContext(ctx, o.boucan, "--data", o.dir, "--http", addr, "--profile", o.profile, "serve")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return s, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := cmd.Wait()
		if err = errors.Join(err, ended); err != nil {
			err = fmt.Errorf("%w\n%s", err, log.String())
		}
		s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}()
	if s.serves, err = answers(ctx, began, "http://"+addr+"/", "<html"); err != nil {
		return s, err
	}
	if s.at, err = holds(cmd.Process.Pid); err != nil {
		return s, err
	}
	if s.cpuAt, err = took(cmd.Process.Pid); err != nil {
		return s, err
	}
	if s.lists, err = answers(ctx, began, "http://"+addr+"/", "film "); err != nil {
		return s, err
	}
	for end := time.Now().Add(o.look); time.Now().Before(end); {
		m, err := holds(cmd.Process.Pid)
		if err != nil {
			return s, err
		}
		s.most = memory{max(s.most.all, m.all), max(s.most.own, m.own)}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return s, nil
}

// answers waits for a page that contains words, and says how long after began it came.
func answers(ctx context.Context, began time.Time, url, words string) (time.Duration, error) {
	const limit = 5 * time.Minute
	for {
		resp, err := http.Get(url)
		if err == nil {
			page, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err == nil && resp.StatusCode == http.StatusOK && strings.Contains(string(page), words) {
				return time.Since(began), nil
			}
		}
		if time.Since(began) > limit {
			return 0, fmt.Errorf("no page with %q came within %v", words, limit)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// took is the processor time of a process (proc(5), stat: utime and stime in
// hundredths of a second, behind the name in parentheses).
func took(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const utime, stime = 11, 12 // counted from the third field
	var ticks time.Duration
	for _, i := range []int{utime, stime} {
		var n int64
		if len(fields) <= i {
			return 0, fmt.Errorf("what the system says of process %d is cut off", pid)
		}
		if _, err := fmt.Sscan(fields[i], &n); err != nil {
			return 0, err
		}
		ticks += time.Duration(n)
	}
	return ticks * time.Second / 100, nil
}

func holds(pid int) (m memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if i := slices.Index([]string{"VmRSS:", "RssAnon:"}, fields[0]); i >= 0 && len(fields) > 1 {
			var kb int64
			if _, err := fmt.Sscan(fields[1], &kb); err != nil {
				return m, err
			}
			if i == 0 {
				m.all = kb << 10
			} else {
				m.own = kb << 10
			}
		}
	}
	return m, nil
}
