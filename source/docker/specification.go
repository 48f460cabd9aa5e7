package docker

import (
	"errors"
	"fmt"

	"lockstep"
	"lockstep/source"
	"lockstep/target/docker"
	"lockstep/target/ssh"
)

// Specification describes a deployment, or the part of one that is on one
// engine. It is a plain value and holds no secret.
type Specification struct {
	Name string `json:"name"`
	// File, a canonical path, and Identity make the deployment's key; see
	// source.Key.
	File     string `json:"file,omitempty"`
	Identity string `json:"identity,omitempty"`

	Engine docker.Config `json:"engine"`
	// SSH says how the machine of an ssh:// engine is logged in to; its Host,
	// User and Port are those of the address where it has them.
	SSH *ssh.Config `json:"ssh,omitempty"`
	// User is the user that commands run as in containers; "" is root.
	User string `json:"user,omitempty"`
	// SidecarImage, if not "", is the image of a sidecar that a run makes beside each of
	// the containers, because theirs has no shell. The engine must have it.
	SidecarImage string `json:"sidecar_image,omitempty"`

	// Exactly one of Project, Label and Instances says which containers.
	//
	// Project is that of Compose: a service is a group, a container's number its
	// id and index. Services, if there are any, are all that count.
	Project  string   `json:"project,omitempty"`
	Services []string `json:"services,omitempty"`
	// Label is KEY or KEY=VALUE. A container's group is its label
	// lockstep.group, else its service of Compose, else its name; its id is its
	// name; its index is its label lockstep.index, else its number of Compose,
	// else its place among the names of the group, from 0.
	Label string `json:"label,omitempty"`
	// Group, if not "", is the group of all that Project or Label finds.
	Group     string     `json:"group,omitempty"`
	Instances []Instance `json:"instances,omitempty"`

	// Locations are the folders in containers; where one is "", that of
	// lockstep.ContainerLocations holds.
	Locations lockstep.Locations            `json:"locations"`
	Jobs      map[string]source.JobOverride `json:"jobs,omitempty"`
	Limits    source.Limits                 `json:"limits,omitzero"`
}

// Instance is a container that a specification lists.
type Instance struct {
	Group string `json:"group"`
	ID    string `json:"id"`
	Index string `json:"index"`
	// Container is its name or id.
	Container string `json:"container"`
}

// check refuses what no source can be made of. Specifications come from the
// configuration, which checks more and knows line and column, and from journals.
func (s Specification) check() error {
	errs := []error{source.CheckKey(s.Identity, s.File, s.Name)}
	add := func(err error) { errs = append(errs, err) }
	ways := 0
	for _, given := range []bool{s.Project != "", s.Label != "", len(s.Instances) > 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		add(errors.New("its containers must be those of a project, those with a label, or listed"))
	}
	if len(s.Services) > 0 && s.Project == "" {
		add(errors.New("services are those of a project"))
	}
	for _, in := range s.Instances {
		if in.Container == "" {
			add(fmt.Errorf("instance %s/%s has no container", in.Group, in.ID))
		}
	}
	return errors.Join(errs...)
}
