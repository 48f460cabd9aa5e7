package bosh

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/discover"
	mock "lockstep/internal/mockdirector"
	"lockstep/source"
)

const manifestV2 = `
instance_groups:
- name: redis
  jobs:
  - {name: redis, release: redis-release, properties: {bbr: {backup_one_restore_all: true}}}
- name: web
  jobs:
  - {name: web, release: web-release}
`

// cluster is two groups, the first of two instances.
func cluster(t *testing.T) (a, b, web *mock.Instance) {
	t.Helper()
	a = mock.NewInstance(t, "redis", "uuid-a", 0)
	b = mock.NewInstance(t, "redis", "uuid-b", 1)
	web = mock.NewInstance(t, "web", "uuid-w", 0)
	for _, in := range []*mock.Instance{a, b} {
		in.Script(t, "redis", "backup", "#!/bin/sh\n")
	}
	web.Script(t, "web", "pre-backup-lock", "#!/bin/sh\n")
	return a, b, web
}

func noUsers(t *testing.T, instances ...*mock.Instance) {
	t.Helper()
	for _, in := range instances {
		if users := in.Users(); len(users) > 0 {
			t.Errorf("%s/%s still has the users %q", in.Group, in.ID, users)
		}
	}
}

func TestContract_6_3_ResolveDiscoverReleaseInExactOrder(t *testing.T) {
	t.Parallel()
	a, b, web := cluster(t)
	director := mock.New(t)
	director.Expect(mock.Deployment("cf", manifestV2, a, web, b))
	var looked []string
	s := newSource(t, Options{
		Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true,
		AfterGroup: func(ctx context.Context, g *source.Resolved) ([]source.Instance, error) {
			looked = append(looked, strings.Join(names(g.Instances), " "))
			if len(looked) == 1 && len(web.Users()) > 0 {
				t.Error("the second group was set up before the first was looked at")
			}
			_, _, err := discover.Discover(ctx, g, discover.Options{Version: "1.9.0"})
			return g.Instances, err
		},
	})
	track := &diary{}
	r := mustResolve(t, s, track)
	if diff := cmp.Diff([]string{"redis/uuid-a redis/uuid-b", "web/uuid-w"}, looked); diff != "" {
		t.Errorf("looked at (-want +got):\n%s", diff)
	}
	found, _, err := discover.Discover(t.Context(), r, discover.Options{Version: "1.9.0"})
	if err != nil {
		t.Fatal(err)
	}
	redis := found.Instances[0].Jobs[0]
	if redis.Release != "redis-release" || redis.CustomArtifact != "redis-redis-release-backup-one-restore-all" {
		t.Errorf("the first redis is %+v", redis)
	}
	if second := found.Instances[1].Jobs[0]; second.CustomArtifact != "" || second.RestoresFrom != redis.CustomArtifact {
		t.Errorf("the second redis is %+v", second)
	}
	director.Expect(mock.Cleanup("cf", a, b, web))
	release(t, r)
	release(t, r) // no further call
	noUsers(t, a, b, web)
	want := []string{
		"acquiring ssh-user redis/uuid-a", "acquiring ssh-user redis/uuid-b",
		"acquired ssh-user redis/uuid-a", "acquired ssh-user redis/uuid-b",
		"acquiring ssh-user web/uuid-w", "acquired ssh-user web/uuid-w",
		"released ssh-user redis/uuid-a", "released ssh-user redis/uuid-b", "released ssh-user web/uuid-w",
	}
	if diff := cmp.Diff(want, track.lines); diff != "" {
		t.Errorf("tracked (-want +got):\n%s", diff)
	}
	if len(track.users) != 1 {
		t.Errorf("there were several users: %v", track.users)
	}
	for _, in := range []*mock.Instance{a, b, web} {
		if n := in.Server.Accepted(); n != 1 {
			t.Errorf("%s took %d connections", in.ID, n)
		}
	}
}

func TestFreeOrderSetsGroupsUpAtOnceAndCleansThemWithOneCallEach(t *testing.T) {
	t.Parallel()
	a, b, web := cluster(t)
	director := mock.New(t)
	director.Unordered()
	director.Expect(mock.Deployment("cf", manifestV2, a, web, b))
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf"})
	track := &diary{}
	r := mustResolve(t, s, track)
	if diff := cmp.Diff([]string{"redis/uuid-a", "redis/uuid-b", "web/uuid-w"}, names(r.Instances)); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	for _, in := range r.Instances {
		if got := output(t, in, "echo here"); got != "here" {
			t.Errorf("%s printed %q", in.Name(), got)
		}
	}
	director.Expect(mock.CleanupGroup("cf", "redis", a, b), mock.CleanupGroup("cf", "web", web))
	release(t, r)
	noUsers(t, a, b, web)
	if n := len(track.lines); n != 9 {
		t.Errorf("tracked %d facts: %q", n, track.lines)
	}
}

