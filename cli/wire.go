package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"lockstep"
	"lockstep/app"
	"lockstep/config"
	"lockstep/journal/sqlite"
	"lockstep/repository/dir"
	"lockstep/source"
	"lockstep/source/bosh"
	"lockstep/source/spec"
	"lockstep/target/ssh"
)

// contractVersion is what scripts are told in BBR_VERSION: the version of the
// script contract that is kept. Scripts compare it as MAJOR.MINOR.
const contractVersion = "1.9.99"

// Wire is the real Setup: the configuration file's deployments, a plain folder
// of backups and a SQLite journal. This file is the only one of the command
// line that knows which adapters there are.
func Wire() Setup {
	return Setup{Open: open, Connect: connect, Serve: serve, Manage: manage, Demo: demonstrate}
}

func open(ctx context.Context, o Options) (Orchestrator, error) {
	cfg, err := config.Load(o.ConfigPath, o.Getenv)
	if err != nil {
		return Orchestrator{}, err
	}
	a, journal, err := assemble(ctx, cfg, o, nil)
	if err != nil {
		return Orchestrator{}, err
	}
	return Orchestrator{Service: a, Close: func() error {
		a.Close()
		return journal.Close()
	}}, nil
}

// assemble makes the use cases over what the configuration names. Whoever asks
// closes both: the App first. observe, if not nil, is told of each event.
func assemble(ctx context.Context, cfg *config.Config, o Options, observe func(lockstep.Event)) (*app.App, *sqlite.Journal, error) {
	sources, err := sourcesOf(cfg, o)
	if err != nil {
		return nil, nil, err
	}
	repo, err := dir.Open(cfg.Repository.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open repository %s: %w", cfg.Repository.Dir, err)
	}
	journal, err := sqlite.Open(ctx, sqlite.Options{Dir: cfg.StateDir})
	if err != nil {
		return nil, nil, fmt.Errorf("open journal in %s: %w", cfg.StateDir, err)
	}
	a := app.New(app.Config{
		Journal: journal, Repository: repo, Sources: sources,
		Reopen: func(reach string) (source.Source, error) { return reopen(reach, o) },
		Policy: lockstep.LockstepPolicy(), Observe: observe, Version: o.Version, ContractVersion: contractVersion,
	})
	return a, journal, nil
}

// reopen makes the source again of a run whose deployment is configured no
// longer.
func reopen(reach string, o Options) (source.Source, error) {
	var is struct {
		Kind string `json:"kind"`
	}
	if json.Unmarshal([]byte(reach), &is) == nil && strings.HasPrefix(is.Kind, "bosh") {
		return bosh.FromReach(reach, o.Getenv, o.log)
	}
	return spec.FromReach(reach)
}

// log tells what a part has to say, at a level that is named.
func (o Options) log(level, message string) {
	levels := map[string]slog.Level{"info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	o.Logger.Log(context.Background(), cmp.Or(levels[level], slog.LevelDebug), message)
}

// sourcesOf makes the source of each configured deployment.
func sourcesOf(cfg *config.Config, o Options) ([]source.Source, error) {
	var sources []source.Source
	var errs []error
	for _, d := range cfg.Deployments {
		var s source.Source
		var err error
		if d.BOSH != nil {
			s, err = directedSource(cfg, d, o)
		} else {
			s, err = specifiedSource(cfg, d, o.Getenv)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		sources = append(sources, s)
	}
	return sources, errors.Join(errs...)
}

func specifiedSource(cfg *config.Config, d config.Deployment, getenv func(string) string) (source.Source, error) {
	s, err := spec.New(specificationOf(cfg.Path, d))
	if err != nil {
		return nil, err
	}
	return s.Rereads(func() (spec.Specification, error) { return specifiedNow(cfg.Path, getenv, d.Name) }), nil
}

// userGrace is how long an SSH user that a director made stays on an instance
// that nobody comes back to: longer than a lease.
const userGrace = 5 * time.Minute

// directedSource is a deployment whose instances a director knows. Its director
// is closed with the process: runs share its way.
func directedSource(cfg *config.Config, d config.Deployment, o Options) (source.Source, error) {
	secret := o.Getenv("BOSH_CLIENT_SECRET")
	if d.BOSH.ClientSecretFile != "" {
		text, err := os.ReadFile(d.BOSH.ClientSecretFile)
		if err != nil {
			return nil, &lockstep.Error{
				Kind: lockstep.KindInvalid, Op: "read the password for the director of " + d.Name, Err: err,
				Hint: "put it there, readable by you alone, or name another client_secret_file",
			}
		}
		secret = strings.TrimRight(string(text), "\r\n")
	}
	director, err := bosh.NewDirector(bosh.DirectorOptions{
		Target: d.BOSH.Director, Username: d.BOSH.Client, Password: secret, CACert: d.BOSH.CACert,
		Env: o.Getenv, Log: o.log, StateDir: cfg.StateDir,
	})
	if err != nil {
		return nil, fmt.Errorf("reach the director of %s: %w", d.Name, err)
	}
	limits := limitsOf(d)
	return bosh.New(bosh.Options{
		Director: director, Name: d.Name, Deployment: d.BOSH.Deployment, PasswordFile: d.BOSH.ClientSecretFile,
		Locations: d.Locations, Jobs: overridesOf(d), Apply: limits.Apply, UserGrace: d.LockLease + userGrace,
	})
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
