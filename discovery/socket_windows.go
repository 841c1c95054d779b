package discovery

import (
	"net"
	"syscall"
)

// sharePort lets several programs bind one port.
func sharePort(fd uintptr) error {
	return syscall.SetsockoptInt(syscall.Handle(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
}

// ownGroupsOnly has nothing to do: sockets hear their own groups only.
func ownGroupsOnly(*net.UDPConn, bool) {}
