package access

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"lockstep"
)

// Doors are where browsers log in and out. The form itself, at GET /login, is
// the pages'; it has the fields "token" and "next".
type Doors struct {
	Sessions *Sessions
	// OIDC is nil where there is no identity provider.
	OIDC *OIDC
	// Refuse answers a login that failed.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
}

// maxForm bounds a login form, in bytes.
const maxForm = 16 << 10

// Login is POST /login: it begins a session for whoever shows a token. A token
// in the URL is none: it would be in logs and histories.
func (d *Doors) Login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		d.Refuse(w, r, &lockstep.Error{Kind: lockstep.KindUsage, Op: "log in", Err: errors.New("the form cannot be read")})
		return
	}
	token := NewSecret(strings.TrimSpace(r.PostForm.Get("token")))
	if _, err := d.Sessions.Login(w, r, token); err != nil {
		d.Refuse(w, r, err)
		return
	}
	http.Redirect(w, r, localPath(r.PostForm.Get("next")), http.StatusSeeOther)
}

// Logout is POST /logout.
func (d *Doors) Logout(w http.ResponseWriter, r *http.Request) {
	d.Sessions.End(w, r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// BeginOIDC is GET /login/oidc.
func (d *Doors) BeginOIDC(w http.ResponseWriter, r *http.Request) {
	err := errNoProvider()
	if d.OIDC != nil {
		err = d.OIDC.Begin(w, r)
	}
	if err != nil {
		d.Refuse(w, r, err)
	}
}

// onward goes on to the pages by itself. A redirect would count as begun by the
// identity provider's site, and not carry the new session's cookie.
const onward = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Logged in</title>` +
	`<meta http-equiv="refresh" content="0;url=/"><p>You are logged in. <a href="/">Go on</a>.`

// FinishOIDC is GET /login/oidc/callback.
func (d *Doors) FinishOIDC(w http.ResponseWriter, r *http.Request) {
	if d.OIDC == nil {
		d.Refuse(w, r, errNoProvider())
		return
	}
	p, err := d.OIDC.Finish(w, r)
	if err == nil {
		err = d.Sessions.Begin(w, r, p)
	}
	if err != nil {
		d.Refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, onward) // the browser may have gone
}

func errNoProvider() error {
	return &lockstep.Error{Kind: lockstep.KindNotFound, Op: "log in", Err: errors.New("no identity provider is configured"), Hint: "log in with a token"}
}

// localPath is a path of this server, or "/" for anything that could lead
// elsewhere.
func localPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}
