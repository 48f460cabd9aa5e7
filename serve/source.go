package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/config"
	"lockstep/source"
	"lockstep/source/bosh"
	"lockstep/source/docker"
	"lockstep/source/kubernetes"
	"lockstep/source/mixed"
	"lockstep/source/spec"
	engine "lockstep/target/docker"
	cluster "lockstep/target/kubernetes"
	"lockstep/target/ssh"
)

// reopen makes the source again that a run recorded.
func reopen(reach string, o Options) (source.Source, error) {
	if parts, ok := mixed.Parts(reach); ok {
		return reopenAll(parts, o)
	}
	switch {
	case bosh.IsReach(reach):
		return bosh.FromReach(reach, o.Getenv, o.log)
	case docker.IsReach(reach):
		return docker.FromReach(reach)
	case kubernetes.IsReach(reach):
		return kubernetes.FromReach(reach)
	}
	return spec.FromReach(reach)
}

// reopenAll makes the source again of a deployment with several parts.
func reopenAll(reaches []string, o Options) (source.Source, error) {
	var parts []source.Source
	for _, r := range reaches {
		s, err := reopen(r, o)
		if err != nil {
			return nil, err
		}
		parts = append(parts, s)
	}
	return mixed.New(parts...)
}

// moved says to which containers of which engine, or pods of which cluster, a deployment was reached then, and
// is now, or "" where that has not changed. Machines that are reached over SSH are
// known by their host keys, wherever they are.
func moved(then, now string) string {
	was, is := containersIn(then), containersIn(now)
	if slices.Equal(was, is) {
		return ""
	}
	return fmt.Sprintf("it was %s and is %s", cmp.Or(strings.Join(was, "; "), "not in containers"), cmp.Or(strings.Join(is, "; "), "not in containers"))
}

