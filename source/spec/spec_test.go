package spec

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/skeema/knownhosts"
	gossh "golang.org/x/crypto/ssh"

	"lockstep"
	"lockstep/internal/sshtest"
	"lockstep/source"
	"lockstep/target"
	"lockstep/target/ssh"
)

func example() Specification {
	return Specification{
		Name: "shop", Identity: "prod",
		SSH: &ssh.Config{User: "ops", ConfigFile: "none", Port: 2200, PrivateKeys: [][]byte{[]byte("secret")}},
		Instances: []Instance{
			{Group: "db", ID: "x", Index: "0", Host: "10.0.0.1"},
			{Group: "db", ID: "y", Index: "1", Host: "10.0.0.2:2222"},
			{Group: "web", ID: "x", Index: "0", Host: "[::1]:22"},
			{Group: "web", ID: "y", Index: "1", Host: "::1"},
		},
		Jobs:   map[string]source.JobOverride{"web": {Replace: true, Metadata: lockstep.Metadata{BackupBefore: []lockstep.JobRef{{Job: "db"}}}}},
		Limits: source.Limits{ScriptTimeout: time.Minute},
	}
}

func open(t *testing.T, s Specification) *Source {
	t.Helper()
	source, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func resolve(t *testing.T, s *Source) *source.Resolved {
	t.Helper()
	r, err := s.Resolve(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Release(context.Background()) })
	return r
}

