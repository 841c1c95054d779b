package main

import (
	"fmt"
	"html"
	"strings"
)

// Sizes of the plot, in pixels.
const (
	plotName  = 230 // room for the names
	plotBar   = 300 // the longest bar
	plotValue = 70  // room for a figure behind it
	plotRow   = 20
	plotHead  = 58
	plotGap   = 18
	plotWidth = plotName + 2*(plotBar+plotValue) + 20
)

// plot draws throughput and CPU time of each race as bars, in SVG. Each race has
// scales of its own; a line across a bar shows the least and the most.
func (rs results) plot() string {
	var b strings.Builder
	y := plotGap
	for _, x := range rs.races() {
		y = x.draw(&b, y)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">
<title>Throughput and CPU time</title>
<rect width="100%%" height="100%%" fill="#fff"/>
%s</svg>
`, plotWidth, y, b.String())
}

// draw draws one race from y on and returns where the next begins.
func (x *race) draw(b *strings.Builder, y int) int {
	better := " (longer is better)"
	if x.kind != transfer {
		better = " (shorter is better)"
	}
	panels := []struct {
		title string
		value func(result) float64
		write func(float64) string
	}{
		{x.unit() + better, x.rate, x.write},
		{"CPU-seconds in all (shorter is better)", func(r result) float64 { return r.CPU }, func(v float64) string { return fmt.Sprintf("%.2f", v) }},
	}
	fmt.Fprintf(b, "<text x=\"10\" y=\"%d\" font-size=\"15\" font-weight=\"bold\">%s</text>\n", y+16, html.EscapeString(x.String()))
	for i, l := range x.lanes {
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\"%s>%s</text>\n", plotName-8, y+plotHead+i*plotRow+13, weight(l), html.EscapeString(l.name))
	}
	for p, panel := range panels {
		left := plotName + p*(plotBar+plotValue)
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" fill=\"#555\">%s</text>\n", left, y+plotHead-8, html.EscapeString(panel.title))
		longest := 0.0
		for _, l := range x.lanes {
			_, _, most := l.over(panel.value)
			longest = max(longest, most)
		}
		scale := plotBar / max(longest, 1e-9)
		for i, l := range x.lanes {
			median, least, most := l.over(panel.value)
			top := y + plotHead + i*plotRow
			fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", left, top, median*scale, plotRow-5, colour(l))
			fmt.Fprintf(b, "<path d=\"M%.1f %dH%.1f\" stroke=\"#000\"/>\n", float64(left)+least*scale, top+(plotRow-5)/2, float64(left)+most*scale)
			fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\"%s>%s</text>\n", float64(left)+most*scale+5, top+12, weight(l), panel.write(median))
		}
	}
	return y + plotHead + len(x.lanes)*plotRow + plotGap
}

func colour(l lane) string {
	switch {
	case l.name == boucanName:
		return "#c2410c"
	case strings.HasPrefix(l.name, "limit"):
		return "#94a3b8"
	}
	return "#4f7cac"
}

func weight(l lane) string {
	if l.name == boucanName {
		return ` font-weight="bold"`
	}
	return ""
}
