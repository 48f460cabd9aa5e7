package serve

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// The token of this host goes to nobody but the user whose it is.
func TestTrustedListener(t *testing.T) {
	file := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if !trustedListener(port, file) {
		t.Error("one's own listener is not trusted")
	}
	if os.Getuid() == 0 { // everybody trusts root, so the listener must be another's
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = listenAs(t, 65534)
		_, port, _ = net.SplitHostPort(l.Addr().String())
		if trustedListener(port, file) {
			t.Error("another user's listener is trusted")
		}
		if err := os.Chown(file, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if !trustedListener(port, file) {
			t.Error("root does not trust the listener of the file's owner")
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{port, "", "x", "70000"} {
		if trustedListener(bad, file) {
			t.Errorf("port %q is trusted, where nobody listens", bad)
		}
	}
	if trustedListener(port, file+"x") {
		t.Error("a file that is not there is trusted")
	}
}

// listenAs is a listener that another user made: the system takes the user of
// the thread for files and sockets.
func listenAs(t *testing.T, uid uintptr) net.Listener {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, uid, 0, 0)
	defer func() { _, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(os.Getuid()), 0, 0) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
