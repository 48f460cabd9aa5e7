//go:build fleettest

package fleet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lockstep"
	"lockstep/api/client"
	"lockstep/internal/pgtest"
	"lockstep/internal/sshtest"
)

// site is deployments on 127.0.0.1, a database, a Temporal, and what runs on them.
type site struct {
	t           *testing.T
	dir, pg     string
	temporal    *temporal
	deployments []*deployment
	login       ssh.PublicKey
	known       strings.Builder
	server      *process
	// svc is the server, as clients see it.
	svc *client.Client
}

// deployment has two instances, each a folder behind an SSH server of the test.
type deployment struct {
	name, zone, dir string
	instances       []*instance
}

type instance struct {
	name, root string
	jobs       []string
	server     *sshtest.Server
}

// The script of every job and kind writes down what really happens, looks whether the
// barriers hold, and waits at its end while the test says so.
const script = `#!/bin/sh
kind=${0##*/}; bin=${0%/*}; job=${bin%/*}; root=${job%/*/*}; job=${job##*/}
say() { printf '%s\n' "$*" >>"$root/truth"; }
say "begin $LOCKSTEP_STEP $kind $job"
case $kind in
pre-*-lock) : >"$root/locked.$job" ;;
backup|restore)
	for l in "$root"/../*/jobs/*; do
		j=${l##*/}; r=${l%/jobs/*}
		[ -e "$r/locked.$j" ] || say "broken $LOCKSTEP_STEP $kind of $job runs, and $j is not locked"
	done
	if [ "$kind" = backup ]; then echo "of $job" >"$BBR_ARTIFACT_DIRECTORY/data"; else [ -e "$BBR_ARTIFACT_DIRECTORY/data" ] || exit 3; fi ;;
post-*-unlock) rm -f "$root/locked.$job" ;;
esac
[ ! -e "$root/slow" ] || sleep 0.5
n=0
while [ -e "$root/hold.$kind" ] && [ $n -lt 1200 ]; do sleep 0.1; n=$((n+1)); done
say "end $LOCKSTEP_STEP $kind $job"
`

var kinds = []lockstep.ScriptKind{
	lockstep.ScriptPreBackupLock, lockstep.ScriptBackup, lockstep.ScriptPostBackupUnlock,
	lockstep.ScriptPreRestoreLock, lockstep.ScriptRestore, lockstep.ScriptPostRestoreUnlock,
}

// newSite makes the deployments, NAME:ZONE each, and begins Temporal and a server.
func newSite(t *testing.T, deployments ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), pg: pgtest.URL(t), temporal: newTemporal(t)}
	s.writeKey()
	for _, d := range deployments {
		name, zone, _ := strings.Cut(d, ":")
		s.furnish(name, zone)
	}
	s.write("known_hosts", s.known.String())
	s.server, s.svc = s.serveAs("server")
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) writeKey() {
	s.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "fleet")
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("id_ed25519", string(pem.EncodeToMemory(block)))
	if s.login, err = ssh.NewPublicKey(public); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) furnish(name, zone string) {
	s.t.Helper()
	d := &deployment{name: name, zone: zone, dir: filepath.Join(s.dir, name)}
	d.instances = []*instance{{name: "db", jobs: []string{"postgres", "blobs"}}, {name: "web", jobs: []string{"web"}}}
	for _, i := range d.instances {
		i.root = filepath.Join(d.dir, i.name)
		for _, job := range i.jobs {
			bin := filepath.Join(i.root, "jobs", job, "bin")
			if err := os.MkdirAll(bin, 0o755); err != nil {
				s.t.Fatal(err)
			}
			for _, kind := range kinds {
				if err := os.WriteFile(filepath.Join(bin, string(kind)), []byte(script), 0o755); err != nil {
					s.t.Fatal(err)
				}
			}
		}
		server, err := sshtest.Start(sshtest.Config{
			Dir: i.root, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + i.root, "LC_ALL=C"},
			User: "ops", AuthorizedKeys: []ssh.PublicKey{s.login}, KillStrays: true,
		})
		if err != nil {
			s.t.Fatal(err)
		}
		i.server = server
		s.t.Cleanup(func() { _ = server.Close() })
		s.known.WriteString(knownhosts.Line([]string{knownhosts.Normalize(server.Addr())}, server.HostKey()) + "\n")
	}
	s.deployments = append(s.deployments, d)
}

