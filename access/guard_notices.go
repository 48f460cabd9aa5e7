package access

import (
	"context"

	"lockstep"
	"lockstep/auditlog"
)

// GuardNotices is to Notices what Guard is to Service: all of it takes
// NotifyTest server-wide, since notices are about every deployment.
func GuardNotices(notices lockstep.Notices, audit auditlog.Recorder) lockstep.Notices {
	return guardedNotices{notices, audit}
}

type guardedNotices struct {
	next  lockstep.Notices
	audit auditlog.Recorder
}

// Receivers lists who is told.
func (g guardedNotices) Receivers(ctx context.Context) ([]lockstep.Receiver, error) {
	if _, err := serverWide(ctx, NotifyTest); err != nil {
		return nil, err
	}
	return g.next.Receivers(ctx)
}

// Deliveries lists what they are told.
func (g guardedNotices) Deliveries(ctx context.Context, filter lockstep.DeliveryFilter) ([]lockstep.Delivery, error) {
	if _, err := serverWide(ctx, NotifyTest); err != nil {
		return nil, err
	}
	return g.next.Deliveries(ctx, filter)
}

// Test sends something, which is in the audit log first.
func (g guardedNotices) Test(ctx context.Context, receiver string) ([]lockstep.TestResult, error) {
	p, err := serverWide(ctx, NotifyTest)
	if err != nil {
		return nil, err
	}
	if err := writeAhead(ctx, g.audit, p, auditlog.Entry{Action: string(NotifyTest), Object: receiver}); err != nil {
		return nil, err
	}
	return g.next.Test(ctx, receiver)
}
