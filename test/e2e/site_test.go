//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"lockstep/test/e2e/shop"
)

// site is a shop and the machine that backs it up: a configuration, a state
// folder, a repository.
type site struct {
	*shop.Shop
	t    *testing.T
	ctx  context.Context
	spec shop.Spec
	dir  string
}

// siteOptions say how a site differs from the usual one.
type siteOptions struct {
	shop.Options
	spec shop.Spec
}

// limit bounds one test, everything included.
const limit = 12 * time.Minute

// newSite makes a shop and its orchestrator's folders; both are gone when the
// test ends.
func newSite(t *testing.T, o siteOptions) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	began := time.Now()
	sh, err := kit.Start(ctx, o.Options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sh.Close() })
	s := &site{Shop: sh, t: t, ctx: ctx, spec: o.spec, dir: t.TempDir()}
	if s.spec.Name == "" {
		s.spec.Name = "shop"
	}
	s.spec.KnownHosts = filepath.Join(s.dir, "known_hosts")
	if s.spec.StateDir == "" {
		s.spec.StateDir = filepath.Join(s.dir, "state")
	}
	if s.spec.Repository == "" {
		s.spec.Repository = filepath.Join(s.dir, "backups")
	}
	s.trust()
	s.configure()
	t.Cleanup(s.audit)
	t.Logf("%d instances up after %.1f s", len(sh.Instances()), time.Since(began).Seconds())
	return s
}

// trust writes the keys that the instances have now into known_hosts.
func (s *site) trust() {
	s.t.Helper()
	if err := kit.Lab.KnownHosts(s.spec.KnownHosts, s.Instances()...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) configure() {
	s.t.Helper()
	if err := os.WriteFile(s.config(), s.YAML(s.spec), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) config() string { return filepath.Join(s.dir, "lockstep.yaml") }

// start runs lockstep beside the test.
func (s *site) start(args ...string) *process {
	s.t.Helper()
	p := &process{t: s.t, site: s, done: make(chan struct{})}
	p.cmd = exec.CommandContext(s.ctx, filepath.Join(bin, "lockstep"), append([]string{"--config", s.config()}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.Env = append(os.Environ(), "HOME="+s.dir, "NO_COLOR=1")
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// lockstep runs a command to its end.
func (s *site) lockstep(args ...string) result {
	s.t.Helper()
	return s.start(args...).wait()
}

// must is lockstep with -o json; any exit code but 0 ends the test.
func (s *site) must(args ...string) result {
	s.t.Helper()
	r := s.lockstep(append(args, "-o", "json")...)
	if r.code != 0 {
		s.t.Fatalf("lockstep %v: %s", args, r)
	}
	return r
}

// last is the newest run of the journal.
func (s *site) last() run {
	s.t.Helper()
	runs := s.runs()
	if len(runs) == 0 {
		s.t.Fatal("no run in the journal")
	}
	return s.must("runs", "show", runs[0].ID).run
}

// runs lists the journal, the newest run first.
func (s *site) runs() []run {
	s.t.Helper()
	var runs []run
	s.ok(json.Unmarshal([]byte(s.must("runs", "list").stdout), &runs))
	return runs
}

// audit has every run of the journal judged by the auditor.
func (s *site) audit() {
	s.t.Helper()
	var runs []run
	out := s.lockstep("runs", "list", "-o", "json")
	if out.code != 0 {
		return // some tests lose the journal, and some have none
	}
	s.ok(json.Unmarshal([]byte(out.stdout), &runs))
	for _, r := range runs {
		if a := s.lockstep("runs", "audit", r.ID); a.code != 0 {
			s.t.Errorf("audit of run %s: %s", r.ID, a)
		}
	}
}

// unlocked fails the test if an instance says that something is locked.
func (s *site) unlocked() {
	s.t.Helper()
	if locked, err := s.Locked(s.ctx); err != nil || len(locked) > 0 {
		s.t.Errorf("still locked: %v, %v", locked, err)
	}
}

// unlockedWithin waits for it.
func (s *site) unlockedWithin(limit time.Duration) {
	s.t.Helper()
	var locked []string
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if locked, err = s.Locked(s.ctx); err == nil && len(locked) == 0 {
			return
		}
	}
	s.t.Errorf("still locked after %s: %v, %v", limit, locked, err)
}

// point is the consistent point that the stores are at; none ends the test.
func (s *site) point() int {
	s.t.Helper()
	orders, err := s.Orders(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := orders.Point()
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *site) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// waitFor waits until a script has said that it begins or ends; if the
// orchestrator ends before, so does the test.
func (s *site) waitFor(p *process, in int, script, what string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeoutCause(s.ctx, 3*time.Minute, errors.New("3 minutes"))
	defer cancel()
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := s.WaitFor(ctx, s.Instances()[in], script, what); err != nil {
		p.kill()
		s.t.Fatalf("%v\n%s", err, p.wait())
	}
}

// Positions in Instances.
const (
	web0 = iota
	web1
	web2
	db
	store
)
