package access

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"lockstep"
	"lockstep/auditlog"
)

// errForbidden says which role would be needed. It is for those who know
// already that the deployment exists.
func errForbidden(p Principal, perm Permission, deployment string) error {
	op, where := string(perm), "on \"*\""
	if deployment != ServerWide {
		op, where = string(perm)+" on "+deployment, "on "+deployment
	}
	hint := "it needs the role " + strings.ReplaceAll(join(RolesWith(perm)), ", ", " or ") + " " + where
	return &lockstep.Error{Kind: lockstep.KindForbidden, Op: op, Err: fmt.Errorf("%s may not do that", p), Hint: hint}
}

// errNobody: a guarded service was called outside of any request that was let
// in.
func errNobody() error {
	return &lockstep.Error{Kind: lockstep.KindUnauthenticated, Err: errors.New("nobody is logged in")}
}

// The errors about what does not exist are the same for what may not be seen.

func errNoDeployment(name string) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find deployment %q", name),
		Err: errors.New("not found, or not visible to you"), Hint: "see how it is spelled, or ask for a role on it",
	}
}

func errNoRun(id lockstep.RunID) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find run %q", id),
		Err: errors.New("not found, or not visible to you"), Hint: "`lockstep runs list` shows those that you may see",
	}
}

func errNoBackup(id lockstep.BackupID) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find backup %q", id),
		Err: errors.New("not found, or not visible to you"), Hint: "`lockstep backups list` shows those that you may see",
	}
}

// addressOf is the address that a request came from, without its port.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// errUnavailable: it cannot be told now whether the credential is good.
func errUnavailable(err error) error {
	return &lockstep.Error{Kind: lockstep.KindUnavailable, Op: "find out who asks", Err: err, Hint: "ask again in a moment"}
}

// serverWide is the principal that asks, if it has the permission for the whole
// server.
func serverWide(ctx context.Context, perm Permission) (Principal, error) {
	p, ok := PrincipalFrom(ctx)
	if !ok {
		return p, errNobody()
	}
	if !p.May(perm, ServerWide) {
		return p, errForbidden(p, perm, ServerWide)
	}
	return p, nil
}

// writeAhead records what is about to be done; its error refuses it.
func writeAhead(ctx context.Context, log auditlog.Recorder, p Principal, e auditlog.Entry) error {
	e.Result = auditlog.Allowed
	if err := record(ctx, log, p, e); err != nil {
		return errUnrecorded(e.Action, err)
	}
	return nil
}
