package server

import (
	"net"
	"os"
	"strings"
)

// Notify tells the service manager that started this process about it, in the
// protocol of sd_notify: "READY=1", "STOPPING=1", "STATUS=…". Without one it
// does nothing.
func Notify(lines ...string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	// A name that begins with @ is one of Linux's abstract ones; the net
	// package knows them by the same sign.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(strings.Join(lines, "\n")))
	return err
}
