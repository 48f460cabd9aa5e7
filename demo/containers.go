package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lockstep"
)

// A container of the demo ends by itself, in case nobody ends it.
const containerLife = "86400"

// containers are instances that are containers of a Docker engine, each with its folder
// of this machine in it.
type containers struct {
	image string
	names map[*instance]string // of those that may be there
}

func (g *containers) err() error          { return nil }
func (g *containers) each() string        { return "a container\nof " + g.image }
func (g *containers) flag() string        { return " --docker" }
func (g *containers) poll() time.Duration { return 3 * time.Millisecond }

func (g *containers) look(s *sample) (at, slow, closed string) { return lookInFolder(s) }

// possible says in clear words where there is no engine to show anything with.
func (g *containers) possible(ctx context.Context) error {
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
	return output(ctx, "docker", args...)
}

// output runs a program and gives what it printed; what it complained of is in the error.
func output(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(exit.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}

// start starts a container for each instance, with the demo's folder in it at the same
// place, and beside it a folder for what must outlive it.
func (g *containers) start(ctx context.Context, s *sample) error {
	g.names = map[*instance]string{}
	for _, i := range s.instances {
		lasting := filepath.Join(s.dir, "lasting", i.name())
		if err := errors.Join(i.inFolder(), os.MkdirAll(lasting, 0o700)); err != nil {
			return err
		}
		name := fmt.Sprintf("lockstep-demo-%d-%s", os.Getpid(), i.name())
		g.names[i] = name // it may be there even where this fails
		_, err := docker(ctx, "run", "--detach", "--init", "--name", name, "--user", containerUser(),
			"--volume", s.dir+":"+s.dir, "--volume", lasting+":/var/lib/lockstep", "--workdir", i.root,
			g.image, "sleep", containerLife)
		if err != nil {
			return &lockstep.Error{
				Err:  fmt.Errorf("start a container of %s: %w", g.image, err),
				Hint: "name an image that is there (docker images), with " + imageNeeds,
			}
		}
	}
	return s.configure(fmt.Sprintf(containerConfig, containerUser()), func(i *instance) string { return "container: " + g.names[i] })
}

// imageNeeds is what an image of the demo must have, and how to name one.
const imageNeeds = "a shell, coreutils, findutils, tar and util-linux: --image debian:12"

// containerUser is who runs commands in containers: whoever this is, so that the
// demo's folder stays theirs.
func containerUser() string { return fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()) }

// stop ends the containers, and those that were only begun.
func (g *containers) stop(*sample) error {
	if len(g.names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args := append([]string{"rm", "--force", "--volumes"}, slices.Sorted(maps.Values(g.names))...)
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
