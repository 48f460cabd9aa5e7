package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// keys are the files with which instances are reached.
type keys struct {
	user, host string // private keys; the public ones are beside them
	hostPublic string // type and key, as known_hosts has them
	home       string // an empty home folder: bash reads ~/.bashrc for each command
}

func newKeys(dir string) (keys, error) {
	k := keys{user: filepath.Join(dir, "user"), host: filepath.Join(dir, "host"), home: filepath.Join(dir, "home")}
	if err := os.MkdirAll(k.home, 0o755); err != nil {
		return k, err
	}
	for _, file := range []string{k.user, k.host} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput(); err != nil {
			return k, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	public, err := os.ReadFile(k.host + ".pub")
	if fields := strings.Fields(string(public)); len(fields) >= 2 {
		k.hostPublic = fields[0] + " " + fields[1]
	}
	return k, err
}

// instance is one sshd. Its folders seem to lie in the same place in all of
// them, the fleet's here.
type instance struct {
	root string // of its files, as they lie outside
	addr string // HOST:PORT
	cmd  *exec.Cmd
}

// sshPort is below the ports that the kernel gives to connections, and each
// fleet has loopback addresses of its own: so an address is never taken.
const sshPort = "2200"

// fleet is the instances of one case, with the files to reach them.
type fleet struct {
	bench     *bench
	dir       string
	here      string // where each instance has its own folder
	known     string // known_hosts
	net       string // the first three numbers of the instances' addresses
	instances []*instance
}

// boot makes its own world of mounts and processes, and becomes sshd. Words:
// own folder, where it is to be, the file that stands for openssl or "-", then
// the command.
const boot = `set -e
mount --bind "$1" "$2"
[ "$3" = - ] || { openssl=$(command -v openssl) && mount --bind "$3" "$openssl"; } || true
[ -d /run/sshd ] || { mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd; }
shift 3
exec "$@"`

// fleet starts n instances; without openssl if so wished.
func (b *bench) fleet(name string, n int, openssl bool) (*fleet, error) {
	dir, err := b.folder(name)
	if err != nil {
		return nil, err
	}
	f := &fleet{bench: b, dir: dir, net: fmt.Sprintf("127.%d.%d", 16+rand.IntN(200), rand.IntN(256)), here: filepath.Join(dir, "here"), known: filepath.Join(dir, "known_hosts")}
	none := filepath.Join(dir, "none")
	err = firstOf(os.Mkdir(f.here, 0o755), os.WriteFile(none, nil, 0o644))
	if openssl {
		none = "-"
	}
	return f.up(n, func(i int) error { return firstOf(err, f.start(i, none)) })
}

// up starts n instances and waits until all of them answer.
func (f *fleet) up(n int, start func(i int) error) (*fleet, error) {
	f.bench.atEnd(f.stop)
	var err error
	for i := 0; i < n && err == nil; i++ {
		err = start(i)
	}
	var addrs []string
	for _, in := range f.instances {
		addrs = append(addrs, in.addr)
	}
	err = firstOf(err, writeKnown(f.known, f.bench.keys.hostPublic, addrs...))
	for _, in := range f.instances {
		err = firstOf(err, awaitPort(in.addr))
	}
	f.bench.fleetUp = f
	return f, err
}

func (f *fleet) start(i int, openssl string) error {
	in := &instance{root: filepath.Join(f.dir, fmt.Sprint("instance-", i))}
	in.addr = net.JoinHostPort(fmt.Sprintf("%s.%d", f.net, i+1), sshPort)
	config := in.root + ".sshd_config"
	k := f.bench.keys
	text := fmt.Sprintf(`ListenAddress %s
HostKey %s
AuthorizedKeysFile %s.pub
SetEnv HOME=%s
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
MaxStartups 1000
LogLevel FATAL
`, in.addr, k.host, k.user, k.home)
	if err := firstOf(os.Mkdir(in.root, 0o755), os.WriteFile(config, []byte(text), 0o644)); err != nil {
		return err
	}
	in.cmd = exec.Command("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
		"sh", "-c", boot, "boot", in.root, f.here, openssl, "/usr/sbin/sshd", "-D", "-e", "-f", config)
	in.cmd.Stderr = os.Stderr
	if err := in.cmd.Start(); err != nil {
		return err
	}
	f.instances = append(f.instances, in)
	return nil
}

// stop ends the instances with all that runs on them: the process that is
// killed is the one on which their namespaces hang.
func (f *fleet) stop() {
	f.bench.fleetUp = nil
	for _, in := range f.instances {
		_ = in.cmd.Process.Kill()
	}
	for _, in := range f.instances {
		_ = in.cmd.Wait()
	}
}

// ssh is the OpenSSH client's command line to an instance.
func (f *fleet) ssh(in *instance, command string, options ...string) *exec.Cmd {
	return sshTo(f.bench.keys, f.known, in.addr, command, options...)
}

func sshTo(k keys, known, addr, command string, options ...string) *exec.Cmd {
	host, port, _ := cutAddr(addr)
	args := []string{
		"-F", "none", "-T", "-p", port, "-i", k.user, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile=" + known, "-o", "GlobalKnownHostsFile=/dev/null", "-o", "IdentityAgent=none",
	}
	args = append(append(args, options...), "root@"+host, command)
	cmd := exec.Command("ssh", args...)
	cmd.Stderr = os.Stderr
	return cmd
}

// spent is the CPU time, in seconds, of all that has run and ended on the
// fleet's instances. Their sshd is the first process of each, so everything
// there ends as a child of it.
func (f *fleet) spent() float64 {
	total := 0.0
	for _, in := range f.instances {
		stat, _ := os.ReadFile("/proc/" + in.first() + "/stat")
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 15 {
			continue
		}
		for _, ticks := range fields[11:15] { // utime stime cutime cstime
			n, _ := strconv.ParseFloat(ticks, 64)
			total += n / 100 // the kernel's unit for programs, on every Linux
		}
	}
	return total
}

// calm waits until what ran on the instances has ended, so that its CPU time
// counts for the turn that it belongs to. Connections that stay open are not
// waited for long.
func (f *fleet) calm() {
	until := time.Now().Add(300 * time.Millisecond)
	for _, in := range f.instances {
		for time.Now().Before(until) && len(children(in.first())) > 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// first is the number of the instance's first process, as it is outside.
func (in *instance) first() string {
	if all := children(strconv.Itoa(in.cmd.Process.Pid)); len(all) > 0 {
		return all[0]
	}
	return "none"
}

func children(process string) []string {
	list, _ := os.ReadFile("/proc/" + process + "/task/" + process + "/children")
	return strings.Fields(string(list))
}

func awaitPort(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("instance at %s does not come up: %w", addr, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func cutAddr(addr string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(addr)
	return host, port, err == nil
}
