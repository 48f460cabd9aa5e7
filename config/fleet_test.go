package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFleet: what the file says of Temporal and of zones is shown, and read again as the
// same.
func TestFleet(t *testing.T) {
	const text = "state_dir: s\nrepository: {dir: b}\nstate: {postgres: {url: \"postgres://u@h/d\"}}\n" +
		"deployments: {near: {local: {}, zone: eu-1, instance_groups: [{name: db, instances: [{id: \"0\", dir: d}]}]}, far: {local: {}, instance_groups: [{name: db, instances: [{id: \"0\", dir: d}]}]}}\n"
	for name, c := range map[string]struct {
		text string
		want *Fleet
	}{
		"none":     {"", nil},
		"defaults": {"fleet: {temporal: {address: \"t:7233\"}}\n", &Fleet{Temporal: Temporal{Address: "t:7233", Namespace: "default"}, Heartbeat: 5 * time.Second}},
		"all": {"fleet: {heartbeat_timeout: 10s, temporal: {address: \"t:7233\", namespace: n, tls: {ca_file: a, cert_file: c, key_file: k, server_name: s}, api_key_file: f}}\n",
			&Fleet{Heartbeat: 10 * time.Second, Temporal: Temporal{
				Address: "t:7233", Namespace: "n", APIKeyFile: "/etc/x/f",
				TLS: &TemporalTLS{CAFile: "/etc/x/a", CertFile: "/etc/x/c", KeyFile: "/etc/x/k", ServerName: "s"},
			}}},
	} {
		read, err := Parse("/etc/x/x.yaml", []byte(c.text+text), environment("HOME", "/h"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, read.Fleet); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		again, err := Parse("/etc/x/x.yaml", []byte(Show(read)), environment("HOME", "/h"))
		if err != nil {
			t.Errorf("%s: shown and read again: %v", name, err)
			continue
		}
		if diff := cmp.Diff(read.Fleet, again.Fleet); diff != "" {
			t.Errorf("%s: shown and read again: %s", name, diff)
		}
		if again.Deployments[0].Zone != "" || again.Deployments[1].Zone != "eu-1" {
			t.Errorf("%s: zones %q and %q", name, again.Deployments[0].Zone, again.Deployments[1].Zone)
		}
	}
}
