package kubernetes

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/labels"

	"lockstep"
	"lockstep/source"
	"lockstep/target/kubernetes"
)

// Specification describes a deployment, or the part of one that is in one cluster.
// It is a plain value and holds no secret.
type Specification struct {
	Name string `json:"name"`
	// File, a canonical path, and Identity make the deployment's key; see
	// source.Key.
	File     string `json:"file,omitempty"`
	Identity string `json:"identity,omitempty"`

	Cluster   kubernetes.Config `json:"cluster"`
	Namespace string            `json:"namespace"`

	// Exactly one of StatefulSet, Workload, Selector and Instances says which pods.
	//
	// StatefulSet is the name of one: it is the group, an ordinal is id and index.
	StatefulSet string `json:"stateful_set,omitempty"`
	// Workload is the name of a Deployment of Kubernetes: it is the group, the place
	// among its pods, the oldest first and from 0, is id and index.
	Workload string `json:"workload,omitempty"`
	// Selector is what kubectl get -l takes. A pod's group is its annotation or label
	// lockstep.group, else the workload that it belongs to, else its name; its index
	// is lockstep.index, else its ordinal, else its place, as above; its id is its
	// name where it belongs to none, else its index.
	Selector string `json:"selector,omitempty"`
	// Group, if not "", is the group of all that is found.
	Group     string     `json:"group,omitempty"`
	Instances []Instance `json:"instances,omitempty"`

	// Container is the name of the container in pods; "" is the one that there is, or
	// that the pod's annotation kubectl.kubernetes.io/default-container names.
	Container string `json:"container,omitempty"`
	// SidecarImage, if not "", is the image of an ephemeral container that a run makes
	// beside each of the containers, because theirs has no shell.
	SidecarImage string `json:"sidecar_image,omitempty"`

	// Locations are the folders in containers; where one is "", that of
	// lockstep.ContainerLocations holds.
	Locations lockstep.Locations            `json:"locations"`
	Jobs      map[string]source.JobOverride `json:"jobs,omitempty"`
	Limits    source.Limits                 `json:"limits,omitzero"`
}

// Instance is a pod that a specification lists.
type Instance struct {
	Group string `json:"group"`
	ID    string `json:"id"`
	Index string `json:"index"`
	Pod   string `json:"pod"`
	// Container, if not "", holds in place of the specification's.
	Container string `json:"container,omitempty"`
}

// check refuses what no source can be made of. Specifications come from the
// configuration, which checks more and knows line and column, and from journals.
func (s Specification) check() error {
	errs := []error{source.CheckKey(s.Identity, s.File, s.Name)}
	add := func(err error) { errs = append(errs, err) }
	ways := 0
	for _, given := range []bool{s.StatefulSet != "", s.Workload != "", s.Selector != "", len(s.Instances) > 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		add(errors.New("its pods must be those of a StatefulSet, of a Deployment, those of a selector, or listed"))
	}
	if _, err := labels.Parse(s.Selector); err != nil {
		add(fmt.Errorf("selector %q: %w", s.Selector, err))
	}
	if s.Namespace == "" {
		add(errors.New("it has no namespace"))
	}
	for _, in := range s.Instances {
		if in.Pod == "" {
			add(fmt.Errorf("instance %s/%s has no pod", in.Group, in.ID))
		}
	}
	return errors.Join(errs...)
}

// which names the pods that are meant, in messages and to tell them from others.
func (s Specification) which() string {
	var which string
	switch {
	case s.StatefulSet != "":
		which = "statefulset " + s.StatefulSet
	case s.Workload != "":
		which = "deployment " + s.Workload
	case s.Selector != "":
		which = "selector " + s.Selector
	default:
		which = "pods"
		for _, in := range s.Instances {
			which += fmt.Sprintf(" %s/%s=%s", in.Group, in.ID, in.Pod)
			if in.Container != "" {
				which += "(" + in.Container + ")"
			}
		}
	}
	if s.Container != "" {
		which += " container " + s.Container
	}
	return which + " in namespace " + s.Namespace
}
