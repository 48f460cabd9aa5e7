package docker

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"lockstep"
	"lockstep/source"
	"lockstep/target/docker"
	"lockstep/target/ssh"
)

func specification() Specification {
	return Specification{Name: "shop", File: "/x.yaml", Engine: docker.Config{Host: "unix:///s"}, Project: "shop"}
}

// of is a container with labels: key, value, key, value.
func of(name string, labels ...string) container.Summary {
	c := container.Summary{ID: "id-of-" + name, Names: []string{"/other/" + name, "/" + name}, Labels: map[string]string{}}
	for i := 0; i < len(labels); i += 2 {
		c.Labels[labels[i]] = labels[i+1]
	}
	return c
}

func compose(service, number string, more ...string) container.Summary {
	return of("shop-"+service+"-"+number, append(more, labelProject, "shop", labelService, service, labelNumber, number)...)
}

func names(list []found) []string {
	var out []string
	for _, f := range list {
		out = append(out, f.group+"/"+f.id+" "+f.index+" "+f.container)
	}
	return out
}

func TestPick(t *testing.T) {
	t.Parallel()
	project := []container.Summary{
		compose("web", "10"), compose("web", "2"), compose("db", "1"), compose("web", "1", labelOneOff, "True"),
	}
	labeled := []container.Summary{of("c"), of("a"), of("d", labelGroup, "g", labelIndex, "7"), of("b", labelGroup, "g"), compose("web", "3")}
	for name, c := range map[string]struct {
		change func(*Specification)
		all    []container.Summary
		want   []string
	}{
		"a project": {func(*Specification) {}, project, []string{"db/1 1 shop-db-1", "web/2 2 shop-web-2", "web/10 10 shop-web-10"}},
		"services, one of which has no container": {func(s *Specification) { s.Services = []string{"db", "cache"} }, project,
			[]string{"cache/1 1 shop-cache-1", "db/1 1 shop-db-1"}},
		"a service under another name": {func(s *Specification) { s.Services, s.Group = []string{"db"}, "data" }, project, []string{"data/1 1 shop-db-1"}},
		"a label": {func(s *Specification) { s.Project, s.Label = "", "x" }, labeled,
			[]string{"a/a 0 a", "c/c 0 c", "g/b 0 b", "g/d 7 d", "web/shop-web-3 3 shop-web-3"}},
		"a list": {func(s *Specification) {
			s.Project, s.Instances = "", []Instance{{"db", "0", "0", "shop-db-1"}, {"web", "0", "0", "gone"}}
		}, project, []string{"db/0 0 shop-db-1", "web/0 0 gone"}},
		"nothing": {func(*Specification) {}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := specification()
			c.change(&s)
			made, err := New(s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, names(made.pick(c.all))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestMachines: a container that takes another's place under the same name is
// noticed.
func TestMachines(t *testing.T) {
	t.Parallel()
	made, err := New(specification())
	if err != nil {
		t.Fatal(err)
	}
	then := listed(made.pick([]container.Summary{compose("db", "1")}))
	anew := compose("db", "1")
	anew.ID = "another"
	want := []string{"db/1 was machine id-of-shop-db-1 and is another"}
	if diff := cmp.Diff(want, source.Changes(then, listed(made.pick([]container.Summary{anew})))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsNoDeployment(t *testing.T) {
	t.Parallel()
	for says, list := range map[string][]found{
		"there are none":                 nil,
		"a and b are both instance g/x":  {{group: "g", id: "x", index: "0", container: "a"}, {group: "g", id: "x", index: "1", container: "b"}},
		"a and b are both index g/0":     {{group: "g", id: "x", index: "0", container: "a"}, {group: "g", id: "y", index: "0", container: "b"}},
		`container a: instance group "-`: {{group: "-x", id: "x", index: "0", container: "a"}},
		`container a: index "../up"`:     {{group: "g", id: "x", index: "../up", container: "a"}},
		"container a is both g/x and h/y": {
			{group: "g", id: "x", index: "0", container: "a", summary: of("a")}, {group: "h", id: "y", index: "0", container: "id-of-a", summary: of("a")},
		},
		`container a: instance id "a b"`: {{group: "g", id: "a b", index: "0", container: "a"}},
	} {
		if err := checkFound(list); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v; want %q", err, says)
		}
	}
}

// TestScriptsOfLabels: a label is a script of one line.
func TestScriptsOfLabels(t *testing.T) {
	t.Parallel()
	f := found{group: "db", id: "a", index: "0", container: "a", summary: of("a",
		"lockstep.pre-backup-lock", "pg lock 'x'", "lockstep.backup", "", "lockstep.metadata", "echo", "lockstep.nothing", "x")}
	lock := map[lockstep.ScriptKind]string{lockstep.ScriptPreBackupLock: "#!/bin/sh\npg lock 'x'\n"}
	if diff := cmp.Diff(map[string]map[lockstep.ScriptKind]string{"db": lock}, scriptsOf(f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.summary.Labels[labelJob] = "postgres"
	if diff := cmp.Diff(map[string]map[lockstep.ScriptKind]string{"postgres": lock}, scriptsOf(f)); diff != "" {
		t.Errorf("with a name (-want +got):\n%s", diff)
	}
	f.summary.Labels[labelJob] = "../x"
	if err := checkFound([]found{f}); err == nil || !strings.Contains(err.Error(), `job "../x"`) {
		t.Errorf("a job with a bad name: %v", err)
	}
	f.summary = of("a")
	if got := scriptsOf(f); got != nil {
		t.Errorf("without labels: %v", got)
	}
}

func TestLasting(t *testing.T) {
	t.Parallel()
	with := func(name string, mounts ...container.MountPoint) found {
		c := of(name)
		c.Mounts = mounts
		return found{group: "g", id: name, index: "0", container: name, summary: c}
	}
	volume := func(name, at string) container.MountPoint {
		return container.MountPoint{Type: mount.TypeVolume, Name: name, Destination: at, RW: true}
	}
	at := lockstep.ContainerLocations()
	for name, c := range map[string]struct {
		list []found
		at   lockstep.Locations
		says string // of the last one
	}{
		"a volume":                    {[]found{with("a", volume("v", "/var/lib/lockstep"))}, at, ""},
		"a volume above":              {[]found{with("a", volume("v", "/var/"))}, at, ""},
		"a folder of the machine":     {[]found{with("a", container.MountPoint{Type: mount.TypeBind, Source: "/srv", Destination: "/var/lib/lockstep", RW: true})}, at, ""},
		"none":                        {[]found{with("a")}, at, "in the container itself"},
		"one with a name like it":     {[]found{with("a", volume("v", "/var/lib/lock"))}, at, "in the container itself"},
		"only for the claim":          {[]found{with("a", volume("v", "/var/lib/lockstep/claim"))}, at, "/var/lib/lockstep/run would be lost"},
		"memory":                      {[]found{with("a", container.MountPoint{Type: mount.TypeTmpfs, Destination: "/var/lib/lockstep", RW: true})}, at, "is a tmpfs"},
		"memory on a volume":          {[]found{with("a", volume("v", "/var/lib"), container.MountPoint{Type: mount.TypeTmpfs, Destination: "/var/lib/lockstep", RW: true})}, at, "is a tmpfs"},
		"read-only":                   {[]found{with("a", container.MountPoint{Type: mount.TypeVolume, Name: "v", Destination: "/var/lib/lockstep"})}, at, "read-only"},
		"one of each":                 {[]found{with("a", volume("v", "/var/lib/lockstep")), with("b", volume("w", "/var/lib/lockstep"))}, at, ""},
		"one of both":                 {[]found{with("a", volume("v", "/var/lib/lockstep")), with("b", volume("v", "/var/lib/lockstep"))}, at, "as that of container a"},
		"one of both, mounted higher": {[]found{with("a", volume("v", "/var/lib/lockstep")), with("b", volume("v", "/var/lib"))}, at, ""},
		"relative":                    {[]found{with("a", volume("v", "/"))}, lockstep.Locations{Claim: "claim", Launcher: "/run"}, "not absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			errs, _ := unfit(c.list, c.at)
			err := errs[len(errs)-1]
			if c.says == "" && err == nil {
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || lockstep.HintOf(err) == "" {
				t.Errorf("got %v, hint %q; want %q", err, lockstep.HintOf(err), c.says)
			}
		})
	}
	errs, _ := unfit([]found{with("a")}, at)
	if hint := lockstep.HintOf(errs[0]); !strings.HasSuffix(hint, "\n    volumes:\n    - a-lockstep:/var/lib/lockstep\nand at the top level of that file:\n    volumes:\n      a-lockstep: {}") {
		t.Errorf("the hint is not the lines of YAML: %q", hint)
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	s := specification()
	s.Services, s.Group = []string{"db"}, "data"
	s.SSH = &ssh.Config{User: "ops", IdentityFiles: []string{"/k"}}
	s.Limits.MaxLock = time.Minute
	made, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	if !IsReach(made.Reach()) || IsReach(`{"name":"x"}`) || IsReach("no JSON") {
		t.Error("a reach is not told from others")
	}
	again, err := FromReach(made.Reach())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made.spec, again.spec); diff != "" {
		t.Errorf("(-made +again):\n%s", diff)
	}
	if again.Info().Key != "spec:/x.yaml#shop" {
		t.Errorf("the key is %s", again.Info().Key)
	}
}

func TestBadSpecifications(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(*Specification){
		"neither file nor identity":  func(s *Specification) { s.File = "" },
		"must be those of a project": func(s *Specification) { s.Label = "x" },
		"services are those":         func(s *Specification) { s.Project, s.Label, s.Services = "", "x", []string{"db"} },
		"has no container":           func(s *Specification) { s.Project, s.Instances = "", []Instance{{Group: "g", ID: "0"}} },
	} {
		s := specification()
		change(&s)
		if _, err := New(s); lockstep.KindOf(err) != lockstep.KindInvalid || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v; want %q", err, says)
		}
	}
}
