package config

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
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

// groups are the instance groups, each instance checked against all others.
func (f *fileDeployment) groups(d *decoder, whole Reach, name text) []Group {
	if f.Groups.set && len(f.Groups.value) == 0 {
		d.problem(f.Groups.at, "deployment %q has no instances", name.value)
	}
	var groups []Group
	names := seen{d: d, what: "instance group"}
	places := map[string]*seen{}
	here := 0
	for _, g := range f.Groups.value {
		d.name("instance group", g.value.Name)
		names.add(g.value.Name)
		out := Group{Name: g.value.Name.value, Reach: g.value.build(d, g.value.Name)}
		g.value.one(d, fmt.Sprintf("instance group %q", out.Name))
		way := cmp.Or(out.Reach, whole)
		if places[way.space()] == nil {
			places[way.space()] = way.places(d)
		}
		out.Instances = f.instances(d, g.value, way, places[way.space()])
		if way.Local != nil {
			here += len(out.Instances)
		}
		f.found(d, g, way)
		groups = append(groups, out)
	}
	if here > 1 {
		f.apart(d, whole, name)
	}
	return groups
}

// space is what a name of an instance's place is unique in.
func (w Reach) space() string {
	if w.Docker != nil {
		return "docker " + w.Docker.Host
	}
	if k := w.Kubernetes; k != nil {
		return fmt.Sprintf("kubernetes %q %q %s", k.Kubeconfig, k.Context, k.Namespace)
	}
	return w.kind()
}

// places notes where instances are that are reached in this way.
func (w Reach) places(d *decoder) *seen {
	switch {
	case w.Docker != nil:
		return &seen{d: d, what: "container"}
	case w.Kubernetes != nil:
		return &seen{d: d, what: "pod"}
	case w.Local != nil:
		return &seen{d: d, what: "folder"}
	}
	return &seen{d: d, what: "host"}
}

// found checks that a group's instances are either listed or found.
func (f *fileDeployment) found(d *decoder, g section[fileGroup], way Reach) {
	name, listed := g.value.Name.value, g.value.Instances
	switch finds := way.finds(); {
	case way == (Reach{}) && !f.wayOfSome(): // told of the deployment
	case way == (Reach{}):
		d.problem(g.at, "instance group %q does not say how its instances are reached; write for example: ssh: {user: ops}, docker: {project: shop}, kubernetes: {stateful_set: db} or local: {} in it, or in the deployment", name)
	case finds && !g.value.has():
		d.problem(g.at, "the instances of instance group %q are those that %s has; remove it, or write into it how its own are reached", name, way.knows())
	case finds && listed.set:
		d.problem(listed.at, "the instances of instance group %q are those that %s has; remove instances", name, way.knows())
	case !finds && listed.set && len(listed.value) == 0:
		d.problem(listed.at, "instance group %q has no instances", name)
	case !finds && !listed.set:
		d.problem(g.at, "key \"instances\" is missing in instance group %q; write for example: instances: [%s]", name, exampleOf(way))
	}
}

// exampleOf is an instance that is reached that way.
func exampleOf(way Reach) string {
	switch {
	case way.Docker != nil:
		return `{id: "0", container: shop-db-1}`
	case way.Kubernetes != nil:
		return `{id: "0", pod: db-0}`
	case way.Local != nil:
		return `{id: "0"}`
	}
	return `{id: "0", host: 10.0.0.11}`
}

func (f *fileDeployment) instances(d *decoder, g fileGroup, way Reach, places *seen) []Instance {
	var out []Instance
	ids := seen{d: d, what: "instance id"}
	indexes := seen{d: d, what: "index"}
	for i, item := range g.Instances.value {
		in := item.value
		if !in.Index.set {
			in.Index = text{leaf[string]{strconv.Itoa(i), item.at, true}}
		}
		d.name("instance id", in.ID)
		d.name("index", in.Index)
		ids.add(in.ID)
		indexes.add(in.Index)
		in.place(d, way, item.at, places)
		out = append(out, Instance{ID: in.ID.value, Index: in.Index.value, Host: in.Host.value, Container: in.Container.value, Pod: in.Pod.value, Dir: in.Dir.value})
	}
	return out
}

