package ssh

import (
	"net"

	"golang.org/x/sys/unix"
)

// quickACK asks the kernel to acknowledge what came in at once. sshd leaves
// Nagle's algorithm on, so while a connection is set up its small answers wait
// for acknowledgements that the kernel here would hold back for 40 ms. The
// kernel forgets the wish, so it is repeated after each read.
func quickACK(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}