func TestResolveKeepsTheOrderAndOpensAll(t *testing.T) {
	t.Parallel()
	r := resolve(t, open(t, example()))
	var got []string
	for _, in := range r.Instances {
		line := string(in.Name()) + " " + in.Index + " " + in.Address + " " + in.Target.(*ssh.Target).String()
		if in.Bootstrap {
			line += " bootstrap"
		}
		got = append(got, line)
	}
	want := []string{
		"db/x 0 10.0.0.1 ops@10.0.0.1:2200 bootstrap",
		"db/y 1 10.0.0.2:2222 ops@10.0.0.2:2222",
		"web/x 0 [::1]:22 ops@[::1]:22 bootstrap",
		"web/y 1 ::1 ops@[::1]:2200",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r.Locations != lockstep.DefaultLocations() {
		t.Errorf("locations are %+v", r.Locations)
	}
	if !r.Overrides.Jobs["web"].Replace || r.Overrides.Releases != nil {
		t.Errorf("overrides are %+v", r.Overrides)
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "lockstep.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.yaml")
	if err := os.Symlink("lockstep.yaml", link); err != nil {
		t.Fatal(err)
	}
	s := example()
	if got := open(t, s).Info(); got != (lockstep.DeploymentInfo{Name: "shop", Key: "spec:prod#shop", Source: "ssh"}) {
		t.Errorf("got %+v", got)
	}
	s.Identity = ""
	s.File = source.Canonical(file)
	byPath := open(t, s).Info().Key
	s.File = source.Canonical(link)
	if byLink := open(t, s).Info().Key; byLink != byPath || !strings.HasPrefix(string(byPath), "spec:/") || !strings.HasSuffix(string(byPath), "/lockstep.yaml#shop") {
		t.Errorf("keys %q and %q", byPath, byLink)
	}
	s.SSH, s.Local = nil, &Local{}
	if got := open(t, s).Info(); got.Source != "local" || got.Key != byPath {
		t.Errorf("got %+v", got)
	}
}

func TestReachMakesTheSameSourceWithoutSecrets(t *testing.T) {
	t.Parallel()
	a := open(t, example())
	if strings.Contains(a.Reach(), "c2VjcmV0") || strings.Contains(a.Reach(), "secret") {
		t.Errorf("the private key is in %s", a.Reach())
	}
	b, err := FromReach(a.Reach())
	if err != nil {
		t.Fatal(err)
	}
	if a.Info() != b.Info() || a.Reach() != b.Reach() {
		t.Errorf("%s\nis not\n%s", b.Reach(), a.Reach())
	}
	for _, reach := range []string{"", "{}", `{"name":"a"}`, `{"nome":"a"}`, "null", "[1]"} {
		if _, err := FromReach(reach); err == nil {
			t.Errorf("reach %q is taken", reach)
		}
	}
}

func TestListReadsTheSpecificationAgain(t *testing.T) {
	t.Parallel()
	s := open(t, example())
	if r := resolve(t, s); len(r.Listed) != 4 {
		t.Errorf("listed are %+v", r.Listed)
	}
	written, unreadable := example(), error(nil)
	again := s.Rereads(func() (Specification, error) { return written, unreadable })
	changes := func() []string {
		t.Helper()
		list, err := again.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return source.Changes(resolve(t, again).Listed, list)
	}
	written.Limits.ScriptTimeout = time.Hour
	if got := changes(); got != nil {
		t.Errorf("a limit is not an instance: %q", got)
	}
	written.Instances = written.Instances[:3]
	written.Instances[1].Host = "10.0.0.3:2222"
	want := []string{"db/y was at 10.0.0.2:2222 and is at 10.0.0.3:2222", "web/y is gone"}
	if diff := cmp.Diff(want, changes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if list, err := s.List(t.Context()); err != nil || len(source.Changes(resolve(t, s).Listed, list)) > 0 {
		t.Errorf("one that is written nowhere changed: %+v, %v", list, err)
	}
	written.Instances = nil
	if _, err := again.List(t.Context()); err == nil {
		t.Error("a specification without instances is taken")
	}
	unreadable = os.ErrNotExist
	if _, err := again.List(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestBadSpecificationsAreRefused(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*Specification){
		"deployment \"a b\"":              func(s *Specification) { s.Name = "a b" },
		"identity \"/x\"":                 func(s *Specification) { s.Identity = "/x" },
		"neither file nor identity":       func(s *Specification) { s.Identity = "" },
		"either local or":                 func(s *Specification) { s.Local = &Local{} },
		"no instances":                    func(s *Specification) { s.Instances = nil },
		"instance db/x has no host":       func(s *Specification) { s.Instances[0].Host = "" },
		"instance db/x, index 1 is there": func(s *Specification) { s.Instances[1].ID = "x" },
		"instance db/y, index 0 is there": func(s *Specification) { s.Instances[1].Index = "0" },
	} {
		s := example()
		spoil(&s)
		_, err := New(s)
		if err == nil || !strings.Contains(err.Error(), want) || lockstep.KindOf(err) != lockstep.KindInvalid {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestResolveTellsOfAllBadHosts(t *testing.T) {
	t.Parallel()
	s := example()
	s.Instances[0].Host, s.Instances[2].Host = "-oProxyCommand=x", "a b"
	_, err := open(t, s).Resolve(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "open db/x: ") || !strings.Contains(err.Error(), "open web/x: ") {
		t.Errorf("got %v", err)
	}
}

func run(t *testing.T, r *source.Resolved, command string) []string {
	t.Helper()
	var out []string
	for _, in := range r.Instances {
		var b strings.Builder
		if exit, err := in.Target.Run(t.Context(), command, target.Streams{Stdout: &b}); err != nil || !exit.OK() {
			t.Fatalf("%s: %v, %v", in.Name(), exit, err)
		}
		out = append(out, strings.TrimSpace(b.String()))
	}
	return out
}

func TestLocalInstancesAreFolders(t *testing.T) {
	t.Parallel()
	a, b := t.TempDir(), t.TempDir()
	r := resolve(t, open(t, Specification{
		Name: "shop", Identity: "x", Local: &Local{},
		Instances: []Instance{{Group: "g", ID: "a", Index: "0", Dir: a}, {Group: "g", ID: "b", Index: "1", Dir: b}},
	}))
	if diff := cmp.Diff([]string{a, b}, run(t, r, "pwd")); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		if err := r.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Instances[0].Target.Run(t.Context(), "true", target.Streams{}); err == nil {
		t.Error("a released target runs commands")
	}
}

func TestInstancesOverSSH(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	identity := filepath.Join(dir, "id")
	if err := os.WriteFile(identity, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Specification{
		Name: "shop", Identity: "x",
		SSH: &ssh.Config{User: "ops", ConfigFile: "none", IdentityAgent: "none", IdentityFiles: []string{identity}, KnownHosts: []string{filepath.Join(dir, "known_hosts")}},
	}
	var known, dirs []string
	for _, id := range []string{"0", "1"} {
		home := t.TempDir()
		server, err := sshtest.Start(sshtest.Config{Dir: home, Env: os.Environ(), User: "ops", AuthorizedKeys: []gossh.PublicKey{key.PublicKey()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		known = append(known, knownhosts.Line([]string{server.Addr()}, server.HostKey()))
		dirs = append(dirs, home)
		s.Instances = append(s.Instances, Instance{Group: "db", ID: id, Index: id, Host: server.Addr()})
	}
	if err := os.WriteFile(s.SSH.KnownHosts[0], []byte(strings.Join(known, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := resolve(t, open(t, s))
	if diff := cmp.Diff(dirs, run(t, r, "pwd")); diff != "" {
		t.Error(diff)
	}
}