func TestInfoKeyAndReach(t *testing.T) {
	t.Parallel()
	director := newDirector(t, DirectorOptions{Target: "bosh.example", Username: "ops", Password: "geheim", Env: environment()})
	s := newSource(t, Options{Director: director, Deployment: "cf", Jobs: map[string]source.JobOverride{"web": {Skip: true}}})
	want := lockstep.DeploymentInfo{Name: "cf", Source: "bosh", Key: "bosh:https://bosh.example:25555#cf"}
	if got := s.Info(); got != want {
		t.Errorf("info is %+v", got)
	}
	if strings.Contains(s.Reach(), "geheim") {
		t.Errorf("the password is in %s", s.Reach())
	}
	again, err := FromReach(s.Reach(), environment("BOSH_CLIENT_SECRET", "geheim"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if again.Info() != s.Info() || again.Reach() != s.Reach() {
		t.Errorf("%s\nis not\n%s", again.Reach(), s.Reach())
	}
	if poor, err := FromReach(s.Reach(), environment(), nil); err != nil || poor.Info() != s.Info() {
		t.Errorf("without a password: %v", err)
	} else if _, err := poor.Resolve(t.Context(), nil); lockstep.HintOf(err) == "" {
		t.Errorf("without a password the error is %v, without a hint", err)
	}
	for _, text := range []string{"", "{}", "null", `{"kind":"bosh"}`, `{"kind":"bosh","nome":"x"}`, `{"kind":"spec"}`, "[1]"} {
		if _, err := FromReach(text, environment("BOSH_CLIENT_SECRET", "x"), nil); err == nil {
			t.Errorf("reach %q is taken", text)
		}
	}
}

func TestResolveStopsWhereTheJournalCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"acquiring ssh-user web/uuid-w", "acquired ssh-user web/uuid-w"} {
		web := mock.NewInstance(t, "web", "uuid-w", 0)
		director := mock.New(t)
		director.Expect(mock.Info(), mock.VMs("cf", web), mock.Manifest("cf", ""))
		if strings.HasPrefix(failing, "acquired") {
			director.Expect(mock.SetupSSH("cf", "web", web), mock.CleanupGroup("cf", "web", web))
		}
		s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true})
		_, err := s.Resolve(t.Context(), &diary{failing: failing})
		wantError(t, err, "the disk is full")
		noUsers(t, web)
	}
}

func TestRemoveUsersOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	for _, exact := range []bool{false, true} {
		web := mock.NewInstance(t, "web", "uuid-w", 0)
		director := mock.New(t)
		director.Expect(mock.Deployment("cf", "", web))
		s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: exact})
		now := mustResolve(t, s, nil)
		x := lockstep.Resource{Kind: lockstep.ResourceSSHUser, Instance: "web/uuid-w", Name: director.User()}
		gone := lockstep.Resource{Kind: lockstep.ResourceSSHUser, Instance: "web/uuid-of-old", Name: director.User()}
		left := []lockstep.Resource{x}
		if exact { // the director must not be asked, and a machine that is gone has no users
			left = append(left, gone)
		} else {
			director.Expect(mock.CleanupSSH("cf", web))
		}
		removed, err := s.Remove(t.Context(), left, now)
		if err != nil || len(removed) != len(left) {
			t.Errorf("exact %t: removed %v, %v", exact, removed, err)
		}
		for _, name := range []string{"", "root", "bosh_", "bosh_.*", "bosh_0123456789abcdeg"} {
			x.Name = name
			if removed, err := s.Remove(t.Context(), []lockstep.Resource{x}, now); err == nil || len(removed) > 0 {
				t.Errorf("user %q is removed", name)
			}
		}
		if exact {
			director.Expect(mock.CleanupSSH("cf", web)) // by the cleanup of the test
		} else {
			director.Expect(mock.CleanupGroup("cf", "web", web))
		}
	}
}

