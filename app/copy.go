package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"lockstep"
	"lockstep/journal"
	"lockstep/repository"
)

// recordCopying is the kind of records, by the location of a destination, that say
// which backup is being copied there.
const recordCopying = "copying"

// copyingNow is such a record; no backup is "".
type copyingNow struct {
	Backup lockstep.BackupID `json:"backup"`
}

// CopyProgress is told how far a copy is. Its methods must return at once.
type CopyProgress struct {
	// Begins is told of an artifact, before it is read. It may be nil.
	Begins func(lockstep.Artifact)
	// Read, if not nil, counts the bytes that were read of the original.
	Read *atomic.Int64
}

// CopyBackup copies a backup into the repository of that name or location. The copy has
// the same manifest, with its signature, and is there only when every byte was read and
// is what the manifest says. Where it is there already nothing is done.
func (a *App) CopyBackup(ctx context.Context, id lockstep.BackupID, to string, p CopyProgress) (lockstep.CopyReport, error) {
	b, err := a.Backup(ctx, "", id)
	if err != nil {
		return lockstep.CopyReport{}, err
	}
	there, err := a.destination(ctx, to)
	if err != nil {
		return lockstep.CopyReport{}, err
	}
	c := repository.Copying{
		Manifest: b.Manifest(), To: there, Begins: p.Begins, Read: p.Read, By: "copy, version " + a.cfg.Version,
		Open: func(ctx context.Context, art lockstep.Artifact) (io.ReadCloser, error) {
			return repository.Verified(ctx, a.cfg.Repository, id, art)
		},
	}
	rep := lockstep.CopyReport{Backup: id, From: a.cfg.Repository.Location(), To: there.Location(), Artifacts: len(b.Artifacts), Data: b.Data}
	if err := mayCopy(b, rep); err != nil {
		return rep, err
	}
	release, err := a.cfg.Journal.Own(ctx, lockstep.DeploymentKey("copies into "+rep.To), a.owner)
	if errors.Is(err, journal.ErrOwned) {
		return rep, &lockstep.Error{
			Kind: lockstep.KindConflict, Op: fmt.Sprintf("copy backup %q to %s", id, rep.To), Err: errors.New("another copy goes there now"),
			Hint: "wait until it has ended, then copy again",
		}
	}
	if err != nil {
		return rep, err
	}
	defer release()
	if err := a.tidyCopy(ctx, there); err != nil {
		return rep, err
	}
	if rep.AlreadyThere, err = c.There(ctx); err != nil || rep.AlreadyThere {
		return rep, err
	}
	if rep.Unencrypted, err = unencrypted(ctx, a.cfg.Repository, there, id); err != nil {
		return rep, err
	}
	err = a.copying(ctx, c, &rep)
	if gone := a.gone(ctx, id); err != nil && gone != nil {
		err = gone
	}
	return rep, err
}

// unencrypted reports whether a backup is encrypted where it is, and will not be there.
func unencrypted(ctx context.Context, from, to repository.Repository, id lockstep.BackupID) (bool, error) {
	f, ok := from.(repository.Encrypting)
	t, plain := to.(repository.Encrypting)
	if !ok || !plain || t.Encrypts() {
		return false, nil
	}
	return f.IsEncrypted(ctx, id)
}

// CopyNew implements lockstep.Copies; to may be a location too.
func (a *App) CopyNew(ctx context.Context, deployment, to string) ([]lockstep.CopyReport, error) {
	mine, err := a.Backups(ctx, deployment)
	if err != nil {
		return nil, err
	}
	there, err := a.destination(ctx, to)
	if err != nil {
		return nil, err
	}
	theirs, err := there.List(ctx, deployment)
	if err != nil {
		return nil, err
	}
	var done []lockstep.CopyReport
	for _, b := range newerThan(mine, theirs) {
		rep, err := a.CopyBackup(ctx, b.ID, to, CopyProgress{})
		if err != nil && a.gone(ctx, b.ID) != nil {
			continue // rules, or a person, deleted it meanwhile
		}
		if err != nil {
			return done, err
		}
		done = append(done, rep)
	}
	return done, nil
}

// newerThan are the verified backups that are newer than all others of their key,
// oldest first; where there are no others, the newest. Both lists are newest first.
// Another orchestrator may keep a deployment of the same name in the same place.
func newerThan(mine, others []lockstep.Backup) []lockstep.Backup {
	since := map[lockstep.DeploymentKey]time.Time{}
	for _, o := range others {
		if o.Ours() && o.StartedAt.After(since[o.Key]) {
			since[o.Key] = o.StartedAt
		}
	}
	var out []lockstep.Backup
	for _, b := range mine {
		if b.Data != lockstep.DataVerified || !b.StartedAt.After(since[b.Key]) {
			continue
		}
		out = append(out, b)
		if since[b.Key].IsZero() {
			since[b.Key] = b.StartedAt // only the newest
		}
	}
	slices.Reverse(out)
	return out
}

