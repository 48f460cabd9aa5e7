package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/repository"
)

// remembered is what the journal keeps of the repository at a location.
type remembered struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// repositoryThere refuses a repository that is not the one which this journal
// remembers at its location. With make, one that was never used is made.
func (a *App) repositoryThere(ctx context.Context, make bool) error {
	place, ok := a.cfg.Repository.(repository.Identified)
	if !ok || a.cfg.Policy.AnyBackup {
		return nil
	}
	is, err := place.Identity(ctx)
	if err != nil {
		return err
	}
	was, ok, err := a.expectedRepository(ctx)
	switch {
	case err != nil:
		return err
	case ok && was.ID == is:
		return nil
	case ok:
		return a.notTheRepository(is, was)
	case is != "":
		return a.rememberRepository(ctx, is)
	}
	return a.firstUse(ctx, place, make)
}

// firstUse is of a location without an identity, which the journal does not
// know.
func (a *App) firstUse(ctx context.Context, place repository.Identified, make bool) error {
	list, err := a.cfg.Repository.List(ctx, "")
	if err != nil {
		return err
	}
	if len(list) == 0 {
		if err := a.neverUsed(ctx); err != nil || !make {
			return err
		}
	}
	id, err := place.Identify(ctx)
	if err != nil {
		if len(list) > 0 && !make {
			return nil // it may be for reading alone
		}
		return err
	}
	return a.rememberRepository(ctx, id)
}

// neverUsed refuses an empty location where the journal, written by a program
// that knew no identities, tells of backups.
func (a *App) neverUsed(ctx context.Context) error {
	places, err := a.cfg.Journal.Records(ctx, recordRepository)
	if err != nil || len(places) > 0 {
		return err // backups are, or may be, elsewhere
	}
	runs, err := a.cfg.Journal.Runs(ctx, lockstep.RunFilter{Operation: lockstep.OperationBackup, Limit: restoresBack})
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.Data == lockstep.DataVerified {
			return a.missing(fmt.Errorf("it holds no backup, but the journal tells of %s", r.Backup), "init")
		}
	}
	return nil
}

func (a *App) notTheRepository(is string, was remembered) error {
	return a.missing(notThe(is, was), verbFor(is))
}

// verbFor is the command by which somebody says that what is there is meant.
func verbFor(is string) string {
	if is == "" {
		return "init"
	}
	return "accept"
}

// notThe says in what a repository is not the one that is remembered.
func notThe(is string, was remembered) error {
	since := was.At.Format(time.DateOnly)
	if is == "" {
		return fmt.Errorf("nothing is at that place, where repository %s has been since %s", was.ID, since)
	}
	return fmt.Errorf("it is repository %s; since %s it has been %s", is, since, was.ID)
}

// ErrRepositoryMissing is wrapped where the repository is not the one that is
// remembered.
var ErrRepositoryMissing = errors.New("the repository is not there")

func (a *App) missing(why error, verb string) error {
	if a.cfg.Elsewhere != "" {
		verb += " --repository " + a.cfg.Elsewhere
	}
	return missingAt(a.cfg.Repository, why, verb)
}

func missingAt(r repository.Repository, why error, verb string) error {
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "use repository " + r.Location(),
		Err:  fmt.Errorf("%w: %w", ErrRepositoryMissing, why),
		Hint: fmt.Sprintf("look whether its disk is mounted; if this is meant to be the repository from now on, `lockstep repository %s`", verb),
	}
}

func (a *App) expectedRepository(ctx context.Context) (remembered, bool, error) {
	return a.expectedAt(ctx, a.cfg.Repository)
}

// expectedAt is what the journal remembers of the location of a repository.
func (a *App) expectedAt(ctx context.Context, repo repository.Repository) (remembered, bool, error) {
	var was remembered
	r, ok, err := a.cfg.Journal.Record(ctx, recordRepository, repo.Location())
	if err == nil && ok {
		err = json.Unmarshal(r.Data, &was)
	}
	return was, ok, err
}

