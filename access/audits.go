package access

import (
	"context"

	"lockstep/auditlog"
)

// Audits let auditors read the audit log.
type Audits struct{ Log auditlog.Reader }

// Read is a page of the log, for whoever has AuditRead server-wide.
func (a Audits) Read(ctx context.Context, q auditlog.Query) (auditlog.Page, error) {
	if _, err := serverWide(ctx, AuditRead); err != nil {
		return auditlog.Page{}, err
	}
	return a.Log.Read(ctx, q)
}

// Verify reads all of it.
func (a Audits) Verify(ctx context.Context, trust auditlog.Trust) (auditlog.Report, error) {
	if _, err := serverWide(ctx, AuditRead); err != nil {
		return auditlog.Report{}, err
	}
	return a.Log.Verify(ctx, trust)
}
