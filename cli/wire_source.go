package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"lockstep"
	"lockstep/config"
	"lockstep/source"
	"lockstep/source/bosh"
	"lockstep/source/spec"
	"lockstep/target/ssh"
)

// reopen makes the source again that a run recorded.
func reopen(reach string, o Options) (source.Source, error) {
	if bosh.IsReach(reach) {
		return bosh.FromReach(reach, o.Getenv, o.log)
	}
	return spec.FromReach(reach)
}

// sourcesOf makes the source of each configured deployment.
func sourcesOf(cfg *config.Config, o Options) ([]source.Source, error) {
	var sources []source.Source
	var errs []error
	jumpboxes := bosh.NewJumpboxes()
	for _, d := range cfg.Deployments {
		s, err := sourceOf(cfg, d, o, jumpboxes)
		sources, errs = append(sources, s), append(errs, err)
	}
	return sources, errors.Join(errs...)
}

func sourceOf(cfg *config.Config, d config.Deployment, o Options, jumpboxes *bosh.Jumpboxes) (source.Source, error) {
	if d.BOSH != nil {
		return directedOf(cfg, d, o, jumpboxes)
	}
	s, err := spec.New(specificationOf(cfg.Path, d))
	if err != nil {
		return nil, err
	}
	return s.Rereads(func() (spec.Specification, error) { return specifiedNow(cfg.Path, o.Getenv, d.Name) }), nil
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
func specifiedNow(path string, getenv func(string) string, name string) (spec.Specification, error) {
	cfg, err := config.Load(path, getenv)
	if err != nil {
		return spec.Specification{}, err
	}
	for _, d := range cfg.Deployments {
		if d.Name == name {
			return specificationOf(cfg.Path, d), nil
		}
	}
	return spec.Specification{}, fmt.Errorf("%s has no deployment %s any more", cfg.Path, name)
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

func limitsOf(d config.Deployment) spec.Limits {
	return spec.Limits{
		ScriptTimeout: d.ScriptTimeout, MaxLock: d.MaxLock, LockLease: d.LockLease, NoLease: d.LockLease == 0,
		HoldFailedRestore: d.OnRestoreFailure == config.HoldOnRestoreFailure,
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
	return source.JobOverride{
		Replace: j.Replace, Skip: j.Skip, OneRestoreAll: j.OneRestoreAll,
		Metadata: lockstep.Metadata{
			BackupBefore: j.LockBefore, RestoreBefore: j.LockBefore,
			MayBeEmpty: j.MayBeEmpty, RestoreParallel: j.RestoreParallel, ScriptTimeout: j.ScriptTimeout,
		},
	}
}
