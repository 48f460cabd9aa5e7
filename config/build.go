package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/spill"
)

// build makes the Config of what was read, with defaults, and notes what is
// wrong between keys. It is called even where problems are known already, so
// that all of a file's problems are told at once; the Config is of no use
// then.
func (f *fileConfig) build(d *decoder) *Config {
	c := &Config{StateDir: f.StateDir.value, Repository: f.Repository.value.build(d, true), Copies: f.copies(d)}
	c.State = f.state(d)
	c.Fleet = f.fleet(d, c.State)
	c.Server = f.Server.value.build(d)
	c.Access = f.Access.value.build(d)
	c.TransferMemory = int64(f.Memory.or(spill.DefaultBudget>>20)) << 20
	if c.TransferMemory < spill.MinBudget {
		d.problem(f.Memory.at, "transfer_memory is %d MiB, and must be at least %d; write for example: transfer_memory: 128", f.Memory.value, spill.MinBudget>>20)
	}
	c.Schedules, c.Notify, c.RemindEvery = f.schedules(d), f.receivers(d), f.RemindEvery.or(defaultRemindEvery)
	if !f.StateDir.set {
		if home := underHome(d.env, "XDG_STATE_HOME", ".local", "state"); home != "" {
			c.StateDir = filepath.Join(home, "lockstep")
		} else {
			d.problem(position{1, 1}, "neither XDG_STATE_HOME nor HOME is set; write for example: state_dir: ./state")
		}
	}
	for _, r := range f.Deployments.value {
		d.name("deployment", r.name)
		c.Deployments = append(c.Deployments, r.value.build(d, r.name))
	}
	slices.SortFunc(c.Deployments, func(a, b Deployment) int { return strings.Compare(a.Name, b.Name) })
	return c
}

