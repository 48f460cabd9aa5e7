package ui

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/internal/units"
)

//go:embed pages
var pageFiles embed.FS

// templates are the pages by name, each with the layout around it.
type templates map[string]*template.Template

func loadTemplates(a assets) templates {
	base := template.New("").Funcs(template.FuncMap{
		"asset": a.address, "moment": moment, "size": units.Size, "span": seconds2, "count": units.Plural,
		"verdict": verdictOf, "data": dataVerdict, "join": strings.Join, "short": short, "list": list, "hint": hintParts,
		"legible": func(s string) string { return legible([]byte(s)) },
	})
	base = template.Must(base.ParseFS(pageFiles, "pages/layout.html", "pages/parts.html"))
	t := templates{}
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		panic(err)
	}
	for _, path := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "pages/"), ".html")
		t[name] = template.Must(template.Must(base.Clone()).ParseFS(pageFiles, path))
	}
	return t
}

// list is a slice of what a template names: how one hands several values to
// another.
func list(values ...any) []any { return values }

// HintPart is a piece of a hint: words, or a command.
type HintPart struct {
	Text string
	Code bool
}

// hintParts takes a hint apart at the quotes around its commands.
func hintParts(hint string) []HintPart {
	parts := strings.Split(hint, "`")
	if len(parts)%2 == 0 { // a quote without another one
		return []HintPart{{Text: hint}}
	}
	var out []HintPart
	for i, p := range parts {
		if p != "" {
			out = append(out, HintPart{p, i%2 == 1})
		}
	}
	return out
}

// short is the part of a run's id or a digest that people read.
func short(s any) string {
	text := ""
	switch v := s.(type) {
	case lockstep.RunID:
		text = string(v)
	case string:
		text = strings.TrimPrefix(v, "sha256:")
		return text[:min(12, len(text))]
	}
	if i := strings.LastIndexByte(text, '-'); i >= 0 && len(text) == 36 {
		return text[:8] + "…" + text[len(text)-4:]
	}
	return text
}

// Page is what every page shows.
type Page struct {
	Title   string
	Section string // of the navigation
	Person  access.Principal
	// Schedules, Approvals, Audits and Tokens say which pages there are.
	Schedules, Approvals, Audits, Tokens bool
	Version                              string
	// Server is what this server is among several, "" where it is the only one.
	Server string
	Now    time.Time
	Held   []HeldGroup
	Body   any
}

// May reports whether the person may do that to the deployment.
func (p Page) May(permission access.Permission, deployment string) bool {
	return p.Person.May(permission, deployment)
}

// MaySomewhere reports whether there can be a deployment to which the person
// may do that.
func (p Page) MaySomewhere(permission access.Permission) bool {
	return p.Person.MaySomewhere(permission)
}

// Session reports whether the person logged in here and can log out: who came
// with a certificate cannot.
func (p Page) Session() bool { return p.Person.Name != "" && p.Person.Kind != access.KindMTLS }

// Age says how long ago that was.
func (p Page) Age(t time.Time) string { return units.Age(p.Now.Sub(t)) }

// Elapsed is how long something that began then has been going on, as a clock.
func (p Page) Elapsed(since int64) string {
	return units.Clock(p.Now.Sub(time.UnixMilli(since)))
}

// Consistent is the moment that a backup's data is of, as far as it is known.
func (p Page) Consistent(b lockstep.Backup) time.Time {
	if b.ConsistentAt.IsZero() {
		return b.StartedAt
	}
	return b.ConsistentAt
}

// Took is how long a run took, or has taken until now.
func (p Page) Took(r lockstep.RunSummary) string {
	if r.EndedAt.IsZero() {
		return units.Clock(p.Now.Sub(r.StartedAt))
	}
	return units.Span(r.EndedAt.Sub(r.StartedAt))
}

// TryVerdict is how a try ended.
func (p Page) TryVerdict(t lockstep.Try) Verdict {
	if t.Running() {
		return Verdict{"running", stateRunning}
	}
	return Verdict{t.Outcome.String(), tryState(t)}
}

// TryTook is how long a try took, or has taken until now.
func (p Page) TryTook(t lockstep.Try) string {
	if t.FinishedAt.IsZero() {
		return units.Clock(p.Now.Sub(t.StartedAt))
	}
	return units.Span(took(t))
}

// show writes a page, with what is held.
func (u *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, p Page) {
	if _, known := access.PrincipalFrom(r.Context()); known {
		var err error
		if p.Held, err = u.heldGroups(r); err != nil && name != "error" {
			u.fail(w, r, err) // a page that hides what is held is worse than none
			return
		}
	}
	u.write(w, r, status, name, p)
}

// write writes a page that says what is held already.
func (u *Pages) write(w http.ResponseWriter, r *http.Request, status int, name string, p Page) {
	p.Version, p.Now = u.cfg.Version, u.cfg.Now()
	if u.cfg.Leading != nil {
		p.Server = u.cfg.Leading().Word()
	}
	p.Schedules, p.Approvals, p.Audits, p.Tokens = u.cfg.Schedules != nil, u.cfg.Approvals != nil, u.cfg.Audits != nil, u.cfg.Tokens != nil
	p.Person, _ = access.PrincipalFrom(r.Context())
	var b bytes.Buffer
	if err := u.templates[name].ExecuteTemplate(&b, "layout", p); err != nil {
		http.Error(w, "this page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// Mistake is an error as a page shows it.
type Mistake struct {
	lockstep.Message
	Status int
	// Back is where to go from here.
	Back string
}

// fail shows an error with its hint.
func (u *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	m := Mistake{Message: lockstep.MessageOf(err), Status: statusOf(err), Back: "/"}
	title := "That did not work"
	switch m.Status {
	case http.StatusNotFound:
		title = "Not found"
	case http.StatusForbidden:
		title = "Not allowed"
	}
	u.show(w, r, m.Status, "error", Page{Title: title, Body: m})
}

func (u *Pages) nothingHere(w http.ResponseWriter, r *http.Request) { u.fail(w, r, errNothingHere()) }

func errNothingHere() error {
	return &lockstep.Error{Kind: lockstep.KindNotFound, Op: "find this page", Err: errors.New("not found")}
}

// statusOf is an error's kind in HTTP.
func statusOf(err error) int {
	switch lockstep.KindOf(err) {
	case lockstep.KindUsage, lockstep.KindInvalid:
		return http.StatusBadRequest
	case lockstep.KindNotFound:
		return http.StatusNotFound
	case lockstep.KindConflict, lockstep.KindHeld, lockstep.KindRefused, lockstep.KindRetained:
		return http.StatusConflict
	case lockstep.KindUnauthenticated:
		return http.StatusUnauthorized
	case lockstep.KindForbidden:
		return http.StatusForbidden
	case lockstep.KindUnavailable:
		return http.StatusServiceUnavailable
	case lockstep.KindInternal:
	}
	return http.StatusInternalServerError
}
