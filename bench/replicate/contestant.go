package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// contestant is a way to get files from one machine to another.
type contestant struct {
	Name string
	// Several says that it fetches from several machines at once.
	Several bool
	// Needs are the programs it runs.
	Needs []string
	// Make readies it for one workload.
	Make func(*ground) rival
}

// rival is a contestant that works on one workload.
type rival interface {
	// prepare gives the senders the files. It is called once.
	prepare(ctx context.Context) error
	// pull starts the senders, has the receiver fetch everything, and measures
	// from the moment it begins to the one when all is there and durable. It
	// returns the folder that holds the files, and leaves processes running.
	pull(ctx context.Context, m *meter) (dir string, err error)
}

// ground is where a contestant works on one workload.
type ground struct {
	*workload
	programs programs
	dir      string // scratch
	senders  []*end // kept from run to run
	receiver *end   // a new one for each run
}

// programs are the paths of what is run.
type programs map[string]string

// contestants are all there are, in the order of the tables.
func contestants() []contestant {
	return []contestant{
		{Name: boucanName, Several: true, Needs: []string{"boucan"}, Make: newBoucan},
		{Name: "Syncthing", Several: true, Needs: []string{"syncthing"}, Make: newSyncthing},
		{Name: "kubo", Several: true, Needs: []string{"kubo"}, Make: newKubo},
		{Name: "rsync over ssh, AES-GCM", Needs: []string{"rsync", "sshd", "ssh", "ssh-keygen"}, Make: newRsyncSSH},
		{Name: "rsync daemon", Needs: []string{"rsync"}, Make: newRsyncDaemon},
		{Name: "nginx → curl + sha256sum", Needs: []string{"nginx", "curl", "sha256sum"}, Make: newWeb},
		{Name: limitLibp2p, Make: newLimit("libp2p")},
		{Name: limitTLS, Make: newLimit("tls")},
	}
}

const (
	boucanName  = "boucan"
	limitLibp2p = "limit: libp2p TLS, yamux, SHA-256"
	limitTLS    = "limit: crypto/tls, SHA-256"
)

// missing is the first program that the contestant needs and that is not there.
func (c contestant) missing(p programs) string {
	for _, name := range c.Needs {
		if p[name] == "" {
			return name
		}
	}
	return ""
}

// findPrograms looks for what may be run in PATH, and where daemons lie.
func findPrograms() programs {
	p := make(programs)
	for _, c := range contestants() {
		for _, name := range c.Needs {
			if path, err := exec.LookPath(name); err == nil {
				p[name] = path
			} else if path, err := exec.LookPath("/usr/sbin/" + name); err == nil {
				p[name] = path
			}
		}
	}
	delete(p, "boucan") // it is built, see buildBoucan
	delete(p, "kubo")   // no package has it
	return p
}

// newGround makes the scratch of a contestant for a workload.
func newGround(l *lan, w *workload, p programs, dir string, senders int) (*ground, error) {
	g := &ground{workload: w, programs: p, dir: dir}
	for i := range senders {
		e := &end{host: l.hosts[i+1], dir: filepath.Join(dir, fmt.Sprintf("sender%d", i+1))}
		if err := os.MkdirAll(e.dir, 0o755); err != nil {
			return nil, err
		}
		g.senders = append(g.senders, e)
	}
	g.receiver = &end{host: l.hosts[0], dir: filepath.Join(dir, "receiver")}
	return g, nil
}

// run does one transfer and says what it cost. The files are compared with what
// was sent, outside the time.
func (g *ground) run(ctx context.Context, r rival) (measured, error) {
	if err := errors.Join(os.RemoveAll(g.receiver.dir), os.MkdirAll(g.receiver.dir, 0o755), durable(g.dir)); err != nil {
		return measured{}, err
	}
	m := &meter{receiver: g.receiver, senders: g.senders}
	dir, err := r.pull(ctx, m)
	if err == nil && m.got.Seconds == 0 {
		err = errors.New("nothing was measured")
	}
	if err == nil {
		err = g.check(dir)
	}
	for _, e := range m.ends() {
		err = errors.Join(err, e.stop())
	}
	return m.got, errors.Join(err, os.RemoveAll(g.receiver.dir))
}

// until asks f again every so often until it is true.
func until(ctx context.Context, every time.Duration, f func() (bool, error)) error {
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		ok, err := f()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

// command measures a receiver that is one command after another, after which
// what it wrote is made durable.
func (g *ground) command(ctx context.Context, m *meter, commands ...[]string) error {
	if err := m.begin(); err != nil {
		return err
	}
	for _, c := range commands {
		if err := g.receiver.run(ctx, c...); err != nil {
			return err
		}
	}
	if err := durable(g.receiver.dir); err != nil {
		return err
	}
	return m.finish()
}

// answers waits until a TCP port of the first sender is open.
func (g *ground) answers(ctx context.Context, p *proc, port string) error {
	return until(ctx, 10*time.Millisecond, func() (bool, error) {
		if err := p.alive(); err != nil {
			return false, err
		}
		return p.e.listens(port), nil
	})
}