// containersIn are the containers and pods that a reach finds, by part, sorted.
func containersIn(reach string) []string {
	var places []string
	for _, p := range partsOfReach(reach) {
		if place, ok := docker.Place(p); ok {
			places = append(places, place)
		}
		if place, ok := kubernetes.Place(p); ok {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	return places
}

// sourcesOf makes the source of each configured deployment.
func sourcesOf(cfg *config.Config, o Options) ([]source.Source, error) {
	var sources []source.Source
	var errs []error
	jumpboxes := bosh.NewJumpboxes()
	for _, d := range cfg.Deployments {
		if d.BOSH != nil {
			s, err := directedOf(cfg, d, o, jumpboxes)
			sources, errs = append(sources, s), append(errs, err)
			continue
		}
		s, err := describedOf(cfg, d, o, source.Canonical(cfg.Path))
		sources, errs = append(sources, s), append(errs, err)
	}
	return sources, errors.Join(errs...)
}

// describedOf is the source of a deployment that the configuration describes.
// origin is the file that its key is made of, where it has no identity.
func describedOf(cfg *config.Config, d config.Deployment, o Options, origin string) (source.Source, error) {
	var parts []source.Source
	for _, p := range partsOf(d) {
		s, err := partOf(cfg, p, o, origin)
		if err != nil {
			return nil, err
		}
		parts = append(parts, s)
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return mixed.New(parts...)
}

// partsOf are the parts of a deployment whose instances are found and reached in
// one way each: those of its own way, and each group that has another.
func partsOf(d config.Deployment) []config.Deployment {
	own := d
	own.Groups = nil
	var parts []config.Deployment
	for _, g := range d.Groups {
		if g.Reach == (config.Reach{}) {
			own.Groups = append(own.Groups, g)
			continue
		}
		p := d
		p.Reach, p.Groups = g.Reach, []config.Group{g}
		parts = append(parts, p)
	}
	if len(own.Groups) > 0 || d.Docker != nil && d.Docker.Finds() || d.Kubernetes != nil && d.Kubernetes.Finds() {
		parts = append([]config.Deployment{own}, parts...)
	}
	return parts
}

func partOf(cfg *config.Config, d config.Deployment, o Options, origin string) (source.Source, error) {
	if d.Docker != nil {
		return docker.New(containersOf(origin, d))
	}
	if d.Kubernetes != nil {
		return kubernetes.New(podsOf(origin, d))
	}
	s, err := spec.New(specificationOf(origin, d))
	if err != nil {
		return nil, err
	}
	group := ""
	if d.Groups[0].Reach != (config.Reach{}) {
		group = d.Groups[0].Name
	}
	return s.Rereads(func() (spec.Specification, error) { return specifiedNow(cfg.Path, o.Getenv, d.Name, group) }), nil
}

// containersOf is a configured deployment, or a part of one, as its source wants
// it.
func containersOf(file string, d config.Deployment) docker.Specification {
	k := d.Docker
	s := docker.Specification{
		Name: d.Name, File: file, Identity: d.Identity, Locations: d.Locations, Jobs: overridesOf(d), Limits: limitsOf(d),
		Engine: engine.Config{Host: k.Host, CAFile: k.CAFile, CertFile: k.CertFile, KeyFile: k.KeyFile},
		User:   k.User, SidecarImage: k.SidecarImage, Project: k.Project, Services: k.Services, Label: k.Label,
	}
	if k.SSH != nil {
		s.SSH = sshConfigOf(k.SSH)
	}
	for _, g := range d.Groups {
		if k.Finds() {
			s.Group = g.Name
		}
		for _, in := range g.Instances {
			s.Instances = append(s.Instances, docker.Instance{Group: g.Name, ID: in.ID, Index: in.Index, Container: in.Container})
		}
	}
	return s
}

// podsOf is a configured deployment, or a part of one, as its source wants it.
func podsOf(file string, d config.Deployment) kubernetes.Specification {
	k := d.Kubernetes
	s := kubernetes.Specification{
		Name: d.Name, File: file, Identity: d.Identity, Locations: d.Locations, Jobs: overridesOf(d), Limits: limitsOf(d),
		Cluster:   cluster.Config{Kubeconfig: k.Kubeconfig, Context: k.Context, InCluster: k.InCluster},
		Namespace: k.Namespace, StatefulSet: k.StatefulSet, Workload: k.Deployment, Selector: k.Selector, Container: k.Container,
		SidecarImage: k.SidecarImage,
	}
	for _, g := range d.Groups {
		if k.Finds() {
			s.Group = g.Name
		}
		for _, in := range g.Instances {
			s.Instances = append(s.Instances, kubernetes.Instance{Group: g.Name, ID: in.ID, Index: in.Index, Pod: in.Pod, Container: in.Container})
		}
	}
	return s
}

// RBAC is what a service account of that name needs for the pods of deployments, those
// of all where none is named, as YAML for kubectl apply; the account is in the namespace
// home, or, where that is "", in the first of theirs. It contacts nothing.
func RBAC(cfg *config.Config, account, home string, names ...string) (string, error) {
	var specs []kubernetes.Specification
	if len(names) == 0 {
		for _, d := range cfg.Deployments {
			names = append(names, d.Name)
		}
	}
	for _, name := range names {
		d, err := cfg.Deployment(name)
		if err != nil {
			return "", err
		}
		for _, p := range partsOf(d) {
			if p.Kubernetes != nil {
				specs = append(specs, podsOf("", p))
			}
		}
	}
	if len(specs) == 0 {
		return "", &lockstep.Error{
			Kind: lockstep.KindNotFound, Op: "make a role for " + strings.Join(names, ", "), Err: errors.New("no instance of theirs is a pod"),
			Hint: "write for example: kubernetes: {stateful_set: db} into a deployment, or name one that has pods",
		}
	}
	return kubernetes.RBAC(account, home, specs...)
}

// directedOf is the source of a deployment whose instances a director knows.
func directedOf(cfg *config.Config, d config.Deployment, o Options, jumpboxes *bosh.Jumpboxes) (source.Source, error) {
	b := d.BOSH
	return bosh.New(bosh.Options{
		Connect: &bosh.DirectorOptions{
			Target: b.Director, Username: b.Client, CACert: cmp.Or(b.CACert, b.CACertFile), StateDir: cfg.StateDir,
			Proxy: b.Proxy, Env: directorEnv(b, o.Getenv), Log: o.log, Jumpboxes: jumpboxes, Patience: time.Minute,
		},
		Deployment: b.Deployment, Name: d.Name, PasswordEnv: b.SecretEnv, PasswordFile: b.SecretFile,
		Locations: d.Locations, Jobs: overridesOf(d), Apply: limitsOf(d).Apply, UserGrace: userGrace(d),
	})
}

// directorEnv is the environment in which BOSH_ALL_PROXY is what the
// configuration says it is.
func directorEnv(b *config.BOSH, getenv func(string) string) func(string) string {
	return func(name string) string {
		if name == "BOSH_ALL_PROXY" {
			name = b.ProxyEnv
		}
		if name == "" {
			return ""
		}
		return getenv(name)
	}
}

// log tells what a part has to say, at a level that is named.
func (o Options) log(level, message string) {
	levels := map[string]slog.Level{"info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	at, ok := levels[level]
	if !ok {
		at = slog.LevelDebug
	}
	o.Logger.Log(context.Background(), at, message)
}

// userGrace is how long an SSH user stays on an instance that nobody comes back
// to: longer than a lease.
func userGrace(d config.Deployment) time.Duration {
	return max(15*time.Minute, d.LockLease+5*time.Minute)
}

// specifiedNow is the specification of a deployment as it is written now.
// of group alone where that is not "".
func specifiedNow(path string, getenv func(string) string, name, group string) (spec.Specification, error) {
	cfg, err := config.Load(path, getenv)
	if err != nil {
		return spec.Specification{}, err
	}
	for _, d := range cfg.Deployments {
		if d.Name != name {
			continue
		}
		for _, p := range partsOf(d) {
			if own := len(p.Groups) == 0 || p.Groups[0].Reach == (config.Reach{}); own == (group == "") && (own || p.Groups[0].Name == group) {
				return specificationOf(cfg.Path, p), nil
			}
		}
	}
	return spec.Specification{}, fmt.Errorf("%s has no deployment %s any more that is found and reached as it was", cfg.Path, name)
}

// specificationOf is a configured deployment as its source wants it.
func specificationOf(file string, d config.Deployment) spec.Specification {
	s := spec.Specification{
		Name: d.Name, File: file, Identity: d.Identity, Locations: d.Locations,
		Jobs: overridesOf(d), Limits: limitsOf(d),
	}
	if d.Local != nil {
		s.Local, s.Sudo = &spec.Local{}, d.Local.Sudo
	}
	if d.SSH != nil {
		s.SSH, s.Sudo = sshConfigOf(d.SSH), d.SSH.Sudo
	}
	for _, g := range d.Groups {
		for _, in := range g.Instances {
			s.Instances = append(s.Instances, spec.Instance{Group: g.Name, ID: in.ID, Index: in.Index, Host: in.Host, Dir: in.Dir})
		}
	}
	return s
}

func limitsOf(d config.Deployment) source.Limits {
	return source.Limits{
		ScriptTimeout: d.ScriptTimeout, MaxLock: d.MaxLock, LockLease: d.LockLease, NoLease: d.LockLease == 0,
		HoldFailedRestore: d.OnRestoreFailure == config.HoldOnRestoreFailure, NoHelper: d.NoHelper,
	}
}

func overridesOf(d config.Deployment) map[string]source.JobOverride {
	jobs := map[string]source.JobOverride{}
	for _, j := range d.Jobs {
		jobs[j.Name] = overrideOf(j)
	}
	return jobs
}

func sshConfigOf(c *config.SSH) *ssh.Config {
	return &ssh.Config{
		User: c.User, Port: c.Port,
		IdentityFiles: c.IdentityFiles, CertificateFiles: c.CertificateFiles,
		IdentitiesOnly: c.IdentitiesOnly, IdentityAgent: c.IdentityAgent,
		KnownHosts: c.KnownHosts, ProxyJump: c.ProxyJump, ConfigFile: c.ConfigFile,
		DialTimeout: c.DialTimeout, HandshakeTimeout: c.HandshakeTimeout,
		KeepaliveInterval: c.KeepaliveInterval, KeepaliveMisses: c.KeepaliveMisses,
		MaxSessions: c.MaxSessions, MaxConnections: c.MaxConnections,
	}
}

// overrideOf is what the configuration says of a job. A lock order there holds
// for backup and restore alike.
func overrideOf(j config.Job) source.JobOverride {
	scripts := map[lockstep.ScriptKind]string{}
	for _, s := range j.Scripts {
		scripts[s.Kind] = s.Text
	}
	return source.JobOverride{
		Scripts: scripts, Groups: j.Groups,
		Replace: j.Replace, Skip: j.Skip, OneRestoreAll: j.OneRestoreAll,
		Metadata: lockstep.Metadata{
			BackupBefore: j.LockBefore, RestoreBefore: j.LockBefore,
			MayBeEmpty: j.MayBeEmpty, RestoreParallel: j.RestoreParallel, ScriptTimeout: j.ScriptTimeout,
		},
	}
}
