package config

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep"
)

// build makes the Config of what was read, with defaults, and notes what is
// wrong between keys. It is called even where problems are known already, so
// that all of a file's problems are told at once; the Config is of no use
// then.
func (f *fileConfig) build(d *decoder) *Config {
	c := &Config{StateDir: f.StateDir.value, Repository: Repository{Dir: f.Repository.value.Dir.value}}
	c.Server = f.Server.value.build(d)
	c.Access = f.Access.value.build(d)
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
		OnRestoreFailure: f.OnRestoreFailure.or(UnlockOnRestoreFailure),
	}
	if f.OverdueAfter.set {
		out.OverdueAfter = &f.OverdueAfter.value
	}
	d.name("identity", f.Identity)
	if f.LockLease.set && f.LockLease.value != 0 && f.LockLease.value < minLease {
		d.problem(f.LockLease.at, "lock_lease is shorter than %s, which a slow renewal could miss; write for example: lock_lease: 10m", minLease)
	}
	f.way(d, &out, name)
	out.Groups = f.groups(d, name)
	for _, r := range f.Jobs.value {
		d.name("job", r.name)
		out.Jobs = append(out.Jobs, r.value.build(r.name.value))
	}
	slices.SortFunc(out.Jobs, func(a, b Job) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// minLease is the shortest lease: renewals must have time to be missed and
// tried again.
const minLease = 5 * time.Second

// way is a key that says how instances are found and reached.
type way struct {
	key string
	set bool
	at  position
}

// way fills in how instances are reached.
func (f *fileDeployment) way(d *decoder, out *Deployment, name text) {
	var ways []way
	for _, w := range []way{{"local", f.Local.set, f.Local.at}, {"ssh", f.SSH.set, f.SSH.at}, {"bosh", f.BOSH.set, f.BOSH.at}} {
		if w.set {
			ways = append(ways, w)
		}
	}
	switch {
	case len(ways) > 1:
		d.problem(ways[1].at, "deployment %q has both %s and %s; keep one", name.value, ways[0].key, ways[1].key)
	case f.Local.set:
		out.Local = &Local{Sudo: f.Local.value.Sudo.value}
	case f.SSH.set:
		out.SSH = f.SSH.value.build(d)
	case f.BOSH.set:
		out.BOSH = f.BOSH.value.build(d, f.BOSH.at, name)
	default:
		d.problem(name.at, "deployment %q does not say how its instances are reached; write for example: ssh: {user: ops, identity_file: id_ed25519}, bosh: {director: https://10.0.0.6:25555}, or local: {}", name.value)
	}
	f.listed(d, name)
}

// listed checks that nothing is written down that a director knows.
func (f *fileDeployment) listed(d *decoder, name text) {
	switch {
	case f.BOSH.set && f.Groups.set:
		d.problem(f.Groups.at, "the instances of deployment %q are those that its director has; remove instance_groups", name.value)
	case f.BOSH.set && f.Identity.set:
		d.problem(f.Identity.at, "deployment %q is known by its director and its name there; remove identity", name.value)
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
		return "is no folder of its own"
	}
	return ""
}

// groups are the instance groups, each instance checked against all others.
func (f *fileDeployment) groups(d *decoder, name text) []Group {
	if f.Groups.set && len(f.Groups.value) == 0 {
		d.problem(f.Groups.at, "deployment %q has no instances", name.value)
	}
	var groups []Group
	names := seen{d: d, what: "instance group"}
	places := seen{d: d, what: "host"}
	if f.Local.set {
		places.what = "folder"
	}
	for _, g := range f.Groups.value {
		d.name("instance group", g.value.Name)
		names.add(g.value.Name)
		groups = append(groups, Group{Name: g.value.Name.value, Instances: f.instances(d, g.value, &places)})
		if g.value.Instances.set && len(g.value.Instances.value) == 0 {
			d.problem(g.value.Instances.at, "instance group %q has no instances", g.value.Name.value)
		}
	}
	if f.Local.set && f.instanceCount() > 1 {
		f.apart(d, name)
	}
	return groups
}

func (f *fileDeployment) instances(d *decoder, g fileGroup, places *seen) []Instance {
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
		f.place(d, in, item.at, places)
		out = append(out, Instance{ID: in.ID.value, Index: in.Index.value, Host: in.Host.value, Dir: in.Dir.value})
	}
	return out
}

// place checks where an instance is: a host over SSH, a folder here.
func (f *fileDeployment) place(d *decoder, in fileInstance, at position, places *seen) {
	switch {
	case f.Local.set && in.Host.set:
		d.problem(in.Host.at, "host %q: instances of a local deployment are on this machine; remove it, or use ssh in place of local", in.Host.value)
	case f.SSH.set && in.Dir.set:
		d.problem(in.Dir.at, "dir is for local instances; over SSH locations are relative to the login directory")
	case f.SSH.set && !in.Host.set:
		d.problem(at, "instance %q has no host; write for example: {id: %q, host: 10.0.0.11}", in.ID.value, in.ID.value)
	case f.SSH.set && !isHost(in.Host.value):
		d.problem(in.Host.at, `%q is no host; write for example: host: db1, host: "10.0.0.12:2222" or host: "[::1]:22"`, in.Host.value)
	case f.SSH.set:
		places.add(in.Host)
	case f.Local.set && in.Dir.set:
		places.add(text(in.Dir))
	}
}

func (f *fileDeployment) instanceCount() int {
	n := 0
	for _, g := range f.Groups.value {
		n += len(g.value.Instances.value)
	}
	return n
}

// apart checks that several local instances do not share their folders: each
// is claimed on its own.
func (f *fileDeployment) apart(d *decoder, name text) {
	for _, g := range f.Groups.value {
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

func (f *fileJob) build(name string) Job {
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
	return j
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
