package webui

import (
	"math"
	"net/http"
	"unicode/utf8"
)

// Limits of the page of boxes.
const (
	// MaxBeyond is the most boxes listed that are known through others alone.
	MaxBeyond = 200
	maxBoxes  = 400 // in the list

	ringNear, ringFar = 6, 10 // places in the picture
	longestLabel      = 11    // characters of a name in it
)

type boxesView struct {
	frame
	Boxes []boxView
	Spots []spot
	More  int // boxes that the list leaves out
	Near  int
}

// boxView is another box, in the list.
type boxView struct {
	Name, State string // State is reach, beyond or away
	Seen        string // empty where it is in reach, or not known
	Files       int
	Size        string // of its files, empty where it is not known
}

// spot is a place in the picture, whose sides are 400.
type spot struct {
	boxView
	Label    string
	X, Y, LY int // centre, and the height of its label
}

// boxesPage answers GET /boxes: the boxes around this one, as a picture and a list.
func (s *Server) boxesPage(w http.ResponseWriter, r *http.Request) {
	lang := s.languages.of(r)
	v := boxesView{frame: s.frame(r, lang)}
	for _, p := range append(s.box.Peers(), s.box.Beyond()...) {
		if len(v.Boxes) == maxBoxes {
			v.More++
			continue
		}
		one := boxView{Name: boxLabel(BoxRef{ID: p.ID, Name: p.Name}), State: "away", Files: p.Files}
		if p.Bytes > 0 {
			one.Size = lang.Size(p.Bytes)
		}
		switch {
		case p.Connected:
			one.State = "reach"
			v.Near++
		case p.Hops > 1:
			one.State = "beyond"
		}
		if !p.Connected && !p.LastSeen.IsZero() {
			one.Seen = lang.Age(p.LastSeen, v.now)
		}
		v.Boxes = append(v.Boxes, one)
	}
	v.Spots = spots(v.Boxes)
	s.writePage(w, r, http.StatusOK, "boxes", v)
}

// spots places the first boxes on two rings: those in reach within, the rest, and
// what the inner has no place for, around them.
func spots(boxes []boxView) []spot {
	var near, far []boxView
	for _, b := range boxes {
		switch {
		case b.State == "reach" && len(near) < ringNear:
			near = append(near, b)
		case len(far) < ringFar:
			far = append(far, b)
		}
	}
	return append(ring(near, 95, 95, 0), ring(far, 148, 168, .3)...)
}

// ring places boxes on an ellipse around the middle, from its top on by the clock,
// turned by a part of the step between two.
func ring(boxes []boxView, rx, ry, turn float64) []spot {
	const middle, below = 200, 31
	var out []spot
	for i, b := range boxes {
		sin, cos := math.Sincos(2 * math.Pi * (float64(i) + turn) / float64(len(boxes)))
		one := spot{boxView: b, Label: isolate + shortLabel(b.Name) + isolateEnd, X: middle + int(math.Round(rx*sin)), Y: middle - 10 - int(math.Round(ry*cos))}
		one.LY = one.Y + below
		out = append(out, one)
	}
	return out
}

// shortLabel cuts a name for the picture; the list has it whole.
func shortLabel(name string) string {
	if utf8.RuneCountInString(name) <= longestLabel {
		return name
	}
	return string([]rune(name)[:longestLabel-1]) + "…"
}
