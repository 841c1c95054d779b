package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const webPort = "8081"

// web is plain HTTP from nginx by one curl, and then a look at the sums, which
// somebody would have to bring by another way.
type web struct{ *ground }

func newWeb(g *ground) rival { return web{g} }

func (r web) prepare(context.Context) error {
	s := r.senders[0]
	conf := fmt.Sprintf(`daemon off; master_process off; worker_processes 1; pid %[1]s/nginx.pid; error_log stderr;
events { worker_connections 64; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  server { listen %[2]s; root %[3]s; }
}
`, s.dir, webPort, r.workload.dir)
	var list, sums strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.sums)) {
		fmt.Fprintf(&list, "url = \"http://%s:%s/%s/%s\"\noutput = \"%s/%s\"\n", s.addr, webPort, load, name, load, name)
		fmt.Fprintf(&sums, "%x  %s/%s\n", r.sums[name], load, name)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(s.dir, "nginx.conf"), []byte(conf), 0o600),
		os.WriteFile(filepath.Join(r.dir, "urls"), []byte(list.String()), 0o600),
		os.WriteFile(filepath.Join(r.dir, "sums"), []byte(sums.String()), 0o600))
}

func (r web) pull(ctx context.Context, m *meter) (string, error) {
	s := r.senders[0]
	p, err := s.start(r.programs["nginx"], "-e", "stderr", "-c", filepath.Join(s.dir, "nginx.conf"))
	if err != nil {
		return "", err
	}
	if err := r.answers(ctx, p, webPort); err != nil {
		return "", err
	}
	return filepath.Join(r.receiver.dir, load), r.command(ctx, m,
		[]string{r.programs["curl"], "--silent", "--show-error", "--fail", "--create-dirs", "--config", filepath.Join(r.dir, "urls")},
		[]string{r.programs["sha256sum"], "--check", "--quiet", filepath.Join(r.dir, "sums")})
}
