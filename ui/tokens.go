package ui

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/internal/units"
)

// TokenPage is one token.
type TokenPage struct {
	access.Token
	// Live: it is good now. Mine: whoever looks came with it.
	Live, Mine bool
	// Secret is what to send, right after the token was made and never again.
	Secret string
}

// TokenList is all tokens: those that are good, and those that have ended.
type TokenList struct{ Live, Ended []access.Token }

// TokenForm is a token as somebody asks for it. All is text, so that what was
// wrong can be shown as it was written.
type TokenForm struct {
	Name, Life string
	Roles      []RoleField
	Mistake    *lockstep.Message
}

// RoleField is a role to tick, and the deployments that it is for.
type RoleField struct {
	Role    access.Role
	Means   string
	Ticked  bool
	Pattern string
}

// roleMeans say in a few words what each role may do.
var roleMeans = map[access.Role]string{
	access.RoleViewer:          "sees runs, backups and schedules; of what scripts print only the end of an error, and no data",
	access.RoleAuditor:         "sees, and reads the audit log and the metrics; for all deployments",
	access.RoleApprover:        "sees, and approves restores that others ask for",
	access.RoleBackupOperator:  "backs up, checks, verifies, schedules, cancels and unlocks",
	access.RoleRestoreOperator: "restores, or asks for it; verifies, cancels and unlocks",
	access.RoleAdmin:           "everything but approving: also tokens, forgetting backups and taking their data out",
}

// days is a number of days, as the form of a token takes it.
func days(d time.Duration) string { return fmt.Sprintf("%dd", d/(24*time.Hour)) }

// tokenForm is an empty form.
func tokenForm() *TokenForm {
	f := &TokenForm{Life: days(access.TokenLife)}
	for _, role := range access.Roles() {
		f.Roles = append(f.Roles, RoleField{Role: role, Means: roleMeans[role], Pattern: "*"})
	}
	return f
}

// writtenToken is a form as it was sent.
func writtenToken(r *http.Request) *TokenForm {
	f := tokenForm()
	f.Name, f.Life = strings.TrimSpace(r.PostFormValue("name")), strings.TrimSpace(r.PostFormValue("life"))
	for i := range f.Roles {
		role := &f.Roles[i]
		role.Ticked = slices.Contains(r.PostForm["role"], string(role.Role))
		role.Pattern = strings.TrimSpace(r.PostFormValue("on_" + string(role.Role)))
	}
	return f
}

// request is what was written down; whether it can be is for access to say.
func (f *TokenForm) request() (access.TokenRequest, error) {
	req := access.TokenRequest{Name: f.Name}
	var err error
	if f.Life != "" {
		if req.Life, err = units.ParseSpan(f.Life); err != nil {
			return req, usage("make a token: how long it lives: %w", err)
		}
		if req.Life == 0 { // which access takes for nothing being said
			return req, usage("make a token: %q is not a time to live: write it like 36h or 30d; empty is %s", f.Life, days(access.TokenLife))
		}
	}
	for _, role := range f.Roles {
		if !role.Ticked {
			continue
		}
		patterns := strings.Fields(role.Pattern)
		if len(patterns) == 0 {
			return req, usage("make a token: say on which deployments it is %s: * is all", role.Role)
		}
		for _, pattern := range patterns {
			grant, err := access.ParseGrant(string(role.Role) + "@" + pattern)
			if err != nil {
				return req, err
			}
			req.Grants = append(req.Grants, grant)
		}
	}
	return req, nil
}

func (u *Pages) tokens(w http.ResponseWriter, r *http.Request) {
	all, err := u.allTokens(r)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	var list TokenList
	for _, t := range all {
		if t.Live(u.cfg.Now()) {
			list.Live = append(list.Live, t)
		} else {
			list.Ended = append(list.Ended, t)
		}
	}
	u.show(w, r, http.StatusOK, "tokens", Page{Title: "Tokens", Section: "tokens", Body: list})
}

func (u *Pages) allTokens(r *http.Request) ([]access.Token, error) {
	if u.cfg.Tokens == nil {
		return nil, errNothingHere()
	}
	return u.cfg.Tokens.List(r.Context())
}

func (u *Pages) token(w http.ResponseWriter, r *http.Request) {
	all, err := u.allTokens(r)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	i := slices.IndexFunc(all, func(t access.Token) bool { return t.ID == r.PathValue("id") })
	if i < 0 {
		u.fail(w, r, &lockstep.Error{Kind: lockstep.KindNotFound, Op: "find this token", Err: errors.New("not found")})
		return
	}
	u.show(w, r, http.StatusOK, "token", u.tokenPage(r, all[i], access.Secret{}))
}

// tokenPage is the page of a token, with its secret if it was just made.
func (u *Pages) tokenPage(r *http.Request, t access.Token, secret access.Secret) Page {
	p, _ := access.PrincipalFrom(r.Context())
	page := &TokenPage{Token: t, Live: t.Live(u.cfg.Now()), Mine: p.Token == t.ID, Secret: secret.Reveal()}
	return Page{Title: "Token of " + t.Name, Section: "tokens", Body: page}
}

func (u *Pages) newToken(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Tokens == nil {
		u.nothingHere(w, r)
		return
	}
	u.show(w, r, http.StatusOK, "token-form", Page{Title: "New token", Section: "tokens", Body: tokenForm()})
}

// makeToken makes a token. Its secret is in this answer and nowhere else, so that
// there is no address at which it could be read again: all that the answer needs
// is read before the token is made.
func (u *Pages) makeToken(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Tokens == nil {
		u.nothingHere(w, r)
		return
	}
	held, err := u.heldGroups(r)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	f := writtenToken(r)
	req, err := f.request()
	if err == nil {
		var t access.Token
		var secret access.Secret
		if t, secret, err = u.cfg.Tokens.Create(r.Context(), req); err == nil {
			page := u.tokenPage(r, t, secret)
			page.Held = held
			u.write(w, r, http.StatusOK, "token", page)
			return
		}
	}
	m := lockstep.MessageOf(err)
	f.Mistake = &m
	u.show(w, r, statusOf(err), "token-form", Page{Title: "New token", Section: "tokens", Body: f})
}

func (u *Pages) revokeToken(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Tokens == nil {
		u.nothingHere(w, r)
		return
	}
	if err := u.cfg.Tokens.Revoke(r.Context(), r.PathValue("id")); err != nil {
		u.fail(w, r, err)
		return
	}
	see(w, r, "/tokens")
}
