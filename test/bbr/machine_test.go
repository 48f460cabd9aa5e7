//go:build bbrsuite

package bbr

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	mock "lockstep/internal/mockdirector"
)

// The folders on instances.
const (
	store = "/var/vcap/store/bbr-backup"
	jobs  = "/var/vcap/jobs"
)

// boot is what the suites of the original run in a container. It ends by itself,
// in case nobody ends it.
const boot = `
mkdir -p /var/run/sshd /var/vcap/store /var/vcap/jobs
echo '%sudo ALL=(ALL) NOPASSWD: ALL' >>/etc/sudoers
ssh-keygen -A
/usr/sbin/sshd -o LogLevel=VERBOSE -E /var/log/sshd.log
for ((i = 0; i < 1800; i++)); do sleep 1; done
`

// dockerTimeout bounds one docker command.
const dockerTimeout = 2 * time.Minute

// machine is an instance: a container with sshd.
type machine struct {
	t       testing.TB
	id      string
	address string
	hostKey string
	users   sync.Mutex
	// removes: the director does remove users when it is asked to. The
	// original's suites have one that does not.
	removes bool
}

func docker(t testing.TB, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), dockerTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, "docker", args...)
	c.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), err
}

// newMachine starts an instance. It ends with the test.
func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{t: t}
	m.id = strings.TrimSpace(m.docker("", "run", "--rm", "--label", label, "--publish", "22", "--detach", image, "bash", "-c", boot))
	t.Cleanup(func() { _, _ = docker(t, "", "rm", "--force", m.id) })
	m.docker("", "cp", "fixtures/create_user_with_key", m.id+":/bin/create_user_with_key")
	m.exec("bash", "-c", "until nc -q 0 localhost 22 </dev/null >/dev/null; do sleep 0.05; done")
	ports := strings.Fields(m.docker("", "port", m.id, "22"))
	m.address = "0.0.0.0" + ports[0][strings.LastIndex(ports[0], ":"):]
	m.hostKey = strings.TrimSpace(m.read("/etc/ssh/ssh_host_rsa_key.pub"))
	return m
}

// newMachines starts several at once.
func newMachines(t testing.TB, n int) []*machine {
	t.Helper()
	out := make([]*machine, n)
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() { out[i] = newMachine(t) })
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return out
}

func (m *machine) docker(stdin string, args ...string) string {
	m.t.Helper()
	out, err := docker(m.t, stdin, args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// exec runs a command as root, which must succeed.
func (m *machine) exec(args ...string) string {
	m.t.Helper()
	return m.docker("", append([]string{"exec", m.id}, args...)...)
}

// sh runs a line of shell as root, which must succeed.
func (m *machine) sh(line string) string { m.t.Helper(); return m.exec("sh", "-c", line) }

// write writes a file with that text as it is.
func (m *machine) write(path, text string) {
	m.t.Helper()
	m.docker(text, "exec", "--interactive", m.id, "sh", "-c", `mkdir -p "$(dirname "$1")" && cat >"$1"`, "sh", path)
}

// script gives a job a script, with that text as it is.
func (m *machine) script(job, kind, text string) {
	m.t.Helper()
	path := fmt.Sprintf("%s/%s/bin/bbr/%s", jobs, job, kind)
	m.docker(text, "exec", "--interactive", m.id, "sh", "-c", `mkdir -p "$(dirname "$1")" && cat >"$1" && chmod +x "$1"`, "sh", path)
}

// read is the text of a file, "" if there is none.
func (m *machine) read(path string) string {
	m.t.Helper()
	return m.sh(fmt.Sprintf("cat '%s' 2>/dev/null || true", path))
}

// has reports whether there is something of that name.
func (m *machine) has(path string) bool {
	m.t.Helper()
	return strings.TrimSpace(m.sh(fmt.Sprintf("if test -e '%s'; then echo yes; fi", path))) == "yes"
}

// lacks fails the test if there is something of that name.
func (m *machine) lacks(paths ...string) {
	m.t.Helper()
	for _, p := range paths {
		if m.has(p) {
			m.t.Errorf("%s is on the instance", p)
		}
	}
}

// bbrUsers are the users that a director made.
func (m *machine) bbrUsers() string {
	m.t.Helper()
	return strings.TrimSpace(m.sh("grep -o '^bosh_[0-9a-f]*' /etc/passwd || true"))
}

// Address implements mock.Machine.
func (m *machine) Address() string { return m.address }

// HostKey implements mock.Machine.
func (m *machine) HostKey() string { return m.hostKey }

// AddUser implements mock.Machine.
func (m *machine) AddUser(name, key string) {
	m.users.Lock()
	defer m.users.Unlock()
	if _, err := docker(m.t, "", "exec", m.id, "bash", "/bin/create_user_with_key", name, key); err != nil {
		m.t.Error(err)
	}
}

// RemoveUsers implements mock.Machine.
func (m *machine) RemoveUsers(pattern string) {
	if !m.removes {
		return
	}
	line := fmt.Sprintf("grep -o '%s[^:]*' /etc/passwd | while read -r u; do userdel -r -f \"$u\" 2>/dev/null; done; true", pattern)
	if _, err := docker(m.t, "", "exec", m.id, "sh", "-c", line); err != nil {
		m.t.Error(err)
	}
}

// logins is how often somebody has logged in.
func (m *machine) logins() int {
	m.t.Helper()
	return strings.Count(m.read("/var/log/sshd.log"), "Accepted publickey for ")
}

// as makes the machine an instance of a deployment.
func (m *machine) as(group, id string, index int) *mock.Instance {
	in := mock.On(m, group, id, index)
	in.IPs = []string{fmt.Sprintf("10.0.0.%d", index+1)}
	return in
}
