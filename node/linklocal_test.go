package node

import (
	"net"
	"net/netip"
	"testing"
)

func TestStandInComesBack(t *testing.T) {
	lo, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Fatal(err)
	}
	want := netip.MustParseAddr("fe80::42:acff:fe11:2").WithZone("1")
	in, ok := standIn(want.WithZone(lo.Name))
	if !ok {
		t.Fatal("no stand-in for an existing interface")
	}
	if in.IsLinkLocalUnicast() {
		t.Errorf("stand-in %v is itself link-local", in)
	}
	if got := realAddr(in); got != want {
		t.Errorf("came back as %v, want %v", got, want)
	}
	if _, ok := standIn(want.WithZone("no-such-interface")); ok {
		t.Error("stand-in for an interface that is not there")
	}
	for _, other := range []string{"192.0.2.1", "2001:db8::1", "fd00::1", "::1"} {
		if a := netip.MustParseAddr(other); realAddr(a) != a {
			t.Errorf("%v was taken for a stand-in", a)
		}
	}
}
