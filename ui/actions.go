package ui

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"lockstep"
	"lockstep/access"
)

// see answers a form: what was done is seen there.
func see(w http.ResponseWriter, r *http.Request, where ...string) {
	for i := 1; i < len(where); i++ {
		where[i] = url.PathEscape(where[i])
	}
	http.Redirect(w, r, strings.Join(where, "/"), http.StatusSeeOther)
}

// start begins a backup, check or cleanup. A restore has a form of its own.
func (u *Pages) start(w http.ResponseWriter, r *http.Request) {
	req := lockstep.Request{
		Operation: lockstep.Operation(r.PostFormValue("operation")), Deployment: r.PostFormValue("deployment"),
		ForRestore: r.PostFormValue("for_restore") != "", TakeOver: r.PostFormValue("take_over") != "",
		PlanDigest: r.PostFormValue("plan_digest"),
	}
	switch req.Operation {
	case lockstep.OperationBackup, lockstep.OperationCheck, lockstep.OperationCleanup:
	default:
		u.fail(w, r, usage("start a run: %q cannot be started here", req.Operation))
		return
	}
	u.startAndSee(w, r, req)
}

// startAndSee starts a run and shows it.
func (u *Pages) startAndSee(w http.ResponseWriter, r *http.Request, req lockstep.Request) {
	req.By = asker(r)
	var id lockstep.RunID
	err := u.mayBegin(r.Context(), req.Operation)
	if err == nil {
		id, err = u.cfg.Service.Start(r.Context(), req)
	}
	if err != nil {
		u.fail(w, r, err)
		return
	}
	see(w, r, "/runs", string(id))
}

// asker names whoever asks, as the journal has it.
func asker(r *http.Request) string {
	p, _ := access.PrincipalFrom(r.Context())
	return p.String()
}

func usage(format string, args ...any) error {
	return &lockstep.Error{Kind: lockstep.KindUsage, Err: fmt.Errorf(format, args...)}
}

func (u *Pages) cancel(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if err := u.cfg.Service.Cancel(r.Context(), lockstep.RunID(id), asker(r)); err != nil {
		u.fail(w, r, err)
		return
	}
	see(w, r, "/runs", id)
}

// settle begins to settle a deployment's dead runs, which may take long, and
// shows the first of them.
func (u *Pages) settle(w http.ResponseWriter, r *http.Request) {
	deployment, run := r.PostFormValue("deployment"), r.PostFormValue("run")
	if deployment == "" || run == "" {
		u.fail(w, r, usage("settle: no deployment is named"))
		return
	}
	ctx, done := detached(r), make(chan error, 1)
	go func() {
		_, err := u.cfg.Service.Settle(ctx, lockstep.SettleRequest{Deployment: deployment})
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			u.fail(w, r, err)
			return
		}
	case <-u.soon():
	}
	see(w, r, "/runs", run)
}

// AckPage asks for a person's word that held jobs are unlocked.
type AckPage struct {
	HeldGroup
	Job string
}

func (u *Pages) acknowledgeForm(w http.ResponseWriter, r *http.Request) {
	groups, err := u.heldGroups(r)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	for _, g := range groups {
		if string(g.Run) == r.PathValue("id") && !g.Dead && !g.Lost {
			u.show(w, r, http.StatusOK, "acknowledge", Page{Title: "Acknowledge", Section: "runs", Body: AckPage{HeldGroup: g}})
			return
		}
	}
	u.fail(w, r, &lockstep.Error{Kind: lockstep.KindNotFound, Op: "acknowledge", Err: errors.New("nothing that this run locked is held")})
}

func (u *Pages) acknowledge(w http.ResponseWriter, r *http.Request) {
	ack := lockstep.Acknowledgement{
		Run: lockstep.RunID(r.PathValue("id")), Job: r.PostFormValue("job"), By: asker(r),
		Reason: strings.TrimSpace(r.PostFormValue("reason")),
	}
	if ack.Job == "" || ack.Reason == "" {
		u.fail(w, r, usage("acknowledge: say which job is unlocked, and how you know"))
		return
	}
	if err := u.cfg.Service.Acknowledge(r.Context(), ack); err != nil {
		u.fail(w, r, err)
		return
	}
	see(w, r, "/runs", string(ack.Run))
}
