//go:build dockersuite

package docker

import (
	"bytes"
	"strings"
	"testing"

	"lockstep/internal/dockertest"
	"lockstep/internal/sitetest"
)

// waits is a backup script that waits until /data/go is there.
const waits = `echo $$ >/data/pid; touch /data/working; until [ -e /data/go ]; do sleep 0.1; done; cp /data/x "$BBR_ARTIFACT_DIRECTORY"`

// begin begins a backup of two containers and returns when both are locked and
// the first one works.
func begin(t *testing.T, s *sitetest.Site, working string) *sitetest.Underway {
	t.Helper()
	u := s.Begin("backup", "shop")
	eventually(t, working, "[ -e /data/working ]")
	return u
}

// pair is two containers, of which the first waits in its backup script, and
// what backs them up over the engine at host.
func pair(t *testing.T, host string, lines ...string) (s *sitetest.Site, first, second string) {
	t.Helper()
	first, second = dockertest.Start(t, "first", volume...), dockertest.Start(t, "second", volume...)
	shop(t, first, "one")
	shop(t, second, "two")
	script(t, first, "backup", waits)
	return newSite(t, `
docker: {host: "`+host+`"}
instance_groups:
- {name: a, instances: [{id: "0", container: `+first+`}]}
- {name: b, instances: [{id: "0", container: `+second+`}]}
`+strings.Join(lines, "\n")), first, second
}

// TestCutWhileLocked: all connections to the engine are cut while scripts run.
// Nothing is taken for an end, and the run goes on over new ones.
//
//fault:8 all connections to a Docker engine are cut while containers are locked | the run goes on over new ones; no script runs twice
func TestCutWhileLocked(t *testing.T) {
	t.Parallel()
	line := dockertest.NewLine(t)
	s, first, second := pair(t, line.Host)
	u := begin(t, s, first)
	line.Cut()
	dockertest.Sh(t, first, "touch /data/go")
	if o := u.End(); o.State != "succeeded" || o.Data != "verified" || o.Locks != "released" {
		t.Errorf("got %+v", o)
	}
	for _, c := range []string{first, second} {
		is(t, c, "cat /data/log", "lock\nunlock")
	}
}

// TestRestartWhileLocked: a container restarts under its running script. The
// backup is none, and all is unlocked, the container that restarted too.
//
//fault:11 a container restarts while it is locked and its script runs | the script is dead, the backup fails, everything is unlocked, the container that restarted too
func TestRestartWhileLocked(t *testing.T) {
	t.Parallel()
	s, first, second := pair(t, "unix://"+dockertest.Socket)
	u := begin(t, s, first)
	dockertest.Docker(t, "restart", "--time", "0", first)
	if o := u.End(); o.State != "failed" || o.Data == "verified" || o.Locks != "released" {
		t.Errorf("got %+v", o)
	}
	unlocked(t, first)
	unlocked(t, second)
	s.OK("check", "shop") // nothing is left
}