// config is that of one host, in a folder of its own: its state is there, everything
// else is shared.
func (s *site) config(host string) string {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "state_dir: state\nstate: {postgres: {url: %q}}\nrepository: {dir: ../backups}\n", s.pg)
	fmt.Fprintf(&b, "fleet: {temporal: {address: %q, namespace: %s}}\ndeployments:\n", s.temporal.address, namespace)
	for _, d := range s.deployments {
		fmt.Fprintf(&b, "  %s:\n    identity: %s\n", d.name, d.name)
		if d.zone != "" {
			fmt.Fprintf(&b, "    zone: %s\n", d.zone)
		}
		fmt.Fprintf(&b, "    ssh: {user: ops, sudo: false, identity_file: ../id_ed25519, identities_only: true, identity_agent: none, known_hosts: ../known_hosts, config_file: none, proxy_jump: none}\n"+
			"    script_location: jobs/{job}/bin\n    artifact_location: store\n    launcher_location: run\n    claim_location: claim\n    jobs:\n      web: {lock_before: [postgres]}\n    instance_groups:\n")
		for _, i := range d.instances {
			fmt.Fprintf(&b, "    - {name: %s, instances: [{id: \"0\", host: %q}]}\n", i.name, i.server.Addr())
		}
	}
	if err := os.MkdirAll(filepath.Join(s.dir, host), 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.write(host+"/lockstep.yaml", b.String())
	return filepath.Join(s.dir, host)
}

func binary(t *testing.T) string {
	t.Helper()
	b := os.Getenv("LOCKSTEP_TEST_BINARY")
	if b == "" {
		t.Fatal("LOCKSTEP_TEST_BINARY names no program: run the tests with test/fleet/run")
	}
	return b
}

// serveAs starts a server on a host, and gives it as clients see it.
func (s *site) serveAs(host string) (*process, *client.Client) {
	s.t.Helper()
	dir := s.config(host)
	p := start(s.t, host, dir, binary(s.t), "serve", "--listen", "127.0.0.1:0")
	p.says("\nhttp://")
	p.says(" ready")
	url := regexp.MustCompile(`(?m)^http://\S+$`).FindString(p.out.String())
	token, err := os.ReadFile(filepath.Join(dir, "state", "admin.token"))
	if err != nil {
		s.t.Fatal(err)
	}
	svc, err := client.New(client.Config{URL: url, Token: strings.TrimSpace(string(token))})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = svc.Close() })
	return p, svc
}

// worker starts a worker, and waits until it takes runs.
func (s *site) worker(name, zone string) *process {
	s.t.Helper()
	p := start(s.t, name, s.config(name), binary(s.t), "worker", "--zone", zone)
	p.says(" ready")
	return p
}

// cli runs a command on the server's host, and gives what it printed.
func (s *site) cli(args ...string) (stdout string, code int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, binary(s.t), args...)
	c.Dir = filepath.Join(s.dir, "server")
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir}
	var out, told bytes.Buffer
	c.Stdout, c.Stderr = &out, &told
	_ = c.Run()
	if c.ProcessState.ExitCode() != 0 {
		s.t.Logf("lockstep %s: %s%s", strings.Join(args, " "), out.String(), told.String())
	}
	return out.String(), c.ProcessState.ExitCode()
}

// start asks for a backup of a deployment.
func (s *site) start(name string) (lockstep.RunID, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.svc.Start(ctx, lockstep.Request{Operation: lockstep.OperationBackup, Deployment: name})
}

