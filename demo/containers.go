package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"lockstep"
)

// A container of the demo ends by itself, in case nobody ends it.
const containerLife = "86400"

// findEngine says in clear words where there is no engine to show anything with.
func findEngine(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return &lockstep.Error{
			Op: "demo", Err: errors.New("there is no docker command here"),
			Hint: "install Docker, or see the same over SSH: lockstep demo",
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if _, err := docker(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return &lockstep.Error{
			Op: "demo", Err: err,
			Hint: "start the engine, or let this user use it (usermod -aG docker USER, then log in again); or see the same over SSH: lockstep demo",
		}
	}
	return nil
}

// docker runs a docker command.
func docker(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("docker %s: %w: %s", args[0], err, strings.TrimSpace(string(exit.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}

// startContainers starts a container for each instance, with the demo's folder in
// it at the same place, and beside it a folder for what must outlive it.
func (s *sample) startContainers(ctx context.Context) error {
	for _, i := range s.instances {
		lasting := filepath.Join(s.dir, "lasting", i.name())
		if err := os.MkdirAll(lasting, 0o700); err != nil {
			return err
		}
		name := fmt.Sprintf("lockstep-demo-%d-%s", os.Getpid(), i.name())
		i.container = name // it may be there even where this fails
		_, err := docker(ctx, "run", "--detach", "--init", "--name", name, "--user", containerUser(),
			"--volume", s.dir+":"+s.dir, "--volume", lasting+":/var/lib/lockstep", "--workdir", i.root,
			s.image, "sleep", containerLife)
		if err != nil {
			return &lockstep.Error{
				Err:  fmt.Errorf("start a container of %s: %w", s.image, err),
				Hint: "name an image that is there (docker images), with a shell, coreutils, findutils, tar and util-linux: --image debian:12",
			}
		}
	}
	return os.WriteFile(s.config(), []byte(s.containerConfig()), 0o644)
}

// containerUser is who runs commands in containers: whoever this is, so that the
// demo's folder stays theirs.
func containerUser() string { return fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()) }

// removeContainers ends the containers, and those that were only begun.
func (s *sample) removeContainers() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args := []string{"rm", "--force", "--volumes"}
	for _, i := range s.instances {
		if i.container != "" {
			args = append(args, i.container)
		}
	}
	if len(args) == 3 {
		return nil
	}
	_, err := docker(ctx, args...)
	if err != nil && strings.Contains(err.Error(), "No such container") {
		err = nil
	}
	return err
}

const containerConfig = `# The sample deployment of "lockstep demo --docker". A real one has its scripts in
# the images, or on volumes, at the usual place.
state_dir: state
repository:
  dir: backups
deployments:
  shop:
    docker: {user: %q}
    # The folder that each container begins in is one of this machine here.
    script_location: jobs/{job}/bin
    artifact_location: store
    # An instance that has not heard of the orchestrator for so long unlocks
    # itself.
    lock_lease: 1m
    instance_groups:
`

func (s *sample) containerConfig() string {
	return s.withGroups(fmt.Sprintf(containerConfig, containerUser()), func(i *instance) string { return "container: " + i.container })
}
