package bosh

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	mock "lockstep/internal/mockdirector"
	"lockstep/source"
	"lockstep/target"
	"lockstep/target/ssh"
)

func TestContract_6_4_ADiscoveryThatFailsCleansEachGroupThatWasSetUp(t *testing.T) {
	t.Parallel()
	a, b, web := cluster(t)
	last := mock.NewInstance(t, "zoo", "z", 0) // its setup is never asked for
	director := mock.New(t)
	director.Expect(mock.Info(), mock.VMs("cf", a, b, web, last), mock.Manifest("cf", ""),
		mock.SetupSSH("cf", "redis", a, b), mock.SetupSSH("cf", "web", web),
		mock.CleanupGroup("cf", "redis", a, b), mock.CleanupGroup("cf", "web", web))
	s := newSource(t, Options{
		Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true,
		AfterGroup: func(_ context.Context, g *source.Resolved) ([]source.Instance, error) {
			if g.Instances[0].Group == "web" {
				return nil, errors.New("Parsing metadata failed")
			}
			return g.Instances, nil
		},
	})
	track := &diary{}
	_, err := s.Resolve(t.Context(), track)
	wantError(t, err, "Parsing metadata failed")
	noUsers(t, a, b, web)
	if n := len(track.lines); n != 9 {
		t.Errorf("tracked %q", track.lines)
	}
}

func TestContract_6_4_ASetupThatFailsCleansTheGroupsBeforeIt(t *testing.T) {
	t.Parallel()
	a, b, web := cluster(t)
	director := mock.New(t)
	director.Expect(mock.Info(), mock.VMs("cf", a, b, web), mock.Manifest("cf", ""),
		mock.SetupSSH("cf", "redis", a, b), mock.Fails("POST", "/deployments/cf/ssh", 500, "ultra-baz"),
		mock.CleanupGroup("cf", "redis", a, b))
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true})
	_, err := s.Resolve(t.Context(), nil)
	wantError(t, err, "Director responded with non-successful status code '500' response 'ultra-baz'")
	noUsers(t, a, b)
}

func TestContract_6_4_NoCleanupWhereAHostKeyCannotBeRead(t *testing.T) {
	t.Parallel()
	in := mock.NewInstance(t, "redis", "a", 0)
	for _, exact := range []bool{true, false} {
		director := mock.New(t)
		director.Expect(mock.Info(), mock.VMs("cf", in), mock.Manifest("cf", ""),
			mock.SetupSSHRaw("cf", "redis", `[{"status":"success","ip":"127.0.0.1:1","host_public_key":"junk","id":"a"}]`))
		if !exact {
			director.Expect(mock.CleanupGroup("cf", "redis"))
		}
		s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: exact})
		_, err := s.Resolve(t.Context(), nil)
		wantError(t, err, "host key")
	}
}

func TestContract_6_4_ACleanupThatFailsKeepsNoOtherFromBeingTried(t *testing.T) {
	t.Parallel()
	a, b, web := cluster(t)
	director := mock.New(t)
	director.Expect(mock.Deployment("cf", "", a, b, web),
		mock.CleanupSSHFails("cf", a, "ultra-baz"), mock.CleanupSSH("cf", b), mock.CleanupSSH("cf", web))
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true})
	track := &diary{}
	r := mustResolve(t, s, track)
	err := r.Release(t.Context())
	wantError(t, err, "Director responded with non-successful status code '500' response 'ultra-baz'", "redis")
	if again := r.Release(t.Context()); again == nil || again.Error() != err.Error() {
		t.Errorf("the second time it says %v", again)
	}
	if slices.Contains(track.lines, "released ssh-user redis/uuid-a") || !slices.Contains(track.lines, "released ssh-user web/uuid-w") {
		t.Errorf("tracked %q", track.lines)
	}
}

