// Command replicate compares how files get from one machine to another: by two
// boxes of this program, by rsync, Syncthing, plain HTTP and, where its binary is
// given, kubo, and by bare programs that do only what must be done. All run on
// this machine, in network namespaces joined by a bridge, one after the other;
// docs/speed.md says how to read what it prints.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	runs      int
	scale     float64
	workloads string
	only      string
	peers     string
	starts    bool
	dir       string
	boucan    string
	syncthing string
	kubo      string
	cpu       string
	save      string
	show      string
	markdown  string
	svg       string
	timeout   time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == limitCommand {
		err = limitMain(ctx, os.Args[2:])
	} else {
		err = run(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "replicate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o options
	f := flag.NewFlagSet("replicate", flag.ContinueOnError)
	f.IntVar(&o.runs, "runs", 5, "`times` each is run; the table shows medians")
	f.Float64Var(&o.scale, "scale", 1, "`part` of each workload, to try it out; figures count only for 1")
	f.StringVar(&o.workloads, "workloads", "large,medium,small", "which, separated by commas")
	f.StringVar(&o.only, "only", "", "contestants whose names begin so, separated by commas; one that cannot be run is an error then")
	f.StringVar(&o.peers, "peers", "1", "from how many machines to pull, separated by commas, each 1 to 8")
	f.BoolVar(&o.starts, "starts", false, "measure starts instead: how long until files that lie there are hashed, durable and listed, and how long after a restart")
	f.StringVar(&o.dir, "dir", os.TempDir(), "`folder` on the disk to be used; a RAM disk such as /dev/shm takes the disk out of the figures")
	f.StringVar(&o.boucan, "boucan", "", "`binary` of this program; built from the source where it is empty")
	f.StringVar(&o.syncthing, "syncthing", "", "`binary` of Syncthing; the one in PATH where it is empty")
	f.StringVar(&o.kubo, "kubo", "", "`binary` of kubo, \"ipfs\"; left out where it is empty")
	f.StringVar(&o.cpu, "cpu-profiles", "", "`folder` for CPU profiles of this program's processes (go tool pprof)")
	f.StringVar(&o.save, "save", "", "`file` to append the results to, a JSON object a run")
	f.StringVar(&o.show, "show", "", "`file` saved earlier: show its results and run nothing")
	f.StringVar(&o.markdown, "markdown", "", "`file` in which the tables are put between the lines <!-- figures --> and <!-- end of figures -->")
	f.StringVar(&o.svg, "svg", "", "`file` to draw the plot into")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "for one transfer")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected %q", f.Arg(0))
	}
	var rs results
	var err error
	if o.show != "" {
		rs, err = readResults(o.show)
	} else {
		rs, err = o.measure(ctx)
	}
	if err != nil {
		return err
	}
	return o.report(rs)
}

