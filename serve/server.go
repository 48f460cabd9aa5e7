package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/api"
	"lockstep/api/client"
	"lockstep/app"
	"lockstep/config"
	"lockstep/internal/build"
	"lockstep/journal"
	"lockstep/server"
	"lockstep/state"
	"lockstep/ui"
)

// Run is an orchestrator behind HTTP, until a signal.
func Run(ctx context.Context, s Serving) (err error) {
	cfg, err := config.Load(s.ConfigPath, s.Getenv)
	if err != nil {
		return err
	}
	s.Listen = cmp.Or(s.Listen, cfg.Server.Listen)
	s.StopTimeout = cmp.Or(s.StopTimeout, cfg.Server.StopTimeout)
	encryption, err := encryptionOf(cfg, s)
	if err != nil {
		return err
	}
	told := &observers{}
	a, facts, err := assemble(ctx, cfg, s.Options, told.event)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, facts.Close()) }()
	tellStandby(s, facts)
	if err := logLost(ctx, s.Logger, facts); err != nil {
		return err
	}
	store, err := openState(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	gate, err := openGate(ctx, s, cfg, gateParts{store, facts})
	if err != nil {
		return err
	}
	defer gate.close()
	defer tellPods(a, told)()
	svc, leave, err := inFleet(ctx, s, cfg, a)
	if err != nil {
		return err
	}
	defer leave()
	now := &present{Service: svc}
	m, err := openMonitoring(ctx, s, now)
	if err != nil {
		return err
	}
	defer m.close()
	told.add(m.feed.Observe)
	told.add(m.log.Observe)
	b, err := openBackground(ctx, s, cfg, backgroundParts{svc, gate, facts, store, m})
	if err != nil {
		return err
	}
	defer b.close()
	told.add(b.outbox.Observe)
	now.schedules, now.leads = b.scheduler, b.lead.Leading
	srv, err := face(s, parts{svc, store, gate, b, m, facts.CheckReserve}, server.Config{TLS: encryption, Proxies: cfg.Server.TrustedProxies})
	if err != nil {
		return err
	}
	handed, err := listenAndServe(ctx, s, listening{srv, encryption != nil, b, svc}, a)
	if handed == 0 {
		a.Close()
	}
	return err
}

// logLost says what the journal has found that it lost.
func logLost(ctx context.Context, log *slog.Logger, j journal.Journal) error {
	lost, err := j.Lost(ctx, "")
	for _, l := range lost {
		log.Warn("the journal has lost something", "deployment", l.Deployment, "run", string(l.Run), "why", l.Why,
			"type", strings.TrimSpace("lockstep recover "+l.Deployment))
	}
	return err
}

// parts are what a server is the face of.
type parts struct {
	service    lockstep.Service
	store      state.Store
	gate       *gate
	background *background
	monitoring *monitoring
	// room says why nothing more may be written.
	room func(context.Context) error
}

// face makes the server over the use cases; c says how it listens.
func face(s Serving, p parts, c server.Config) (*server.Server, error) {
	var srv *server.Server
	g := p.gate
	service, schedules := g.guard(p.service, s), access.GuardSchedules(p.background.scheduler, g.audit, s.Logger)
	mayStart, leading := func() error { return srv.MayStart() }, p.background.lead.Leading
	routes, err := api.New(api.Config{
		Service: service, Tokens: g.tokens, Approvals: g.approvals, Audits: g.audits, Keys: p.store,
		Schedules: schedules, Notices: access.GuardNotices(p.background.outbox, g.audit),
		MayStart: mayStart, Room: p.room, Leading: leading, Version: s.Version,
	})
	if err != nil {
		return nil, err
	}
	pages := ui.NewLogin(g.sessions, g.oidc, ui.New(ui.Config{
		Service: service, Schedules: schedules, Approvals: g.approvals, Audits: g.audits, Tokens: g.tokens, MayStart: mayStart,
		Room: p.room, Limits: p.background.outbox.Limits, Leading: leading, Version: s.Version,
	}))
	c.API, c.UI, c.RefuseUI, c.Metrics, c.Admit = routes, pages, pages.Refuse, p.monitoring.metrics.Handler(), g.authorizer.Admit
	c.Version, c.Log, c.Leading = build.Of(s.Version), s.Logger, leading
	srv = server.New(c)
	return srv, nil
}

// encryptionOf is how connections are encrypted; nil is not at all.
func encryptionOf(cfg *config.Config, s Serving) (*tls.Config, error) {
	t := cfg.Server.TLS
	if t == nil {
		return nil, nil
	}
	return server.TLS(server.Certificate{CertFile: t.CertFile, KeyFile: t.KeyFile, ClientCAFile: t.ClientCAFile}, s.Logger)
}

// listening is a server and whether its connections are encrypted.
type listening struct {
	*server.Server
	encrypted  bool
	background *background
	// service settles what dead orchestrators left.
	service lockstep.Service
}

func (l listening) scheme() string {
	if l.encrypted {
		return "https://"
	}
	return "http://"
}

// listenAndServe serves until a signal and returns when nothing runs any more,
// or how many runs it handed over.
func listenAndServe(ctx context.Context, s Serving, srv listening, a *app.App) (handed int, err error) {
	l, err := server.Listen(ctx, s.Listen, srv.encrypted)
	if err != nil {
		return 0, err
	}
	address := srv.scheme() + l.Addr().String()
	s.Logger.Info("listening on " + address)
	s.Listening(address)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		settleAndBeReady(ctx, s, srv.Server, srv.service)
		srv.background.begin()
	}()
	select {
	case err = <-served:
	case sig := <-s.Signals:
		s.Logger.Info("stopping: " + sig.String())
	case <-ctx.Done():
	}
	srv.Stopping()
	srv.background.letGo()
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

// settleTime is how long a start waits for what dead orchestrators left. It is
// below the time that a service manager gives a start.
const settleTime = 2 * time.Minute

// settleAndBeReady brings what dead orchestrators left to its end. Unlocking
// is not cut short by a signal.
func settleAndBeReady(ctx context.Context, s Serving, srv *server.Server, svc lockstep.Service) {
	all := server.SettleFor(context.WithoutCancel(ctx), svc, settleTime, func(settled []lockstep.RunSummary, err error) {
		server.TellSettled(s.Logger, settled, err)
	})
	if !all {
		s.Logger.Warn("what a dead orchestrator left is not settled yet: that goes on, and other deployments do not wait for it")
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.StopTimeout)
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

// Connect makes the Service of a server. Without a token in the environment,
// one on this host is asked with that of its state folder.
func Connect(_ context.Context, o Options) (Orchestrator, error) {
	c, err := clientOf(o)
	if err != nil {
		return Orchestrator{}, err
	}
	return Orchestrator{Service: c, Close: c.Close}, nil
}

func clientOf(o Options) (*client.Client, error) {
	token := o.Getenv("LOCKSTEP_TOKEN")
	if u, err := url.Parse(o.Server); err == nil && token == "" && client.Loopback(u) {
		token = localToken(o, u.Port())
	}
	return client.New(client.Config{URL: o.Server, Token: token, Lost: o.Lost})
}

// localToken is the token of the state folder of this host's configuration, ""
// if there is none to be had, or if it is another user who listens there.
func localToken(o Options, port string) string {
	cfg, err := config.Load(o.ConfigPath, o.Getenv)
	if err != nil {
		return ""
	}
	token, err := access.ReadAdminToken(cfg.StateDir)
	if err != nil || !trustedListener(port, filepath.Join(cfg.StateDir, access.AdminTokenFile)) {
		return ""
	}
	return token.Reveal()
}
