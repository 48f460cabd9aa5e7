package spec

import (
	"errors"
	"fmt"

	"lockstep"
	"lockstep/source"
	"lockstep/target/ssh"
)

// Specification describes a deployment. It is a plain value; it holds no
// secret as long as its SSH.PrivateKeys is empty.
type Specification struct {
	Name string `json:"name"`
	// File is the canonical path of the file that describes the deployment, or
	// did when it was first used: its key is made of it, unless Identity is set.
	File     string `json:"file,omitempty"`
	Identity string `json:"identity,omitempty"`

	// Exactly one of Local and SSH says how instances are reached. Of SSH the
	// Host is not used: each instance has its own.
	Local *Local      `json:"local,omitempty"`
	SSH   *ssh.Config `json:"ssh,omitempty"`
	// Sudo: commands on instances are run as root through sudo.
	Sudo bool `json:"sudo,omitempty"`

	// Locations are the folders on instances; where one is "", that of
	// lockstep.DefaultLocations holds.
	Locations lockstep.Locations `json:"locations"`
	// Instances are in order, those of a group one after another.
	Instances []Instance `json:"instances"`
	// Jobs add to, or replace, what jobs say of themselves, by job name.
	Jobs   map[string]source.JobOverride `json:"jobs,omitempty"`
	Limits source.Limits                 `json:"limits,omitzero"`
}

// Local says that instances are folders of this machine.
type Local struct{}

// Instance is one instance.
type Instance struct {
	Group string `json:"group"`
	ID    string `json:"id"`
	Index string `json:"index"`
	// Host is where it is reached over SSH, see ssh.Config.
	Host string `json:"host,omitempty"`
	// Dir is a local instance's login directory; "" is the home folder.
	Dir string `json:"dir,omitempty"`
}

// check refuses what no source can be made of. Specifications come from the
// configuration, which checks more and knows line and column, and from
// journals.
func (s Specification) check() error {
	errs := []error{source.CheckKey(s.Identity, s.File, s.Name)}
	add := func(err error) { errs = append(errs, err) }
	if (s.Local == nil) == (s.SSH == nil) {
		add(errors.New("it must be either local or reached over SSH"))
	}
	if len(s.Instances) == 0 {
		add(errors.New("it has no instances"))
	}
	names, indexes := map[string]bool{}, map[string]bool{}
	for _, in := range s.Instances {
		add(lockstep.CheckName("instance group", in.Group))
		add(lockstep.CheckName("instance id", in.ID))
		add(lockstep.CheckName("index", in.Index))
		name, index := in.Group+"/"+in.ID, in.Group+"/"+in.Index
		if names[name] || indexes[index] {
			add(fmt.Errorf("instance %s, index %s is there twice", name, in.Index))
		}
		names[name], indexes[index] = true, true
		if s.SSH != nil && in.Host == "" {
			add(fmt.Errorf("instance %s has no host", name))
		}
	}
	return errors.Join(errs...)
}
