package demo

import (
	"context"
	"time"
)

// Way is what the instances of a demo are.
type Way string

// The ways: folders with an SSH server each, containers of a Docker engine, pods of a
// Kubernetes cluster.
const (
	WaySSH        Way = "ssh"
	WayDocker     Way = "docker"
	WayKubernetes Way = "kubernetes"
)

// ground is what instances are made on. Its methods are called one after the other.
type ground interface {
	// possible says what is missing here, before anything is made.
	possible(ctx context.Context) error
	// start starts the instances, gives each its files, and writes the configuration
	// file. What was started before an error is for stop.
	start(ctx context.Context, s *sample) error
	// stop ends the instances, and whatever runs on them. It may be called twice, and
	// where nothing was started.
	stop(s *sample) error
	// err is what went wrong meanwhile.
	err() error
	// each is what each instance is, and where they all are.
	each() string
	// flag is what chooses this ground on the command line.
	flag() string
	// poll is how often a web server looks at its files.
	poll() time.Duration
	// look is what people who look around may type: where it lies, how the database is
	// made slow, and what tells which web servers are closed.
	look(s *sample) (at, slow, closed string)
}

// groundOf is the ground that a demonstration asks for.
func groundOf(d Demonstration) ground {
	switch d.Way {
	case WayDocker:
		return &containers{image: d.Image}
	case WayKubernetes:
		return &pods{image: d.Image, dir: "/shop"}
	case WaySSH:
	}
	return &servers{path: d.Getenv("PATH")}
}
