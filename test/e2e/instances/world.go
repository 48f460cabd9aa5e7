package instances

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// inWorld marks the process inside.
const inWorld = "LOCKSTEP_TEST_WORLD"

// worldDir is where the world's tmpfs lies: a folder that every Debian has.
// Only the world sees the mount.
const worldDir = "/mnt"

const worldFlags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
	syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS

// Unfit says why instances cannot be made here; nil if they can.
func Unfit() error {
	if os.Getuid() != 0 {
		return errors.New("instances need root")
	}
	for _, tool := range []string{"/usr/sbin/sshd", "sudo", "ip", "nsenter", "tar", "flock", "setsid"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("instances need %s: %w", tool, err)
		}
	}
	probe := exec.Command("true")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: worldFlags}
	if err := probe.Run(); err != nil {
		return fmt.Errorf("instances need namespaces: %w", err)
	}
	return nil
}

// Enter moves the calling program into a world. It is the first thing that
// main or TestMain does: outside it runs the program again inside, waits, and
// exits with its status; inside it returns.
func Enter() {
	if os.Getenv(inWorld) == "" {
		os.Exit(outside())
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "make world:", err)
		os.Exit(1)
	}
}

// outside runs this program inside and ends with it; if it is killed itself,
// the kernel kills the one inside.
func outside() int {
	runtime.LockOSThread() // the death signal is bound to the thread that forks
	// An interrupt is for the program inside. Ignoring it would be inherited.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT)
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inWorld+"=1", "TMPDIR="+worldDir+"/tmp")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: worldFlags, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "run inside a world:", err)
	return 1
}

// furnish gives the world its own mounts and network.
func furnish() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := syscall.Mount("lab", worldDir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", worldDir, err)
	}
	if err := os.Mkdir(worldDir+"/tmp", 0o755); err != nil {
		return err
	}
	return ip("link set lo up", "link add br0 type bridge", "addr add "+gateway+"/16 dev br0", "link set br0 up")
}
