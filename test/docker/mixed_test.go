//go:build dockersuite

package docker

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"lockstep/internal/dockertest"
	"lockstep/internal/sitetest"
)

// host is a machine with an SSH server, in a container. It reaches the engine too.
func host(t *testing.T, s *sitetest.Site) (container, address string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Write("id", string(pem.EncodeToMemory(block)))
	container = dockertest.Run(t, "host", []string{"sh", "-c", "mkdir -p /run/sshd; ssh-keygen -A; exec /usr/sbin/sshd -D"},
		"--publish", "127.0.0.1::22", "--volume", dockertest.Socket+":"+dockertest.Socket, "--volume", "/usr/bin/docker:/usr/bin/docker:ro")
	dockertest.Write(t, container, "/root/.ssh/authorized_keys", string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	dockertest.Sh(t, container, "chmod -R go= /root/.ssh")
	eventually(t, container, "nc -z 127.0.0.1 22")
	address = dockertest.Docker(t, "port", container, "22")
	key := strings.Fields(dockertest.Sh(t, container, "cat /etc/ssh/ssh_host_ed25519_key.pub"))
	_, port, _ := strings.Cut(address, ":")
	known := fmt.Sprintf("[127.0.0.1]:%s %s %s\n", port, key[0], key[1])
	s.Write("known_hosts", known)
	return container, address
}

// timed makes a job's scripts write down when they began and ended: all that is
// here has one clock.
func timed(t *testing.T, container string) {
	t.Helper()
	for kind, text := range map[string]string{
		"pre-backup-lock":    "sleep 0.2",
		"backup":             `sleep 0.2; cp /data/x "$BBR_ARTIFACT_DIRECTORY"`,
		"post-backup-unlock": "sleep 0.2",
		"restore":            `cp "$BBR_ARTIFACT_DIRECTORY/x" /data/x`,
	} {
		script(t, container, kind, fmt.Sprintf("echo %s $(date +%%s%%N) >>/data/begun; %s; echo %s $(date +%%s%%N) >>/data/ended", kind, text, kind))
	}
	dockertest.Sh(t, container, "mkdir -p /data; echo "+container+" >/data/x")
}

// when is at what time a script of a kind began or ended in a container.
func when(t *testing.T, container, file, kind string) int {
	t.Helper()
	n, err := strconv.Atoi(dockertest.Sh(t, container, "sed -n 's/^"+kind+" //p' /data/"+file))
	if err != nil {
		t.Fatalf("%s: %s of %s: %v", container, file, kind, err)
	}
	return n
}

// TestMixed: a machine over SSH, a container of this machine's engine and one
// whose engine is reached over SSH are one deployment: one plan, one order of
// locks, one barrier.
func TestMixed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "local: {}")
	machine, address := host(t, s)
	label := dockertest.Label(t) + "-mixed"
	web := dockertest.Start(t, "web", append(volume, "--label", label)...)
	cache := dockertest.Start(t, "cache", volume...)
	s.Configure(`
ssh: {user: root, identity_file: id, known_hosts: known_hosts, config_file: none, identity_agent: none}
instance_groups:
- {name: db, instances: [{id: "0", host: "` + address + `"}]}
- {name: web, docker: {label: ` + label + `}}
- name: cache
  docker:
    host: ssh://root@` + address + `
    ssh: {identity_file: id, known_hosts: known_hosts, config_file: none, identity_agent: none}
  instances: [{id: "0", container: ` + cache + `}]
`)
	all := []string{machine, web, cache}
	for _, c := range all {
		timed(t, c)
	}
	s.OK("check", "shop")
	o := s.Outcome(s.OK("backup", "shop", "-o", "json"))
	if o.State != "succeeded" || o.Data != "verified" || o.Locks != "released" {
		t.Errorf("got %+v", o)
	}
	barrier(t, all, "pre-backup-lock", "backup")
	barrier(t, all, "backup", "post-backup-unlock")
	for _, c := range all {
		dockertest.Sh(t, c, "echo other >/data/x")
	}
	s.OK("restore", "shop", "latest", "--yes")
	for _, c := range all {
		is(t, c, "cat /data/x", c)
	}
	// Without one of its parts nothing of a deployment is touched.
	dockertest.Docker(t, "stop", "--time", "0", cache)
	before := dockertest.Sh(t, machine, "cat /data/begun")
	if r := s.Run("backup", "shop"); r.Code != 1 || !strings.Contains(r.Stderr, cache) {
		t.Errorf("exit %d\n%s", r.Code, r.Stderr)
	}
	is(t, machine, "cat /data/begun", before)
}

// barrier checks that no script of one kind began anywhere before each of the
// other had ended everywhere.
func barrier(t *testing.T, all []string, first, then string) {
	t.Helper()
	var ended, begun []int
	for _, c := range all {
		ended, begun = append(ended, when(t, c, "ended", first)), append(begun, when(t, c, "begun", then))
	}
	if slices.Max(ended) > slices.Min(begun) {
		t.Errorf("%s ended at %v, and %s began at %v", first, ended, then, begun)
	}
}
