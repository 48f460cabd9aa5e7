package serve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/auditlog"
	"lockstep/config"
	"lockstep/journal"
	"lockstep/state"
)

// gate is who may do what to a server, and the log of who did.
type gate struct {
	authorizer *access.Authorizer
	tokens     *access.Tokens
	sessions   *access.Sessions
	oidc       *access.OIDC // nil: no identity provider
	approvals  *access.Approvals
	audit      auditlog.Recorder
	audits     *access.Audits
	closers    []func()
}

// adminEvery is how often the token of this host is looked at.
const adminEvery = 24 * time.Hour

// gateParts are what it keeps what it knows in.
type gateParts struct {
	store   state.Store
	journal journal.Journal
}

func openGate(ctx context.Context, s Serving, cfg *config.Config, p gateParts) (*gate, error) {
	store := p.store
	pepper, err := loadPepper(ctx, cfg, store)
	if err != nil {
		return nil, err
	}
	g := &gate{}
	g.openAudit(ctx, s, cfg)
	throttle := access.NewThrottle(nil)
	g.tokens = access.NewTokens(access.TokensConfig{Store: store, Pepper: pepper, Audit: g.audit, Throttle: throttle, Log: s.Logger})
	g.keepAdminToken(ctx, s, cfg.StateDir)
	g.approvals = access.NewApprovals(access.ApprovalsConfig{
		Store: store, Audit: g.audit, Deployments: cfg.Access.RestoreApproval, Alone: aloneOf(cfg, p.journal),
	})
	plain := !cfg.Server.Encrypted()
	g.sessions = access.NewSessions(access.SessionsConfig{
		Store: store, Tokens: g.tokens, Pepper: pepper, Audit: g.audit, Plain: plain, Generation: generationOf(cfg.Access),
		Idle: cfg.Access.SessionIdle, Life: cfg.Access.SessionLife, Log: s.Logger,
	})
	certificates := access.Certificates(cfg.Access.Certificates, nil)
	asked := []access.Authenticator{g.tokens}
	if o := cfg.Access.OIDC; o != nil {
		if g.oidc, err = openOIDC(cfg, access.OIDCConfig{Throttle: throttle, Pepper: pepper, Plain: plain, Log: s.Logger}); err != nil {
			g.close()
			return nil, err
		}
		asked = append(asked, g.oidc)
	}
	g.authorizer = access.NewAuthorizer(access.AuthorizerConfig{
		API: access.FirstOf(append(asked, certificates)...), Pages: access.FirstOf(g.sessions, certificates), Audit: g.audit, Log: s.Logger,
	})
	return g, nil
}

// guard stands around the service.
func (g *gate) guard(service lockstep.Service, s Serving) lockstep.Service {
	return access.Guard(access.GuardConfig{Service: service, Audit: g.audit, Approvals: g.approvals, Log: s.Logger})
}

func (g *gate) close() {
	for n := len(g.closers) - 1; n >= 0; n-- {
		g.closers[n]()
	}
}

func (g *gate) openAudit(ctx context.Context, s Serving, cfg *config.Config) {
	log, err := openAudit(ctx, cfg, s.Logger)
	if err != nil {
		g.audits = &access.Audits{Log: auditlog.Folder(auditDir(cfg))}
		// What is locked must be unlocked all the same; everything else with an
		// effect is refused.
		s.Logger.Error("the audit log cannot be written: only unlocking is done: " + err.Error())
		g.audit = noAudit{err}
		return
	}
	signing, stop := context.WithCancel(context.WithoutCancel(ctx))
	go log.Run(signing)
	g.audit, g.audits = log, &access.Audits{Log: log}
	g.closers = append(g.closers, func() {
		stop()
		if err := log.Close(); err != nil {
			s.Logger.Error("close the audit log: " + err.Error())
		}
	})
}

// keepAdminToken keeps the token in the state folder good for as long as the
// server runs. That it cannot be made keeps nothing else from working.
func (g *gate) keepAdminToken(ctx context.Context, s Serving, stateDir string) {
	keep := func() {
		if err := g.tokens.KeepAdminToken(ctx, stateDir); err != nil {
			s.Logger.Error("keep the token of this host: " + err.Error())
		}
	}
	keep()
	tick := time.NewTicker(adminEvery)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-tick.C:
				keep()
			case <-done:
				return
			}
		}
	}()
	g.closers = append(g.closers, func() { tick.Stop(); close(done) })
}

// openOIDC makes the identity provider of the configuration.
func openOIDC(cfg *config.Config, o access.OIDCConfig) (*access.OIDC, error) {
	c := cfg.Access.OIDC
	if c.ClientSecretFile != "" {
		b, err := os.ReadFile(c.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("read access.oidc.client_secret_file: %w", err)
		}
		o.ClientSecret = access.NewSecret(strings.TrimSpace(string(b)))
	}
	o.Issuer, o.ClientID, o.NameClaim, o.GroupsClaim, o.Groups = c.Issuer, c.ClientID, c.NameClaim, c.GroupsClaim, c.Groups
	if cfg.Server.PublicURL != "" {
		o.RedirectURL = cfg.Server.PublicURL + "/login/oidc/callback"
	}
	return access.NewOIDC(o)
}

// loadPepper is the pepper of the configuration, which all who share a database share.
func loadPepper(ctx context.Context, cfg *config.Config, store state.Settings) (access.Pepper, error) {
	if cfg.State.Postgres == nil {
		return access.LoadPepper(pepperFile(cfg))
	}
	return access.LoadSharedPepper(ctx, pepperFile(cfg), store)
}

const (
	// ownerOfApprovals is what a server of several owns while it uses an approval.
	ownerOfApprovals lockstep.DeploymentKey = "lockstep approvals"
	// aloneWithin is how long one waits for another one that does, and aloneLook how
	// often it looks.
	aloneWithin, aloneLook = 40 * time.Second, 100 * time.Millisecond
)

// aloneOf is access.ApprovalsConfig.Alone.
func aloneOf(cfg *config.Config, j journal.Journal) func(context.Context) (func(), error) {
	if cfg.State.Postgres == nil {
		return nil
	}
	return func(ctx context.Context) (func(), error) {
		for since := time.Now(); ; {
			release, err := j.Own(ctx, ownerOfApprovals, "lockstep serve, which uses an approval")
			if !errors.Is(err, journal.ErrOwned) {
				return release, err
			}
			if time.Since(since) > aloneWithin {
				return nil, &lockstep.Error{Kind: lockstep.KindUnavailable, Op: "use an approval", Err: err, Hint: "ask again in a moment"}
			}
			select {
			case <-time.After(aloneLook):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

// generationOf changes with what the configuration says of access. Where the files are
// that it names may be another place on each host.
func generationOf(a config.Access) string {
	a.PepperFile = ""
	if a.OIDC != nil {
		o := *a.OIDC
		o.ClientSecretFile = ""
		a.OIDC = &o
	}
	b, err := json.Marshal(a)
	if err != nil {
		// Texts, numbers and lists of them always encode.
		panic(fmt.Sprintf("encode configuration: %v", err))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// noAudit is an audit log that cannot be written.
type noAudit struct{ err error }

// Record implements auditlog.Recorder.
func (n noAudit) Record(context.Context, auditlog.Entry) error { return n.err }
