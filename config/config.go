package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep"
)

// Config is a valid configuration with every default filled in.
type Config struct {
	// Path is the absolute path of the file that it was read from.
	Path string
	// StateDir is the folder of the journal; absolute. It need not exist.
	StateDir string
	// State says where the facts are kept, if not in StateDir.
	State      State
	Repository Repository
	// Copies are other repositories, by name; nil where there are none.
	Copies map[string]Repository
	// Deployments are sorted by name; their names are unique.
	Deployments []Deployment
	Server      Server
	// Schedules are those of deployments and those of their own, sorted by name;
	// their names are unique.
	Schedules []lockstep.Schedule
	// Notify are receivers of notices, in the order of the file.
	Notify []Receiver
	// RemindEvery is positive.
	RemindEvery time.Duration
	// TransferMemory is what lists of entries take at most, all together, in bytes;
	// at least spill.MinBudget.
	TransferMemory int64
	// Fleet is nil where this process drives its runs itself.
	Fleet  *Fleet
	Access Access
}

// Repository says where backups are kept.
type Repository struct {
	// Dir is the folder of a plain repository; absolute. It need not exist. It
	// is "" where Restic is set.
	Dir string
	// Encrypt, if not nil, is how the folder Dir is encrypted.
	Encrypt *Encrypt
	// Restic, if not nil, is one in restic's format.
	Restic *Restic
	// TrustedKeys are public keys of other orchestrators, whose signatures of
	// backups count here.
	TrustedKeys []string
}

// Deployment is the specification of one deployment.
type Deployment struct {
	Name string
	// Identity, if not "", stands for the file's path in the deployment key,
	// so that the file can move and several machines can share a deployment.
	Identity string
	// Zone is whose workers do its runs, where there is a fleet; "" is the default one.
	Zone string
	// Reach is how the instances of groups that have none of their own are reached;
	// none where each has, or where BOSH is set: then a director knows them all.
	Reach
	BOSH *BOSH

	Locations lockstep.Locations
	// Groups are in the order of the file; none where a director, an engine or a
	// cluster knows them.
	Groups []Group
	// Jobs are sorted by name.
	Jobs []Job

	// ScriptTimeout bounds each script; it is positive.
	ScriptTimeout time.Duration
	// MaxLock bounds lock and work stage of a backup together; 0 means no bound.
	MaxLock time.Duration
	// LockLease is how long an instance stays locked when nobody renews; 0 is
	// no lease.
	LockLease time.Duration
	// NoHelper: nothing of ours is lent to instances but the launcher's text.
	NoHelper         bool
	OnRestoreFailure OnRestoreFailure
	// OverdueAfter is for how long there may be no good backup; 0 is for ever.
	// It is nil where the schedule decides.
	OverdueAfter *time.Duration
	// Keep says which backups stay after each verified one, nil that all do.
	Keep *lockstep.KeepRules
}

// OnRestoreFailure says what happens to locks after a failed restore script.
type OnRestoreFailure string

// The choices: unlock whatever was locked, or keep everything locked.
const (
	UnlockOnRestoreFailure OnRestoreFailure = "unlock"
	HoldOnRestoreFailure   OnRestoreFailure = "hold"
)

// Reach is how instances are reached; at most one is set.
type Reach struct {
	Local      *Local
	SSH        *SSH
	Docker     *Docker
	Kubernetes *Kubernetes
}

// finds reports whether an engine or a cluster is asked which instances there are.
func (w Reach) finds() bool {
	return w.Docker != nil && w.Docker.Finds() || w.Kubernetes != nil && w.Kubernetes.Finds()
}

// kind is the key that names the way, or "".
func (w Reach) kind() string {
	switch {
	case w.Local != nil:
		return "local"
	case w.SSH != nil:
		return "ssh"
	case w.Docker != nil:
		return "docker"
	case w.Kubernetes != nil:
		return "kubernetes"
	}
	return ""
}

// Local says that instances are folders of this machine.
type Local struct {
	// Sudo: commands run as root through sudo.
	Sudo bool
}

