package serve

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/config"
	"lockstep/internal/egress"
	"lockstep/notify"
	"lockstep/notify/chat"
	"lockstep/notify/email"
	"lockstep/notify/webhook"
	"lockstep/outbox"
)

// byItself asks a guarded service in the name of the server itself: what a
// schedule does is in the audit log as well.
type byItself struct{ lockstep.Service }

const itself = "scheduler"

func as(ctx context.Context, name string) context.Context {
	return access.WithPrincipal(ctx, access.Local(name))
}

// Deployments implements scheduler.Service.
func (b byItself) Deployments(ctx context.Context) ([]lockstep.DeploymentInfo, error) {
	return b.Service.Deployments(as(ctx, itself))
}

// Start implements scheduler.Service.
func (b byItself) Start(ctx context.Context, req lockstep.Request) (lockstep.RunID, error) {
	return b.Service.Start(as(ctx, req.By), req)
}

// Run implements scheduler.Service.
func (b byItself) Run(ctx context.Context, id lockstep.RunID) (*lockstep.Run, error) {
	return b.Service.Run(as(ctx, itself), id)
}

// Runs implements scheduler.Service.
func (b byItself) Runs(ctx context.Context, f lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	return b.Service.Runs(as(ctx, itself), f)
}

// Backups implements scheduler.Service.
func (b byItself) Backups(ctx context.Context, deployment string) ([]lockstep.Backup, error) {
	return b.Service.Backups(as(ctx, itself), deployment)
}

// Backup implements scheduler.Service.
func (b byItself) Backup(ctx context.Context, deployment string, id lockstep.BackupID) (lockstep.Backup, error) {
	return b.Service.Backup(as(ctx, itself), deployment, id)
}

// Verify implements scheduler.Service.
func (b byItself) Verify(ctx context.Context, id lockstep.BackupID) (lockstep.VerifyReport, error) {
	return b.Service.Verify(as(ctx, itself), id)
}

// Forget implements scheduler.Service.
func (b byItself) Forget(ctx context.Context, id lockstep.BackupID) error {
	return b.Service.Forget(as(ctx, itself), id)
}

// CopyNew is scheduler.Config.Copy.
func (b byItself) CopyNew(ctx context.Context, deployment, to string) ([]lockstep.CopyReport, error) {
	svc, ok := b.Service.(lockstep.Copies)
	if !ok {
		return nil, errors.New("this server copies no backups")
	}
	return svc.CopyNew(as(ctx, itself), deployment, to)
}

// Prune is scheduler.Config.Prune. What it would free needs nobody's word: the
// configuration has it, or whoever set the schedule.
func (b byItself) Prune(ctx context.Context) (lockstep.Pruning, error) {
	svc, ok := b.Service.(lockstep.Pruner)
	if !ok {
		return lockstep.Pruning{}, errors.New("this server prunes no repository")
	}
	return svc.PruneRepository(as(ctx, itself), func(lockstep.Pruning) error { return nil })
}

func overdueOf(cfg *config.Config) map[string]time.Duration {
	limits := map[string]time.Duration{}
	for _, d := range cfg.Deployments {
		if d.OverdueAfter != nil {
			limits[d.Name] = *d.OverdueAfter
		}
	}
	return limits
}

// receiversOf makes the receivers of the configuration, with the secrets that
// it names.
func receiversOf(cfg *config.Config, version string) ([]outbox.Receiver, error) {
	var list []outbox.Receiver
	var errs []error
	for _, r := range cfg.Notify {
		sender, err := senderOf(r, version)
		if err != nil {
			errs = append(errs, &lockstep.Error{Kind: lockstep.KindInvalid, Op: fmt.Sprintf("make receiver %q of notices", r.Name), Err: err})
			continue
		}
		kinds := r.Events
		if kinds == nil {
			kinds = outbox.DefaultKinds()
		}
		list = append(list, outbox.Receiver{Name: r.Name, Kinds: kinds, Deployments: r.Deployments, Sender: sender})
	}
	return list, errors.Join(errs...)
}

func senderOf(r config.Receiver, version string) (notify.Sender, error) {
	switch {
	case r.Webhook != nil:
		return webhookOf(*r.Webhook, version)
	case r.Chat != nil:
		return chatOf(*r.Chat)
	}
	return emailOf(*r.Email)
}

func webhookOf(w config.Webhook, version string) (notify.Sender, error) {
	c := webhook.Config{URL: w.URL, Guard: egress.Guard{Allow: w.Allow}, PlainHTTP: w.PlainHTTP, Version: version}
	var errs []error
	if w.URLFile != "" {
		errs = append(errs, readSecret(w.URLFile, &c.URL))
	}
	for _, file := range w.SecretFiles {
		var secret string
		errs = append(errs, readSecret(file, &secret))
		c.Secrets = append(c.Secrets, secret)
	}
	roots, err := rootsOf(w.CAFile)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	c.Roots = roots
	return webhook.New(c)
}

func chatOf(x config.Chat) (notify.Sender, error) {
	c := chat.Config{Style: x.Style, Guard: egress.Guard{Allow: x.Allow}, PlainHTTP: x.PlainHTTP}
	errs := []error{readSecret(x.URLFile, &c.URL)}
	if x.TemplateFile != "" {
		errs = append(errs, readSecret(x.TemplateFile, &c.Template))
	}
	roots, err := rootsOf(x.CAFile)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	c.Roots = roots
	return chat.New(c)
}

func emailOf(x config.Email) (notify.Sender, error) {
	c := email.Config{
		Host: x.Host, Port: x.Port, Security: email.Security(x.Security), Username: x.Username, From: x.From, To: x.To,
		// Mail servers stand in private networks, or on this machine; metadata
		// services do not speak their language.
		Guard: egress.Guard{Allow: egress.Private()},
	}
	var errs []error
	if x.PasswordFile != "" {
		errs = append(errs, readSecret(x.PasswordFile, &c.Password))
	}
	roots, err := rootsOf(x.CAFile)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	c.Roots = roots
	return email.New(c)
}

// maxSecret is more than a secret, or a template, has.
const maxSecret = 64 << 10

// readSecret reads what a file holds, without the blanks around it.
func readSecret(file string, into *string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", file, err)
	case len(text) > maxSecret:
		return fmt.Errorf("read %s: it is larger than 64 KiB", file)
	}
	if *into = strings.TrimSpace(string(text)); *into == "" {
		return fmt.Errorf("read %s: it is empty", file)
	}
	return nil
}

// rootsOf are the authorities of a file; nil for "".
func rootsOf(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read %s: it holds no certificate", file)
	}
	return pool, nil
}