func (a *App) rememberRepository(ctx context.Context, id string) error {
	return a.remember(ctx, recordRepository, a.cfg.Repository.Location(), remembered{id, time.Now().UTC()})
}

// AcceptRepository remembers what is at the repository's location as the one
// that is meant, whatever was there before. With make, it is made first where
// there is none; without, that is refused.
func (a *App) AcceptRepository(ctx context.Context, make bool) (lockstep.RepositoryStatus, error) {
	place, ok := a.cfg.Repository.(repository.Identified)
	if !ok {
		return lockstep.RepositoryStatus{}, fmt.Errorf("repository %s has no identity", a.cfg.Repository.Location())
	}
	is, err := place.Identity(ctx)
	if err == nil && is == "" && make {
		is, err = place.Identify(ctx)
	}
	if err == nil && is == "" {
		err = &lockstep.Error{
			Kind: lockstep.KindNotFound, Op: "accept repository " + a.cfg.Repository.Location(),
			Err: errors.New("not found"), Hint: "`lockstep repository init` makes one",
		}
	}
	if err == nil {
		err = a.rememberRepository(ctx, is)
	}
	if err == nil {
		err = a.expectNoMore(ctx, true, "")
	}
	if err != nil {
		return lockstep.RepositoryStatus{}, err
	}
	return a.RepositoryStatus(ctx)
}

// RepositoryFree is how many bytes may still be kept, -1 if that is not known.
func (a *App) RepositoryFree(ctx context.Context) (int64, error) {
	free, err := a.cfg.Repository.Free(ctx)
	if err != nil {
		return -1, fmt.Errorf("find out how much room repository %s has: %w", a.cfg.Repository.Location(), err)
	}
	return free, nil
}

// RepositoryStatus looks at the repository and changes nothing. What is wrong
// with it is in the result; the error says that nobody knows.
func (a *App) RepositoryStatus(ctx context.Context) (lockstep.RepositoryStatus, error) {
	s := lockstep.RepositoryStatus{Location: a.cfg.Repository.Location(), Free: -1}
	place, ok := a.cfg.Repository.(repository.Identified)
	if !ok {
		return s, nil
	}
	was, known, err := a.expectedRepository(ctx)
	if err != nil {
		return s, err
	}
	s.Expected = was.ID
	if s.Identity, err = place.Identity(ctx); err == nil {
		var list []lockstep.Backup
		if list, err = a.cfg.Repository.List(ctx, ""); err == nil {
			s.Backups = len(list)
		}
	}
	switch {
	case err != nil:
	case known && s.Identity != was.ID:
		err = a.notTheRepository(s.Identity, was)
	case !known && s.Identity == "" && s.Backups == 0:
		err = a.neverUsed(ctx)
	}
	if err != nil {
		s.Missing, s.Problem, s.Hint = true, err.Error(), lockstep.HintOf(err)
		return s, nil
	}
	if free, err := a.cfg.Repository.Free(ctx); err == nil {
		s.Free = free
	}
	lost, err := a.lostBackups(ctx)
	if err != nil || len(lost) == 0 {
		return s, err
	}
	for _, c := range lost {
		s.RolledBack = append(s.RolledBack, c.ID)
	}
	err = a.rolledBack(lost)
	s.Problem, s.Hint = err.Error(), lockstep.HintOf(err)
	return s, nil
}

// settledHere refuses to settle a backup while another repository than its own is
// used: whether it has committed cannot be seen there, nor what it staged.
func (a *App) settledHere(run *lockstep.Run) error {
	if a.cfg.Elsewhere == "" || run.Opened.Operation != lockstep.OperationBackup {
		return nil
	}
	return &lockstep.Error{
		Kind: lockstep.KindConflict, Op: "settle run " + string(run.ID), Err: fmt.Errorf("its backup is not in repository %s", a.cfg.Elsewhere),
		Hint: fmt.Sprintf("`lockstep recover %s` settles it", run.Opened.Deployment),
	}
}