// measure runs what was asked for, in turns, so that what else the machine does
// meets all contestants alike.
func (o *options) measure(ctx context.Context) (rs results, err error) {
	loads, err := o.chosenWorkloads()
	if err != nil {
		return nil, err
	}
	peers, most, err := o.peerCounts()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.dir, "boucan-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	found := findPrograms()
	for name, path := range map[string]string{"syncthing": o.syncthing, "kubo": o.kubo, "boucan": o.boucan} {
		if path == "" {
			continue
		}
		if found[name], err = filepath.Abs(path); err != nil {
			return nil, err
		}
	}
	if o.boucan == "" {
		if found["boucan"], err = buildBoucan(ctx, dir, o.cpu != ""); err != nil {
			return nil, err
		}
	}
	chosen, err := o.chosenContestants(found)
	if err != nil {
		return nil, err
	}
	l, err := newLan(ctx, most+1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for _, w := range loads {
		w.shrink(o.scale)
		if err := w.make(ctx, filepath.Join(dir, w.Name)); err != nil {
			return nil, err
		}
		if o.starts {
			more, err := o.start(ctx, l, w, found, chosen, filepath.Join(dir, w.Name+"-starts"))
			if err != nil {
				return nil, err
			}
			rs = append(rs, more...)
			continue
		}
		for _, n := range peers {
			more, err := o.race(ctx, l, w, found, chosen, n, filepath.Join(dir, fmt.Sprintf("%s-%d", w.Name, n)))
			if err != nil {
				return nil, err
			}
			rs = append(rs, more...)
		}
	}
	return rs, nil
}

// race runs one workload with n senders.
func (o *options) race(ctx context.Context, l *lan, w *workload, p programs, chosen []contestant, n int, dir string) (rs results, err error) {
	type entrant struct {
		contestant
		*ground
		rival
	}
	var all []entrant
	for i, c := range chosen {
		if n > 1 && !c.Several {
			continue
		}
		g, err := newGround(l, w, p, filepath.Join(dir, fmt.Sprint(i)), n)
		if err != nil {
			return nil, err
		}
		e := entrant{c, g, c.Make(g)}
		if err := o.within(ctx, e.prepare); err != nil {
			for _, s := range g.senders {
				err = errors.Join(err, s.stop())
			}
			return nil, fmt.Errorf("%s, preparing %s: %w", c.Name, w, err)
		}
		all = append(all, e)
	}
	for i := range o.runs {
		for _, e := range all {
			if o.cpu != "" {
				if err := os.Setenv("BOUCAN_CPU_PROFILE", filepath.Join(o.cpu, fmt.Sprintf("%s-%d", w.Name, i))); err != nil {
					return nil, err
				}
			}
			r := result{Contestant: e.Name, Workload: *w, Peers: n}
			err := o.within(ctx, func(ctx context.Context) (err error) {
				r.measured, err = e.ground.run(ctx, e.rival)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", e.Name, w, err)
			}
			fmt.Fprintf(os.Stderr, "%s from %d, %s: %.2f s, %.2f CPU-s\n", w, n, e.Name, r.Seconds, r.CPU)
			rs = append(rs, r)
			if err := o.keep(r); err != nil {
				return nil, err
			}
		}
	}
	return rs, os.RemoveAll(dir)
}

// within gives f the time of one transfer.
func (o *options) within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	return f(ctx)
}

// keep appends a result to the file of --save.
func (o *options) keep(r result) error {
	if o.save == "" {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(o.save, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

func (o *options) chosenWorkloads() ([]*workload, error) {
	var chosen []*workload
	all := workloads()
	for name := range strings.SplitSeq(o.workloads, ",") {
		i := slices.IndexFunc(all, func(w *workload) bool { return w.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown workload %q: there are large, medium and small", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func (o *options) peerCounts() (list []int, most int, err error) {
	for text := range strings.SplitSeq(o.peers, ",") {
		var n int
		if _, err := fmt.Sscan(text, &n); err != nil || n < 1 || n > 8 {
			return nil, 0, fmt.Errorf("--peers: %q is not a number from 1 to 8", text)
		}
		list, most = append(list, n), max(most, n)
	}
	return list, most, nil
}

// chosenContestants are those of --only, or all that can be run.
func (o *options) chosenContestants(found programs) ([]contestant, error) {
	var chosen []contestant
	for _, c := range contestants() {
		wanted := o.only == ""
		for name := range strings.SplitSeq(o.only, ",") {
			wanted = wanted || name != "" && strings.HasPrefix(strings.ToLower(c.Name), strings.ToLower(name))
		}
		if !wanted {
			continue
		}
		if name := c.missing(found); name != "" {
			if o.only != "" {
				return nil, fmt.Errorf("%s cannot be run: there is no %s", c.Name, name)
			}
			fmt.Fprintf(os.Stderr, "%s is left out: there is no %s\n", c.Name, name)
			continue
		}
		chosen = append(chosen, c)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no contestant's name begins with %q", o.only)
	}
	return chosen, nil
}

// buildBoucan builds this program as it is released.
func buildBoucan(ctx context.Context, dir string, profiled bool) (string, error) {
	path := filepath.Join(dir, "boucan")
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", path}
	if profiled {
		args = []string{"build", "-tags", "cpuprofile", "-o", path}
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "boucan/cmd/boucan")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build boucan: %w\n%s", err, out)
	}
	return path, nil
}

// report prints the tables, and writes what was asked for.
func (o *options) report(rs results) error {
	if _, err := io.WriteString(os.Stdout, rs.text()); err != nil {
		return err
	}
	if o.markdown != "" {
		if err := rs.putInto(o.markdown); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return os.WriteFile(o.svg, []byte(rs.plot()), 0o644)
	}
	return nil
}