// mayCopy refuses a backup that is not what it was: its copy would pass for a good one.
func mayCopy(b lockstep.Backup, rep lockstep.CopyReport) error {
	changed := b.Recorded != "" || b.Proof != nil && b.Proof.Wrong != ""
	if b.Ours() && !changed {
		return nil
	}
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: fmt.Sprintf("copy backup %q to %s", b.ID, rep.To), Err: fmt.Errorf("it is %s: %s", b.Data, b.WhyNot()),
		Hint: fmt.Sprintf("`lockstep backups verify %s` reads it again; what another program made can be copied with the means of the system", b.ID),
	}
}

// copying does it, and keeps a word of it meanwhile: after a crash nobody else could
// tell what is staged there from what a living orchestrator writes.
func (a *App) copying(ctx context.Context, c repository.Copying, rep *lockstep.CopyReport) error {
	if err := a.remember(ctx, recordCopying, rep.To, copyingNow{rep.Backup}); err != nil {
		return err
	}
	err := c.Do(ctx)
	if errors.Is(err, repository.ErrStaged) {
		err = &lockstep.Error{
			Kind: lockstep.KindConflict, Op: fmt.Sprintf("copy backup %q to %s", rep.Backup, rep.To), Err: repository.ErrStaged,
			Hint: "wait until the other orchestrator has ended it; if that died, let it copy again, or use another destination",
		}
	}
	if err == nil {
		rep.Bytes = c.Manifest.Bytes()
	}
	return errors.Join(err, a.remember(context.WithoutCancel(ctx), recordCopying, rep.To, copyingNow{}))
}

// tidyCopy removes what a copy of this orchestrator staged there that died. The
// caller owns the copies into it.
func (a *App) tidyCopy(ctx context.Context, to repository.Repository) error {
	r, ok, err := a.cfg.Journal.Record(ctx, recordCopying, to.Location())
	if err != nil || !ok {
		return err
	}
	var was copyingNow
	if err := json.Unmarshal(r.Data, &was); err != nil || was.Backup == "" {
		return err
	}
	err = to.Discard(ctx, was.Backup)
	if lockstep.KindOf(err) == lockstep.KindConflict { // it died when the copy was there
		err = nil
	}
	if err != nil {
		return fmt.Errorf("remove what an earlier copy of backup %q left in %s: %w", was.Backup, to.Location(), err)
	}
	return a.remember(ctx, recordCopying, to.Location(), copyingNow{})
}

// destination is the repository at that location, or of that name. Where there is none it is
// made; another one than the one that is remembered is refused.
func (a *App) destination(ctx context.Context, name string) (repository.Repository, error) {
	if a.cfg.OtherRepository == nil {
		return nil, errors.New("no other repository can be opened here")
	}
	to, err := a.cfg.OtherRepository(name)
	if err != nil {
		return nil, err
	}
	place, ok := to.(repository.Identified)
	if !ok {
		return nil, fmt.Errorf("repository %s has no identity", to.Location())
	}
	is, err := place.Identity(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.notItself(ctx, is, to); err != nil {
		return nil, err
	}
	was, known, err := a.expectedAt(ctx, to)
	switch {
	case err != nil:
		return nil, err
	case known && was.ID != is:
		return nil, missingAt(to, notThe(is, was), verbFor(is)+" --repository "+name)
	case known:
		return to, nil
	case is == "":
		if is, err = place.Identify(ctx); err != nil {
			return nil, err
		}
	}
	return to, a.remember(ctx, recordRepository, to.Location(), remembered{is, time.Now().UTC()})
}

// notItself refuses a destination that is where the backup is.
func (a *App) notItself(ctx context.Context, is string, to repository.Repository) error {
	own, ok := a.cfg.Repository.(repository.Identified)
	if !ok {
		return nil
	}
	mine, err := own.Identity(ctx)
	if err != nil {
		return err
	}
	if (is == "" || mine != is) && to.Location() != a.cfg.Repository.Location() {
		return nil
	}
	return &lockstep.Error{
		Kind: lockstep.KindUsage, Op: "copy to " + to.Location(), Err: errors.New("that is the repository that the backup is in"),
		Hint: "name another folder or bucket",
	}
}
