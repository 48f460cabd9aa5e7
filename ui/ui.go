package ui

import (
	"context"
	"net/http"
	"slices"
	"time"

	"lockstep"
	"lockstep/access"
)

// Policy is the Content-Security-Policy that the pages are made for: nothing
// but files of this server, no inline script or style.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Config is what the pages stand on.
type Config struct {
	// Service is asked in the name of whom a request's context names; what that
	// person may not do, it refuses. What is offered on a page is decided by
	// the same permissions.
	Service lockstep.Service
	// Schedules, guarded as Service is, Approvals, Audits and Tokens may be nil:
	// there are no pages of them then.
	Schedules lockstep.EditableSchedules
	Approvals *access.Approvals
	Audits    *access.Audits
	Tokens    *access.Tokens
	// MayStart, if not nil, says why no run can begin now, or nil.
	MayStart func() error
	// Room, if not nil, says why nothing more may be written that unlocking
	// does not need.
	Room func(context.Context) error
	// Limits, if not nil, are the ages from which the last proven backup of each
	// deployment is late. One that is not named is late after 26 hours: nobody
	// has said that it may be older.
	Limits func(context.Context) (map[string]time.Duration, error)
	// Leading, if not nil, says who of several servers leads.
	Leading func() lockstep.Leading
	// Now is the clock; nil is the real one.
	Now     func() time.Time
	Version string
}

// Pages answers everything that a browser asks for. The caller adds
// authentication, limits and protection from requests of other sites.
type Pages struct {
	cfg       Config
	mux       *http.ServeMux
	feeds     feeds
	templates templates
	assets    assets
	readings  readings
}

// New makes the pages, to be served under "/".
func New(cfg Config) *Pages {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Limits == nil {
		cfg.Limits = func(context.Context) (map[string]time.Duration, error) { return nil, nil }
	}
	if cfg.MayStart == nil {
		cfg.MayStart = func() error { return nil }
	}
	u := &Pages{cfg: cfg, mux: http.NewServeMux(), feeds: feeds{service: cfg.Service}, assets: loadAssets()}
	u.templates = loadTemplates(u.assets)
	for _, r := range routes {
		u.mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) {
			if err := u.room(req, r.pattern); err != nil {
				u.fail(w, req, err)
				return
			}
			r.handle(u, w, req)
		})
	}
	return u
}

// ServeHTTP implements http.Handler.
func (u *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, pattern := u.mux.Handler(r)
	if pattern == "" && h != nil {
		u.nothingHere(w, r)
		return
	}
	u.mux.ServeHTTP(w, r)
}

// Pattern is the route that a request is for, or "" if there is none.
func (u *Pages) Pattern(r *http.Request) string {
	_, pattern := u.mux.Handler(r)
	return pattern
}

// route is a page or an action. A page is a GET and changes nothing.
type route struct {
	pattern string
	handle  func(*Pages, http.ResponseWriter, *http.Request)
}

// routes are all that New serves.
var routes = []route{
	{"GET /{$}", (*Pages).deployments},
	{"GET /deployments/{name}", (*Pages).deployment},
	{"GET /deployments/{name}/backup", (*Pages).beforeBackup},
	{"GET /deployments/{name}/plan", (*Pages).planForm},
	{"POST /deployments/{name}/plan", (*Pages).plan},
	{"GET /runs", (*Pages).runs},
	{"POST /runs", (*Pages).start},
	{"GET /runs/{id}", (*Pages).run},
	{"GET /runs/{id}/stream", (*Pages).stream},
	{"POST /runs/{id}/cancel", (*Pages).cancel},
	{"GET /runs/{id}/output/{step...}", (*Pages).output},
	{"GET /runs/{id}/acknowledge", (*Pages).acknowledgeForm},
	{"POST /runs/{id}/acknowledge", (*Pages).acknowledge},
	{"POST /settle", (*Pages).settle},
	{"GET /backups", (*Pages).backups},
	{"GET /backups/{id}", (*Pages).backup},
	{"POST /backups/{id}/verify", (*Pages).verify},
	{"GET /backups/{id}/forget", (*Pages).forgetForm},
	{"POST /backups/{id}/forget", (*Pages).forget},
	{"GET /backups/{id}/artifacts/{name}", (*Pages).artifact},
	{"GET /backups/{id}/files/{name}", (*Pages).files},
	{"GET /backups/{id}/changes", (*Pages).changes},
	{"GET /backups/{id}/restore", (*Pages).restoreForm},
	{"POST /backups/{id}/restore", (*Pages).restorePreview},
	{"POST /restores", (*Pages).restore},
	{"GET /schedules", (*Pages).schedules},
	{"POST /schedules", (*Pages).makeSchedule},
	{"GET /new/schedule", (*Pages).newSchedule},
	{"GET /schedules/{name}", (*Pages).schedule},
	{"GET /schedules/{name}/change", (*Pages).changeScheduleForm},
	{"POST /schedules/{name}/change", (*Pages).changeSchedule},
	{"GET /schedules/{name}/delete", (*Pages).deleteScheduleForm},
	{"POST /schedules/{name}/delete", (*Pages).deleteSchedule},
	{"POST /schedules/{name}/pause", (*Pages).pauseSchedule},
	{"POST /schedules/{name}/resume", (*Pages).resumeSchedule},
	{"GET /schedules/{name}/run", (*Pages).runScheduleForm},
	{"POST /schedules/{name}/run", (*Pages).runSchedule},
	{"GET /approvals", (*Pages).approvals},
	{"POST /approvals", (*Pages).askApproval},
	{"GET /approvals/{id}", (*Pages).approval},
	{"POST /approvals/{id}/approve", (*Pages).approve},
	{"POST /approvals/{id}/deny", (*Pages).deny},
	{"GET /tokens", (*Pages).tokens},
	{"POST /tokens", (*Pages).makeToken},
	{"GET /new/token", (*Pages).newToken},
	{"GET /tokens/{id}", (*Pages).token},
	{"POST /tokens/{id}/revoke", (*Pages).revokeToken},
	{"GET /audit", (*Pages).audit},
	{"GET /assets/{file}", (*Pages).asset},
}

// Routes are the patterns of all that New serves, as http.ServeMux has them.
func Routes() []string {
	var out []string
	for _, r := range routes {
		out = append(out, r.pattern)
	}
	return out
}

// unlocking are the actions that let go of what is locked, of what gives access, or
// of room, as package api has them. They are never refused for want of room. That
// of a run decides for itself.
var unlocking = []string{
	"POST /runs", "POST /runs/{id}/cancel", "POST /runs/{id}/acknowledge", "POST /settle", "POST /backups/{id}/forget", "POST /tokens/{id}/revoke",
}

// room refuses an action that would take the room which is left for what is being
// unlocked.
func (u *Pages) room(r *http.Request, pattern string) error {
	if u.cfg.Room == nil || r.Method != http.MethodPost || slices.Contains(unlocking, pattern) {
		return nil
	}
	return u.cfg.Room(r.Context())
}

// mayBegin says why no run of that operation can begin now, or nil. What unlocks
// needs no room.
func (u *Pages) mayBegin(ctx context.Context, op lockstep.Operation) error {
	if err := u.cfg.MayStart(); err != nil {
		return err
	}
	if u.cfg.Room == nil || op == lockstep.OperationCleanup {
		return nil
	}
	return u.cfg.Room(ctx)
}

// detached is a context for work that goes on when the page is left: what the
// context says of who asks stays.
func detached(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }
