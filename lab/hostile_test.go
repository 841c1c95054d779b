//go:build lab

package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestHostileNeighbour lets a stranger on the link do what strangers do to open
// ports: say nothing, say nonsense, say it for ever, claim impossible lengths.
// Meanwhile the others go on exchanging, and the box neither swells nor fills
// its log.
func TestHostileNeighbour(t *testing.T) {
	const (
		mostMemory = 200 << 20 // bytes resident while under attack
		mostLog    = 256 << 10 // bytes of log
	)
	l := NewLan(t, "hostile", 4, V4Only)
	boxes := []*Box{StartBox(t, l.Hosts[0], "nord"), StartBox(t, l.Hosts[1], "ouest"), StartBox(t, l.Hosts[2], "sud")}
	for _, b := range boxes {
		eventually(t, 10*time.Second, "boxes meet", func() error { return b.ReachesAll(boxes...) })
	}
	target, stranger := boxes[1], l.Hosts[3]
	ctx, end := context.WithCancel(t.Context())
	var attacks sync.WaitGroup
	var landed atomic.Int32
	t.Cleanup(func() { end(); attacks.Wait() })
	p2p := netip.AddrPortFrom(target.Addr(), p2pPort(t, target))
	page := netip.AddrPortFrom(target.Addr(), 8080)
	for range 150 {
		attacks.Go(func() { attack(ctx, stranger, p2p, nil, &landed) })
		attacks.Go(func() {
			attack(ctx, stranger, page, strings.NewReader("POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "), &landed)
		})
	}
	for n := range 20 {
		for _, what := range nonsense(uint64(n)) {
			attacks.Go(func() { attack(ctx, stranger, p2p, what, &landed) })
		}
	}
	attacks.Go(func() { shout(ctx, t, stranger) })
	eventually(t, 20*time.Second, "the stranger gets through to the box", func() error {
		if n := landed.Load(); n < 200 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})

	for n, from := range boxes {
		i := Input{Seed: 50}.noise(fmt.Sprintf("under fire %d.bin", n), 4<<20)
		said := fmt.Sprintf("still here %d", n)
		deposit(t, from, i, said)
		for _, to := range boxes {
			receive(t, to, i, said)
		}
		if m, _ := target.Resident(); m > mostMemory {
			t.Errorf("under attack the box holds %d MiB of memory", m>>20)
		}
	}
	held, _ := target.Resident()
	t.Logf("under attack the box held %d MiB of memory and wrote %d bytes of log", held>>20, len(target.Log()))
	end()
	attacks.Wait()
	if n := len(target.Log()); n > mostLog {
		t.Errorf("the box wrote %d bytes of log", n)
	}
	if target.Log() != "" && stranger.foundIn([]byte(target.Log())) {
		t.Error("the log holds the stranger's address")
	}
	exchange(t, boxes[0], target, Input{Seed: 51}.noise("after the storm.bin", 1<<20), "quiet now")
}

// p2pPort is the port on which a box answers others.
func p2pPort(t *testing.T, b *Box) uint16 {
	t.Helper()
	ids, err := jsonLines[struct{ Addrs []string }](b.CLI("id", "--json"))
	if err != nil || len(ids) != 1 || len(ids[0].Addrs) == 0 {
		t.Fatalf("addresses of box %s: %v, %v", b.Name, ids, err)
	}
	_, text, err := net.SplitHostPort(ids[0].Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

// nonsense is what is sent to the port for other boxes.
func nonsense(seed uint64) []io.Reader {
	in := Input{Seed: seed}
	claim := binary.AppendUvarint(nil, 1<<63)
	multistream := []byte("\x13/multistream/1.0.0\n")
	noise := []byte("\x07/noise\n")
	return []io.Reader{
		in.noise("garbage", 64<<10).Open(),
		in.noise("flood", 16<<20).Open(),
		bytes.NewReader(append(bytes.Clone(multistream), claim...)),
		io.MultiReader(bytes.NewReader(multistream), bytes.NewReader(noise), bytes.NewReader([]byte{0xff, 0xff}),
			in.noise("handshake", 65535).Open()),
		io.MultiReader(bytes.NewReader(multistream), in.noise("protocols", 1<<20).Open()),
		strings.NewReader("GET / HTTP/1.1\r\nHost: box\r\n\r\n"),
		bytes.NewReader(bytes.Repeat([]byte{0}, 1<<20)),
	}
}

// attack connects, says what there is to say and holds the line until ctx ends
// or the box hangs up.
func attack(ctx context.Context, from *Host, to netip.AddrPort, what io.Reader, landed *atomic.Int32) {
	conn, err := from.Dial(ctx, "tcp", to.String())
	if err != nil {
		return // the box may refuse a stranger altogether
	}
	landed.Add(1)
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if what != nil {
		_, _ = io.Copy(conn, what) // the box may hang up at any time
	}
	_, _ = io.Copy(io.Discard, conn)
}

// shout sends broken and lying announcements to the groups that boxes listen to.
func shout(ctx context.Context, t *testing.T, from *Host) {
	var conn net.PacketConn
	err := from.Do(func() (err error) {
		conn, err = net.ListenPacket("udp4", from.V4().String()+":0")
		return err
	})
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	group := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("224.0.0.251:5353"))
	beacons := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("169.254.255.255:26822")) // spec/discovery.md
	r := Input{Seed: 60}.random("announcements")
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil {
		packet := make([]byte, 12+r.IntN(1400))
		_, _ = r.Read(packet)                                       // never fails
		copy(packet, []byte{0, 0, 0x84, 0, 0, 0, 0, 9, 0, 0, 0, 9}) // an answer of many records
		if r.IntN(2) == 0 {
			copy(packet[12:], "\x07_boucan\x04_tcp\x05local\x00\x00\x0c\x00\x01\x00\x00\x00\x78\xff\xff\xc0\x0c\xc0\x0c")
		}
		_, _ = conn.WriteTo(packet, group) // what is lost is lost
		copy(packet, "BCAN")               // a beacon by its first bytes
		_, _ = conn.WriteTo(packet[:min(len(packet), 6+r.IntN(250))], beacons)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}
