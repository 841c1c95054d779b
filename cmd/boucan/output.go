package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"boucan/record"
)

// oneLine is what may be printed of a text that strangers wrote: without control
// characters, by which it could take over the terminal. Records cannot hold any,
// and are not trusted with it.
func oneLine(s string) string { return record.CleanLine(s, len(s)) }

// lines is oneLine for several lines, indented but for the first.
func lines(s, indent string) string {
	return strings.ReplaceAll(record.CleanText(s, len(s)), "\n", "\n"+indent)
}

func printJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// bytesText writes a size for people, in binary units.
func bytesText(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1024, 0
	for v >= 1023.95 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[u])
}

// ageText writes a span of time for people, in its largest unit.
func ageText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d/time.Second), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d/time.Hour))
	}
	return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
}

func filesText(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

// progress draws a bar on a terminal; elsewhere it is silent. total is in bytes,
// -1 where it is not known.
func (s *session) progress(total int64, what string) *progressbar.ProgressBar {
	if total == 0 {
		total = -1 // the bar takes 0 for done before it begins
	}
	visible := term.IsTerminal(int(os.Stderr.Fd()))
	return progressbar.NewOptions64(total, progressbar.OptionSetWriter(s.errOut),
		progressbar.OptionSetVisibility(visible), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true), progressbar.OptionSetWidth(20), progressbar.OptionUseIECUnits(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

// say prints a line above the bar.
func (s *session) say(bar *progressbar.ProgressBar, format string, args ...any) {
	_ = bar.Clear()
	fmt.Fprintf(s.errOut, format+"\n", args...)
}

// plain drops what a path error repeats, so that the line reads well.
func plain(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
