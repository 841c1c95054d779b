package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	syncthingPort = "22000"
	// syncthingLook is how often it is asked how far it is.
	syncthingLook = 20 * time.Millisecond
)

// syncthing is a Syncthing at each end, with its defaults but for what would look
// for others, upgrade or report, and for what would make it polite to others on
// the same machine.
type syncthing struct {
	*ground
	ids map[*end]string // devices, by end; the receiver is nil
}

func newSyncthing(g *ground) rival { return &syncthing{ground: g, ids: make(map[*end]string)} }

// prepare has the first sender hash the files and the others fetch them from it.
func (s *syncthing) prepare(ctx context.Context) error {
	for _, e := range s.senders {
		if err := s.generate(ctx, e, filepath.Join(e.dir, "home"), e); err != nil {
			return err
		}
	}
	// The receiver keeps its key from run to run, and nothing else.
	if err := s.generate(ctx, s.senders[0], filepath.Join(s.dir, "receiver-home"), nil); err != nil {
		return err
	}
	if err := s.link(filepath.Join(s.senders[0].dir, load)); err != nil {
		return err
	}
	for _, e := range s.senders {
		if err := s.configure(e, filepath.Join(e.dir, "home"), e); err != nil {
			return err
		}
		if err := s.start(ctx, e); err != nil {
			return err
		}
		defer e.stop()
	}
	for _, e := range s.senders {
		if err := s.whole(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// generate makes keys in home and notes whose device they are.
func (s *syncthing) generate(ctx context.Context, on *end, home string, whose *end) error {
	if err := on.run(ctx, s.programs["syncthing"], "generate", "--home="+home); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(home, "config.xml"))
	if err != nil {
		return err
	}
	var config struct {
		Device []struct {
			ID string `xml:"id,attr"`
		} `xml:"device"`
	}
	if err := xml.Unmarshal(text, &config); err != nil || len(config.Device) == 0 {
		return fmt.Errorf("syncthing's config names no device: %w", err)
	}
	s.ids[whose] = config.Device[0].ID
	return nil
}

// configure writes the settings of the end's device. Each knows all others.
func (s *syncthing) configure(e *end, home string, whose *end) error {
	var devices, members strings.Builder
	for o, id := range s.ids {
		address := "dynamic" // the receiver calls
		if o != nil {
			address = "tcp://" + net.JoinHostPort(o.addr.String(), syncthingPort)
		}
		fmt.Fprintf(&devices, "<device id=%q name=\"d\" compression=\"metadata\"><address>%s</address></device>\n", id, address)
		fmt.Fprintf(&members, "<device id=%q></device>", id)
	}
	if err := os.MkdirAll(filepath.Join(e.dir, load, ".stfolder"), 0o755); err != nil {
		return err
	}
	config := fmt.Sprintf(`<configuration version="36">
<folder id="load" label="load" path="%s" type="sendreceive" rescanIntervalS="0" fsWatcherEnabled="false" ignorePerms="true">
<filesystemType>basic</filesystemType>%s</folder>
%s<gui enabled="true" tls="false"><address>%s</address><apikey>bench</apikey></gui>
<options><listenAddress>tcp://0.0.0.0:%s</listenAddress><globalAnnounceEnabled>false</globalAnnounceEnabled>
<localAnnounceEnabled>false</localAnnounceEnabled><relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled>
<startBrowser>false</startBrowser><urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH>
<crashReportingEnabled>false</crashReportingEnabled><setLowPriority>false</setLowPriority><reconnectionIntervalS>5</reconnectionIntervalS></options>
</configuration>
`, filepath.Join(e.dir, load), members.String(), devices.String(), s.socket(e), syncthingPort)
	return os.WriteFile(filepath.Join(home, "config.xml"), []byte(config), 0o600)
}

func (s *syncthing) socket(e *end) string { return filepath.Join(e.dir, "gui") }

// start runs an end's Syncthing until it answers.
func (s *syncthing) start(ctx context.Context, e *end) error {
	_ = os.Remove(s.socket(e)) // of an earlier run
	p, err := e.startWith([]string{"STNOUPGRADE=1"}, s.programs["syncthing"], "serve", "--home="+filepath.Join(e.dir, "home"), "--no-browser", "--no-restart")
	if err != nil {
		return err
	}
	return until(ctx, syncthingLook, func() (bool, error) {
		var any struct{}
		return s.ask(ctx, e, "system/ping", &any) == nil, p.alive()
	})
}

// ask asks its REST interface, on a Unix socket since the namespace is another.
func (s *syncthing) ask(ctx context.Context, e *end, what string, into any) error {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.socket(e))
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/rest/"+what, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", "bench")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// whole waits until an end has all files and is done with them.
func (s *syncthing) whole(ctx context.Context, e *end) error {
	return until(ctx, syncthingLook, func() (bool, error) {
		var st struct {
			State      string
			LocalFiles int
			NeedFiles  int
			NeedBytes  int64
		}
		if err := s.ask(ctx, e, "db/status?folder=load", &st); err != nil {
			return false, err
		}
		return st.State == "idle" && st.LocalFiles == s.Files && st.NeedFiles == 0 && st.NeedBytes == 0, nil
	})
}

// pull begins when the receiver is connected with the first of the senders.
func (s *syncthing) pull(ctx context.Context, m *meter) (string, error) {
	for _, e := range s.senders {
		if err := s.start(ctx, e); err != nil {
			return "", err
		}
	}
	for _, e := range s.senders {
		if err := s.whole(ctx, e); err != nil {
			return "", err
		}
	}
	e := s.receiver
	home := filepath.Join(e.dir, "home")
	if err := os.CopyFS(home, os.DirFS(filepath.Join(s.dir, "receiver-home"))); err != nil {
		return "", err
	}
	if err := s.configure(e, home, nil); err != nil {
		return "", err
	}
	if err := s.start(ctx, e); err != nil {
		return "", err
	}
	err := until(ctx, syncthingLook/4, func() (bool, error) {
		var all struct {
			Connections map[string]struct{ Connected bool }
		}
		if err := s.ask(ctx, e, "system/connections", &all); err != nil {
			return false, err
		}
		for _, c := range all.Connections {
			if c.Connected {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return "", err
	}
	if err := m.begin(); err != nil {
		return "", err
	}
	if err := s.whole(ctx, e); err != nil {
		return "", err
	}
	return filepath.Join(e.dir, load), m.finish()
}
