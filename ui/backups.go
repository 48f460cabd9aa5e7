package ui

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"lockstep"
	"lockstep/access"
)

// BackupList is the backups of a deployment, or of all.
type BackupList struct {
	Deployment  string
	Deployments []lockstep.DeploymentInfo
	Backups     []lockstep.Backup
}

func (u *Pages) backups(w http.ResponseWriter, r *http.Request) {
	list := BackupList{Deployment: r.URL.Query().Get("deployment")}
	var err error
	if list.Deployments, err = u.cfg.Service.Deployments(r.Context()); err == nil {
		list.Backups, err = u.cfg.Service.Backups(r.Context(), list.Deployment)
	}
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "backups", Page{Title: "Backups", Section: "backups", Body: list})
}

// BackupPage is one backup, with how its last reading ended.
type BackupPage struct {
	lockstep.Backup
	Reading *Reading
}

func (u *Pages) backup(w http.ResponseWriter, r *http.Request) {
	b, err := u.cfg.Service.Backup(r.Context(), "", lockstep.BackupID(r.PathValue("id")))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "backup", Page{Title: string(b.ID), Section: "backups", Body: &BackupPage{b, u.readings.of(b.ID)}})
}

// Reading is a verification that this server was asked for.
type Reading struct {
	Since  time.Time
	Done   bool
	Report lockstep.VerifyReport
	Error  string
	Hint   string
}

// readings are the verifications of this process, the last one of each backup.
// They are kept for people who wait, not for the record.
type readings struct {
	mu    sync.Mutex
	by    map[lockstep.BackupID]*Reading
	order []lockstep.BackupID
}

// keptReadings is how many are remembered.
const keptReadings = 100

// of is a copy of the backup's last reading, or nil.
func (r *readings) of(id lockstep.BackupID) *Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := r.by[id]; got != nil {
		reading := *got
		return &reading
	}
	return nil
}

// begin notes that a reading begins, unless one is under way.
func (r *readings) begin(id lockstep.BackupID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := r.by[id]; got != nil && !got.Done {
		return false
	}
	if r.by == nil {
		r.by = map[lockstep.BackupID]*Reading{}
	}
	if r.by[id] == nil {
		r.order = append(r.order, id)
	}
	r.by[id] = &Reading{Since: now}
	if len(r.order) > keptReadings && r.by[r.order[0]].Done {
		delete(r.by, r.order[0])
		r.order = r.order[1:]
	}
	return true
}

func (r *readings) end(id lockstep.BackupID, rep lockstep.VerifyReport, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.by[id]
	got.Done, got.Report = true, rep
	if err != nil {
		m := lockstep.MessageOf(err)
		got.Error, got.Hint = m.String(), m.Hint
	}
}

// verify begins to read a backup again. It goes on when the page is left.
func (u *Pages) verify(w http.ResponseWriter, r *http.Request) {
	id := lockstep.BackupID(r.PathValue("id"))
	b, err := u.cfg.Service.Backup(r.Context(), "", id)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	if p, _ := access.PrincipalFrom(r.Context()); !p.May(access.BackupsVerify, b.Deployment) {
		// The service says no, and to nobody else: what others read stands.
		if _, err = u.cfg.Service.Verify(r.Context(), b.ID); err != nil {
			u.fail(w, r, err)
			return
		}
	} else if u.readings.begin(b.ID, u.cfg.Now()) {
		ctx, done := detached(r), make(chan struct{})
		go func() {
			rep, err := u.cfg.Service.Verify(ctx, b.ID)
			u.readings.end(b.ID, rep, err)
			close(done)
		}()
		select {
		case <-done: // small ones are read before the page is shown
		case <-u.soon():
		}
	}
	see(w, r, "/backups", string(b.ID))
}

// soon fires when a page has been waited for long enough.
func (u *Pages) soon() <-chan time.Time { return time.After(700 * time.Millisecond) }

func (u *Pages) forgetForm(w http.ResponseWriter, r *http.Request) {
	b, err := u.cfg.Service.Backup(r.Context(), "", lockstep.BackupID(r.PathValue("id")))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "forget", Page{Title: "Forget " + string(b.ID), Section: "backups", Body: &b})
}

func (u *Pages) forget(w http.ResponseWriter, r *http.Request) {
	b, err := u.cfg.Service.Backup(r.Context(), "", lockstep.BackupID(r.PathValue("id")))
	if err == nil {
		err = typed(r, b.Deployment)
	}
	if err == nil {
		err = u.cfg.Service.Forget(r.Context(), b.ID)
	}
	if err != nil {
		u.fail(w, r, err)
		return
	}
	see(w, r, "/deployments", b.Deployment)
}

// typed refuses a form in which the deployment's name was not typed.
func typed(r *http.Request, deployment string) error {
	if r.PostFormValue("typed") != deployment {
		return usage("nothing was done: the name that was typed is not %q", deployment)
	}
	return nil
}

// artifactOf is the artifact that is asked for; where there is none that is answered,
// and ok is false.
func (u *Pages) artifactOf(w http.ResponseWriter, r *http.Request) (b lockstep.Backup, art lockstep.Artifact, ok bool) {
	b, err := u.cfg.Service.Backup(r.Context(), "", lockstep.BackupID(r.PathValue("id")))
	if err != nil {
		u.fail(w, r, err)
		return b, art, false
	}
	if art, ok = b.Named(r.PathValue("name")); !ok {
		u.nothingHere(w, r)
	}
	return b, art, ok
}

// artifact sends an artifact as a tar.
func (u *Pages) artifact(w http.ResponseWriter, r *http.Request) {
	b, art, ok := u.artifactOf(w, r)
	if !ok {
		return
	}
	tar, err := u.cfg.Service.OpenArtifact(r.Context(), b.ID, art.Name)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	defer func() { _ = tar.Close() }()
	w.Header().Set("Content-Type", "application/x-tar")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Disposition", "attachment; filename="+strconv.Quote(string(b.ID)+"."+art.Name+".tar"))
	if sendAll(r.Context(), w, tar) != nil {
		panic(http.ErrAbortHandler) // a cut stream must not look like a whole one
	}
}

// sendAll copies a stream whose length nobody bounds: each piece has its own
// deadline.
func sendAll(ctx context.Context, w http.ResponseWriter, from io.Reader) error {
	control := http.NewResponseController(w)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		_ = control.SetWriteDeadline(time.Now().Add(writePatience))
		switch _, err := io.CopyN(w, from, 4<<20); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}
