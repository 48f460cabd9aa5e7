package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"lockstep"
)

// Connection says where Temporal is and who asks it.
type Connection struct {
	Address, Namespace string
	// TLS, if not nil, is how the connection is encrypted.
	TLS *TLS
	// APIKeyFile, if not "", has the key; it is read for each connection. It needs TLS.
	APIKeyFile string
	Identity   Identity
	Log        *slog.Logger
}

// TLS names files of an encrypted connection; each may be "".
type TLS struct {
	CAFile, CertFile, KeyFile string
	// ServerName is what the certificate must be for, if not the address.
	ServerName string
}

// Connect makes a client. It does not wait for Temporal: whoever asks it then is told
// if it is away.
func Connect(c Connection) (client.Client, error) {
	o := client.Options{
		HostPort: c.Address, Namespace: c.Namespace, Identity: c.Identity.String(),
		Logger: sdklog.NewStructuredLogger(slog.New(quiet{c.Log.Handler()})),
	}
	if c.TLS != nil {
		var err error
		if o.ConnectionOptions.TLS, err = c.TLS.config(); err != nil {
			return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: "connect to Temporal at " + c.Address, Err: err, Hint: "look at fleet.temporal.tls in the configuration"}
		}
	} else {
		o.ConnectionOptions.TLSDisabled = true
	}
	if c.APIKeyFile != "" {
		o.Credentials = client.NewAPIKeyDynamicCredentials(func(context.Context) (string, error) {
			key, err := os.ReadFile(c.APIKeyFile)
			return strings.TrimSpace(string(key)), err
		})
	}
	return client.NewLazyClient(o)
}

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in it", t.CAFile)
		}
	}
	if t.CertFile != "" {
		// Read for each connection: certificates are renewed.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			return &pair, err
		}
	}
	return c, nil
}

// quiet is a log for the SDK, whose warnings are for those who look closely: that
// Temporal is away, whoever asks it is told.
type quiet struct{ slog.Handler }

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

// Member takes work from Temporal: a server takes steps of workflows, a worker also
// the runs of its zone.
type Member struct {
	workers []worker.Worker
	left    chan struct{}
}

// MemberConfig is what a Member is made of.
type MemberConfig struct {
	Temporal client.Client
	Service  lockstep.Service
	Log      *slog.Logger
	// Zone is whose runs are taken, "" for none.
	Zone string
	Self Identity
	// Driving are the runs that this process drives; a zone needs it.
	Driving func() []lockstep.RunID
	// StopTimeout is how long Stop waits for what this worker has taken.
	StopTimeout time.Duration
}

// againEvery is how often a Temporal that is away is asked again.
const againEvery = time.Second

// Join takes work until Stop is called. It waits for Temporal until ctx ends; waiting is
// told why.
func Join(ctx context.Context, cfg MemberConfig, waiting func(error)) (*Member, error) {
	for {
		m, err := join(cfg)
		if err == nil {
			return m, nil
		}
		waiting(err)
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(againEvery):
		}
	}
}

func join(cfg MemberConfig) (*Member, error) {
	m := &Member{left: make(chan struct{})}
	steps := worker.New(cfg.Temporal, workflowQueue, worker.Options{
		StickyScheduleToStartTimeout: 2 * time.Second, // a process that is gone keeps nobody waiting for long
	})
	Register(steps)
	steps.RegisterActivityWithOptions(opened(cfg.Service), activity.RegisterOptions{Name: activityIsOpened})
	m.workers = append(m.workers, steps)
	if cfg.Zone != "" {
		runs := worker.New(cfg.Temporal, zoneQueue(cfg.Zone), worker.Options{
			DisableWorkflowWorker: true, WorkerStopTimeout: cfg.StopTimeout,
			MaxHeartbeatThrottleInterval: time.Second,
		})
		r := &runner{svc: cfg.Service, self: cfg.Self, driving: cfg.Driving, left: m.left, log: cfg.Log}
		runs.RegisterActivityWithOptions(r.run, activity.RegisterOptions{Name: activityRun})
		runs.RegisterActivityWithOptions(r.settle, activity.RegisterOptions{Name: activitySettle})
		runs.RegisterActivityWithOptions(r.plan, activity.RegisterOptions{Name: activityPlan})
		m.workers = append(m.workers, runs)
	}
	for i, w := range m.workers {
		if err := w.Start(); err != nil {
			for _, begun := range m.workers[:i] {
				begun.Stop()
			}
			return nil, err
		}
	}
	return m, nil
}

// Register makes the workflows known to a worker, or to what replays a history.
func Register(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(deploymentWorkflow, workflow.RegisterOptions{Name: workflowOfKey})
	r.RegisterWorkflowWithOptions(planWorkflow, workflow.RegisterOptions{Name: workflowOfPlan})
}

// Stop takes nothing more, and waits for what was taken, for the member's StopTimeout.
func (m *Member) Stop() {
	for i := len(m.workers) - 1; i >= 0; i-- {
		m.workers[i].Stop()
	}
}

// Leave hands what this worker has taken, and has not done, to others. It is called
// while Stop waits, once.
func (m *Member) Leave() { close(m.left) }
