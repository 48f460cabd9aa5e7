package access

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"lockstep/auditlog"
)

// denials records that somebody was kept from something, as far as there is
// room: whoever is denied again and again does not fill the disk.
type denials struct {
	entries auditlog.Recorder
	log     *slog.Logger
	room    *rate.Limiter
}

func newDenials(entries auditlog.Recorder, log *slog.Logger) *denials {
	return &denials{entries: entries, log: log, room: rate.NewLimiter(rate.Every(time.Second), 60)}
}

func (d *denials) record(ctx context.Context, p Principal, e auditlog.Entry) {
	e.Result = auditlog.Denied
	if !d.room.Allow() {
		d.log.WarnContext(ctx, "denied, and too many denials to record each", "by", p.String(), "action", e.Action, "deployment", e.Deployment)
		return
	}
	if err := record(ctx, d.entries, p, e); err != nil {
		d.log.ErrorContext(ctx, "denial is not in the audit log", "by", p.String(), "action", e.Action, "deployment", e.Deployment, "error", err)
	}
}
