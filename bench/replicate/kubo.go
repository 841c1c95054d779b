package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const kuboPort = "4001"

// kubo is an IPFS node at each end: the receiver pins what the senders have
// added, and then writes it out as files.
type kubo struct {
	*ground
	root  string
	peers []string // multiaddresses of the senders
}

func newKubo(g *ground) rival { return &kubo{ground: g} }

func (k *kubo) prepare(ctx context.Context) error {
	for _, e := range k.senders {
		if err := k.init(ctx, e); err != nil {
			return err
		}
		id, err := k.output(ctx, e, "id", "-f", "<id>")
		if err != nil {
			return err
		}
		k.peers = append(k.peers, fmt.Sprintf("/ip4/%s/tcp/%s/p2p/%s", e.addr, kuboPort, id))
		root, err := k.output(ctx, e, "add", "--recursive", "--quieter", "--pin", "--cid-version", "1", "--raw-leaves", "--chunker", "size-1048576",
			filepath.Join(k.workload.dir, load))
		if err != nil {
			return err
		}
		k.root = root
	}
	return nil
}

func (k *kubo) env(e *end) []string {
	return []string{"IPFS_PATH=" + filepath.Join(e.dir, "repo"), "IPFS_TELEMETRY=off"}
}

// init makes a repository that talks to nobody by itself.
func (k *kubo) init(ctx context.Context, e *end) error {
	for _, args := range [][]string{
		{"init"},
		{"bootstrap", "rm", "--all"},
		{"config", "Routing.Type", "none"},
		{"config", "--json", "AutoConf.Enabled", "false"},
		{"config", "--json", "AutoTLS.Enabled", "false"},
		{"config", "--json", "Discovery.MDNS.Enabled", "false"},
		{"config", "--json", "Swarm.DisableNatPortMap", "true"},
		{"config", "--json", "Addresses.Swarm", `["/ip4/0.0.0.0/tcp/` + kuboPort + `"]`},
		{"config", "--json", "DNS.Resolvers", "{}"},
		{"config", "--json", "Routing.DelegatedRouters", "[]"},
		{"config", "--json", "Ipns.DelegatedPublishers", "[]"},
	} {
		if _, err := k.output(ctx, e, args...); err != nil && args[0] != "config" {
			return err // what an older version cannot set, it does not do
		}
	}
	return nil
}

// output runs one command and returns the last line of what it prints.
func (k *kubo) output(ctx context.Context, e *end, args ...string) (string, error) {
	if err := os.Remove(e.dir + ".log"); err != nil && !os.IsNotExist(err) {
		return "", err
	}
	p, err := e.startWith(k.env(e), append([]string{k.programs["kubo"]}, args...)...)
	if err != nil {
		return "", err
	}
	if err := p.wait(ctx); err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimSpace(lastLines(p.log)), "\n")
	return lines[len(lines)-1], nil
}

func (k *kubo) serve(ctx context.Context, e *end) error {
	p, err := e.startWith(k.env(e), k.programs["kubo"], "daemon")
	if err != nil {
		return err
	}
	return until(ctx, 50*time.Millisecond, func() (bool, error) {
		return strings.Contains(lastLines(p.log), "Daemon is ready"), p.alive()
	})
}

func (k *kubo) pull(ctx context.Context, m *meter) (string, error) {
	if err := k.init(ctx, k.receiver); err != nil {
		return "", err
	}
	for _, e := range m.ends() {
		_ = os.Remove(e.dir + ".log")
		if err := k.serve(ctx, e); err != nil {
			return "", err
		}
	}
	to := filepath.Join(k.receiver.dir, load)
	var commands [][]string
	for _, p := range k.peers {
		commands = append(commands, []string{"swarm", "connect", p})
	}
	commands = append(commands, []string{"pin", "add", k.root}, []string{"get", "--output", to, k.root})
	if err := m.begin(); err != nil {
		return "", err
	}
	for _, c := range commands {
		p, err := k.receiver.startWith(k.env(k.receiver), append([]string{k.programs["kubo"]}, c...)...)
		if err != nil {
			return "", err
		}
		if err := p.wait(ctx); err != nil {
			return "", err
		}
	}
	if err := durable(k.receiver.dir); err != nil {
		return "", err
	}
	return to, m.finish()
}
