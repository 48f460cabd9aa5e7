package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"lockstep"
	"lockstep/access"
	"lockstep/state"
)

// Config is what an API is made of.
type Config struct {
	// Service answers. Who asks it knows from the context, and it alone decides
	// what they may: see access.Guard.
	Service lockstep.Service
	// Tokens, Approvals and Audits answer their routes; without one, these do not
	// exist.
	Tokens    *access.Tokens
	Approvals *access.Approvals
	Audits    *access.Audits
	// Schedules and Notices answer their routes, guarded like Service; without
	// one, these do not exist.
	Schedules lockstep.EditableSchedules
	Notices   lockstep.Notices
	// Keys keep idempotency keys.
	Keys state.RunKeys
	// MayStart, if not nil, is asked before a run or a plan begins; its error
	// refuses it. Cleanups begin whatever it says: they unlock.
	MayStart func() error
	// Room, if not nil, says why nothing more may be written that is not needed
	// to unlock: the disk is full. Its error refuses what would write.
	Room func(context.Context) error
	// Leading says who of several servers leads; nil: there is one.
	Leading func() lockstep.Leading
	// Version is that of the program.
	Version string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// API answers requests. It may be used concurrently.
type API struct {
	cfg    Config
	mux    *http.ServeMux
	huma   huma.API
	routes []string
	starts *limiter
	frames *frames
	spec   []byte
}

// prefix is where all routes but that of the document are.
const prefix = "/api/v1"

// New makes an API.
func New(cfg Config) (*API, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Leading == nil {
		cfg.Leading = func() lockstep.Leading { return lockstep.Leading{Leads: true} }
	}
	a := &API{cfg: cfg, mux: http.NewServeMux(), starts: newLimiter(cfg.Now), frames: newFrames()}
	a.huma = humago.New(a.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI:    "3.1.0",
			Info:       &huma.Info{Title: "Lockstep", Version: cfg.Version, Description: about},
			Components: &huma.Components{Schemas: registry(), SecuritySchemes: securitySchemes},
			Security:   []map[string][]string{{"token": {}}},
		},
		Formats: formats, DefaultFormat: "application/json",
		RejectUnknownQueryParameters: true,
	})
	a.registerDeployments()
	a.registerRuns()
	a.registerEvents()
	a.registerBackups()
	a.registerAccess()
	a.registerLeading()
	if cfg.Schedules != nil {
		a.registerSchedules()
	}
	if cfg.Notices != nil {
		a.registerNotices()
	}
	return a, a.document()
}

const about = "Backs up and restores whole distributed systems. Lists are in pages: `next` of one page is the `cursor` of the next. " +
	"Errors are problems (RFC 9457) with a hint at what to do. A run is asked for by POST and goes on whatever becomes of the connection."

var securitySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}

// document makes the OpenAPI document and its route.
func (a *API) document() error {
	spec, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return fmt.Errorf("write the OpenAPI document: %w", err)
	}
	a.spec = spec
	const route = "GET /openapi.json"
	a.routes = append(a.routes, route)
	a.mux.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(a.spec) // whoever asked may have gone
	})
	return nil
}

// Routes are all that it answers, as "METHOD /path/{parameter}".
func (a *API) Routes() []string { return a.routes }

// Pattern is the route that a request is for, "" if there is none.
func (a *API) Pattern(r *http.Request) string {
	_, pattern := a.mux.Handler(r)
	return pattern
}

// Document is the OpenAPI document, as JSON.
func (a *API) Document() []byte { return a.spec }

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.Pattern(r) != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	if allowed := a.methods(r); len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		WriteProblem(w, problem(http.StatusMethodNotAllowed, lockstep.KindUsage, "the method is not "+strings.Join(allowed, " or "), ""))
		return
	}
	WriteProblem(w, problem(http.StatusNotFound, lockstep.KindNotFound, "no route has that path", "/openapi.json lists the routes"))
}

// methods are those that the request's path has.
func (a *API) methods(r *http.Request) []string {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if a.Pattern(other) != "" {
			allowed = append(allowed, method)
		}
	}
	return allowed
}

// route declares a route: its types are its part of the document.
func route[I, O any](a *API, op huma.Operation, answer func(context.Context, *I) (*O, error)) {
	op.Path = prefix + op.Path
	op.MaxBodyBytes = maxBody
	// How long a body may take is for the server to say. By default huma gives it five
	// seconds, of which nothing is taken back: an answer that takes longer would lose
	// its context, and so would whatever is asked on that connection afterwards.
	op.BodyReadTimeout = -1
	a.routes = append(a.routes, op.Method+" "+op.Path)
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		err := a.room(ctx, op)
		var out *O
		if err == nil {
			out, err = answer(ctx, in)
		}
		if err == nil {
			return out, nil
		}
		p := ProblemOf(err)
		return nil, huma.ErrorWithHeaders(p, p.GetHeaders())
	})
}

// unlocking are the operations that let go of what is locked, or of what gives
// access. They are never refused for want of room. That of a run decides for
// itself.
var unlocking = []string{"start-run", "cancel-run", "acknowledge-hold", "settle-runs", "prune-runs", "revoke-token", "forget-backup"}

// room refuses an operation that would take the room which is left for what is
// being unlocked.
func (a *API) room(ctx context.Context, op huma.Operation) error {
	if a.cfg.Room == nil || op.Method == http.MethodGet || slices.Contains(unlocking, op.OperationID) {
		return nil
	}
	if err := a.cfg.Room(ctx); err != nil {
		return &lockstep.Error{Kind: lockstep.KindUnavailable, Err: err}
	}
	return nil
}

// body is an answer that is a JSON value.
type body[T any] struct{ Body T }

// Page is a part of a list.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; nothing on the last one."`
}

// principal names who asks: for keys and for how often, nothing else.
func principal(ctx context.Context) string {
	p, _ := access.PrincipalFrom(ctx)
	return p.String()
}

// nothing is an answer, or a question, without a body.
type nothing struct{}

// list is a slice that JSON writes as [] when it is empty.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