// SSH says how to log in to instances. What is zero is taken from
// ~/.ssh/config, else it is the SSH adapter's default.
type SSH struct {
	User string
	Port int
	// Sudo: commands run as root through sudo. The default is true unless
	// User is "root".
	Sudo bool
	// Files are absolute paths.
	IdentityFiles    []string
	CertificateFiles []string
	KnownHosts       []string
	// IdentitiesOnly keeps other keys of the agent from being offered.
	IdentitiesOnly bool
	// IdentityAgent is the agent's socket, "none" for no agent.
	IdentityAgent string
	// ProxyJump is as in ~/.ssh/config, "none" for a direct way.
	ProxyJump string
	// ConfigFile replaces ~/.ssh/config, "none" for no such file.
	ConfigFile string

	DialTimeout       time.Duration
	HandshakeTimeout  time.Duration
	KeepaliveInterval time.Duration
	KeepaliveMisses   int
	MaxSessions       int
	MaxConnections    int
}

// Group is a named set of instances.
type Group struct {
	Name string
	// Reach is how its instances are reached, where that is not the deployment's.
	Reach
	// Instances are in the order of the file; none where an engine or a cluster knows
	// them.
	Instances []Instance
}

// Instance is one instance of a deployment.
type Instance struct {
	ID string
	// Index is the instance's position in its group unless the file says
	// otherwise; unique in the group.
	Index string
	// Host is where an instance is reached over SSH: "h", "h:2222",
	// "[::1]:22". It is "" for a local one.
	Host string
	// Container is the name or id of a container, or the name of one in Pod. It is ""
	// for others.
	Container string
	// Pod is the name of a pod. It is "" for others.
	Pod string
	// Dir is the folder in which a local instance's commands start; absolute,
	// or "" for the home folder.
	Dir string
}

// Job is what the specification says of a job, beside what the job's metadata
// script says.
type Job struct {
	Name string
	// LockBefore are jobs that are locked after this one, in backups and
	// restores alike.
	LockBefore []lockstep.JobRef
	// Replace: the job's metadata script is not asked at all.
	Replace         bool
	MayBeEmpty      bool
	RestoreParallel bool
	// OneRestoreAll: all instances are restored from the first one's artifact.
	OneRestoreAll bool
	// ScriptTimeout replaces the deployment's; 0 does not.
	ScriptTimeout time.Duration
	// Skip: the job is left out, whatever scripts it ships.
	Skip bool
	// Scripts are brought along by each run for the instances of Groups, in the
	// order of lockstep.ScriptKinds.
	Scripts []Script
	Groups  []string
}

// Script is a script that is a file of this machine.
type Script struct {
	Kind lockstep.ScriptKind
	// Path is absolute; Text is what was in the file when it was read.
	Path, Text string
}

// Deployment finds a deployment by its name. The error is of KindNotFound and
// lists what there is.
func (c *Config) Deployment(name string) (Deployment, error) {
	names := make([]string, len(c.Deployments))
	for i, d := range c.Deployments {
		if names[i] = d.Name; d.Name == name {
			return d, nil
		}
	}
	hint := "configured are: " + strings.Join(names, ", ")
	if len(names) == 0 {
		hint = "none is configured yet; see lockstep config generate"
	}
	if near, ok := nearest(name, names); ok {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return Deployment{}, &lockstep.Error{
		Kind: lockstep.KindNotFound,
		Op:   fmt.Sprintf("find deployment %q in %s", name, c.Path),
		Err:  errors.New("no such deployment"),
		Hint: hint,
	}
}

// Source is the key that names how the deployment's instances are found and
// reached: "local", "ssh", "docker", "kubernetes" or "bosh"; "mixed" where groups differ.
func (d Deployment) Source() string {
	if d.BOSH != nil {
		return "bosh"
	}
	for _, g := range d.Groups {
		if g.Reach != (Reach{}) {
			return "mixed"
		}
	}
	return d.Reach.kind()
}

// Job finds what the specification says of a job.
func (d Deployment) Job(name string) (Job, bool) {
	i := slices.IndexFunc(d.Jobs, func(j Job) bool { return j.Name == name })
	if i < 0 {
		return Job{}, false
	}
	return d.Jobs[i], true
}
