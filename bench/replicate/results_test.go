package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func some() results {
	w := workload{Name: "medium", Files: 10, Size: 100_000}
	var rs results
	for _, s := range []float64{4, 1, 2} {
		rs = append(rs, result{Contestant: boucanName, Workload: w, Peers: 1, measured: measured{
			Seconds: s, CPU: 2 * s, Sender: 30e6, Receiver: 40e6, Wire: 1_030_000,
		}})
	}
	return append(rs, result{Contestant: "a < b & c", Workload: w, Peers: 1, measured: measured{Seconds: 10, CPU: 1, Wire: 1e6}})
}

func TestRowsAreMedians(t *testing.T) {
	x := some().races()[0]
	got := strings.Join(x.row(x.lanes[0]), "|")
	if want := "boucan|5|3 – 10|4.00|4000.0|30 / 40|3.00 %, 3000 B a file"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n := len(x.lanes); n != 2 {
		t.Errorf("%d lanes, want one for each contestant", n)
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	for d := xml.NewDecoder(strings.NewReader(some().plot())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestResultsAreKept(t *testing.T) {
	o := options{save: filepath.Join(t.TempDir(), "saved")}
	for _, r := range some() {
		if err := o.keep(r); err != nil {
			t.Fatal(err)
		}
	}
	rs, err := readResults(o.save)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rs.text(), some().text(); got != want {
		t.Errorf("read back:\n%s\nwant:\n%s", got, want)
	}
}

func TestFiguresAreReplacedAndNothingElse(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	text := "before\n" + figuresBegin + "old\n" + figuresEnd + "after\n"
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := some().putInto(page); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + figuresBegin + some().markdown() + "\n" + figuresEnd + "after\n"; string(got) != want {
		t.Errorf("page:\n%s\nwant:\n%s", got, want)
	}
	if err := os.WriteFile(page, []byte("no place\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := some().putInto(page); err == nil {
		t.Error("a page without a place for figures was written to")
	}
}
