package access

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"lockstep"
)

// Pages are what stands behind the doors.
type Pages interface {
	http.Handler
	// Pattern is the route that a request is for, "" if there is none.
	Pattern(*http.Request) string
}

// Doors are where browsers log in and out, before the pages. They answer:
//
//	GET /login                  a form with the fields "token" and "next"
//	POST /login                 begins a session for whoever shows a token
//	POST /logout                ends it
//	GET /login/oidc             sends the browser to the identity provider
//	GET /login/oidc/callback    where it comes back
//
// and pass everything else on.
type Doors struct {
	sessions *Sessions
	oidc     *OIDC // nil: no identity provider
	pages    Pages
	mux      *http.ServeMux
}

// NewDoors puts doors before pages. oidc may be nil.
func NewDoors(sessions *Sessions, oidc *OIDC, pages Pages) *Doors {
	d := &Doors{sessions: sessions, oidc: oidc, pages: pages, mux: http.NewServeMux()}
	for pattern, answer := range map[string]http.HandlerFunc{
		"GET /login": d.form, "POST /login": d.login, "POST /logout": d.logout,
		"GET /login/oidc": d.beginOIDC, "GET /login/oidc/callback": d.finishOIDC,
	} {
		d.mux.HandleFunc(pattern, answer)
	}
	return d
}

// Pattern is the route that a request is for, "" if there is none.
func (d *Doors) Pattern(r *http.Request) string {
	if _, pattern := d.mux.Handler(r); pattern != "" {
		return pattern
	}
	return d.pages.Pattern(r)
}

// ServeHTTP implements http.Handler.
func (d *Doors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := d.mux.Handler(r); pattern != "" {
		d.mux.ServeHTTP(w, r)
		return
	}
	d.pages.ServeHTTP(w, r)
}

// Refuse answers a browser whose request may not pass: who is not logged in is
// led to the form, and from there back.
func (d *Doors) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	if lockstep.KindOf(err) != lockstep.KindUnauthenticated {
		d.show(w, doorPage{Error: err.Error(), Hint: lockstep.HintOf(err), status: statusFor(err)})
		return
	}
	if r.Method != http.MethodGet {
		d.show(w, doorPage{Form: true, OIDC: d.oidc != nil, Error: "you are not logged in any more; nothing was done", status: http.StatusUnauthorized})
		return
	}
	http.Redirect(w, r, "/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
}

func (d *Doors) form(w http.ResponseWriter, r *http.Request) {
	d.show(w, doorPage{Form: true, OIDC: d.oidc != nil, Next: localPath(r.URL.Query().Get("next")), status: http.StatusOK})
}

// maxForm bounds a login form, in bytes.
const maxForm = 16 << 10

// login takes the token from the form alone: in a URL it would be in logs and
// histories.
func (d *Doors) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		d.failed(w, &lockstep.Error{Kind: lockstep.KindUsage, Err: errors.New("the form cannot be read")})
		return
	}
	token := NewSecret(strings.TrimSpace(r.PostForm.Get("token")))
	if _, err := d.sessions.Login(w, r, token); err != nil {
		d.failed(w, err)
		return
	}
	http.Redirect(w, r, localPath(r.PostForm.Get("next")), http.StatusSeeOther)
}

func (d *Doors) logout(w http.ResponseWriter, r *http.Request) {
	d.sessions.End(w, r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (d *Doors) beginOIDC(w http.ResponseWriter, r *http.Request) {
	err := errNoProvider()
	if d.oidc != nil {
		err = d.oidc.Begin(w, r)
	}
	if err != nil {
		d.failed(w, err)
	}
}

func (d *Doors) finishOIDC(w http.ResponseWriter, r *http.Request) {
	if d.oidc == nil {
		d.failed(w, errNoProvider())
		return
	}
	p, err := d.oidc.Finish(w, r)
	if err == nil {
		err = d.sessions.Begin(w, r, p)
	}
	if err != nil {
		d.failed(w, err)
		return
	}
	// A redirect would count as begun by the identity provider's site, and not
	// carry the new session's cookie.
	d.show(w, doorPage{Onward: true, status: http.StatusOK})
}

func errNoProvider() error {
	return &lockstep.Error{Kind: lockstep.KindNotFound, Err: errors.New("no identity provider is configured"), Hint: "log in with a token"}
}

// failed shows the form again, with what went wrong.
func (d *Doors) failed(w http.ResponseWriter, err error) {
	d.show(w, doorPage{Form: true, OIDC: d.oidc != nil, Error: err.Error(), Hint: lockstep.HintOf(err), status: statusFor(err)})
}

func statusFor(err error) int {
	var busy *Busy
	switch lockstep.KindOf(err) {
	case lockstep.KindUnauthenticated:
		return http.StatusUnauthorized
	case lockstep.KindForbidden:
		return http.StatusForbidden
	case lockstep.KindNotFound:
		return http.StatusNotFound
	case lockstep.KindUsage:
		return http.StatusBadRequest
	case lockstep.KindUnavailable:
		if errors.As(err, &busy) {
			return http.StatusTooManyRequests
		}
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// localPath is a path of this server, or "/" for anything that could lead
// elsewhere.
func localPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

// doorPage is what the one page of the doors shows.
type doorPage struct {
	Form, OIDC, Onward bool
	Next, Error, Hint  string
	status             int
}

// Its stylesheet is that of the pages behind. It reads well without one.
var doorTemplate = template.Must(template.New("door").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><title>Lockstep: log in</title>
<link rel="icon" type="image/svg+xml" href="/assets/icon.svg"><link rel="stylesheet" href="/assets/lockstep.css">
{{if .Onward}}<meta http-equiv="refresh" content="0;url=/">{{end}}</head>
<body><main class="door"><h1>Lockstep</h1>
{{if .Error}}<p class="trouble" role="alert"><strong>{{.Error}}</strong>{{if .Hint}}<br>{{.Hint}}{{end}}</p>{{end}}
{{if .Onward}}<p>You are logged in. <a href="/">Go on</a></p>{{end}}
{{if .OIDC}}<p><a class="button" href="/login/oidc">Log in with your organization's account</a></p>{{end}}
{{if .Form}}<form class="form" method="post" action="/login"><input type="hidden" name="next" value="{{.Next}}">
<label for="token">Token <input id="token" name="token" type="password" autocomplete="current-password" required autofocus></label>
<button class="primary">Log in</button></form>{{else if not .Onward}}<p><a href="/">Back</a></p>{{end}}
</main></body></html>
`))

func (d *Doors) show(w http.ResponseWriter, p doorPage) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.status)
	_ = doorTemplate.Execute(w, p) // the browser may have gone
}
