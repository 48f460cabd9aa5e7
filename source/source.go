// Package source is the port to where the instances of a deployment are found.
//
// A source turns a deployment's name into instances with opened targets. It
// knows how to reach them and what the specification says of their jobs; it
// does not look at the instances: that is package discover.
package source

import (
	"context"
	"maps"
	"slices"

	"lockstep"
	"lockstep/target"
)

// Source finds the instances of one configured deployment. Its methods may be
// called concurrently.
type Source interface {
	// Info names the deployment. It contacts nothing.
	Info() lockstep.DeploymentInfo

	// Reach is all it takes to make this source again when the configuration
	// no longer has it: JSON, without secrets (names of key files, not keys).
	// It is journaled with each run, so that a dead run can be settled.
	Reach() string

	// Resolve finds the deployment's instances as they are now and opens a
	// target to each. Opening does not dial. Each remote resource that it
	// makes (such as an SSH user) is told to track before and after.
	Resolve(ctx context.Context, track Tracker) (*Resolved, error)
}

// Tracker is told of each remote resource of ours, so that it is in the
// journal before it exists. An error stops Resolve.
type Tracker interface {
	Acquiring(ctx context.Context, r lockstep.Resource) error
	Acquired(ctx context.Context, r lockstep.Resource) error
	Released(ctx context.Context, r lockstep.Resource) error
}

// Resolved is a deployment's instances with their targets.
type Resolved struct {
	Name      string
	Key       lockstep.DeploymentKey
	Locations lockstep.Locations
	Overrides Overrides
	Instances []Instance
	// Listed is the list of instances as it was read, where the source is a
	// Lister: what List gives as long as nothing changes.
	Listed []Listing
	// Advice, if not nil, is what a check tells beside what it finds: a sentence each on
	// what would be better and keeps nobody from anything.
	Advice func(ctx context.Context) []string
	// Release closes the targets and removes what Resolve made remotely. It
	// may be called twice.
	Release func(ctx context.Context) error
}

// Instance is one instance with its target.
type Instance struct {
	Group, ID, Index string
	Address          string
	// Bootstrap: the first instance of its group, for
	// backup-one-restore-all.
	Bootstrap bool
	Target    target.Target
	// Machine tells the instance from every other, under whatever name: it is the
	// same one where it is equal; "" where the source does not know.
	Machine string
	// Keeps are the places outside of the instance where its claim and its launcher
	// folder lie, each told from every other; none where they lie in it.
	Keeps []string
	// Root: commands there are run as root; Sudo: through sudo.
	Root, Sudo bool
	// Scripts are the texts of scripts that a run brings along for this instance,
	// by job and kind, where its source has some.
	Scripts map[string]map[lockstep.ScriptKind]string
	// Unfit is why nothing may be locked there, or nil: a check says it. What
	// an earlier run left is unlocked and cleaned all the same.
	Unfit error
}

// Name is the instance's id as people write it.
func (i Instance) Name() lockstep.InstanceID { return lockstep.InstanceID(i.Group + "/" + i.ID) }

// Overrides are what a specification says beyond instances.
type Overrides struct {
	// Jobs add to, or replace, what jobs say of themselves, by job name.
	Jobs map[string]JobOverride
	// Releases are the releases of jobs by group, then job; nil where the
	// source has no such thing.
	Releases map[string]map[string]string
	// OneRestoreAll are the jobs, by group, whose first instance's artifact is
	// restored to all.
	OneRestoreAll map[string]map[string]bool
	// Apply changes the face's policy to the deployment's; nil changes
	// nothing.
	Apply func(lockstep.Policy) lockstep.Policy
}

// JobOverride is what a specification says of a job.
type JobOverride struct {
	// Replace: forget what the metadata script said.
	Replace  bool
	Metadata lockstep.Metadata
	// Skip: leave the job out.
	Skip bool
	// OneRestoreAll: all instances of the job are restored from the artifact
	// of its group's first one.
	OneRestoreAll bool
	// Scripts are the texts of scripts that a run brings along, for the instances
	// of Groups: there each takes the place of the job's own of that kind. They
	// are not kept with a run: what a dead one may owe lies on the instances.
	Scripts map[lockstep.ScriptKind]string `json:"-"`
	Groups  []string                       `json:"-"`
}

// Brought are the scripts that a run brings along to an instance, by job and
// kind: those that the specification has for its group, and else its own.
func (o Overrides) Brought(in Instance) map[string]map[lockstep.ScriptKind]string {
	out := map[string]map[lockstep.ScriptKind]string{}
	for job, scripts := range in.Scripts {
		out[job] = maps.Clone(scripts)
	}
	for job, j := range o.Jobs {
		if len(j.Scripts) == 0 || !slices.Contains(j.Groups, in.Group) {
			continue
		}
		if out[job] == nil {
			out[job] = map[lockstep.ScriptKind]string{}
		}
		maps.Copy(out[job], j.Scripts)
	}
	return out
}
