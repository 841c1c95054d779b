package discovery

import (
	"errors"
	"net"
	"runtime"
	"strings"
	"syscall"
)

// Socket options that the syscall package lacks on some processors.
const (
	soReusePort      = 0xf   // asm-generic/socket.h
	soReusePortMIPS  = 0x200 // arch/mips/include/uapi/asm/socket.h
	ipMulticastAll   = 49    // linux/in.h
	ipv6MulticastAll = 29    // linux/in6.h, since Linux 4.20
)

// sharePort lets several programs bind one port, whichever of the two options
// the others set. A kernel without SO_REUSEPORT (before 3.9) does with the first.
func sharePort(fd uintptr) error {
	port := soReusePort
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		port = soReusePortMIPS
	}
	err := syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if again := syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, port, 1); again != nil && !errors.Is(again, syscall.ENOPROTOOPT) {
		err = errors.Join(err, again)
	}
	return err
}

// ownGroupsOnly spares the socket what other sockets of the machine have joined
// groups for. It is a saving only: read tells the interface of each packet.
func ownGroupsOnly(c *net.UDPConn, v6 bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	level, option := syscall.IPPROTO_IP, ipMulticastAll
	if v6 {
		level, option = syscall.IPPROTO_IPV6, ipv6MulticastAll
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), level, option, 0) })
}
