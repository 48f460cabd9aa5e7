package bbr

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"lockstep"
	"lockstep/app"
	"lockstep/journal"
	"lockstep/journal/mem"
	"lockstep/journal/sqlite"
	"lockstep/launcher"
	"lockstep/repository"
	"lockstep/repository/dir"
	"lockstep/source"
	"lockstep/source/bosh"
)

// Wire is the real Setup: a director or its machine, a plain folder of backups
// and a SQLite journal. This file is the only one of this package that knows
// which adapters there are.
func Wire() Setup {
	jumpboxes := bosh.NewJumpboxes() // all deployments are reached over one connection
	director := func(ctx context.Context, a DirectorAccess) (Director, error) { return director(ctx, a, jumpboxes) }
	return Setup{Host: host, Director: director, Open: open, RemoveUser: bosh.RemoveUserOn}
}

// host is the source of director mode.
func host(a HostAccess) (source.Source, error) {
	return bosh.NewHost(bosh.HostOptions{
		Host: a.Host, Username: a.User, PrivateKeyPath: a.KeyFile, StateDir: writable(a.Getenv),
		Env: plain(a.Getenv), Log: func(level, message string) { a.Log("bbr", upper(level), message) },
	})
}

// director connects to a director: it must answer before anything else is done.
func director(ctx context.Context, a DirectorAccess, jumpboxes *bosh.Jumpboxes) (Director, error) {
	d, err := bosh.NewDirector(bosh.DirectorOptions{
		Target: a.Target, Username: a.User, Password: a.Password, CACert: a.CACert, StateDir: writable(a.Getenv),
		AcceptChangedKeys: true, Env: plain(a.Getenv), Jumpboxes: jumpboxes,
		Log: func(level, message string) { a.Log("httpClient", upper(level), message) },
	})
	if err != nil {
		return nil, err
	}
	if _, err := d.Info(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &connected{Director: d, access: a}, nil
}

// connected is a director that has answered.
type connected struct {
	*bosh.Director
	access DirectorAccess
}

// Deployment implements Director.
func (c *connected) Deployment(name string, g *grouped) (source.Source, error) {
	return bosh.New(bosh.Options{
		Director: c.Director, Deployment: name, Locations: c.access.Locations, Exact: true,
		AfterGroup: g.afterGroup, CleanUp: g.cleansUp, UserGrace: userGrace(c.access.Getenv),
	})
}

// open opens the Service.
func open(ctx context.Context, o Options) (Orchestrator, error) {
	var out Orchestrator
	repo, err := openRepository(o, &out)
	if err != nil {
		return out, err
	}
	j := openJournal(ctx, o)
	a := app.New(app.Config{
		Journal: j, Repository: repo, Sources: o.Sources, Policy: o.Policy, Discover: o.Discover, Provable: o.Provable,
		Reopen:  func(reach string) (source.Source, error) { return bosh.FromReach(reach, plain(o.Getenv), nil) },
		Version: o.Version, ContractVersion: o.Version, Programs: launcher.BuiltIn(),
	})
	out.Service, out.Wait, out.LetGo, out.Close = a, a.Close, a.LetGo, j.Close
	return out, nil
}

// openRepository opens the folder that the command line names, if any.
func openRepository(o Options, out *Orchestrator) (repository.Repository, error) {
	switch {
	case o.Read != "":
		r, id, err := dir.OpenBackup(o.Read)
		if err != nil {
			return nil, err
		}
		out.Backup = id
		return r, nil
	case o.Save == "":
		return nowhere{why: errors.New("nothing is saved here")}, nil
	}
	if err := usable(o.Save, o.SaveName); err != nil {
		return nowhere{why: err}, nil
	}
	r, err := dir.Open(o.Save)
	if err != nil {
		return nil, err
	}
	s := &saving{Repository: r, path: r.Location(), manifest: o.Manifest, now: time.Now}
	out.Finish = s.finish
	return s, nil
}

// openJournal opens the journal in the first folder that can be used. Without
// one the instances' own records are all there is, and that must do.
func openJournal(ctx context.Context, o Options) journal.Journal {
	var last error
	for _, d := range stateDirs(o.Getenv) {
		j, err := sqlite.Open(ctx, sqlite.Options{Dir: d})
		if err == nil {
			return j
		}
		if !filepath.IsAbs(d) || last == nil {
			last = err
		}
	}
	o.Warn(fmt.Sprintf("no journal can be kept, so a run that dies is settled by its instances alone: %v", last))
	return mem.New()
}

// writable is the folder for what is remembered beside the journal.
func writable(getenv func(string) (string, bool)) string { return stateDirs(getenv)[0] }

func plain(getenv func(string) (string, bool)) func(string) string {
	return func(name string) string {
		s, _ := getenv(name)
		return s
	}
}

// upper is a level as log lines have it.
func upper(level string) string {
	return map[string]string{"debug": debug, "info": info, "warn": warn, "error": fail}[level]
}

var _ lockstep.Service = (*app.App)(nil)
