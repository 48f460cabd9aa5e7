package ui

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"lockstep"
	"lockstep/access"
)

// routed is a handler that names the route of a request, "" if there is none.
type routed interface {
	http.Handler
	Pattern(*http.Request) string
}

// Login is where browsers log in and out, in front of the pages. It answers:
//
//	GET /login                  a form with the fields "token" and "next"
//	POST /login                 begins a session for whoever shows a token
//	POST /logout                ends it
//	GET /login/oidc             sends the browser to the identity provider
//	GET /login/oidc/callback    where it comes back
//
// and pass everything else on.
type Login struct {
	sessions *access.Sessions
	oidc     *access.OIDC // nil: no identity provider
	pages    routed
	mux      *http.ServeMux
}

// NewLogin puts the login in front of pages. oidc may be nil.
func NewLogin(sessions *access.Sessions, oidc *access.OIDC, pages routed) *Login {
	l := &Login{sessions: sessions, oidc: oidc, pages: pages, mux: http.NewServeMux()}
	for pattern, answer := range map[string]http.HandlerFunc{
		"GET /login": l.form, "POST /login": l.begin, "POST /logout": l.logout,
		"GET /login/oidc": l.beginOIDC, "GET /login/oidc/callback": l.finishOIDC,
	} {
		l.mux.HandleFunc(pattern, answer)
	}
	return l
}

// Pattern is the route that a request is for, "" if there is none.
func (l *Login) Pattern(r *http.Request) string {
	if _, pattern := l.mux.Handler(r); pattern != "" {
		return pattern
	}
	return l.pages.Pattern(r)
}

// ServeHTTP implements http.Handler.
func (l *Login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := l.mux.Handler(r); pattern != "" {
		l.mux.ServeHTTP(w, r)
		return
	}
	l.pages.ServeHTTP(w, r)
}

// Refuse answers a browser whose request may not pass: who is not logged in is
// led to the form, and from there back.
func (l *Login) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	if lockstep.KindOf(err) != lockstep.KindUnauthenticated {
		m := lockstep.MessageOf(err)
		l.show(w, loginPage{Error: m.String(), Hint: m.Hint, status: statusFor(err)})
		return
	}
	if r.Method != http.MethodGet {
		l.show(w, loginPage{Form: true, OIDC: l.oidc != nil, Error: "you are not logged in any more; nothing was done", status: http.StatusUnauthorized})
		return
	}
	http.Redirect(w, r, "/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
}

func (l *Login) form(w http.ResponseWriter, r *http.Request) {
	l.show(w, loginPage{Form: true, OIDC: l.oidc != nil, Next: localPath(r.URL.Query().Get("next")), status: http.StatusOK})
}

// maxForm bounds a login form, in bytes.
const maxForm = 16 << 10

// begin takes the token from the form alone: in a URL it would be in logs and
// histories.
func (l *Login) begin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		l.failed(w, &lockstep.Error{Kind: lockstep.KindUsage, Err: errors.New("the form cannot be read")})
		return
	}
	token := access.NewSecret(strings.TrimSpace(r.PostForm.Get("token")))
	if _, err := l.sessions.Login(w, r, token); err != nil {
		l.failed(w, err)
		return
	}
	http.Redirect(w, r, localPath(r.PostForm.Get("next")), http.StatusSeeOther)
}

func (l *Login) logout(w http.ResponseWriter, r *http.Request) {
	l.sessions.End(w, r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (l *Login) beginOIDC(w http.ResponseWriter, r *http.Request) {
	err := errNoProvider()
	if l.oidc != nil {
		err = l.oidc.Begin(w, r)
	}
	if err != nil {
		l.failed(w, err)
	}
}

func (l *Login) finishOIDC(w http.ResponseWriter, r *http.Request) {
	if l.oidc == nil {
		l.failed(w, errNoProvider())
		return
	}
	p, err := l.oidc.Finish(w, r)
	if err == nil {
		err = l.sessions.Begin(w, r, p)
	}
	if err != nil {
		l.failed(w, err)
		return
	}
	// A redirect would count as begun by the identity provider's site, and not
	// carry the new session's cookie.
	l.show(w, loginPage{Onward: true, status: http.StatusOK})
}

func errNoProvider() error {
	return &lockstep.Error{Kind: lockstep.KindNotFound, Err: errors.New("no identity provider is configured"), Hint: "log in with a token"}
}

// failed shows the form again, with what went wrong.
func (l *Login) failed(w http.ResponseWriter, err error) {
	m := lockstep.MessageOf(err)
	l.show(w, loginPage{Form: true, OIDC: l.oidc != nil, Error: m.String(), Hint: m.Hint, status: statusFor(err)})
}

func statusFor(err error) int {
	var busy *access.Busy
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

// loginPage is what the login page shows.
type loginPage struct {
	Form, OIDC, Onward bool
	Next, Error, Hint  string
	status             int
}

// Its stylesheet is that of the pages behind. It reads well without one.
var loginTemplate = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><title>Lockstep: log in</title>
<link rel="icon" type="image/svg+xml" href="/assets/icon.svg"><link rel="stylesheet" href="/assets/lockstep.css">
{{if .Onward}}<meta http-equiv="refresh" content="0;url=/">{{end}}</head>
<body><main class="door"><h1>Lockstep</h1>
{{if .Error}}<p class="trouble" role="alert"><strong>{{.Error}}</strong>{{if .Hint}}<br>{{.Hint}}{{end}}</p>{{end}}
{{if .Onward}}<p>You are logged in. <a href="/">Go on</a></p>{{end}}
{{if .OIDC}}<p><a class="button" href="/login/oidc">Log in with your organization's account</a></p>{{end}}
{{if .Form}}<form class="form" method="post" action="/login"><input type="hidden" name="next" value="{{.Next}}">
<label for="token">Token <input id="token" name="token" type="password" autocomplete="current-password" required autofocus></label>
<button class="primary">Log in</button></form><p class="hint">The first token lies in the file <code>admin.token</code> of the server's state folder (<code>state_dir</code> of its configuration); <code>lockstep tokens create</code> makes others.</p>{{else if not .Onward}}<p><a href="/">Back</a></p>{{end}}
</main></body></html>
`))

func (l *Login) show(w http.ResponseWriter, p loginPage) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.status)
	_ = loginTemplate.Execute(w, p) // the browser may have gone
}