// TestReplacedWhileLocked: the container is removed and another one made in its
// place, with its volumes, as Compose does. What lasts tells that an unlock is
// owed.
//
//fault:13 a container is replaced by another one while it is locked | its claim was on a volume, so it is unlocked in the new one
func TestReplacedWhileLocked(t *testing.T) {
	t.Parallel()
	s, first, second := pair(t, "unix://"+dockertest.Socket)
	// What Compose keeps of a container: its volumes. Scripts and data are in the
	// image, or on volumes too.
	jobs := dockertest.Docker(t, "volume", "create", "--label", dockertest.Label(t))
	t.Cleanup(func() { _, _ = dockertest.Try(t, "", "volume", "rm", "--force", jobs) })
	dockertest.Docker(t, "rm", "--force", "--volumes", first)
	kept := dockertest.Docker(t, "volume", "create", "--label", dockertest.Label(t))
	t.Cleanup(func() { _, _ = dockertest.Try(t, "", "volume", "rm", "--force", kept) })
	data := dockertest.Docker(t, "volume", "create", "--label", dockertest.Label(t))
	t.Cleanup(func() { _, _ = dockertest.Try(t, "", "volume", "rm", "--force", data) })
	t.Cleanup(func() { _, _ = dockertest.Try(t, "", "rm", "--force", first) }) // before its volumes
	make := func() {
		dockertest.Docker(t, "run", "--detach", "--init", "--name", first, "--label", dockertest.Label(t),
			"--volume", jobs+":/var/vcap/jobs", "--volume", kept+":/var/lib/lockstep", "--volume", data+":/data",
			dockertest.Image(t), "sleep", "1800")
	}
	make()
	shop(t, first, "one")
	script(t, first, "backup", waits)
	u := begin(t, s, first)
	dockertest.Docker(t, "rm", "--force", first)
	make()
	if o := u.End(); o.State != "failed" || o.Data == "verified" || o.Locks != "released" {
		t.Errorf("got %+v", o)
	}
	unlocked(t, first)
	unlocked(t, second)
}

// TestKilledOrchestrator: kill -9 of the program while containers are locked; the
// next command settles.
func TestKilledOrchestrator(t *testing.T) {
	t.Parallel()
	s, first, second := pair(t, "unix://"+dockertest.Socket)
	u := begin(t, s, first)
	u.Kill()
	s.OK("recover", "shop")
	unlocked(t, first)
	unlocked(t, second)
	dockertest.Sh(t, first, "touch /data/go")
	s.OK("backup", "shop")
}

// TestEngineDown: the orchestrator is dead and one of two engines too: what is on
// the other one is unlocked at once, and the rest when its engine is back.
//
//fault:12 a Docker engine does not answer while a dead run is settled | what is elsewhere is unlocked without it, and its containers when it is back
func TestEngineDown(t *testing.T) {
	t.Parallel()
	line := dockertest.NewLine(t)
	s, first, second := pair(t, line.Host)
	s.Configure(`
instance_groups:
- {name: a, docker: {host: "` + line.Host + `"}, instances: [{id: "0", container: ` + first + `}]}
- {name: b, docker: {host: "unix://` + dockertest.Socket + `"}, instances: [{id: "0", container: ` + second + `}]}`)
	u := begin(t, s, first)
	u.Kill()
	line.Block(true)
	line.Cut()
	r := s.Command("recover", "shop")
	var said bytes.Buffer
	r.Stdout, r.Stderr = &said, &said
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Process.Kill() })
	eventually(t, second, "[ ! -e /data/locked ]")
	unlocked(t, second)
	is(t, first, "ls /data/locked", "/data/locked")
	line.Block(false)
	// 8: a try of an unlock failed, even if a later one did not.
	if _ = r.Wait(); r.ProcessState.ExitCode() != 8 || !strings.Contains(said.String(), "released") {
		t.Errorf("exit %d\n%s", r.ProcessState.ExitCode(), said.String())
	}
	unlocked(t, first)
}

// TestLease: the orchestrator is dead and nobody recovers it; the containers
// unlock themselves.
func TestLease(t *testing.T) {
	t.Parallel()
	s, first, second := pair(t, "unix://"+dockertest.Socket, "lock_lease: 5s")
	u := begin(t, s, first)
	u.Kill()
	for _, c := range []string{first, second} {
		eventually(t, c, "[ ! -e /data/locked ]")
		unlocked(t, c)
	}
}

// TestKilledScript: the process of a script is killed: a signal is not a success.
func TestKilledScript(t *testing.T) {
	t.Parallel()
	s, first, second := pair(t, "unix://"+dockertest.Socket)
	u := begin(t, s, first)
	dockertest.Sh(t, first, "kill -9 $(cat /data/pid)")
	if o := u.End(); o.State != "failed" || o.Data == "verified" || o.Locks != "released" {
		t.Errorf("got %+v", o)
	}
	unlocked(t, first)
	unlocked(t, second)
}