// started is start that must go well.
func (s *site) started(name string) lockstep.RunID {
	s.t.Helper()
	id, err := s.start(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// run is a run as the journal has it; nil while nobody knows.
func (s *site) run(id lockstep.RunID) *lockstep.Run {
	run, err := s.svc.Run(context.Background(), id)
	if err != nil {
		return nil
	}
	return run
}

// end waits for the end of a run.
func (s *site) end(id lockstep.RunID) *lockstep.Run {
	s.t.Helper()
	var run *lockstep.Run
	await(s.t, "run "+string(id)+" ends", func() bool {
		run = s.run(id)
		return run != nil && run.Ending != nil
	})
	return run
}

func (s *site) deployment(name string) *deployment {
	return s.deployments[slices.IndexFunc(s.deployments, func(d *deployment) bool { return d.name == name })]
}

// hold makes scripts of that kind wait at their end, until let is called.
func (d *deployment) hold(t *testing.T, kind lockstep.ScriptKind) (let func()) {
	t.Helper()
	for _, i := range d.instances {
		if err := os.WriteFile(filepath.Join(i.root, "hold."+string(kind)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for _, i := range d.instances {
			_ = os.Remove(filepath.Join(i.root, "hold."+string(kind)))
		}
	}
}

// truth is what really happened, all instances together.
func (d *deployment) truth(t *testing.T) (lines []string) {
	t.Helper()
	for _, i := range d.instances {
		data, err := os.ReadFile(filepath.Join(i.root, "truth"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(strings.TrimSpace(string(data)), "\n")...)
	}
	return lines
}

// working waits until that many scripts of a kind have begun. All jobs that are backed up
// do so at once; lock and unlock scripts have an order.
func (d *deployment) working(t *testing.T, kind lockstep.ScriptKind, many int) {
	t.Helper()
	await(t, fmt.Sprintf("%d scripts of %s run %s", many, d.name, kind), func() bool {
		n := 0
		for _, line := range d.truth(t) {
			if f := strings.Fields(line); len(f) == 4 && f[0] == "begin" && f[2] == string(kind) {
				n++
			}
		}
		return n >= many
	})
}

// locked are the jobs that are locked now.
func (d *deployment) locked() (all []string) {
	for _, i := range d.instances {
		names, _ := filepath.Glob(filepath.Join(i.root, "locked.*"))
		all = append(all, names...)
	}
	return all
}

// judge compares a run that has ended with what really happened: nothing is locked, no
// barrier was broken, no script ran twice but what unlocks, and the audit, which asks
// the instances, finds no broken promise.
func (s *site) judge(d *deployment, id lockstep.RunID) {
	s.t.Helper()
	if locked := d.locked(); len(locked) > 0 {
		s.t.Errorf("still locked: %v", locked)
	}
	d.judgeScripts(s.t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	audit, err := s.svc.Audit(ctx, id)
	if err != nil || len(audit.Broken) > 0 {
		s.t.Errorf("audit of %s: %v, broken: %v", id, err, audit.Broken)
	}
}

// recoveries counts those who took a run over until now: each has a term of its own.
func (s *site) recoveries(id lockstep.RunID) int {
	s.t.Helper()
	run := s.run(id)
	if run == nil {
		s.t.Fatalf("run %s cannot be read", id)
	}
	return int(run.Term) - 1
}

// standing is what `lockstep fleet status` says.
func (s *site) standing() (out struct {
	Members []struct {
		Role, Zone, Host, Version string
		PID                       int
		Drives                    []lockstep.RunID
	}
	Runs []struct {
		Run     lockstep.RunID
		State   string
		Zone    string
		Attempt int
		Worker  struct{ PID int }
		At      time.Time `json:"heartbeat_at"`
	}
}) {
	s.t.Helper()
	text, code := s.cli("fleet", "status", "-o", "json")
	if err := json.Unmarshal([]byte(text), &out); err != nil || code != 0 {
		s.t.Fatalf("fleet status: exit %d, %v: %s", code, err, text)
	}
	return out
}

// driver is the worker that has a run, of some; none while Temporal names none.
func (s *site) driver(id lockstep.RunID, of ...*process) (driver, other *process) {
	s.t.Helper()
	await(s.t, "somebody drives "+string(id), func() bool {
		for _, r := range s.standing().Runs {
			for i, p := range of {
				if r.Run == id && r.State == "driven" && r.Worker.PID == p.cmd.Process.Pid {
					driver, other = p, of[(i+1)%len(of)]
				}
			}
		}
		return driver != nil
	})
	return driver, other
}
