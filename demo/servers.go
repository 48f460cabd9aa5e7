package demo

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lockstep/internal/sshtest"
)

// servers are instances that are folders of this machine, each with an SSH server.
type servers struct {
	path    string // $PATH of what runs on them
	started []*sshtest.Server
}

// sshUser is whom the SSH servers let in.
const sshUser = "demo"

func (g *servers) possible(context.Context) error { return missingTools(g.path) }
func (g *servers) err() error                     { return nil }
func (g *servers) each() string                   { return "a folder with an SSH server of its own\non loopback" }
func (g *servers) flag() string                   { return "" }
func (g *servers) poll() time.Duration            { return 3 * time.Millisecond }

func (g *servers) look(s *sample) (at, slow, closed string) { return lookInFolder(s) }

// lookInFolder is ground.look where all instances are in the demo's folder.
func lookInFolder(s *sample) (at, slow, closed string) {
	dir := shellWord(s.dir)
	return fmt.Sprintf("ls %[1]s %[1]s/backups/*", dir), fmt.Sprintf("touch %s/slow", dir), fmt.Sprintf("ls %s/network", dir)
}

// start writes the key and the known hosts too.
func (g *servers) start(_ context.Context, s *sample) error {
	login, err := writeKey(s.dir)
	if err != nil {
		return err
	}
	var hosts strings.Builder
	addresses := map[*instance]string{}
	for _, i := range s.instances {
		if err := i.inFolder(); err != nil {
			return err
		}
		server, err := sshtest.Start(sshtest.Config{
			Dir:  i.root,
			Env:  []string{"PATH=" + g.path, "HOME=" + i.root, "TMPDIR=" + i.path("tmp"), "USER=" + sshUser, "LC_ALL=C"},
			User: sshUser, AuthorizedKeys: []ssh.PublicKey{login},
			// Sessions at once of an OpenSSH server that nobody configured.
			MaxSessions: 10,
			KillStrays:  true,
		})
		if err != nil {
			return fmt.Errorf("start SSH server of %s: %w", i.name(), err)
		}
		g.started = append(g.started, server)
		addresses[i] = server.Addr()
		hosts.WriteString(knownhosts.Line([]string{knownhosts.Normalize(server.Addr())}, server.HostKey()) + "\n")
	}
	return errors.Join(
		os.WriteFile(filepath.Join(s.dir, "known_hosts"), []byte(hosts.String()), 0o644),
		s.configure(serverConfig, func(i *instance) string { return fmt.Sprintf("host: %q", addresses[i]) }),
	)
}

func (g *servers) stop(*sample) error {
	var errs []error
	for _, server := range g.started {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}

func writeKey(dir string) (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "lockstep demo")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "id_ed25519"), pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(public)
}

const serverConfig = `# The sample deployment of "lockstep demo". A real one differs in three things:
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
