package serve

import (
	"context"

	"lockstep"
	"lockstep/app"
)

// CopyProgress is told how far a copy is.
type CopyProgress = app.CopyProgress

// Copier is implemented by the Service of an orchestrator in this process: a server
// is not asked to copy into a place that only somebody on its host can name.
type Copier interface {
	CopyBackup(ctx context.Context, id lockstep.BackupID, to string, p CopyProgress) (lockstep.CopyReport, error)
}

var _ Copier = (*app.App)(nil)