func TestUsersThatTheDirectorIsNotAskedForRemoveThemselves(t *testing.T) {
	t.Parallel()
	a, b, web := cluster(t)
	director := mock.New(t)
	director.Expect(mock.Deployment("cf", manifestV2, a, b, web))
	s := newSource(t, Options{
		Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true,
		AfterGroup: func(_ context.Context, g *source.Resolved) ([]source.Instance, error) { return g.Instances[:1], nil },
		CleanUp:    func(in source.Instance) bool { return in.Group == "redis" },
	})
	track := &diary{}
	r := mustResolve(t, s, track)
	if diff := cmp.Diff([]string{"redis/uuid-a", "web/uuid-w"}, names(r.Instances)); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	director.Expect(mock.CleanupSSH("cf", a))
	release(t, r)
	gone(t, b)
	gone(t, web)
	noUsers(t, a)
	if n := len(track.lines); n != 9 {
		t.Errorf("tracked %d facts: %q", n, track.lines)
	}
}

// gone waits until an instance has removed its users by itself.
func gone(t *testing.T, in *mock.Instance) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); len(in.Users()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s still has the users %q", in.ID, in.Users())
		}
	}
}

func TestTheGuardRunsBesideTheFirstCommandOnly(t *testing.T) {
	t.Parallel()
	web := mock.NewInstance(t, "web", "uuid-w", 0)
	director := mock.New(t)
	director.Expect(mock.Deployment("cf", "", web))
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true, UserGrace: time.Second})
	r := mustResolve(t, s, nil)
	for range 3 {
		output(t, r.Instances[0], "true")
	}
	g := r.Instances[0].Target.(*guardedTarget)
	g.started.Wait()
	if n := web.Server.Execs(); n != 4 {
		t.Errorf("%d commands ran", n)
	}
	// The run dies; nobody asks the director.
	_ = g.Close()
	gone(t, web)
	director.Expect(mock.CleanupSSH("cf", web)) // by the cleanup of the test
}

func TestContract_2_1_WindowsIsAskedFor(t *testing.T) {
	t.Parallel()
	web := mock.NewInstance(t, "web", "uuid-w", 0)
	director := mock.New(t)
	director.Expect(mock.Deployment("cf", "", web), mock.CleanupSSH("cf", web))
	r := mustResolve(t, newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true}), nil)
	windows, err := IsWindows(t.Context(), r.Instances[0].Target)
	if windows || err != nil {
		t.Errorf("%v, %v", windows, err)
	}
	release(t, r)
	if _, err = IsWindows(t.Context(), r.Instances[0].Target); err == nil {
		t.Error("a closed target is asked")
	}
}

func TestNewRefusesWhatNeedsExact(t *testing.T) {
	t.Parallel()
	d := newDirector(t, DirectorOptions{Target: "x", Env: environment()})
	_, err := New(Options{Director: d, CleanUp: func(source.Instance) bool { return true }})
	_, none := New(Options{})
	if err == nil || none == nil {
		t.Error(errors.Join(err, none))
	}
}

// TestContract_2_1_AnIdIsUniqueInItsGroupOnly: the original knows an instance by
// its group and its id, so that two groups may have the same id.
//
//fault:same-id-in-two-groups a director lists the same id in two instance groups | both instances are part of the deployment
func TestContract_2_1_AnIdIsUniqueInItsGroupOnly(t *testing.T) {
	t.Parallel()
	for _, exact := range []bool{true, false} {
		a, b := mock.NewInstance(t, "redis", "same", 0), mock.NewInstance(t, "web", "same", 0)
		for _, in := range []*mock.Instance{a, b} {
			in.Script(t, in.Group, "backup", "#!/bin/sh\n")
		}
		director := mock.New(t)
		if !exact {
			director.Unordered()
		}
		director.Expect(mock.Deployment("cf", manifestV2, a, b))
		s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: exact})
		r := mustResolve(t, s, &diary{})
		found, _, err := discover.Discover(t.Context(), r, discover.Options{Version: "1.9.0"})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"redis", "web"} {
			if in := found.Instances[i]; string(in.Name()) != want+"/same" || len(in.Jobs) != 1 || in.Jobs[0].Name != want {
				t.Errorf("instance %d is %+v", i, in)
			}
		}
		if exact {
			director.Expect(mock.Cleanup("cf", a, b))
		} else {
			director.Expect(mock.CleanupGroup("cf", "redis", a), mock.CleanupGroup("cf", "web", b))
		}
		release(t, r)
		noUsers(t, a, b)
	}
}
