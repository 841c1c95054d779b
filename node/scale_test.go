//go:build !race

package node

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// scaleDocs is where the figures of large crowds go, which take a minute:
//
//	go test ./node -run Housekeeping -count 1 -v -scale ../docs
var scaleDocs = flag.String("scale", "", "`folder` whose scale.md and scale.svg are given the figures of up to 200 nodes")

// measured is what one crowd was seen to do. Bytes and writes are those of one node,
// sent, on average.
type measured struct {
	nodes        int
	met          time.Duration // until all hold what each brought along
	metBytes     int64
	said         time.Duration // until all hold one message more
	saidBytes    int64         // until half a minute later
	saidWrites   int64
	idleBytes    int64 // an hour, while nothing is new
	idleWrites   int64
	idleDials    float64
	fewest, most int     // connections of one node
	connections  float64 // on average
}

// brought is how many records there are when a crowd meets, of all its nodes together.
const brought = 200

func measure(t *testing.T, nodes int, quiet time.Duration) (m measured) {
	m.nodes = nodes
	inCrowd(t, nodes, func(c *crowd) {
		each := func(n int64) int64 { return n / int64(nodes) }
		for i, n := range c.nodes {
			if share := brought*(i+1)/nodes - brought*i/nodes; share > 0 {
				n.publish(share)
			}
		}
		before := c.traffic()
		c.meet(c.nodes, c.nodes)
		m.met = c.untilAll(brought)
		m.metBytes = each(c.traffic().since(before).bytes())
		time.Sleep(settled)

		before = c.traffic()
		c.nodes[0].publish(1)
		m.said = c.untilAll(brought + 1)
		time.Sleep(30*time.Second - m.said)
		spent := c.traffic().since(before)
		m.saidBytes, m.saidWrites = each(spent.bytes()), each(spent.writes)

		before = c.traffic()
		time.Sleep(quiet)
		spent = c.traffic().since(before)
		hour := func(n int64) float64 { return float64(n) / float64(nodes) * float64(time.Hour) / float64(quiet) }
		m.idleBytes, m.idleWrites, m.idleDials = int64(hour(spent.bytes())), int64(hour(spent.writes)), hour(spent.dials)
		var all []int
		for _, n := range c.nodes {
			all = append(all, n.peers.connected())
			m.connections += float64(all[len(all)-1]) / float64(nodes)
		}
		m.fewest, m.most = slices.Min(all), slices.Max(all)
	})
	return m
}

// TestHousekeepingDoesNotGrow: what a node sends while nothing is new, and what one
// message costs it, follows the number of its connections, and that is bounded.
func TestHousekeepingDoesNotGrow(t *testing.T) {
	sizes, quiet := []int{2, growFrom, growTo}, 10*time.Minute
	if *scaleDocs != "" {
		sizes = []int{2, 5, 10, 30, 100, 200}
	}
	var all []measured
	for _, n := range sizes {
		began := time.Now()
		m := measure(t, n, quiet)
		all = append(all, m)
		t.Logf("%d nodes, in %v: %+v", n, time.Since(began).Round(time.Millisecond), m)
		if m.met > 10*time.Second || m.said > 2*time.Second {
			t.Errorf("%d nodes met in %v, a message took %v", m.nodes, m.met, m.said)
		}
		if m.connections > allNear+1 {
			t.Errorf("%.1f connections a node among %d", m.connections, m.nodes)
		}
	}
	some, most := all[len(all)-2], all[len(all)-1]
	if *scaleDocs != "" {
		some = all[len(all)-3]
	}
	if few := all[0]; few.idleBytes == 0 || few.connections != 1 {
		t.Errorf("two nodes: %+v", few)
	}
	if most.idleBytes > some.idleBytes*5/4 {
		t.Errorf("an idle hour costs %d bytes among %d, %d among %d", most.idleBytes, most.nodes, some.idleBytes, some.nodes)
	}
	if most.saidBytes > some.saidBytes*3/2 {
		t.Errorf("a message costs %d bytes among %d, %d among %d", most.saidBytes, most.nodes, some.saidBytes, some.nodes)
	}
	if *scaleDocs != "" && !t.Failed() {
		writeScale(t, *scaleDocs, all)
	}
}

// writeScale puts the figures into the page, and draws them.
func writeScale(t *testing.T, docs string, all []measured) {
	const from, to = "<!-- figures -->\n", "<!-- end of figures -->\n"
	page := filepath.Join(docs, "scale.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), from)
	_, tail, ended := strings.Cut(rest, to)
	if !ok || !ended {
		t.Fatalf("%s has no place for figures", page)
	}
	var table strings.Builder
	table.WriteString("| nodes | connections of one | all meet: s | KB | a message: ms | KB | writes | idle hour: KB | writes | new connections |\n|---|---|---|---|---|---|---|---|---|---|\n")
	kb := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1000) }
	for _, m := range all {
		fmt.Fprintf(&table, "| %d | %.1f (%d to %d) | %.2f | %s | %d | %s | %d | %s | %d | %.1f |\n", m.nodes, m.connections, m.fewest, m.most,
			m.met.Seconds(), kb(m.metBytes), m.said.Milliseconds(), kb(m.saidBytes), m.saidWrites, kb(m.idleBytes), m.idleWrites, m.idleDials)
	}
	if err := os.WriteFile(page, []byte(head+from+table.String()+to+tail), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(docs, "scale.svg"), []byte(drawScale(all)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// drawScale is a picture of the figures: three curves over the number of nodes, each
// to its own scale from 0.
func drawScale(all []measured) string {
	const width, height, left, top, gap = 760, 170, 70, 30, 60
	curves := []struct {
		name string
		of   func(measured) float64
	}{
		{"KB that a node sends in an hour while nothing is new", func(m measured) float64 { return float64(m.idleBytes) / 1000 }},
		{"KB that one message costs a node", func(m measured) float64 { return float64(m.saidBytes) / 1000 }},
		{"seconds until all hold what 200 records brought by all are", func(m measured) float64 { return m.met.Seconds() }},
	}
	var b strings.Builder
	total := len(curves) * (height + gap)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, total+top)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, total+top)
	last := float64(all[len(all)-1].nodes)
	for i, c := range curves {
		base := top + i*(height+gap) + height
		high := 0.0
		for _, m := range all {
			high = max(high, c.of(m))
		}
		high *= 1.15
		x := func(m measured) float64 { return left + float64(m.nodes)/last*(width-left-40) }
		y := func(m measured) float64 { return float64(base) - c.of(m)/high*float64(height-20) }
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", left, base-height+4, c.name)
		fmt.Fprintf(&b, `<path d="M%d %dV%dH%d" fill="none" stroke="#999"/>`+"\n", left, base-height+12, base, width-20)
		var line []string
		for _, m := range all {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x(m), y(m)))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="#b3541e" stroke-width="2"/>`+"\n", strings.Join(line, " "))
		for _, m := range all {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="#b3541e"/><text x="%.1f" y="%.1f" font-size="11">%.3g</text>`+"\n", x(m), y(m), x(m)+5, y(m)-6, c.of(m))
			if m.nodes >= 30 || m.nodes == all[0].nodes {
				fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="11" text-anchor="middle" fill="#555">%d</text>`+"\n", x(m), base+15, m.nodes)
			}
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="11" fill="#555">nodes</text>`+"\n", width-60, base+30)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
