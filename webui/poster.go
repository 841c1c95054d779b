package webui

import (
	"html/template"
	"net/http"
	"strings"
)

type posterView struct {
	frame
	WiFi, Address  string
	WiFiQR, PageQR template.HTML
}

// posterPage answers GET /poster: a sheet to print that says how to come in.
func (s *Server) posterPage(w http.ResponseWriter, r *http.Request) {
	lang := s.languages.of(r)
	address := s.origin(r)
	v := posterView{
		frame: s.frame(r, lang), WiFi: s.about.WiFi, Address: address,
		PageQR: qrSVG(address+"/", lang.T("poster.qr.page")),
	}
	if v.WiFi != "" {
		v.WiFiQR = qrSVG(joinCode(v.WiFi), lang.T("poster.qr.wifi"))
	}
	s.writePage(w, r, http.StatusOK, "poster", v)
}

// joinCode is what phones read to join an open network: the WIFI: scheme of the
// ZXing project ("Barcode Contents"), with its five special characters escaped.
func joinCode(ssid string) string {
	return "WIFI:T:nopass;S:" + strings.NewReplacer(`\`, `\\`, `;`, `\;`, `,`, `\,`, `:`, `\:`, `"`, `\"`).Replace(ssid) + ";;"
}
