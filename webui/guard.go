package webui

import (
	"errors"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// Deadlines. An ordinary request has requestTime for its body and answerTime
// for its answer. A drop or a download has no end of its own: each stepTime must
// move at least stepBytes, about 4 KB/s, or the connection is given up.
const (
	requestTime = 30 * time.Second
	answerTime  = 2 * time.Minute
	stepTime    = time.Minute
	stepBytes   = 256 << 10
	// saveTime is how long a drop that has arrived may take to be safe: a slow
	// stick has much to write down.
	saveTime = 10 * time.Minute
)

// guard is what every request passes, outermost first: headers, deadlines, the
// box's own hosts, no writes from other sites' pages.
func (s *Server) guard(next http.Handler) http.Handler {
	// Browsers on plain HTTP send no Sec-Fetch-Site, so this compares Origin
	// with Host. It needs the Referrer-Policy below: under "no-referrer" a
	// browser sends "Origin: null" with the forms of our own page.
	var crossOrigin http.CrossOriginProtection
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recoverPanic()
		setHeaders(w.Header(), r.Host)
		rc := http.NewResponseController(w)
		now := time.Now()
		// A writer without deadlines, as in a test's recorder, needs none.
		_ = rc.SetReadDeadline(now.Add(requestTime))
		_ = rc.SetWriteDeadline(now.Add(answerTime))
		if !s.hosts(hostOf(r.Host)) {
			s.refuse(w, r, problem{code: codeWrongHost, status: http.StatusMisdirectedRequest})
			return
		}
		if crossOrigin.Check(r) != nil {
			s.refuse(w, r, problem{code: codeForeign, status: http.StatusForbidden})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// recoverPanic logs a panic without the visitor's address, which net/http would
// log, and drops the connection.
func (s *Server) recoverPanic() {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		s.logger.Error("webui: handler panicked", "panic", p, "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// setHeaders sets what every answer carries; downloads replace the policy.
func setHeaders(h http.Header, host string) {
	h.Set("Content-Security-Policy", pagePolicy(host))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "geolocation=(), camera=(), microphone=(), payment=(), usb=()")
}

// pagePolicy is the pages' Content-Security-Policy. Safari before 16 does not
// count ws: as 'self', so the live connection's own address is named.
func pagePolicy(host string) string {
	connect := "'self'"
	if plainHost(host) {
		connect += " ws://" + host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src " + connect +
		"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// plainHost is true for a host that may be put into a policy as it is: a name
// or an IPv4 address, with or without a port. IPv6 has no form there.
func plainHost(host string) bool {
	if host == "" || len(host) > 255 {
		return false
	}
	for _, c := range []byte(host) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == ':':
		default:
			return false
		}
	}
	return strings.Count(host, ":") <= 1
}

// hostOf is the Host header in lower case without port, brackets, zone and
// closing dot.
func hostOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	host, _, _ = strings.Cut(host, "%")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
