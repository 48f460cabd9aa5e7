package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/api"
	"lockstep/api/client"
	"lockstep/app"
	"lockstep/config"
	"lockstep/server"
	"lockstep/state/sqlite"
)

// Defaults of a server.
const (
	defaultListen      = "127.0.0.1:7420"
	defaultStopTimeout = 5 * time.Minute
)

// serve is an orchestrator behind HTTP, until a signal. This file is the only
// one of the command line that knows which parts a server has.
func serve(ctx context.Context, s Serving) (err error) {
	cfg, err := config.Load(s.ConfigPath, s.Getenv)
	if err != nil {
		return err
	}
	a, journal, err := assemble(ctx, cfg, s.Options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	store, err := sqlite.Open(ctx, cfg.StateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	gate, err := openGate(ctx, s, cfg, store)
	if err != nil {
		return err
	}
	defer gate.close()
	srv, err := face(s, a, store, gate)
	if err != nil {
		return err
	}
	handed, err := listenAndServe(ctx, s, srv, a)
	if handed == 0 {
		a.Close()
	}
	return err
}

// face makes the server over the use cases.
func face(s Serving, a *app.App, store *sqlite.Store, g *gate) (*server.Server, error) {
	var srv *server.Server
	routes, err := api.New(api.Config{
		Service: g.guard(a, s), Tokens: g.tokens, Approvals: g.approvals, Audits: g.audits, Keys: store,
		MayStart: func() error { return srv.MayStart() }, Version: s.Version,
	})
	if err != nil {
		return nil, err
	}
	srv = server.New(server.Config{
		API: routes, Admit: g.wall.Admit, Version: buildInfo(s.Version), Log: s.Logger,
	})
	return srv, nil
}

// listenAndServe serves until a signal and returns when nothing runs any more,
// or how many runs it handed over.
func listenAndServe(ctx context.Context, s Serving, srv *server.Server, a *app.App) (handed int, err error) {
	listen := s.Listen
	if listen == "" {
		listen = defaultListen
	}
	l, err := server.Listen(ctx, listen, false)
	if err != nil {
		return 0, err
	}
	address := "http://" + l.Addr().String()
	s.Logger.Info("listening on " + address)
	s.Listening(address)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		settleAndBeReady(ctx, s, srv, a)
	}()
	select {
	case err = <-served:
	case sig := <-s.Signals:
		s.Logger.Info("stopping: " + sig.String())
	case <-ctx.Done():
	}
	srv.Stopping()
	s.notify("STOPPING=1")
	handed = stopRuns(ctx, s, a)
	err = errors.Join(err, srv.Close())
	if handed > 0 {
		err = errors.Join(err, &lockstep.Error{
			Kind: lockstep.KindConflict, Op: "stop", Err: fmt.Errorf("%d runs had not ended; their instances unlock by themselves", handed),
			Hint: "the next start settles them, and so does `lockstep recover --all`",
		})
	}
	return handed, err
}

// settleAndBeReady brings what dead orchestrators left to its end. Unlocking
// is not cut short by a signal.
func settleAndBeReady(ctx context.Context, s Serving, srv *server.Server, a *app.App) {
	settled, err := server.SettleAll(context.WithoutCancel(ctx), a)
	for _, run := range settled {
		s.Logger.Warn("a run that a dead orchestrator left was settled", "run_id", run.ID, "deployment", run.Deployment, "state", run.State, "locks", run.Locks)
	}
	if err != nil {
		s.Logger.Error("settle what dead orchestrators left: "+err.Error(), "hint", lockstep.HintOf(err))
	}
	srv.Ready()
	s.Logger.Info("ready")
	s.notify("READY=1")
}

func (s Serving) notify(line string) {
	if err := server.Notify(line); err != nil {
		s.Logger.Warn("tell the service manager: " + err.Error())
	}
}

// stopRuns brings what runs here to its unlock, until the time is over or a
// second signal comes.
func stopRuns(ctx context.Context, s Serving, a *app.App) (handed int) {
	timeout := s.StopTimeout
	if timeout == 0 {
		timeout = defaultStopTimeout
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	go func() {
		select {
		case <-s.Signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return server.Drain{Service: a, Driving: a.Driving, LetGo: a.LetGo, Log: s.Logger}.Do(ctx)
}

// connect makes the Service of a server. Without a token in the environment,
// one on this host is asked with that of its state folder.
func connect(_ context.Context, o Options) (Orchestrator, error) {
	c, err := clientOf(o)
	if err != nil {
		return Orchestrator{}, err
	}
	return Orchestrator{Service: c, Close: c.Close}, nil
}

func clientOf(o Options) (*client.Client, error) {
	token := o.Getenv("LOCKSTEP_TOKEN")
	if u, err := url.Parse(o.Server); err == nil && token == "" && client.Loopback(u) {
		token = localToken(o)
	}
	return client.New(client.Config{URL: o.Server, Token: token, Lost: o.Lost})
}

// localToken is the token of the state folder of this host's configuration, ""
// if there is none to be had.
func localToken(o Options) string {
	cfg, err := config.Load(o.ConfigPath, o.Getenv)
	if err != nil {
		return ""
	}
	token, err := access.ReadAdminToken(cfg.StateDir)
	if err != nil {
		return ""
	}
	return token.Reveal()
}
