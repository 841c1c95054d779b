package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	rsyncPort = "8730"
	sshPort   = "8022"
)

// rsyncDaemon copies from an rsync daemon: neither encrypted nor verified
// against a hash that a third party could check.
type rsyncDaemon struct{ *ground }

func newRsyncDaemon(g *ground) rival { return rsyncDaemon{g} }

func (r rsyncDaemon) prepare(context.Context) error {
	s := r.senders[0]
	conf := fmt.Sprintf("port = %s\nuse chroot = no\nuid = root\ngid = root\npid file = %s\n[files]\npath = %s\nread only = yes\n",
		rsyncPort, filepath.Join(s.dir, "pid"), r.workload.dir)
	return os.WriteFile(filepath.Join(s.dir, "rsyncd.conf"), []byte(conf), 0o600)
}

func (r rsyncDaemon) pull(ctx context.Context, m *meter) (string, error) {
	s := r.senders[0]
	p, err := s.start(r.programs["rsync"], "--daemon", "--no-detach", "--config", filepath.Join(s.dir, "rsyncd.conf"))
	if err != nil {
		return "", err
	}
	if err := r.answers(ctx, p, rsyncPort); err != nil {
		return "", err
	}
	from := fmt.Sprintf("rsync://%s:%s/files/%s", s.addr, rsyncPort, load)
	return filepath.Join(r.receiver.dir, load),
		r.command(ctx, m, []string{r.programs["rsync"], "--archive", "--whole-file", from, r.receiver.dir + "/"})
}

// rsyncSSH copies through ssh with a cipher for which the processor has
// instructions.
type rsyncSSH struct{ *ground }

func newRsyncSSH(g *ground) rival { return rsyncSSH{g} }

func (r rsyncSSH) prepare(ctx context.Context) error {
	s := r.senders[0]
	for _, key := range []string{"host", "user"} {
		if err := s.run(ctx, r.programs["ssh-keygen"], "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.dir, key)); err != nil {
			return err
		}
	}
	conf := fmt.Sprintf("Port %s\nListenAddress 0.0.0.0\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\nUsePAM no\n"+
		"PermitRootLogin yes\nPasswordAuthentication no\nLogLevel ERROR\nCiphers aes128-gcm@openssh.com\n",
		sshPort, filepath.Join(s.dir, "host"), filepath.Join(s.dir, "user.pub"))
	// sshd gives up its rights in this folder, which the service's start makes.
	return errors.Join(os.MkdirAll("/run/sshd", 0o755), os.WriteFile(filepath.Join(s.dir, "sshd.conf"), []byte(conf), 0o600))
}

func (r rsyncSSH) pull(ctx context.Context, m *meter) (string, error) {
	s := r.senders[0]
	p, err := s.start(r.programs["sshd"], "-D", "-e", "-f", filepath.Join(s.dir, "sshd.conf"))
	if err != nil {
		return "", err
	}
	if err := r.answers(ctx, p, sshPort); err != nil {
		return "", err
	}
	ssh := fmt.Sprintf("%s -p %s -i %s -c aes128-gcm@openssh.com -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -F none",
		r.programs["ssh"], sshPort, filepath.Join(s.dir, "user"))
	from := fmt.Sprintf("root@%s:%s", s.addr, filepath.Join(r.workload.dir, load))
	return filepath.Join(r.receiver.dir, load),
		r.command(ctx, m, []string{r.programs["rsync"], "--archive", "--whole-file", "--rsh", ssh, from, r.receiver.dir + "/"})
}
