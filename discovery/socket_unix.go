//go:build unix && !linux

package discovery

import (
	"errors"
	"net"
	"syscall"
)

// sharePort lets several programs bind one port.
func sharePort(fd uintptr) error {
	return errors.Join(
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEPORT, 1))
}

// ownGroupsOnly has nothing to do: sockets hear their own groups only.
func ownGroupsOnly(*net.UDPConn, bool) {}
