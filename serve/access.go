package serve

import (
	"context"
	"errors"
	"log/slog"
	"os/user"
	"path/filepath"

	"lockstep"
	"lockstep/access"
	"lockstep/api"
	"lockstep/api/client"
	"lockstep/auditlog"
	"lockstep/config"
	"lockstep/outbox"
	"lockstep/scheduler"
	"lockstep/state"
)

// Manage makes what looks after access: a server's, or that of the state
// folder of this host's configuration.
func Manage(ctx context.Context, o Options) (Management, error) {
	if o.Server != "" {
		c, err := clientOf(o)
		if err != nil {
			return Management{}, err
		}
		return Management{
			Tokens: c, AuditLog: c, Approvals: c, Close: c.Close,
			Schedules: func(ctx context.Context) (context.Context, lockstep.Schedules, error) { return ctx, c.Schedules(), nil },
			Notices:   func(ctx context.Context) (context.Context, lockstep.Notices, error) { return ctx, c.Notices(), nil },
		}, nil
	}
	cfg, err := config.Load(o.ConfigPath, o.Getenv)
	if err != nil {
		return Management{}, err
	}
	h := &here{cfg: cfg, options: o}
	return Management{Tokens: h, AuditLog: h, Schedules: h.schedules, Notices: h.notices, Close: h.close}, nil
}

// here looks after the access of a state folder. What it needs is opened when
// it is needed.
type here struct {
	cfg     *config.Config
	options Options
	closers []func() error
	tokens  *access.Tokens
	store   state.Store
	audit   auditlog.Recorder
}

var (
	_ TokenKeeper = (*here)(nil)
	_ AuditReader = (*here)(nil)
	_ TokenKeeper = (*client.Client)(nil)
	_ AuditReader = (*client.Client)(nil)
	_ Approver    = (*client.Client)(nil)
)

func (h *here) close() error {
	var errs []error
	for n := len(h.closers) - 1; n >= 0; n-- {
		errs = append(errs, h.closers[n]())
	}
	return errors.Join(errs...)
}

// open opens the tokens of the state folder. A server may be running: both
// write the same log and the same database.
func (h *here) open(ctx context.Context) (context.Context, *access.Tokens, error) {
	ctx = access.WithPrincipal(ctx, access.Local(userName()))
	if h.tokens != nil {
		return ctx, h.tokens, nil
	}
	j, err := openJournal(ctx, h.cfg, h.options)
	if err != nil {
		return ctx, nil, err
	}
	h.closers = append(h.closers, j.Close)
	store, err := openState(ctx, h.cfg)
	if err != nil {
		return ctx, nil, err
	}
	h.closers = append(h.closers, store.Close)
	log, err := openAudit(ctx, h.cfg, slog.New(warnings{h.options.Logger.Handler()}))
	if err != nil {
		return ctx, nil, err
	}
	h.closers = append(h.closers, log.Close)
	h.store, h.audit = store, log
	pepper, err := loadPepper(ctx, h.cfg, store)
	if err != nil {
		return ctx, nil, err
	}
	h.tokens = access.NewTokens(access.TokensConfig{Store: store, Pepper: pepper, Audit: log, Log: h.options.Logger})
	return ctx, h.tokens, nil
}

// warnings leaves out what is not a warning: signed heads are for the log of a
// server, not for a terminal.
type warnings struct{ slog.Handler }

// Enabled implements slog.Handler.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// schedules are those of the configuration and those kept in the state folder.
func (h *here) schedules(ctx context.Context) (context.Context, lockstep.Schedules, error) {
	ctx, _, err := h.open(ctx)
	if err != nil {
		return ctx, nil, err
	}
	s := scheduler.New(scheduler.Config{
		Service: configured{cfg: h.cfg}, Store: h.store, Configured: h.cfg.Schedules, Copies: copyNames(h.cfg),
		Prunable: h.cfg.Repository.Restic != nil,
		Log:      slog.New(warnings{h.options.Logger.Handler()}),
	})
	if err := s.Adopt(ctx); err != nil {
		return ctx, nil, err
	}
	return ctx, access.GuardSchedules(s, h.audit, h.options.Logger), nil
}