func TestContract_6_4_ACleanupCancelledRunStillRemovesUsers(t *testing.T) {
	t.Parallel()
	a, b, web := cluster(t)
	director := mock.New(t)
	director.Expect(mock.Info(), mock.VMs("cf", a, b, web), mock.Manifest("cf", ""),
		mock.SetupSSH("cf", "redis", a, b), mock.CleanupGroup("cf", "redis", a, b))
	ctx, cancel := context.WithCancel(t.Context())
	s := newSource(t, Options{
		Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true,
		AfterGroup: func(ctx context.Context, g *source.Resolved) ([]source.Instance, error) {
			cancel()
			return g.Instances, context.Cause(ctx)
		},
	})
	if _, err := s.Resolve(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	noUsers(t, a, b)
}

func TestContract_6_5_TheHostKeyIsPinned(t *testing.T) {
	t.Parallel()
	in, other := mock.NewInstance(t, "redis", "a", 0), mock.NewInstance(t, "redis", "x", 1)
	director := mock.New(t)
	// The director tells another key than the one that the machine shows.
	reply := strings.ReplaceAll(answer(in, "a"), in.HostKey(), other.HostKey())
	director.Expect(mock.Info(), mock.VMs("cf", in), mock.Manifest("cf", ""), mock.SetupSSHRaw("cf", "redis", reply), mock.CleanupSSH("cf", in))
	r := mustResolve(t, newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true}), nil)
	_, err := r.Instances[0].Target.Run(t.Context(), "true", target.Streams{})
	if !errors.Is(err, ssh.ErrHostKey) || in.Server.Logins() != 0 {
		t.Errorf("%v; %d logins were tried", err, in.Server.Logins())
	}
	release(t, r)
}

func TestContract_6_5_AFreshUserAndKeyForEachRun(t *testing.T) {
	t.Parallel()
	in := mock.NewInstance(t, "redis", "a", 0)
	director := mock.New(t)
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true})
	var users []string
	director.Expect(mock.Info())
	for range 2 {
		director.Expect(mock.Deployment("cf", "", in)[1:], mock.CleanupSSH("cf", in))
		r := mustResolve(t, s, nil)
		users = append(users, director.User())
		output(t, r.Instances[0], "true")
		release(t, r)
	}
	if users[0] == users[1] || !ourUser(users[0]) || len(users[0]) != 20 {
		t.Errorf("the users are %q", users)
	}
	r := &resolution{}
	if err := r.makeKey(); err != nil {
		t.Fatal(err)
	}
	key, _, _, rest, err := gossh.ParseAuthorizedKey([]byte(r.public))
	if err != nil || len(rest) > 0 || key.Type() != "ssh-rsa" {
		t.Errorf("%v %v", key, err)
	}
	if signer, err := gossh.ParsePrivateKey(r.pem); err != nil || string(signer.PublicKey().Marshal()) != string(key.Marshal()) {
		t.Errorf("the halves do not belong together: %v", err)
	}
}

func TestContract_6_5_Addresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"10.0.0.1": "10.0.0.1:22", "0.0.0.0:32887": "0.0.0.0:32887", "db.example": "db.example:22",
		"fd00::1": "[fd00::1]:22", "[fd00::1]": "[fd00::1]:22", "[fd00::1]:2222": "[fd00::1]:2222", "10.0.0.1:": "10.0.0.1:22",
	} {
		if got := withPort(address); got != want {
			t.Errorf("%q gives %q, want %q", address, got, want)
		}
	}
}

func TestContract_2_5_TheBootstrapInstanceHasTheAddressOfTheMarkedVM(t *testing.T) {
	t.Parallel()
	r := &resolution{}
	g := &group{vms: []VM{
		{ID: "a", Bootstrap: true, IPs: []string{"10.0.0.1", "10.1.0.1"}}, {ID: "b", IPs: []string{"10.0.0.2"}},
	}}
	for ip, want := range map[string]bool{"10.0.0.1": true, "10.1.0.1": true, "10.0.0.2": false, "10.0.0.1:22": false} {
		if got := r.bootstrap(g, SSHHost{IP: ip}); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
}
