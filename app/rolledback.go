package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"lockstep"
	"lockstep/repository"
)

// A repository can be put back to what it was earlier: a snapshot of its disk, another
// state of its bucket. It is whole then, and is the one that is remembered; only the
// backups that came later are gone. So the journal remembers the newest of each
// deployment key, until somebody forgets it here or accepts what is there.

// maxRecent is how many backups are remembered of a key at a location: more than one, for
// the newest may be forgotten.
const maxRecent = 8

// standing is what the journal remembers of the backups of a key at a location.
type standing struct {
	Location string                 `json:"location"`
	Key      lockstep.DeploymentKey `json:"key"`
	Recent   []committedAt          `json:"recent"` // the newest last
	// Lost were there, and were not when somebody looked. They are told until they are
	// back, or what is there is accepted.
	Lost []committedAt `json:"lost,omitempty"`
}

// standsTimeout bounds what is done for that after a backup.
const standsTimeout = time.Minute

type committedAt struct {
	ID lockstep.BackupID `json:"id"`
	At time.Time         `json:"at"`
}

func (s standing) name() string { return s.Location + " " + string(s.Key) }

func (a *App) standingOf(ctx context.Context, key lockstep.DeploymentKey) (standing, error) {
	s := standing{Location: a.cfg.Repository.Location(), Key: key}
	r, ok, err := a.cfg.Journal.Record(ctx, recordStanding, s.name())
	if err == nil && ok {
		err = json.Unmarshal(r.Data, &s)
	}
	return s, err
}

// look moves to Lost what is not in the repository any more, from the newest on. The
// older ones may have been forgotten by who shares the repository: where a newer one is
// there, nothing was put back. What cannot be read is there.
func (a *App) look(ctx context.Context, s *standing) {
	gone := func(c committedAt) bool {
		_, err := a.cfg.Repository.Get(ctx, c.ID)
		return errors.Is(err, repository.ErrNotFound)
	}
	s.Lost = slices.DeleteFunc(s.Lost, func(c committedAt) bool { return !gone(c) })
	for n := len(s.Recent) - 1; n >= 0 && gone(s.Recent[n]); n-- {
		s.Lost = append(s.Lost, s.Recent[n])
		s.Recent = s.Recent[:n]
	}
}

// lookBack is what a backup is told of a repository that was put back. It goes on: what
// it makes is whole, and to refuse it would leave the deployment without any.
func (r *running) lookBack(ctx context.Context) error {
	a := r.app
	if !r.keeps() || r.run.Opened.Operation != lockstep.OperationBackup || a.cfg.Policy.AnyBackup {
		return nil
	}
	s, err := a.standingOf(ctx, r.run.Opened.Key)
	if err != nil {
		return err
	}
	a.look(ctx, &s)
	if len(s.Lost) == 0 {
		return nil
	}
	err = a.rolledBack(s.Lost)
	return errors.Join(a.keepStanding(ctx, s), r.note(ctx, lockstep.Noted{Level: "warn", Message: err.Error() + ": " + lockstep.HintOf(err)}))
}

// stands remembers a backup that was committed. It is asked for at the end of a run,
// whoever brought it there.
func (r *running) stands(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("defect in the orchestrator: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, standsTimeout)
	defer cancel()
	a, id := r.app, r.run.BackupID()
	if r.run.Opened.Operation != lockstep.OperationBackup || id == "" || a.cfg.Policy.AnyBackup {
		return nil
	}
	b, err := a.cfg.Repository.Get(ctx, id)
	if err != nil {
		return nil // it was not committed, or nobody knows
	}
	s, err := a.standingOf(ctx, r.run.Opened.Key)
	if err != nil || slices.ContainsFunc(s.Recent, func(c committedAt) bool { return c.ID == id }) {
		return err
	}
	s.Recent = append(s.Recent, committedAt{id, b.FinishedAt})
	s.Recent = s.Recent[max(0, len(s.Recent)-maxRecent):]
	return a.keepStanding(ctx, s)
}

// last is what is done when all of a run's steps have ended, and gives what is told of it.
func (r *running) last(ctx context.Context, end lockstep.Ending) []lockstep.EventData {
	var facts []lockstep.EventData
	if err := r.stands(ctx); err != nil {
		facts = append(facts, lockstep.Noted{Level: "warn", Message: "that this backup was committed could not be remembered, so nobody will notice if the repository is put back to an earlier state: " + err.Error()})
	}
	return append(facts, r.forgetOld(ctx, end)...)
}

func (a *App) keepStanding(ctx context.Context, s standing) error {
	return a.remember(ctx, recordStanding, s.name(), s)
}

// standings are those of all keys at the repository's location.
func (a *App) standings(ctx context.Context) (all []standing, err error) {
	records, err := a.cfg.Journal.Records(ctx, recordStanding)
	for _, r := range records {
		var s standing
		if err := json.Unmarshal(r.Data, &s); err != nil {
			return nil, fmt.Errorf("read what is remembered of the backups of %s: %w", r.Name, err)
		}
		if s.Location == a.cfg.Repository.Location() {
			all = append(all, s)
		}
	}
	return all, err
}

// expectNoMore remembers backups no more that go, or with all any.
func (a *App) expectNoMore(ctx context.Context, all bool, id lockstep.BackupID) error {
	list, err := a.standings(ctx)
	for _, s := range list {
		recent, lost := len(s.Recent), len(s.Lost)
		those := func(c committedAt) bool { return all || c.ID == id }
		s.Recent, s.Lost = slices.DeleteFunc(s.Recent, those), slices.DeleteFunc(s.Lost, those)
		if len(s.Recent) < recent || len(s.Lost) < lost {
			err = errors.Join(err, a.keepStanding(ctx, s))
		}
	}
	return err
}

// lostBackups are those that the repository had, and has no more.
func (a *App) lostBackups(ctx context.Context) (lost []committedAt, err error) {
	list, err := a.standings(ctx)
	for _, s := range list {
		a.look(ctx, &s)
		lost = append(lost, s.Lost...)
	}
	return lost, err
}

// ErrRolledBack is wrapped where the repository lacks backups that were committed to it.
var ErrRolledBack = errors.New("the repository is an earlier state of itself")

// rolledBack says what the repository lacks.
func (a *App) rolledBack(lost []committedAt) error {
	newest := slices.MaxFunc(lost, func(x, y committedAt) int { return x.At.Compare(y.At) })
	what := fmt.Sprintf("it lacks backup %s of %s", newest.ID, newest.At.UTC().Format(time.DateTime))
	if n := len(lost) - 1; n > 0 {
		what += fmt.Sprintf(" and %d more", n)
	}
	verb := "accept"
	if a.cfg.Elsewhere != "" {
		verb += " --repository " + a.cfg.Elsewhere
	}
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "look at repository " + a.cfg.Repository.Location(),
		Err:  fmt.Errorf("%w: %s, which was committed there and not forgotten here", ErrRolledBack, what),
		Hint: fmt.Sprintf("bring the later state back, or the backups from a copy; if another program forgot them, or this state is meant, `lockstep repository %s`", verb),
	}
}
