package demo

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lockstep/internal/sshtest"
)

// jobScripts are the scripts of the sample deployment's jobs: scripts/JOB/SCRIPT.
//
//go:embed scripts
var jobScripts embed.FS

// sample is the sample deployment: instances that are folders of this machine,
// each with an SSH server, or a container, of its own.
type sample struct {
	dir string
	// image is that of the containers; "": there are none.
	image     string
	instances []*instance
	// db has the job postgres, blobs the job blobstore; the others are web.
	db, blobs *instance
}

// instance is one of them. Its folder is where its SSH server begins.
type instance struct {
	group, index, job string
	root              string
	server            *sshtest.Server
	container         string // its name, where it has one
}

// name is the name of its folder: GROUP-INDEX.
func (i *instance) name() string { return i.group + "-" + i.index }

func newSample(dir, image string) *sample {
	s := &sample{dir: dir, image: image}
	add := func(group, index, job string) *instance {
		i := &instance{group: group, index: index, job: job}
		i.root = filepath.Join(dir, "instances", i.name())
		s.instances = append(s.instances, i)
		return i
	}
	s.db = add("db", "0", "postgres")
	s.blobs = add("blobs", "0", "blobstore")
	for _, index := range []string{"0", "1", "2"} {
		add("web", index, "web")
	}
	return s
}

func (s *sample) webs() []*instance {
	var webs []*instance
	for _, i := range s.instances {
		if i.job == "web" {
			webs = append(webs, i)
		}
	}
	return webs
}

// config is the path of the configuration file.
func (s *sample) config() string { return filepath.Join(s.dir, "lockstep.yaml") }

// layOut makes the instances' folders with their jobs' scripts.
func (s *sample) layOut() error {
	if err := os.MkdirAll(filepath.Join(s.dir, "network"), 0o755); err != nil {
		return err
	}
	var webs strings.Builder
	for _, w := range s.webs() {
		webs.WriteString(w.name() + "\n")
	}
	for _, i := range s.instances {
		if err := i.layOut(); err != nil {
			return err
		}
		peers := map[string]string{"web": "peers", "postgres": "webs"}[i.job]
		if peers == "" {
			continue
		}
		if err := os.WriteFile(i.path(peers), []byte(webs.String()), 0o644); err != nil {
			return err
		}
	}
	return books{s}.begin()
}

func (i *instance) layOut() error {
	scripts, err := fs.Sub(jobScripts, "scripts/"+i.job)
	if err != nil {
		return err
	}
	bin := i.path("jobs", i.job, "bin")
	for _, dir := range []string{bin, i.path("tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return fs.WalkDir(scripts, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(scripts, name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(bin, name), text, 0o755)
	})
}

// sshUser is whom the SSH servers let in.
const sshUser = "demo"

// start starts the SSH servers, or the containers, and writes the configuration
// file. What was started before an error is for stop.
func (s *sample) start(ctx context.Context, path string) error {
	if s.image != "" {
		return s.startContainers(ctx)
	}
	return s.startServers(path)
}

// startServers writes the key and the known hosts too.
func (s *sample) startServers(path string) error {
	login, err := s.writeKey()
	if err != nil {
		return err
	}
	var hosts strings.Builder
	for _, i := range s.instances {
		i.server, err = sshtest.Start(sshtest.Config{
			Dir:  i.root,
			Env:  []string{"PATH=" + path, "HOME=" + i.root, "TMPDIR=" + i.path("tmp"), "USER=" + sshUser, "LC_ALL=C"},
			User: sshUser, AuthorizedKeys: []ssh.PublicKey{login},
			// Sessions at once of an OpenSSH server that nobody configured.
			MaxSessions: 10,
			KillStrays:  true,
		})
		if err != nil {
			return fmt.Errorf("start SSH server of %s: %w", i.name(), err)
		}
		hosts.WriteString(knownhosts.Line([]string{knownhosts.Normalize(i.server.Addr())}, i.server.HostKey()) + "\n")
	}
	return errors.Join(
		os.WriteFile(filepath.Join(s.dir, "known_hosts"), []byte(hosts.String()), 0o644),
		os.WriteFile(s.config(), []byte(s.configText()), 0o644),
	)
}

// stop stops the SSH servers or containers, and whatever runs on the instances.
func (s *sample) stop() error {
	errs := []error{s.removeContainers()}
	for _, i := range s.instances {
		if i.server != nil {
			errs = append(errs, i.server.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *sample) writeKey() (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "lockstep demo")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "id_ed25519"), pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(public)
}

const sampleConfig = `# The sample deployment of "lockstep demo". A real one differs in three things:
# its hosts, its user (with sudo), and that the four locations have defaults.
state_dir: state
repository:
  dir: backups
deployments:
  shop:
    ssh:
      user: demo
      sudo: false
      identity_file: id_ed25519
      identities_only: true
      identity_agent: none
      known_hosts: known_hosts
      config_file: none
      proxy_jump: none
    # All instances are folders of one machine here, so these are relative to
    # where each one logs in.
    script_location: jobs/{job}/bin
    artifact_location: store
    launcher_location: run
    claim_location: claim
    # An instance that has not heard of the orchestrator for so long unlocks
    # itself.
    lock_lease: 1m
    instance_groups:
`

func (s *sample) configText() string {
	return s.withGroups(sampleConfig, func(i *instance) string { return fmt.Sprintf("host: %q", i.server.Addr()) })
}

// withGroups is a configuration with the instances behind it; where says of each
// how it is reached.
func (s *sample) withGroups(config string, where func(*instance) string) string {
	var b strings.Builder
	b.WriteString(config)
	group := ""
	for _, i := range s.instances {
		if i.group != group {
			group = i.group
			fmt.Fprintf(&b, "    - name: %s\n      instances:\n", group)
		}
		fmt.Fprintf(&b, "      - {id: %q, %s}\n", i.index, where(i))
	}
	return b.String()
}
