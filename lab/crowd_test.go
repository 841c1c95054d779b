//go:build lab

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestThirtyBoxesOnOneLink: all know of all, each keeps connections with some, and
// what one says reaches all. The figures stand in docs/scale.md.
func TestThirtyBoxesOnOneLink(t *testing.T) {
	const many = 30
	lan := NewLan(t, "crowd", many, Both)
	var boxes []*Box
	for i, h := range lan.Hosts {
		b := NewBox(t, h, fmt.Sprintf("box%02d", i))
		b.Args = []string{"--profile", "router"}
		b.Launch()
		boxes = append(boxes, b)
	}
	began := time.Now()
	for _, b := range boxes {
		b.WaitForPage()
	}
	for _, b := range boxes {
		eventually(t, time.Minute, "box "+b.Name+" knows of all", func() error {
			near, _, err := b.crowd()
			if err == nil && near != many-1 {
				err = fmt.Errorf("%d are near", near)
			}
			return err
		})
	}
	t.Logf("all knew of all %v after the last start", time.Since(began).Round(100*time.Millisecond))
	settle := time.After(40 * time.Second) // connections that are too many go

	name := "note.txt"
	if err := os.WriteFile(filepath.Join(boxes[0].FilesDir(), name), []byte("from the first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	boxes[many-1].MustCLI("chat", "hello from the last")
	began = time.Now()
	for _, b := range boxes {
		eventually(t, time.Minute, "all reaches "+b.Name, func() error {
			if err := b.Heard("hello from the last"); err != nil {
				return err
			}
			return b.Has(name)
		})
	}
	t.Logf("a file of one and a message of another were seen on all %v later", time.Since(began).Round(100*time.Millisecond))

	<-settle
	const quiet = 20 * time.Second
	before := make([]int64, many)
	for i, b := range boxes {
		before[i] = b.Sent()
	}
	<-time.After(quiet)
	var sent, resident, connections []int64
	for i, b := range boxes {
		sent = append(sent, (b.Sent()-before[i])*int64(time.Hour/quiet))
		near, connected, err := b.crowd()
		if err != nil {
			t.Fatal(err)
		}
		all, _ := b.Resident()
		resident, connections = append(resident, all), append(connections, int64(connected))
		if near != many-1 || connected < 8 || connected > 25 {
			t.Errorf("box %s is connected with %d of %d near", b.Name, connected, near)
		}
	}
	say := func(what string, unit float64, figures []int64) {
		slices.Sort(figures)
		t.Logf("%s: least %.1f, median %.1f, most %.1f", what, float64(figures[0])/unit, float64(figures[many/2])/unit, float64(figures[many-1])/unit)
	}
	say("connections of a box", 1, connections)
	say("MB an hour that a box sends while nothing is new, all headers and multicast counted", 1e6, sent)
	say("MB of memory", 1e6, resident)
}

// crowd is how many boxes this one holds to be near, and with how many it is connected.
func (b *Box) crowd() (near, connected int, err error) {
	all, err := jsonLines[Met](b.CLI("peers", "--json"))
	for _, m := range all {
		if m.Near {
			near++
		}
		if m.Connected {
			connected++
		}
	}
	return near, connected, err
}
