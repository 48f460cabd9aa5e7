package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckFiles: each file that a deployment, a group of it or the repository names
// is looked at, wherever its key stands.
func TestCheckFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, there := range []string{"there", "agent.pub"} {
		if err := os.WriteFile(filepath.Join(dir, there), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Parse(filepath.Join(dir, "x.yaml"), []byte(`
repository: {restic: {location: "s3:https://h/b", password_file: r1, credentials_file: r2}}
deployments:
  directed: {bosh: {director: "https://d:1", client: c, client_secret_file: b1, ca_cert_file: b2}}
  own: {ssh: {user: ops, identity_file: s1, certificate_file: s2, known_hosts: s3, config_file: s4}, instance_groups: [{name: db, instances: [{id: "0", host: h}]}]}
  containers: {docker: {project: p, host: "tcp://10.0.0.1:2376", ca_cert_file: d1, cert_file: d2, key_file: d3}}
  mixed:
    docker: {project: p, host: "ssh://h", ssh: {identity_file: e1, known_hosts: there}}
    instance_groups:
    - {name: db, ssh: {user: ops, identity_file: g1, config_file: none}, instances: [{id: "0", host: h}]}
    - {name: web, docker: {host: "ssh://h", ssh: {identity_file: [agent, g2]}, project: p}}
    - {name: cache, docker: {host: "tcp://10.0.0.1:2376", ca_cert_file: g3, cert_file: g4, key_file: there, project: p}}
`), environment("HOME", "/home/op"))
	if err != nil {
		t.Fatal(err)
	}
	err = c.CheckFiles()
	if err == nil {
		t.Fatal("nothing is missing")
	}
	for _, want := range []string{
		"restic.password_file of the repository: open " + dir + "/r1:", "restic.credentials_file of the repository: open " + dir + "/r2:",
		`bosh.client_secret_file of deployment "directed": open ` + dir + "/b1:", `bosh.ca_cert_file of deployment "directed": open ` + dir + "/b2:",
		`ssh.identity_file of deployment "own": open ` + dir + "/s1:", `ssh.certificate_file of deployment "own": open ` + dir + "/s2:",
		`ssh.known_hosts of deployment "own": open ` + dir + "/s3:", `ssh.config_file of deployment "own": open ` + dir + "/s4:",
		`docker.ca_cert_file of deployment "containers": open ` + dir + "/d1:", `docker.cert_file of deployment "containers": open ` + dir + "/d2:",
		`docker.key_file of deployment "containers": open ` + dir + "/d3:", `docker.ssh.identity_file of deployment "mixed": open ` + dir + "/e1:",
		`ssh.identity_file of group "db" of deployment "mixed": open ` + dir + "/g1:",
		`docker.ssh.identity_file of group "web" of deployment "mixed": open ` + dir + "/g2:",
		`docker.ca_cert_file of group "cache" of deployment "mixed": open ` + dir + "/g3:", `docker.cert_file of group "cache" of deployment "mixed": open ` + dir + "/g4:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if n := strings.Count(err.Error(), dir); n != 17 { // one is in what was done
		t.Errorf("it names %d files:\n%v", n-1, err)
	}
}
