//go:build lab

package lab

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Capture is every byte that passes a Lan's bridge, while it runs.
type Capture struct {
	file *os.File
	done sync.WaitGroup

	frames [][]byte
	bytes  int
}

// maxCapture bounds what is kept, in bytes.
const maxCapture = 256 << 20

// Listen captures from now on (packet(7)), at every port of the bridge.
func (l *Lan) Listen() *Capture {
	l.t.Helper()
	var fd int
	err := (&Host{NS: l.prefix + "br", lan: l}).Do(func() (err error) {
		all := int(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)))
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
		return err
	})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	}
	if err != nil {
		l.t.Fatalf("capture: %v", err)
	}
	c := &Capture{file: os.NewFile(uintptr(fd), "capture")}
	c.done.Go(c.read)
	return c
}

func (c *Capture) read() {
	b := make([]byte, 1<<18)
	for c.bytes < maxCapture {
		n, err := c.file.Read(b)
		if err != nil {
			return // it was closed
		}
		c.frames, c.bytes = append(c.frames, bytes.Clone(b[:n])), c.bytes+n
	}
}

// Stop ends the capture. It fails the test where anything was missed.
func (c *Capture) Stop(t testing.TB) {
	t.Helper()
	raw, err := c.file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var lost *unix.TpacketStats
	control := raw.Control(func(fd uintptr) {
		lost, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	if err := errors.Join(control, err); err != nil {
		t.Fatalf("capture: %v", err)
	}
	_ = c.file.Close()
	c.done.Wait()
	if lost.Drops > 0 || c.bytes >= maxCapture {
		t.Fatalf("the capture missed %d packets, or is full with %d bytes", lost.Drops, c.bytes)
	}
	t.Logf("captured %d frames, %d bytes", len(c.frames), c.bytes)
}

// Shows reports whether the bytes passed the bridge, in one frame or across the
// segments of a TCP connection; with hosts, only in what these sent.
func (c *Capture) Shows(what []byte, hosts ...*Host) bool {
	from := func(frame []byte) bool {
		return len(frame) > 14 && (len(hosts) == 0 || slices.ContainsFunc(hosts, func(h *Host) bool { return frame[11] == byte(h.N) }))
	}
	streams := make(map[string][]segment)
	for _, f := range c.frames {
		if !from(f) {
			continue
		}
		if bytes.Contains(f, what) {
			return true
		}
		if conn, s, ok := readSegment(f); ok {
			streams[conn] = append(streams[conn], s)
		}
	}
	for _, s := range streams {
		if bytes.Contains(join(s), what) {
			return true
		}
	}
	return false
}

// segment is what one frame adds to a TCP connection's one direction.
type segment struct {
	at   uint32
	data []byte
}

// readSegment finds the TCP segment in a frame, if there is one.
func readSegment(frame []byte) (conn string, s segment, ok bool) {
	ip := frame[14:]
	var from, to netip.Addr
	switch kind := binary.BigEndian.Uint16(frame[12:]); {
	case kind == unix.ETH_P_IP && len(ip) >= 20 && ip[9] == unix.IPPROTO_TCP:
		from, to = netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
		ip = ip[min(len(ip), int(ip[0]&15)*4):]
	case kind == unix.ETH_P_IPV6 && len(ip) >= 40 && ip[6] == unix.IPPROTO_TCP:
		from, to = netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
		ip = ip[40:]
	default:
		return "", segment{}, false
	}
	if len(ip) < 20 || len(ip) < int(ip[12]>>4)*4 {
		return "", segment{}, false
	}
	return fmt.Sprintf("%v %v %x", from, to, ip[:4]), segment{at: binary.BigEndian.Uint32(ip[4:]), data: ip[int(ip[12]>>4)*4:]}, true
}

// join puts segments in order and drops what came twice: each frame is seen where
// it enters the bridge and where it leaves.
func join(all []segment) []byte {
	first := all[0].at
	slices.SortStableFunc(all, func(a, b segment) int { return cmp.Compare(int32(a.at-first), int32(b.at-first)) })
	var stream []byte
	next := all[0].at
	for _, s := range all {
		if again := int(int32(next - s.at)); again > 0 {
			s.data = s.data[min(again, len(s.data)):]
			s.at += uint32(again)
		}
		if len(s.data) > 0 {
			stream, next = append(stream, s.data...), s.at+uint32(len(s.data))
		}
	}
	return stream
}
