package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"lockstep/internal/mockdirector"
)

// bootVCAP is boot for a machine of BOSH: it has its own /var and /run, and its
// own list of users. Words: own folder, then the command.
const bootVCAP = `set -e
mount --bind "$1/var" /var
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs tmpfs /run
mkdir -m 755 /run/sshd
shift
exec "$@"`

// vcapFleet starts n instances with scripts and data where BOSH has them.
func (b *bench) vcapFleet(name string, n int, bytes int64) (*fleet, error) {
	dir, err := b.folder(name)
	if err != nil {
		return nil, err
	}
	f := &fleet{bench: b, dir: dir, net: fmt.Sprintf("127.%d.%d", 16+rand.IntN(200), rand.IntN(256)), known: filepath.Join(dir, "known_hosts")}
	return f.up(n, func(i int) error { return f.startVCAP(i, bytes) })
}

func (f *fleet) startVCAP(i int, bytes int64) error {
	in := &instance{root: filepath.Join(f.dir, fmt.Sprint("instance-", i))}
	in.addr = net.JoinHostPort(fmt.Sprintf("%s.%d", f.net, i+1), sshPort)
	vcap := filepath.Join(in.root, "var", "vcap")
	users, err := os.ReadFile("/etc/passwd")
	config := filepath.Join(in.root, "sshd_config")
	k := f.bench.keys
	text := fmt.Sprintf(`ListenAddress %s
HostKey %s
AuthorizedKeysFile %s.pub %s
SetEnv HOME=%s
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
MaxStartups 1000
LogLevel FATAL
`, in.addr, k.host, k.user, in.file("keys"), k.home)
	if err := firstOf(err,
		os.MkdirAll(filepath.Join(vcap, "store"), 0o755), os.MkdirAll(filepath.Join(in.root, "var", "tmp"), 0o777),
		furnish(vcap, "/var/vcap", bytes), os.WriteFile(in.file("passwd"), users, 0o644),
		os.WriteFile(in.file("keys"), nil, 0o644), os.WriteFile(config, []byte(text), 0o644),
	); err != nil {
		return err
	}
	in.cmd = exec.Command("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
		"sh", "-c", bootVCAP, "boot", in.root, "/usr/sbin/sshd", "-D", "-e", "-f", config)
	in.cmd.Stderr = os.Stderr
	if err := in.cmd.Start(); err != nil {
		return err
	}
	f.instances = append(f.instances, in)
	return nil
}

func (in *instance) file(name string) string { return filepath.Join(in.root, name) }

// machine is an instance as a director has it. Its users are further names of
// root, so that making one costs no more than it must.
type machine struct {
	*instance
	hostKey string

	mu sync.Mutex
}

var _ mockdirector.Machine = (*machine)(nil)

// Address implements mockdirector.Machine.
func (m *machine) Address() string { return m.addr }

// HostKey implements mockdirector.Machine.
func (m *machine) HostKey() string { return m.hostKey }

// AddUser implements mockdirector.Machine.
func (m *machine) AddUser(name, key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.edit("passwd", func(lines []string) []string { return append(lines, name+":x:0:0::/root:/bin/sh") })
	m.edit("keys", func(lines []string) []string { return append(lines, key+" "+name) })
}

// RemoveUsers implements mockdirector.Machine.
func (m *machine) RemoveUsers(pattern string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	matching, err := regexp.Compile(pattern)
	if err != nil {
		return
	}
	m.edit("passwd", func(lines []string) []string {
		var left []string
		for _, l := range lines {
			if !matching.MatchString(l) {
				left = append(left, l)
			}
		}
		return left
	})
}

// edit changes a file in its place: a mount holds on to it.
func (m *machine) edit(name string, change func([]string) []string) {
	data, err := os.ReadFile(m.file(name))
	if err != nil {
		return
	}
	lines := change(strings.Split(string(bytes.TrimSpace(data)), "\n"))
	_ = os.WriteFile(m.file(name), []byte(strings.TrimSpace(strings.Join(lines, "\n"))+"\n"), 0o644)
}