func (f *fileDeployment) build(d *decoder, name text) Deployment {
	policy := lockstep.LockstepPolicy()
	out := Deployment{
		Name:             name.value,
		Identity:         f.Identity.value,
		Zone:             f.Zone.value,
		Locations:        f.locations(d),
		ScriptTimeout:    f.ScriptTimeout.or(policy.ScriptTimeout),
		MaxLock:          f.MaxLock.or(policy.MaxLock),
		LockLease:        f.LockLease.or(policy.Lease),
		NoHelper:         !f.Helper.or(!policy.NoHelper),
		OnRestoreFailure: f.OnRestoreFailure.or(UnlockOnRestoreFailure),
	}
	if f.OverdueAfter.set {
		out.OverdueAfter = &f.OverdueAfter.value
	}
	if f.Keep.set {
		out.Keep = f.Keep.value.build(d)
		if out.Keep.Zero() {
			d.problem(f.Keep.at, "keep does not say which backups stay; write for example: keep: {daily: 7, weekly: 5}")
		}
	}
	d.name("identity", f.Identity)
	d.name("zone", f.Zone)
	if f.LockLease.set && f.LockLease.value != 0 && f.LockLease.value < minLease {
		d.problem(f.LockLease.at, "lock_lease is shorter than %s, which a slow renewal could miss; write for example: lock_lease: 10m", minLease)
	}
	f.way(d, &out, name)
	out.Groups = f.groups(d, out.Reach, name)
	for _, r := range f.Jobs.value {
		d.name("job", r.name)
		out.Jobs = append(out.Jobs, r.value.build(d, r.name.value))
	}
	slices.SortFunc(out.Jobs, func(a, b Job) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// minLease is the shortest lease: renewals must have time to be missed and
// tried again.
const minLease = 5 * time.Second

// given is a key that says how instances are found and reached.
type given struct {
	key string
	set bool
	at  position
}

// way is how instances of the deployment are reached, where their group does not
// say.
func (f *fileDeployment) way(d *decoder, out *Deployment, name text) {
	f.one(d, fmt.Sprintf("deployment %q", name.value), given{"bosh", f.BOSH.set, f.BOSH.at})
	out.Reach = f.fileReach.build(d, text{})
	switch {
	case f.BOSH.set:
		out.BOSH = f.BOSH.value.build(d, f.BOSH.at, name)
	case out.Reach == (Reach{}) && !f.wayOfSome():
		d.problem(name.at, "deployment %q does not say how its instances are reached; write for example: ssh: {user: ops, identity_file: id_ed25519}, docker: {project: shop}, kubernetes: {stateful_set: db}, bosh: {director: https://10.0.0.6:25555}, or local: {}", name.value)
	}
	f.listed(d, out, name)
}

// wayOfSome reports whether any group says how its instances are reached.
func (f *fileDeployment) wayOfSome() bool {
	return slices.ContainsFunc(f.Groups.value, func(g section[fileGroup]) bool { return g.value.has() })
}

// has reports whether there is a way.
func (f *fileReach) has() bool { return f.Local.set || f.SSH.set || f.Docker.set || f.Kubernetes.set }

// one checks that there is no second way.
func (f *fileReach) one(d *decoder, of string, more ...given) {
	all := append([]given{{"local", f.Local.set, f.Local.at}, {"ssh", f.SSH.set, f.SSH.at}, {"docker", f.Docker.set, f.Docker.at}, {"kubernetes", f.Kubernetes.set, f.Kubernetes.at}}, more...)
	all = slices.DeleteFunc(all, func(g given) bool { return !g.set })
	if len(all) > 1 {
		d.problem(all[1].at, "%s has both %s and %s; keep one", of, all[0].key, all[1].key)
	}
}

// build makes the way that there is; group is whose it is, not set where it is
// the deployment's.
func (f *fileReach) build(d *decoder, group text) Reach {
	switch {
	case f.Local.set:
		return Reach{Local: &Local{Sudo: f.Local.value.Sudo.value}}
	case f.SSH.set:
		return Reach{SSH: f.SSH.value.build(d)}
	case f.Docker.set:
		return Reach{Docker: f.Docker.value.build(d, f.Docker.at, group)}
	case f.Kubernetes.set:
		return Reach{Kubernetes: f.Kubernetes.value.build(d, f.Kubernetes.at)}
	}
	return Reach{}
}

// listed checks that instances are written down, unless somebody else knows them.
func (f *fileDeployment) listed(d *decoder, out *Deployment, name text) {
	switch {
	case f.BOSH.set && f.Groups.set:
		d.problem(f.Groups.at, "the instances of deployment %q are those that its director has; remove instance_groups", name.value)
	case f.BOSH.set && f.Identity.set:
		d.problem(f.Identity.at, "deployment %q is known by its director and its name there; remove identity", name.value)
	case f.BOSH.set || f.Groups.set || out.Reach == (Reach{}):
	case out.Docker != nil && !out.Docker.Finds():
		d.problem(f.Docker.at, "deployment %q does not say which containers it has; write for example: docker: {project: shop}, docker: {label: \"backup=shop\"}, or instance_groups: [{name: db, instances: [{id: \"0\", container: shop-db-1}]}]", name.value)
	case out.Kubernetes != nil && !out.Kubernetes.Finds():
		d.problem(f.Kubernetes.at, "deployment %q does not say which pods it has; write for example: kubernetes: {stateful_set: db}, kubernetes: {selector: \"app=shop\"}, or instance_groups: [{name: db, instances: [{id: \"0\", pod: db-0}]}]", name.value)
	case !out.finds():
		d.problem(name.at, "deployment %q has no instances; write for example: instance_groups: [{name: db, instances: [{id: \"0\", host: 10.0.0.11}]}]", name.value)
	}
}

func (f fileSSH) build(d *decoder) *SSH {
	if f.Port.value > 65535 {
		d.problem(f.Port.at, "port %d does not exist; write for example: port: 22", f.Port.value)
	}
	if strings.HasPrefix(f.User.value, "-") || strings.ContainsAny(f.User.value, " \t\n@") {
		d.problem(f.User.at, "user %q is not a user name; write for example: user: ops", f.User.value)
	}
	return &SSH{
		User:              f.User.value,
		Port:              f.Port.value,
		Sudo:              f.Sudo.or(f.User.value != "root"),
		IdentityFiles:     f.IdentityFile.value,
		CertificateFiles:  f.CertificateFile.value,
		KnownHosts:        f.KnownHosts.value,
		IdentitiesOnly:    f.IdentitiesOnly.value,
		IdentityAgent:     f.IdentityAgent.value,
		ProxyJump:         f.ProxyJump.value,
		ConfigFile:        f.ConfigFile.value,
		DialTimeout:       f.DialTimeout.value,
		HandshakeTimeout:  f.HandshakeTimeout.value,
		KeepaliveInterval: f.KeepaliveInterval.value,
		KeepaliveMisses:   f.KeepaliveMisses.value,
		MaxSessions:       f.MaxSessions.value,
		MaxConnections:    f.MaxConnections.value,
	}
}

// locations are the folders on instances. They stay as they are written: a
// relative one is relative to the login directory there.
func (f *fileDeployment) locations(d *decoder) lockstep.Locations {
	l := lockstep.DefaultLocations()
	if f.hasContainers() {
		l = lockstep.ContainerLocations()
	}
	for _, x := range []struct {
		from text
		to   *string
	}{
		{f.ScriptLocation, &l.Scripts}, {f.ArtifactLocation, &l.Artifacts},
		{f.LauncherLocation, &l.Launcher}, {f.ClaimLocation, &l.Claim},
	} {
		if !x.from.set {
			continue
		}
		*x.to = x.from.value
		if why := unfit(x.from.value); why != "" {
			d.problem(x.from.at, "location %q %s", x.from.value, why)
		}
	}
	if f.ScriptLocation.set && strings.Count(l.Scripts, "{job}") != 1 {
		d.problem(f.ScriptLocation.at, "script_location %q must have {job} in it, once; write for example: script_location: /var/vcap/jobs/{job}/bin/bbr", l.Scripts)
	}
	return l
}

// hasContainers reports whether any instance is a container.
func (f *fileDeployment) hasContainers() bool {
	has := func(r *fileReach) bool { return r.Docker.set || r.Kubernetes.set }
	return has(&f.fileReach) || slices.ContainsFunc(f.Groups.value, func(g section[fileGroup]) bool { return has(&g.value.fileReach) })
}

// unfit says why a folder cannot be one of ours on an instance.
func unfit(location string) string {
	switch {
	case strings.HasPrefix(location, "-"), strings.HasPrefix(location, "~"):
		return `must begin with a letter, a digit, "." or "/"; a relative one is relative to the login directory`
	case strings.ContainsAny(location, "\n\r"):
		return "has a line break in it"
	case slices.Contains(strings.Split(location, "/"), ".."):
		return `must not have ".." in it`
	case location == "/" || filepath.Clean(location) == ".":
		return "is not a folder of its own"
	}
	return ""
}

func (f *fileJob) build(d *decoder, name string) Job {
	j := Job{
		Name:            name,
		Replace:         f.Replace.value,
		MayBeEmpty:      f.MayBeEmpty.value,
		OneRestoreAll:   f.OneRestoreAll.value,
		RestoreParallel: f.RestoreParallel.value,
		ScriptTimeout:   f.ScriptTimeout.value,
		Skip:            f.Skip.value,
	}
	for _, r := range f.LockBefore.value {
		if r.set && !slices.Contains(j.LockBefore, r.value) {
			j.LockBefore = append(j.LockBefore, r.value)
		}
	}
	f.brought(d, &j)
	return j
}

// brought reads the scripts that are files here.
func (f *fileJob) brought(d *decoder, j *Job) {
	if !f.Scripts.set {
		if f.Groups.set {
			d.problem(f.Groups.at, "groups are those that scripts are for; write for example: scripts: {backup: ./scripts/%s-backup}", j.Name)
		}
		return
	}
	x := f.Scripts.value
	for kind, file := range map[lockstep.ScriptKind]path{
		lockstep.ScriptPreBackupLock: x.PreBackupLock, lockstep.ScriptBackup: x.Backup, lockstep.ScriptPostBackupUnlock: x.PostBackupUnlock,
		lockstep.ScriptPreRestoreLock: x.PreRestoreLock, lockstep.ScriptRestore: x.Restore, lockstep.ScriptPostRestoreUnlock: x.PostRestoreUnlock,
	} {
		if !file.set {
			continue
		}
		text, err := readFile(file.value)
		switch {
		case err != nil:
			d.problem(file.at, "script %s of job %q cannot be read: %v", kind, j.Name, err)
		case len(text) == 0 || len(text) > maxSize:
			d.problem(file.at, "script %s of job %q is empty or larger than 1 MiB: %s", kind, j.Name, file.value)
		}
		j.Scripts = append(j.Scripts, Script{Kind: kind, Path: file.value, Text: string(text)})
	}
	slices.SortFunc(j.Scripts, func(a, b Script) int {
		return cmp.Compare(slices.Index(lockstep.ScriptKinds(), a.Kind), slices.Index(lockstep.ScriptKinds(), b.Kind))
	})
	for _, g := range f.Groups.value {
		d.name("instance group", g)
		j.Groups = append(j.Groups, g.value)
	}
	if len(j.Groups) == 0 {
		j.Groups = []string{j.Name}
	}
}