// place checks where an instance is: a host over SSH, a container, a folder here.
func (in fileInstance) place(d *decoder, way Reach, at position, places *seen) {
	switch {
	case way.Kubernetes == nil && in.Pod.set:
		d.problem(in.Pod.at, "pod %q is for instances that are reached with kubernetes", in.Pod.value)
	case way.Kubernetes != nil && !in.Pod.set && !way.finds():
		d.problem(at, "instance %q has no pod; write for example: {id: %q, pod: db-0}", in.ID.value, in.ID.value)
	case way.Kubernetes != nil && (in.Host.set || in.Dir.set):
		d.problem(at, "instance %q is a pod, which has neither host nor dir", in.ID.value)
	case way.Kubernetes != nil && in.Pod.set && !dnsName.MatchString(in.Pod.value):
		d.problem(in.Pod.at, "pod %q is not a name in Kubernetes; write for example: pod: db-0", in.Pod.value)
	case way.Kubernetes != nil:
		places.add(text{leaf[string]{in.Pod.value + in.containerOf(way), in.Pod.at, in.Pod.set}})
	case way.Docker == nil && in.Container.set:
		d.problem(in.Container.at, "container %q is for instances that are reached with docker or kubernetes", in.Container.value)
	case way.Docker != nil && !in.Container.set && !way.Docker.Finds():
		d.problem(at, "instance %q has no container; write for example: {id: %q, container: shop-db-1}", in.ID.value, in.ID.value)
	case way.Docker != nil && (in.Host.set || in.Dir.set):
		d.problem(at, "instance %q is a container, which has neither host nor dir", in.ID.value)
	case way.Docker != nil:
		places.add(in.Container)
	case way.Local != nil && in.Host.set:
		d.problem(in.Host.at, "host %q: instances of a local deployment are on this machine; remove it, or use ssh in place of local", in.Host.value)
	case way.SSH != nil && in.Dir.set:
		d.problem(in.Dir.at, "dir is for local instances; over SSH locations are relative to the login directory")
	case way.SSH != nil && !in.Host.set:
		d.problem(at, "instance %q has no host; write for example: {id: %q, host: 10.0.0.11}", in.ID.value, in.ID.value)
	case way.SSH != nil && !isHost(in.Host.value):
		d.problem(in.Host.at, `%q is not a host; write for example: host: db1, host: "10.0.0.12:2222" or host: "[::1]:22"`, in.Host.value)
	case way.SSH != nil:
		places.add(in.Host)
	case way.Local != nil && in.Dir.set:
		places.add(text(in.Dir))
	}
}

// containerOf is the container of a pod that is named, behind a slash.
func (in fileInstance) containerOf(way Reach) string {
	if name := cmp.Or(in.Container.value, way.Kubernetes.Container); name != "" {
		return "/" + name
	}
	return ""
}

// knows is who is asked which instances there are.
func (w Reach) knows() string {
	if w.Kubernetes != nil {
		return "the cluster"
	}
	return "the engine"
}

// apart checks that several local instances do not share their folders: each
// is claimed on its own.
func (f *fileDeployment) apart(d *decoder, whole Reach, name text) {
	for _, g := range f.Groups.value {
		if !g.value.Local.set && (g.value.has() || whole.Local == nil) {
			continue
		}
		for _, in := range g.value.Instances.value {
			if !in.value.Dir.set {
				d.problem(in.at, "deployment %q has several instances on this machine, so each needs a folder; write for example: {id: %q, dir: ./instances/%s}", name.value, in.value.ID.value, in.value.ID.value)
			}
		}
	}
	l := f.locations(&decoder{})
	for _, x := range []struct{ key, value string }{
		{"script_location", l.Scripts}, {"artifact_location", l.Artifacts},
		{"launcher_location", l.Launcher}, {"claim_location", l.Claim},
	} {
		if filepath.IsAbs(x.value) {
			d.problem(name.at, "deployment %q has several instances on this machine, so %s must be relative to their folders; write for example: %s: %s",
				name.value, x.key, x.key, strings.TrimPrefix(x.value, "/"))
		}
	}
}

// isHost reports whether s is "h", "h:2222", "[::1]:22" or "::1".
func isHost(s string) bool {
	host := s
	if h, p, err := net.SplitHostPort(s); err == nil {
		if port, err := strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return false
		}
		host = h
	} else if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	}
	if strings.Contains(host, ":") && net.ParseIP(strings.Split(host, "%")[0]) == nil {
		return false
	}
	return host != "" && host[0] != '-' && !strings.ContainsAny(host, " \t\r\n/@[]\"'")
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

// seen notes values that must be unique and are there twice.
type seen struct {
	d     *decoder
	what  string
	lines map[string]int
}

func (s *seen) add(t text) {
	if !t.set {
		return
	}
	if line, ok := s.lines[t.value]; ok {
		s.d.problem(t.at, "%s %q is there twice, first in line %d", s.what, t.value, line)
		return
	}
	if s.lines == nil {
		s.lines = map[string]int{}
	}
	s.lines[t.value] = t.at.line
}
