package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// result is one transfer, or one start.
type result struct {
	Kind       kind
	Contestant string
	Workload   workload
	Peers      int // it was pulled from; 0 for a start
	measured
}

// kind is what was measured.
type kind string

const (
	transfer kind = ""
	index    kind = "index"   // files lie there, and the program starts for the first time
	restart  kind = "restart" // it starts again
)

// results are those of one or several calls of this program.
type results []result

func readResults(path string) (rs results, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // was only read
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var r result
		switch err := d.Decode(&r); {
		case errors.Is(err, io.EOF):
			return rs, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		rs = append(rs, r)
	}
}

// race is one workload from so many peers, as all contestants did it.
type race struct {
	workload
	kind  kind
	peers int
	lanes []lane
}

// lane is what one contestant did in a race.
type lane struct {
	name string
	runs []result
}

// races groups the results, in the order in which they came first.
func (rs results) races() []race {
	var all []race
	for _, r := range rs {
		i := slices.IndexFunc(all, func(x race) bool {
			return x.Name == r.Workload.Name && x.Size == r.Workload.Size && x.Files == r.Workload.Files && x.peers == r.Peers && x.kind == r.Kind
		})
		if i < 0 {
			i = len(all)
			all = append(all, race{workload: r.Workload, kind: r.Kind, peers: r.Peers})
		}
		x := &all[i]
		j := slices.IndexFunc(x.lanes, func(l lane) bool { return l.name == r.Contestant })
		if j < 0 {
			j = len(x.lanes)
			x.lanes = append(x.lanes, lane{name: r.Contestant})
		}
		x.lanes[j].runs = append(x.lanes[j].runs, r)
	}
	return all
}

func (x *race) String() string {
	switch x.kind {
	case index:
		return x.workload.String() + ", from the start of the program until all is hashed, durable and listed"
	case restart:
		return x.workload.String() + ", from another start until all is listed"
	}
	from := "from one machine"
	if x.peers > 1 {
		from = fmt.Sprintf("from %d machines at once", x.peers)
	}
	return x.workload.String() + ", " + from
}

// over is the median of what f tells of the runs, and the least and the most.
func (l lane) over(f func(result) float64) (median, least, most float64) {
	var all []float64
	for _, r := range l.runs {
		all = append(all, f(r))
	}
	slices.Sort(all)
	n := len(all)
	return (all[n/2] + all[(n-1)/2]) / 2, all[0], all[n-1]
}

// rate is throughput: MB/s of one large file, files/s of many.
func (x *race) rate(r result) float64 {
	if x.kind != transfer {
		return r.Seconds
	}
	if x.Files == 1 {
		return x.bytes() / 1e6 / r.Seconds
	}
	return float64(x.Files) / r.Seconds
}

func (x *race) unit() string {
	switch {
	case x.kind != transfer:
		return "s"
	case x.Files == 1:
		return "MB/s"
	}
	return "files/s"
}

// write writes what rate tells.
func (x *race) write(v float64) string {
	if x.kind != transfer {
		return fmt.Sprintf("%.2f", v)
	}
	return thousands(int(v + 0.5))
}

// overhead is what the wire carried beside the payload, in percent of it and in
// bytes a file.
func (x *race) overhead(r result) (percent, perFile float64) {
	more := r.Wire - x.bytes()
	return 100 * more / x.bytes(), more / float64(x.Files)
}

// columns are the table's heads.
func (x *race) columns() []string {
	if x.kind != transfer {
		return []string{"", x.unit(), "least – most", "CPU-s", "peak MB"}
	}
	return []string{"", x.unit(), "least – most", "CPU-s", "CPU-s/GB", "peak MB, sender / receiver", "wire beside the payload"}
}

// row is one contestant's figures.
func (x *race) row(l lane) []string {
	rate, least, most := l.over(x.rate)
	cpu, _, _ := l.over(func(r result) float64 { return r.CPU })
	sender, _, _ := l.over(func(r result) float64 { return r.Sender / 1e6 })
	receiver, _, _ := l.over(func(r result) float64 { return r.Receiver / 1e6 })
	if x.kind != transfer {
		return []string{l.name, x.write(rate), x.write(least) + " – " + x.write(most), fmt.Sprintf("%.2f", cpu), fmt.Sprintf("%.0f", receiver)}
	}
	percent, _, _ := l.over(func(r result) float64 { p, _ := x.overhead(r); return p })
	wire := fmt.Sprintf("%.2f %%", percent)
	if x.Files > 1 {
		perFile, _, _ := l.over(func(r result) float64 { _, n := x.overhead(r); return n })
		wire += fmt.Sprintf(", %.0f B a file", perFile)
	}
	return []string{
		l.name, x.write(rate), x.write(least) + " – " + x.write(most),
		fmt.Sprintf("%.2f", cpu), fmt.Sprintf("%.1f", cpu/(x.bytes()/1e9)),
		fmt.Sprintf("%.0f / %.0f", sender, receiver), wire,
	}
}

// runs is how often each contestant ran: the least and the most.
func (x *race) runs() string {
	least, most := len(x.lanes[0].runs), 0
	for _, l := range x.lanes {
		least, most = min(least, len(l.runs)), max(most, len(l.runs))
	}
	if least == most {
		return fmt.Sprintf("medians of %d", most)
	}
	return fmt.Sprintf("medians of %d to %d", least, most)
}

// text is the tables for a terminal.
func (rs results) text() string {
	var b strings.Builder
	for _, x := range rs.races() {
		fmt.Fprintf(&b, "\n%s (%s)\n", &x, x.runs())
		tab := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		fmt.Fprintln(tab, strings.Join(x.columns(), "\t"))
		for _, l := range x.lanes {
			fmt.Fprintln(tab, strings.Join(x.row(l), "\t"))
		}
		tab.Flush() // into memory
	}
	return b.String()
}

// markdown is the tables for a page.
func (rs results) markdown() string {
	var b strings.Builder
	for _, x := range rs.races() {
		fmt.Fprintf(&b, "\n**%s** (%s)\n\n", &x, x.runs())
		head := x.columns()
		fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
		for _, l := range x.lanes {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(x.row(l), " | "))
		}
	}
	return b.String()
}

// The lines between which putInto writes.
const (
	figuresBegin = "<!-- figures -->\n"
	figuresEnd   = "<!-- end of figures -->\n"
)

// putInto replaces the figures of a page.
func (rs results) putInto(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(page, []byte(figuresBegin))
	_, after, ok2 := bytes.Cut(rest, []byte(figuresEnd))
	if !ok || !ok2 {
		return fmt.Errorf("%s lacks the lines %q and %q", path, strings.TrimSpace(figuresBegin), strings.TrimSpace(figuresEnd))
	}
	text := string(before) + figuresBegin + rs.markdown() + "\n" + figuresEnd + string(after)
	return os.WriteFile(path, []byte(text), 0o644)
}
