package webui

import (
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strings"

	"rsc.io/qr"
)

// maxQR is the longest text that becomes a QR code, in bytes: beyond it the code is
// too fine for phones to read off a screen.
const maxQR = 400

// qrSVG draws text as a QR code, black on white in any colour scheme, with the
// margin of four modules that ISO/IEC 18004 asks for. It is empty where the text
// is too long. label names the picture for those who do not see it.
func qrSVG(text, label string) template.HTML {
	if len(text) > maxQR {
		return ""
	}
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return ""
	}
	const margin = 4
	size := code.Size + 2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="qr" role="img" aria-label="%s" viewBox="0 0 %d %d" shape-rendering="crispEdges" focusable="false"><path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="`,
		template.HTMLEscapeString(label), size, size, size, size)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+margin, y+margin, x-from, x-from)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String())
}

// origin is where others find this box, without a closing slash: where this visitor
// found it, unless that means the visitor's own machine.
func (s *Server) origin(r *http.Request) string {
	host := hostOf(r.Host)
	ip := net.ParseIP(host)
	own := strings.TrimSuffix(s.box.Self().URL, "/")
	if own != "" && (!plainHost(r.Host) || host == "localhost" || ip != nil && ip.IsLoopback()) {
		return own
	}
	return "http://" + r.Host
}
