package config

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"lockstep"
	"lockstep/access"
)

var update = flag.Bool("update", false, "write the golden files anew")

// environment is an os.Getenv over a fixed set.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

var testEnv = environment("HOME", "/home/op", "KEY", "keys/id", "LIMIT", "45m", "NASTY", "a: {b")

func TestBadConfigurations(t *testing.T) {
	golden := filepath.Join("testdata", "bad.txtar")
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range archive.Files {
		want[f.Name] = string(f.Data)
	}
	var out []txtar.File
	for _, f := range archive.Files {
		name, ok := strings.CutSuffix(f.Name, ".yaml")
		if !ok {
			continue
		}
		_, err := Parse("/x.yaml", f.Data, testEnv)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		got := errors.Unwrap(err).Error() + "\n"
		if diff := cmp.Diff(want[name+".err"], got); diff != "" && !*update {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		out = append(out, f, txtar.File{Name: name + ".err", Data: []byte(got)})
	}
	if *update {
		archive.Files = out
		if err := os.WriteFile(golden, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("/etc/x/x.yaml", []byte(text), testEnv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const full = `
state_dir: ./state
repository: {dir: ./backups}
deployments:
  web: {local: {}, instance_groups: [{name: a, instances: [{id: 0}]}]}
  shop:
    identity: prod-shop
    ssh:
      user: ops
      identity_file: [~/.ssh/a, "${KEY}"]
      known_hosts: known_hosts
      proxy_jump: j@jump:22
      config_file: none
      port: 2022
      keepalive_interval: 5s
    script_location: hooks/{job}
    instance_groups:
    - name: db
      instances: [{id: "x", host: "10.0.0.11"}, {id: "y", host: "[::1]:2222", index: 7}]
    jobs:
      web: {lock_before: [postgres, {job: uaa, release: cf}, postgres], may_be_empty: true}
      cache: {skip: true, script_timeout: 2m}
    max_lock: ${LIMIT}
    lock_lease: off
    on_restore_failure: hold
server:
  listen: ":7443"
  public_url: https://backup.example.com/
  tls: {cert_file: cert.pem, key_file: key.pem, client_ca_file: clients.pem}
  trusted_proxies: ["10.0.0.5", "fd00:5::/32"]
access:
  restore_approval: [shop, "prod-*"]
  client_certificates:
  - {name: "spiffe://example.com/ci", as: ci, roles: ["backup-operator@sh?p"]}
  oidc:
    issuer: https://id.example.com
    client_id: lockstep
    client_secret_file: oidc
    groups:
      ops: {roles: [viewer, backup-operator@shop]}
  session_idle: 10m
`

func TestFullConfiguration(t *testing.T) {
	locations := lockstep.DefaultLocations()
	locations.Scripts = "hooks/{job}"
	want := &Config{
		Path:       "/etc/x/x.yaml",
		StateDir:   "/etc/x/state",
		Repository: Repository{Dir: "/etc/x/backups"},
		Deployments: []Deployment{{
			Name: "shop", Identity: "prod-shop",
			Reach: Reach{SSH: &SSH{
				User: "ops", Port: 2022, Sudo: true,
				IdentityFiles: []string{"/home/op/.ssh/a", "/etc/x/keys/id"},
				KnownHosts:    []string{"/etc/x/known_hosts"},
				ProxyJump:     "j@jump:22", ConfigFile: "none", KeepaliveInterval: 5 * time.Second,
			}},
			Locations: locations,
			Groups: []Group{{Name: "db", Instances: []Instance{
				{ID: "x", Index: "0", Host: "10.0.0.11"}, {ID: "y", Index: "7", Host: "[::1]:2222"},
			}}},
			Jobs: []Job{
				{Name: "cache", Skip: true, ScriptTimeout: 2 * time.Minute},
				{Name: "web", MayBeEmpty: true, LockBefore: []lockstep.JobRef{{Job: "postgres"}, {Job: "uaa", Release: "cf"}}},
			},
			ScriptTimeout: time.Hour, MaxLock: 45 * time.Minute,
			OnRestoreFailure: HoldOnRestoreFailure,
		}, {
			Name: "web", Reach: Reach{Local: &Local{}},
			Locations:     lockstep.DefaultLocations(),
			Groups:        []Group{{Name: "a", Instances: []Instance{{ID: "0", Index: "0"}}}},
			ScriptTimeout: time.Hour, LockLease: 10 * time.Minute,
			OnRestoreFailure: UnlockOnRestoreFailure,
		}},
		Server: Server{
			Listen: ":7443", PublicURL: "https://backup.example.com", StopTimeout: 5 * time.Minute,
			TLS:            &TLS{CertFile: "/etc/x/cert.pem", KeyFile: "/etc/x/key.pem", ClientCAFile: "/etc/x/clients.pem"},
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32"), netip.MustParsePrefix("fd00:5::/32")},
		},
		Access: Access{
			RestoreApproval: []string{"shop", "prod-*"},
			Certificates: []access.CertificateRule{{
				Name: "spiffe://example.com/ci", Principal: "ci", Grants: []access.Grant{{Role: access.RoleBackupOperator, Deployments: "sh?p"}},
			}},
			OIDC: &OIDC{
				Issuer: "https://id.example.com", ClientID: "lockstep", ClientSecretFile: "/etc/x/oidc", NameClaim: "sub", GroupsClaim: "groups",
				Groups: map[string][]access.Grant{"ops": {{Role: access.RoleViewer, Deployments: "*"}, {Role: access.RoleBackupOperator, Deployments: "shop"}}},
			},
			SessionIdle: 10 * time.Minute, SessionLife: 12 * time.Hour,
		},
		RemindEvery: time.Hour, TransferMemory: 128 << 20,
	}
	if diff := cmp.Diff(want, parse(t, full), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShowIsReadBackUnchanged(t *testing.T) {
	for name, text := range map[string]string{
		"full":    full,
		"told":    told,
		"starter": Generate(),
		"copies":  "repository: {dir: a}\ncopies: {near: {dir: b}, far: {restic: {location: \"s3:https://h/b/f\", password_file: p}}}\ndeployments: {}\n",
		"dollar":  "repository: {dir: /a$$b}\ndeployments: {}\n",
	} {
		c := parse(t, text)
		if diff := cmp.Diff(c, parse(t, Show(c)), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s (-read +shown and read):\n%s\n%s", name, diff, Show(c))
		}
	}
}

func TestVariablesAreNotParsedAgain(t *testing.T) {
	c := parse(t, `{repository: {dir: "/x/${NASTY}/$$KEY"}, deployments: {}}`)
	if want := "/x/a: {b/$KEY"; c.Repository.Dir != want {
		t.Errorf("dir is %q, want %q", c.Repository.Dir, want)
	}
}

func TestAliasesAreReadAndBounded(t *testing.T) {
	c := parse(t, `
repository: {dir: x}
deployments:
  a: {ssh: &way {user: ops}, instance_groups: &g [{name: g, instances: [{id: i, host: h}]}]}
  b: {ssh: *way, instance_groups: *g}
`)
	if diff := cmp.Diff(c.Deployments[0].SSH, c.Deployments[1].SSH); diff != "" {
		t.Error(diff)
	}
	bomb := "repository: {dir: x}\ndeployments:\n  a: {local: {}, instance_groups: [{name: a, instances: [{id: i}]}], jobs: {j: {lock_before: &a0 [a,a,a,a,a,a,a,a,a]}}}\n"
	for i := 1; i < 9; i++ {
		prev := string(rune('0' + i - 1))
		bomb += "  x" + prev + ": {jobs: {j: {lock_before: &a" + string(rune('0'+i)) + " [" + strings.Repeat("*a"+prev+",", 8) + "*a" + prev + "]}}}\n"
	}
	if _, err := Parse("x.yaml", []byte(bomb), testEnv); err == nil || lockstep.KindOf(err) != lockstep.KindInvalid {
		t.Errorf("alias bomb: %v", err)
	}
}

func TestFindTakesTheFirstThatExists(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	env := environment("HOME", dir, "XDG_CONFIG_HOME", filepath.Join(dir, "xdg"))
	_, err := Find("", env)
	if lockstep.KindOf(err) != lockstep.KindNotFound || !strings.Contains(err.Error(), filepath.Join(dir, "xdg", "lockstep", "config.yaml")) {
		t.Fatalf("without any file: %v", err)
	}
	xdg := filepath.Join(dir, "xdg", "lockstep", "config.yaml")
	for _, path := range []string{xdg, "lockstep.yaml"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(Generate()), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Find("", env); err != nil || got != path {
			t.Errorf("found %q, %v; want %q", got, err, path)
		}
	}
	if got, _ := Find("", environment("LOCKSTEP_CONFIG", "e.yaml")); got != "e.yaml" {
		t.Errorf("LOCKSTEP_CONFIG is passed over for %q", got)
	}
	if got, _ := Find("f.yaml", environment("LOCKSTEP_CONFIG", "e.yaml")); got != "f.yaml" {
		t.Errorf("the named file is passed over for %q", got)
	}
	c, err := Load("", env)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, ".local", "state", "lockstep"); c.StateDir != want {
		t.Errorf("state dir is %q, want %q", c.StateDir, want)
	}
	if _, err := Load("absent.yaml", env); lockstep.HintOf(err) == "" {
		t.Errorf("absent file: %v has no hint", err)
	}
}

func TestDeploymentByName(t *testing.T) {
	c := parse(t, full)
	if d, err := c.Deployment("shop"); err != nil || d.Name != "shop" {
		t.Errorf("%v, %v", d.Name, err)
	}
	_, err := c.Deployment("shp")
	if lockstep.KindOf(err) != lockstep.KindNotFound || !strings.Contains(lockstep.HintOf(err), `did you mean "shop"?`) {
		t.Errorf("%v, hint %q", err, lockstep.HintOf(err))
	}
}

// TestExamplesAreValid reads every example that an error text offers.
func TestExamplesAreValid(t *testing.T) {
	for _, section := range []any{
		&fileConfig{}, &fileRepository{}, &fileCopy{}, &fileRestic{}, &fileDeployment{}, &fileLocal{}, &fileSSH{}, &fileBOSH{},
		&fileGroup{}, &fileInstance{}, &fileJob{}, &fileJobRef{},
	} {
		for _, f := range fieldsOf(section) {
			d := &decoder{file: "x", dir: "/", env: testEnv}
			root := d.document([]byte(f.example))
			if root == nil {
				t.Fatalf("%s: %v", f.example, d.problems)
			}
			d.section(root, section, crumb{})
			for _, p := range d.problems {
				if !strings.Contains(p.Message, "is missing in the file") {
					t.Errorf("example %q: %v", f.example, p)
				}
			}
			if f.doc == "" {
				t.Errorf("key %s has no doc", f.key)
			}
		}
	}
}

func TestSchemaIsJSON(t *testing.T) {
	var s struct{ Properties map[string]any }
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"state_dir", "repository", "deployments"} {
		if s.Properties[key] == nil {
			t.Errorf("no property %s", key)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(Generate()))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("repository: &r {dir: *r}\ndeployments: *r"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("x.yaml", data, testEnv)
		if err != nil {
			if lockstep.KindOf(err) != lockstep.KindInvalid {
				t.Fatalf("%v is not of KindInvalid", err)
			}
			return
		}
		again, err := Parse("x.yaml", []byte(Show(c)), testEnv)
		if err != nil {
			t.Fatalf("read what was shown: %v\n%s", err, Show(c))
		}
		if diff := cmp.Diff(c, again, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Fatalf("(-read +shown and read):\n%s", diff)
		}
	})
}

func TestALocationIsARepository(t *testing.T) {
	home, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	env := environment("RESTIC_PASSWORD_FILE", "/p")
	for location, want := range map[string]Repository{
		"./x/y":                   {Dir: filepath.Join(home, "x/y")},
		"/mnt/usb":                {Dir: "/mnt/usb"},
		"restic:x":                {Restic: &Restic{Location: filepath.Join(home, "x"), PasswordFile: "/p"}},
		"s3:https://h:9/bucket/f": {Restic: &Restic{PasswordFile: "/p", S3: &S3{Endpoint: "h:9", Bucket: "bucket", Prefix: "f", PathStyle: true}}},
	} {
		got, ok, err := AtLocation(location, env)
		if diff := cmp.Diff(want, got); !ok || err != nil || diff != "" {
			t.Errorf("%s: %t, %v (-want +got)\n%s", location, ok, err, diff)
		}
	}
	if r, _, err := AtLocation("restic:/x", environment()); err != nil || r.Restic.PasswordEnv != "RESTIC_PASSWORD" {
		t.Errorf("without a file the password comes from %q, %v", r.Restic.PasswordEnv, err)
	}
	if _, ok, err := AtLocation("offsite", env); ok || err != nil {
		t.Errorf("a name is taken for a location: %v", err)
	}
	for _, bad := range []string{"/", "restic:/", "s3:", "s3:https://h", "s3:https://user:secret@h/b", "s3:ftp://h/b"} {
		if r, _, err := AtLocation(bad, env); lockstep.KindOf(err) != lockstep.KindUsage || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %+v, %v", bad, r, err)
		}
	}
}
