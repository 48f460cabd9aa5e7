package director

import (
	"crypto/ed25519"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	mock "lockstep/internal/mockdirector"
	"lockstep/internal/sshtest"
)

// instanceCount is how many instances the tests of this file have. `make soak` has
// fifty.
var instanceCount = flag.Int("instances", 12, "how many instances a large deployment has")

// groupOf spreads them over five groups.
func groupOf(i int) (group string, index int) { return fmt.Sprint("group-", i/10), i % 10 }

// whole are the scripts of a job with every stage; %s is the instance's folder.
var whole = map[string]string{
	"metadata":            "",
	"pre-backup-lock":     "touch locked",
	"backup":              `test -e locked; cp data "$BBR_ARTIFACT_DIRECTORY"data`,
	"post-backup-unlock":  "rm locked",
	"pre-restore-lock":    "touch locked",
	"restore":             `test -e locked; cp "$BBR_ARTIFACT_DIRECTORY"data data`,
	"post-restore-unlock": "rm locked",
}

// furnish gives an instance's folder two jobs, one with every script and one
// that only locks, and data.
func furnish(t *testing.T, dir, data string) {
	t.Helper()
	for script, text := range whole {
		place(t, filepath.Join(dir, "jobs/db/bin/bbr", script), "#!/bin/sh\nset -e\ncd "+dir+"\n"+text+"\n", 0o700)
	}
	for _, script := range []string{"pre-backup-lock", "post-backup-unlock"} {
		place(t, filepath.Join(dir, "jobs/web/bin/bbr", script), "#!/bin/sh\n", 0o700)
	}
	place(t, filepath.Join(dir, "data"), data, 0o600)
}

func place(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// counted are instances and how many connections each had before.
type counted struct {
	servers []*sshtest.Server
	before  []int
}

// one fails unless each accepted exactly one connection since it was asked last.
func (c *counted) one(t *testing.T, what string) {
	t.Helper()
	if c.before == nil {
		c.before = make([]int, len(c.servers))
	}
	commands := 0
	for i, s := range c.servers {
		if n := s.Accepted() - c.before[i]; n != 1 {
			t.Errorf("%s: %d connections to instance %d", what, n, i)
		}
		c.before[i] = s.Accepted()
		commands += s.Execs()
	}
	t.Logf("%s: %d instances, %d commands on them so far", what, len(c.servers), commands)
}

func TestOneConnectionToEachOfManyInstances(t *testing.T) {
	t.Parallel()
	s := &site{t: t, dir: t.TempDir()}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	user, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	s.write("key", string(pem.EncodeToMemory(block)))
	var c counted
	var dirs []string
	var instances, known strings.Builder
	for i := range *instanceCount {
		dir := t.TempDir()
		furnish(t, dir, fmt.Sprint("data of ", i))
		server, err := sshtest.Start(sshtest.Config{
			Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C"},
			AuthorizedKeys: []ssh.PublicKey{user.PublicKey()}, KillStrays: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		c.servers, dirs = append(c.servers, server), append(dirs, dir)
		if group, index := groupOf(i); index == 0 {
			fmt.Fprintf(&instances, "    - name: %s\n      instances:\n", group)
		}
		fmt.Fprintf(&instances, "      - {id: \"%d\", host: %q}\n", i, server.Addr())
		host, port, _ := strings.Cut(server.Addr(), ":")
		fmt.Fprintf(&known, "[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(server.HostKey()))
	}
	s.write("known_hosts", known.String())
	s.write("lockstep.yaml", fmt.Sprintf(`state_dir: state
repository: {dir: backups}
deployments:
  prod:
    ssh:
      user: bench
      sudo: false
      identity_file: key
      identities_only: true
      identity_agent: none
      config_file: none
      known_hosts: known_hosts
    script_location: %s
    artifact_location: %s
    launcher_location: %s
    claim_location: %s
    instance_groups:
%s`, relative.Scripts, relative.Artifacts, relative.Launcher, relative.Claim, instances.String()))

	b := s.mustRun("backup", "prod")
	if b.State != "succeeded" || b.Data != "verified" || b.Locks != "released" || len(b.Artifacts) != *instanceCount {
		t.Errorf("backup: %s, %s, %s, %d artifacts", b.State, b.Data, b.Locks, len(b.Artifacts))
	}
	c.one(t, "backup")
	for _, dir := range dirs {
		place(t, filepath.Join(dir, "data"), "lost", 0o600)
	}
	if r := s.mustRun("restore", "prod", "latest", "--yes"); r.State != "succeeded" {
		t.Errorf("restore: %s", r.State)
	}
	c.one(t, "restore")
	for i, dir := range dirs {
		if data, err := os.ReadFile(filepath.Join(dir, "data")); string(data) != fmt.Sprint("data of ", i) {
			t.Errorf("instance %d has %q, %v", i, data, err)
		}
	}
}

func TestBetter_OneConnectionToEachOfManyInstancesOfADirector(t *testing.T) {
	t.Parallel()
	d := mock.New(t)
	s := &site{t: t, dir: t.TempDir()}
	s.write("ca.pem", d.CACert())
	s.env = []string{"BOSH_ENVIRONMENT=" + d.URL(), "BOSH_CLIENT=" + mock.Username, "BOSH_CLIENT_SECRET=" + mock.Password, "BOSH_CA_CERT=ca.pem"}
	bbr := func(args ...string) {
		t.Helper()
		p := s.start("bbr", append([]string{"deployment", "--deployment", "cf"}, args...)...)
		if code := p.wait(); code != 0 {
			t.Fatalf("bbr %v: exit code %d\n%s\n%s", args, code, p.stdout.String(), p.stderr.String())
		}
		d.Verify()
	}
	var c counted
	var all []*mock.Instance
	for i := range *instanceCount {
		group, index := groupOf(i)
		in := mock.NewInstance(t, group, fmt.Sprint("uuid-", i), index)
		furnish(t, in.Dir, fmt.Sprint("data of ", i))
		all, c.servers = append(all, in), append(c.servers, in.Server)
	}
	d.Expect(mock.Deployment("cf", "name: cf\n", all...), mock.Cleanup("cf", all...))
	bbr("backup")
	c.one(t, "bbr deployment backup")
	spotless(t, all...)

	folders, err := filepath.Glob(filepath.Join(s.dir, "cf_*Z"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("backups: %q, %v", folders, err)
	}
	for _, in := range all {
		place(t, filepath.Join(in.Dir, "data"), "lost", 0o600)
	}
	d.Expect(mock.Deployment("cf", "name: cf\n", all...), mock.Cleanup("cf", all...))
	bbr("restore", "--artifact-path", folders[0])
	c.one(t, "bbr deployment restore")
	spotless(t, all...)
	for i, in := range all {
		if got := content(t, in, "data"); got != fmt.Sprint("data of ", i) {
			t.Errorf("instance %d has %q", i, got)
		}
	}
}
