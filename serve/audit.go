package serve

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"lockstep/access"
	"lockstep/auditlog"
	pgaudit "lockstep/auditlog/postgres"
	"lockstep/config"
)

// auditLog is an opened audit log: in the state folder, or in a database.
type auditLog interface {
	auditlog.Recorder
	auditlog.Reader
	Run(ctx context.Context)
	Close() error
}

// auditInFolder is one in the state folder.
type auditInFolder struct {
	*auditlog.Log
	auditlog.Folder
}

var (
	_ auditLog = auditInFolder{}
	_ auditLog = (*auditlog.Shared)(nil)
)

// auditDir is the folder of the audit log, or of the key that signs its heads.
func auditDir(cfg *config.Config) string { return filepath.Join(cfg.StateDir, access.AuditFolder) }

// openAudit opens the audit log where the facts are.
func openAudit(ctx context.Context, cfg *config.Config, log *slog.Logger) (auditLog, error) {
	dir := auditDir(cfg)
	if cfg.State.Postgres == nil {
		l, err := auditlog.Open(dir, auditlog.Options{Log: log})
		if err != nil {
			return nil, err
		}
		return auditInFolder{l, auditlog.Folder(dir)}, nil
	}
	db, err := database(cfg)
	if err != nil {
		return nil, err
	}
	lines, err := pgaudit.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	l, err := auditlog.OpenShared(ctx, dir, lines, auditlog.Options{Log: log})
	if err != nil {
		return nil, errors.Join(err, lines.Close())
	}
	return l, nil
}
