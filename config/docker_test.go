package config

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const withContainers = `
repository: {dir: b}
deployments:
  one: {docker: {project: shop, services: [db, web]}}
  far:
    docker:
      host: ssh://ops@10.0.0.5
      ssh: {identity_file: id, known_hosts: known}
      user: postgres
    instance_groups: [{name: db, instances: [{id: a, container: pg}]}]
  mixed:
    docker: {project: shop, services: [web]}
    instance_groups:
    - {name: db, ssh: {user: root, config_file: none}, instances: [{id: "0", host: db1}]}
    - {name: cache, docker: {host: "tcp://10.0.0.6:2376", ca_cert_file: c, cert_file: d, key_file: k, label: cache}}
    - {name: queue, docker: {project: other, sidecar_image: "debian:12"}}
`

func TestContainers(t *testing.T) {
	t.Parallel()
	env := environment("HOME", "/home/op", "DOCKER_HOST", "unix:///run/other.sock")
	c, err := Parse("/etc/x/x.yaml", []byte(withContainers), env)
	if err != nil {
		t.Fatal(err)
	}
	far, mixed, one := c.Deployments[0], c.Deployments[1], c.Deployments[2]
	engine := func(change func(*Docker)) *Docker {
		k := &Docker{Host: "unix:///run/other.sock", User: "root"}
		change(k)
		return k
	}
	for name, x := range map[string]struct{ got, want any }{
		"one": {one.Docker, engine(func(k *Docker) { k.Project, k.Services = "shop", []string{"db", "web"} })},
		"far": {far.Docker, engine(func(k *Docker) {
			k.Host, k.User = "ssh://ops@10.0.0.5", "postgres"
			k.SSH = &SSH{IdentityFiles: []string{"/etc/x/id"}, KnownHosts: []string{"/etc/x/known"}}
		})},
		"a container":      {far.Groups[0].Instances, []Instance{{ID: "a", Index: "0", Container: "pg"}}},
		"a group over SSH": {mixed.Groups[0].SSH, &SSH{User: "root", ConfigFile: "none"}},
		"a group by label": {mixed.Groups[1].Docker, engine(func(k *Docker) {
			k.Host, k.Label = "tcp://10.0.0.6:2376", "cache"
			k.CAFile, k.CertFile, k.KeyFile = "/etc/x/c", "/etc/x/d", "/etc/x/k"
		})},
		"a group of a project": {mixed.Groups[2].Docker, engine(func(k *Docker) {
			k.Project, k.Services, k.SidecarImage = "other", []string{"queue"}, "debian:12"
		})},
		"sources":   {[]string{far.Source(), mixed.Source(), one.Source()}, []string{"docker", "mixed", "docker"}},
		"locations": {mixed.Locations.Claim + " " + mixed.Locations.Launcher, "/var/lib/lockstep/claim /var/lib/lockstep/run"},
	} {
		if diff := cmp.Diff(x.want, x.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	again, err := Parse("/etc/x/x.yaml", []byte(Show(c)), environment())
	if err != nil {
		t.Fatalf("%v\n%s", err, Show(c))
	}
	if diff := cmp.Diff(c, again, cmp.AllowUnexported()); diff != "" {
		t.Errorf("what is shown is read otherwise (-shown +read):\n%s", diff)
	}
}

// TestContexts: the engine is the one that the docker command would use.
func TestContexts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id := func(name string) string {
		sum := sha256.Sum256([]byte(name))
		return hex.EncodeToString(sum[:])
	}
	context := func(name, host string, more string) {
		write("contexts/meta/"+id(name)+"/meta.json", `{"Name":"`+name+`","Metadata":{},"Endpoints":{"docker":{"Host":"`+host+`"`+more+`}}}`)
	}
	write("config.json", `{"currentContext":"now"}`)
	context("now", "unix:///now.sock", "")
	context("tls", "tcp://10.0.0.7:2376", "")
	for _, file := range []string{"ca.pem", "cert.pem", "key.pem"} {
		write("contexts/tls/"+id("tls")+"/docker/"+file, "x")
	}
	context("blind", "tcp://10.0.0.7:2376", `,"SkipTLSVerify":true`)
	for name, x := range map[string]struct {
		keys string
		env  []string
		host string // "" is an error
	}{
		"the current one":                 {"", nil, "unix:///now.sock"},
		"a named one":                     {", context: tls", nil, "tcp://10.0.0.7:2376"},
		"the default one":                 {", context: default", nil, defaultEngine},
		"that of the environment":         {"", []string{"DOCKER_CONTEXT", "tls"}, "tcp://10.0.0.7:2376"},
		"a host of the environment":       {"", []string{"DOCKER_HOST", "unix:///env.sock", "DOCKER_CONTEXT", "tls"}, "unix:///env.sock"},
		"a named one, whatever else":      {", context: now", []string{"DOCKER_HOST", "unix:///env.sock"}, "unix:///now.sock"},
		"one that does not verify":        {", context: blind", nil, ""},
		"one that is not there":           {", context: nobodys", nil, ""},
		"of the environment, not there":   {"", []string{"DOCKER_CONTEXT", "nobodys"}, ""},
		"a host that needs no file there": {`, host: "unix:///h.sock"`, []string{"DOCKER_CONTEXT", "nobodys"}, "unix:///h.sock"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := environment(append(x.env, "HOME", "/nowhere", "DOCKER_CONFIG", dir)...)
			c, err := Parse("/x.yaml", []byte("repository: {dir: b}\ndeployments: {a: {docker: {project: a"+x.keys+"}}}"), env)
			if err != nil || x.host == "" {
				if err == nil || x.host != "" {
					t.Errorf("got %v; want %q", err, x.host)
				}
				return
			}
			k := c.Deployments[0].Docker
			if k.Host != x.host || (k.KeyFile != "") != (x.host == "tcp://10.0.0.7:2376") {
				t.Errorf("got %+v; want %q", k, x.host)
			}
		})
	}
}
