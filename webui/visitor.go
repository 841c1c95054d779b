package webui

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/netip"
)

// visitorKeys turns a visitor's address into an opaque key for rate limits. The
// salt is never stored, so the key says nothing once the process has ended.
type visitorKeys struct {
	salt [32]byte
}

func newVisitorKeys() visitorKeys {
	var v visitorKeys
	rand.Read(v.salt[:]) // never fails (crypto/rand)
	return v
}

// of is the key of the visitor who sent r. It is the whole IPv6 address that
// counts: on a local link all visitors share one prefix.
func (v visitorKeys) of(r *http.Request) string {
	mac := hmac.New(sha256.New, v.salt[:])
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		b, _ := a.Addr().Unmap().MarshalBinary() // never fails
		mac.Write(b)
	} else {
		mac.Write([]byte(r.RemoteAddr))
	}
	return string(mac.Sum(nil)[:16])
}
