//go:build lab

package discovery_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"boucan/discovery"
)

// seenPacket is one UDP packet on a host's interface.
type seenPacket struct {
	Host int // by its MAC address
	Size int // of the whole Ethernet frame, without checksum
	Port int // of destination
	Text string
	At   time.Time
}

const etherAll = 0x0003 // linux/if_ether.h, ETH_P_ALL

// playTap writes what passes an interface, one JSON object a packet.
func playTap() int {
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, int(swap16(etherAll)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(seenPacket{}) // ready
	b := make([]byte, 65536)
	for {
		n, _, err := syscall.Recvfrom(fd, b, 0)
		if err != nil {
			continue
		}
		if p, ok := readFrame(b[:n]); ok {
			_ = out.Encode(p)
		}
	}
}

func swap16(n uint16) uint16 { return n<<8 | n>>8 }

func readFrame(b []byte) (seenPacket, bool) {
	p := seenPacket{Size: len(b), At: time.Now()}
	if len(b) < 62 {
		return p, false
	}
	p.Host = int(b[11])
	payload := b[14:]
	switch binary.BigEndian.Uint16(b[12:]) {
	case syscall.ETH_P_IP:
		if payload[9] != syscall.IPPROTO_UDP {
			return p, false
		}
		payload = payload[int(payload[0]&15)*4:]
	case syscall.ETH_P_IPV6:
		if payload[6] != syscall.IPPROTO_UDP {
			return p, false
		}
		payload = payload[40:]
	default:
		return p, false
	}
	p.Port = int(binary.BigEndian.Uint16(payload[2:]))
	p.Text = string(payload[8:])
	return p, true
}

type tap struct {
	cmd  *exec.Cmd
	done chan []seenPacket
}

func (l *lan) startTap(i int) *tap {
	t := l.t
	t.Helper()
	p := &tap{cmd: l.role(i, "tap"), done: make(chan []seenPacket, 1)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	in := bufio.NewScanner(out)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	if !in.Scan() {
		t.Fatal("tap does not work")
	}
	go func() { // ends with the process
		var all []seenPacket
		for in.Scan() {
			var s seenPacket
			if json.Unmarshal(in.Bytes(), &s) == nil {
				all = append(all, s)
			}
		}
		p.done <- all
	}()
	return p
}

func (p *tap) stop() []seenPacket {
	_ = p.cmd.Process.Kill()
	all := <-p.done
	_ = p.cmd.Wait()
	return all
}

// TestPacketSizes holds the promise that nothing is ever cut to pieces, with the
// longest values that a node may have.
func TestPacketSizes(t *testing.T) {
	t.Parallel()
	const frame = 1514
	l := newLAN(t, 2, "both")
	for i := range 6 {
		sh(t, "ip -n %s addr add fd00:77::%d/64 dev eth0; ip -n %[1]s addr add 10.77.0.%[2]d/24 dev eth0", l.host(1), i+1)
	}
	tap := l.startTap(2)
	long := selfOf(1)
	for len(long.ID) < discovery.MaxID {
		long.ID += "x"
	}
	for len(long.Instance) < discovery.MaxInstance {
		long.Instance += "x"
	}
	long.Name = "Kiste mit einem sehr langen Namen, länger als erlaubt ist, 0123456789 0123456789"
	selves := []discovery.Self{long, selfOf(2)}
	nodes := []*node{l.start(1, selves[0]), l.start(2, selves[1])}
	contact(t, nodes, selves)
	nodes[1].watch(8 * time.Second)
	nodes[0].stop()
	largest, count := map[int]int{}, map[int]int{}
	for _, p := range tap.stop() {
		if p.Port != 5353 && p.Port != discovery.BeaconPort {
			p.Port = 0
		}
		largest[p.Port] = max(largest[p.Port], p.Size)
		count[p.Port]++
		if p.Size > frame {
			t.Errorf("a packet of %d bytes", p.Size)
		}
	}
	t.Logf("largest frames by port: %v; frames in 10 s of two nodes: %v", largest, count)
	if largest[5353] == 0 || largest[discovery.BeaconPort] == 0 {
		t.Error("one of the paths is silent")
	}
}

// playFlood sends junk, half-true and true packets of ever new nodes as fast as
// it can.
func playFlood() int {
	var conns []*net.UDPConn
	for _, to := range []string{"169.254.255.255:26822", "[ff02::1%eth0]:26822", "224.0.0.251:5353", "[ff02::fb%eth0]:5353"} {
		a, err := net.ResolveUDPAddr("udp", to)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		c, err := net.DialUDP("udp", nil, a)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		conns = append(conns, c)
	}
	fmt.Println("ready")
	junk := make([]byte, 1400)
	for n := 0; ; n++ {
		for i := range junk {
			junk[i] = byte(rand.Uint32())
		}
		fake := fmt.Appendf(nil, "BCAN\x01\x01\x10\x00\x05\x10FAKE%012d\x08INSTANCE\x04Fake\x00", n)
		if n%4 == 0 {
			fake = junk[:rand.IntN(len(junk))]
		}
		for _, c := range conns {
			_, _ = c.Write(fake)
		}
	}
}