// configured is the part of a Service that knows which deployments there are:
// who looks after schedules begins nothing.
type configured struct {
	lockstep.Service
	cfg *config.Config
}

// Deployments implements scheduler.Service.
func (c configured) Deployments(context.Context) ([]lockstep.DeploymentInfo, error) {
	var list []lockstep.DeploymentInfo
	for _, d := range c.cfg.Deployments {
		list = append(list, lockstep.DeploymentInfo{Name: d.Name, Source: d.Source()})
	}
	return list, nil
}

// notices are what the state folder keeps of them. It makes none.
func (h *here) notices(ctx context.Context) (context.Context, lockstep.Notices, error) {
	ctx, _, err := h.open(ctx)
	if err != nil {
		return ctx, nil, err
	}
	receivers, err := receiversOf(h.cfg, h.options.Version)
	if err != nil {
		return ctx, nil, err
	}
	o := outbox.New(outbox.Config{Store: h.store, Receivers: receivers, Log: h.options.Logger})
	return ctx, access.GuardNotices(o, h.audit), nil
}

// reader reads the audit log, which a server may be writing.
func (h *here) reader(ctx context.Context) (auditlog.Reader, error) {
	if h.cfg.State.Postgres == nil {
		return auditlog.Folder(auditDir(h.cfg)), nil
	}
	log, err := openAudit(ctx, h.cfg, slog.New(warnings{h.options.Logger.Handler()}))
	if err == nil {
		h.closers = append(h.closers, log.Close)
	}
	return log, err
}

func pepperFile(cfg *config.Config) string {
	if cfg.Access.PepperFile != "" {
		return cfg.Access.PepperFile
	}
	return filepath.Join(cfg.StateDir, access.PepperFile)
}

// userName names who runs this program, for the audit log.
func userName() string {
	u, err := user.Current()
	if err != nil || u.Username == "" {
		return "unknown"
	}
	return u.Username
}

// Tokens implements TokenKeeper.
func (h *here) Tokens(ctx context.Context) ([]api.Token, error) {
	ctx, tokens, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	return tokens.List(ctx)
}

// CreateToken implements TokenKeeper.
func (h *here) CreateToken(ctx context.Context, req api.TokenRequest) (api.NewToken, error) {
	ask, err := req.Access()
	if err != nil {
		return api.NewToken{}, err
	}
	ctx, tokens, err := h.open(ctx)
	if err != nil {
		return api.NewToken{}, err
	}
	token, secret, err := tokens.Create(ctx, ask)
	return api.NewToken{Token: token, Secret: secret.Reveal()}, err
}

// RevokeToken implements TokenKeeper.
func (h *here) RevokeToken(ctx context.Context, id string) error {
	ctx, tokens, err := h.open(ctx)
	if err != nil {
		return err
	}
	return tokens.Revoke(ctx, id)
}

// AuditLog implements AuditReader.
func (h *here) AuditLog(ctx context.Context, filter map[string]string, most int) ([]api.AuditRecord, error) {
	q := auditlog.Query{By: filter["by"], Action: filter["action"], Deployment: filter["deployment"], Object: filter["object"]}
	log, err := h.reader(ctx)
	if err != nil {
		return nil, err
	}
	var all []api.AuditRecord
	for {
		q.Limit = most - len(all)
		p, err := log.Read(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Records...)
		if p.Next == "" || len(all) >= most {
			return all, nil
		}
		q.Cursor = p.Next
	}
}

// VerifyAuditLog implements AuditReader.
func (h *here) VerifyAuditLog(ctx context.Context, req api.VerifyAudit) (api.AuditReport, error) {
	log, err := h.reader(ctx)
	if err != nil {
		return api.AuditReport{}, err
	}
	return log.Verify(ctx, auditlog.Trust{Key: req.Key, Heads: []byte(req.Heads)})
}
