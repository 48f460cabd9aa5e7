package instances

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// User is who logs in: not root, with sudo.
const User = "vcap"

// Store is the folder on an instance that its persistent disk is mounted on.
const Store = "/var/vcap/store"

// Spec says what an instance is to be.
type Spec struct {
	// Name is the host name: letters, digits and '-'.
	Name string
	// Addr is one of Lab.Address; "" takes a new one. It is the same at every
	// boot.
	Addr string
	// SSHD are lines that are put before the others of sshd_config.
	SSHD []string
	// SudoPassword makes sudo ask for a password.
	SudoPassword bool
	// StoreMiB bounds the disk under Store; 0 is 1024.
	StoreMiB int
	// Furnish puts files on the disk before the first boot. system is laid
	// over the root folder, store is mounted on Store. An executable
	// system/var/vcap/boot is run at each boot, before the instance counts as
	// up; its children stay.
	Furnish func(system, store string) error
}

// Instance is one machine. Its methods must not be called concurrently, save
// Command, Path and Link.
type Instance struct {
	Spec

	lab     *Lab
	number  int
	disk    string
	hostKey ssh.PublicKey

	mu   sync.Mutex // guards what follows
	boot int
	init *exec.Cmd // nil while it is off
}

const bootTimeout = 60 * time.Second

// Boot starts the instance; it returns when sshd answers.
func (in *Instance) Boot() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.init != nil {
		return fmt.Errorf("boot %s: it is running", in.Name)
	}
	console, err := os.Create(filepath.Join(in.disk, "console"))
	if err != nil {
		return err
	}
	defer console.Close()
	cmd := exec.Command("/bin/bash", filepath.Join(in.lab.Dir, "boot.sh"), in.Name, in.disk, in.Addr+"/16", gateway)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: worldFlags}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("boot %s: %w", in.Name, err)
	}
	in.boot++
	in.init = cmd
	// The same hardware address at each boot: nobody's neighbour table is stale.
	err = ip(
		fmt.Sprintf("link add %s type veth peer name eth0 address 02:00:0a:cb:%02x:%02x netns %d",
			in.veth(), in.number>>8, in.number&255, cmd.Process.Pid),
		fmt.Sprintf("link set %s master br0 up", in.veth()))
	if err == nil {
		err = in.up()
	}
	if err != nil {
		text, _ := os.ReadFile(console.Name())
		in.off()
		return fmt.Errorf("boot %s: %w\n%s", in.Name, err, text)
	}
	return nil
}

func (in *Instance) veth() string { return fmt.Sprintf("v%db%d", in.number, in.boot) }

// up waits until the boot script has ended and sshd says its name.
func (in *Instance) up() error {
	ready := in.path("/run/ready")
	for end := time.Now().Add(bootTimeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil && in.answers() {
			return nil
		}
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", in.init.Process.Pid)); err != nil || zombie(state) {
			return errors.New("its first process ended")
		}
	}
	return fmt.Errorf("not up after %s", bootTimeout)
}

func zombie(stat []byte) bool {
	for i := len(stat) - 1; i > 0; i-- {
		if stat[i] == ')' {
			return i+2 < len(stat) && stat[i+2] == 'Z'
		}
	}
	return true
}

// answers reports whether sshd listens. It closes the connection as a client
// that gave up does.
func (in *Instance) answers() bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(in.Addr, "22"), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := conn.Read(make([]byte, 4))
	return err == nil && n > 0
}

// Off cuts the power: every process of the instance is killed at once. The
// disk stays.
func (in *Instance) Off() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.off()
}

func (in *Instance) off() {
	if in.init == nil {
		return
	}
	_ = in.init.Process.Kill()
	_ = in.init.Wait()
	in.init = nil
	_ = ip("link del " + in.veth()) // may be gone with its peer
}

// Reboot is Off and Boot: the same disk and address, another boot id.
func (in *Instance) Reboot() error {
	in.Off()
	return in.Boot()
}

// Destroy is Off, and the disk is gone.
func (in *Instance) Destroy() {
	in.Off()
	_ = syscall.Unmount(filepath.Join(in.disk, "store"), syscall.MNT_DETACH)
	_ = os.RemoveAll(in.disk)
}

// Link plugs the network cable in or pulls it out. Nobody is told: packets are
// lost.
func (in *Instance) Link(plugged bool) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return ip("link set " + in.veth() + map[bool]string{true: " up", false: " down"}[plugged])
}

// Path is where the test finds a file of a running instance.
func (in *Instance) Path(file string) string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.path(file)
}

func (in *Instance) path(file string) string {
	if in.init == nil {
		return filepath.Join("/proc/0/root", file) // does not exist
	}
	return filepath.Join("/proc", strconv.Itoa(in.init.Process.Pid), "root", file)
}

// Command is a command on the running instance, as root, without SSH.
func (in *Instance) Command(ctx context.Context, args ...string) *exec.Cmd {
	in.mu.Lock()
	defer in.mu.Unlock()
	pid := "0"
	if in.init != nil {
		pid = strconv.Itoa(in.init.Process.Pid)
	}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", pid, "-m", "-u", "-i", "-n", "-p", "--"}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	return cmd
}

// Sh runs shell text on the instance, as root, and returns its stdout.
func (in *Instance) Sh(ctx context.Context, text string) (string, error) {
	out, err := in.Command(ctx, "/bin/sh", "-euc", text).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return string(out), fmt.Errorf("on %s: %s: %w", in.Name, text, err)
	}
	return string(out), nil
}

// CutSessions kills the server's side of every SSH connection, as a firewall
// or an OOM killer would. sshd goes on listening.
func (in *Instance) CutSessions(ctx context.Context) error {
	_, err := in.Sh(ctx, `pkill -KILL -f '^sshd: `+User+`' || test $? -eq 1`)
	return err
}
