package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/access"
	"lockstep/app"
	"lockstep/auditlog"
	journal "lockstep/journal/sqlite"
	"lockstep/outbox"
	"lockstep/repository/dir"
	"lockstep/scheduler"
	"lockstep/source"
	"lockstep/source/spec"
	"lockstep/state/sqlite"
)

// shop is an orchestrator of one deployment, a folder of this machine, behind
// the routes of this package. Whoever asks is an admin.
type shop struct {
	t     *testing.T
	root  string
	app   *app.App
	store *sqlite.Store
	audit *auditlog.Log
	api   *API
	http  *httptest.Server
	// who asks; an admin to begin with.
	who access.Principal
}

const scriptHead = "#!/bin/sh\nset -e\ncd \"${0%/jobs/*}\"\n"

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, root: t.TempDir(), who: access.Local("test")}
	s.script("pre-backup-lock", "touch locked")
	s.script("backup", "echo data > \"$BBR_ARTIFACT_DIRECTORY/data\"")
	s.script("post-backup-unlock", "rm -f locked")
	s.script("restore", "cp \"$BBR_ARTIFACT_DIRECTORY/data\" data")
	src, err := spec.New(spec.Specification{
		Name: "shop", Identity: "shop", File: filepath.Join(s.root, "lockstep.yaml"), Local: &spec.Local{},
		Locations: lockstep.Locations{Scripts: "jobs/{job}/bin", Artifacts: "store", Launcher: "run", Claim: "claim"},
		Instances: []spec.Instance{{Group: "db", ID: "0", Index: "0", Dir: filepath.Join(s.root, "db")}},
	})
	s.must(err)
	repo, err := dir.Open(filepath.Join(s.root, "backups"))
	s.must(err)
	j, err := journal.Open(t.Context(), journal.Options{Dir: filepath.Join(s.root, "state")})
	s.must(err)
	s.store, err = sqlite.Open(t.Context(), filepath.Join(s.root, "state"))
	s.must(err)
	s.app = app.New(app.Config{Journal: j, Repository: repo, Sources: []source.Source{src}, Policy: lockstep.LockstepPolicy(), Version: "1.2.3", ContractVersion: "1.9.0"})
	s.audit, err = auditlog.Open(s.auditDir(), auditlog.Options{Log: slog.New(slog.DiscardHandler)})
	s.must(err)
	s.serve()
	t.Cleanup(func() {
		s.http.Close()
		s.app.Close()
		s.must(s.audit.Close())
		s.must(s.store.Close())
		s.must(j.Close())
	})
	return s
}

// deaf is a receiver that takes nothing.
type deaf struct{}

func (deaf) Send(context.Context, lockstep.Notice) error { return errors.New("no answer") }
func (deaf) Type() string                                { return "webhook" }
func (deaf) Target() string                              { return "https://example.com" }

// serve makes the routes anew over the same journal and state, as a restart
// does.
func (s *shop) serve() {
	if s.http != nil {
		s.http.Close()
	}
	approvals := access.NewApprovals(access.ApprovalsConfig{Store: s.store, Audit: s.audit, Deployments: []string{"*"}})
	var err error
	s.api, err = New(Config{
		Service: access.Guard(access.GuardConfig{Service: s.app, Audit: s.audit, Approvals: approvals}), Keys: s.store, Version: "1.2.3",
		Tokens:    access.NewTokens(access.TokensConfig{Store: s.store, Pepper: access.NewPepper(), Audit: s.audit}),
		Approvals: approvals, Audits: &access.Audits{Log: auditlog.Folder(s.auditDir())},
		Schedules: access.GuardSchedules(scheduler.New(scheduler.Config{Service: s.app, Store: s.store}), s.audit, nil),
		Notices: access.GuardNotices(outbox.New(outbox.Config{Store: s.store, Receivers: []outbox.Receiver{
			{Name: "ops", Kinds: outbox.DefaultKinds(), Deployments: []string{"*"}, Sender: deaf{}},
		}}), s.audit),
	})
	s.must(err)
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.api.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), s.who)))
	}))
}

func (s *shop) auditDir() string { return filepath.Join(s.root, "state", access.AuditFolder) }

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) script(kind, body string) {
	s.t.Helper()
	bin := filepath.Join(s.root, "db", "jobs", "postgres", "bin")
	s.must(os.MkdirAll(bin, 0o755))
	s.must(os.WriteFile(filepath.Join(bin, kind), []byte(scriptHead+body+"\n"), 0o755))
}

// ask asks; path is below /api/v1 unless it begins with it.
func (s *shop) ask(method, path, body string, header ...string) *http.Response {
	s.t.Helper()
	if path != "/openapi.json" {
		path = prefix + path
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.http.URL+path, strings.NewReader(body))
	s.must(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// backup runs a backup to its end.
func (s *shop) backup() *lockstep.Run {
	s.t.Helper()
	id, err := s.app.Start(s.t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	s.must(err)
	for _, err := range s.app.Events(s.t.Context(), id, 0) {
		s.must(err)
	}
	s.app.Close()
	run, err := s.app.Run(s.t.Context(), id)
	s.must(err)
	if run.Ending == nil || run.Ending.State != lockstep.RunSucceeded {
		s.t.Fatalf("the backup ended %+v", run.Ending)
	}
	return run
}
