package outbox

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lockstep"
)

// Kept is what can be asked about what is kept.
type Kept interface {
	// Backups lists all backups, newest first, each with what is known of it
	// now. Its error says that the repository is missing, or cannot be read.
	Backups(ctx context.Context, deployment string) ([]lockstep.Backup, error)
	// HalfRestored says of each deployment what restores left half done; those
	// of which there is nothing to say are not named.
	HalfRestored(ctx context.Context) (map[string]string, error)
}

// keptEvery is how often all backups are looked at: that reads every manifest.
const keptEvery = 10 * time.Minute

// lookAtKept says which backups are damaged or suspect, once each, and again and
// again that a repository is missing or a system half restored.
func (o *Outbox) lookAtKept(ctx context.Context) error {
	now := o.cfg.Now().UTC()
	if o.cfg.Kept == nil || now.Sub(o.keptAt) < keptEvery {
		return nil
	}
	o.keptAt = now
	backups, err := o.cfg.Kept.Backups(ctx, "")
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return o.add(ctx, fmt.Sprintf("repository-missing:%d", now.Truncate(o.cfg.RemindEvery).Unix()), func() (lockstep.Notice, error) {
			return repositoryMissing(err), nil
		})
	}
	for i := range backups {
		if err := o.lookAtBackup(ctx, &backups[i]); err != nil {
			return err
		}
	}
	half, err := o.cfg.Kept.HalfRestored(ctx)
	if err != nil {
		return err
	}
	for deployment, why := range half {
		key := fmt.Sprintf("half-restored:%s:%s:%d", deployment, why, now.Truncate(max(o.cfg.RemindEvery, 24*time.Hour)).Unix())
		if err := o.add(ctx, key, func() (lockstep.Notice, error) { return halfRestored(deployment, why), nil }); err != nil {
			return err
		}
	}
	return nil
}

func (o *Outbox) lookAtBackup(ctx context.Context, b *lockstep.Backup) error {
	switch b.Data {
	case lockstep.DataDamaged, lockstep.DataSuspect:
		return o.add(ctx, fmt.Sprintf("%s:%s", b.Data, b.ID), func() (lockstep.Notice, error) { return keptBadly(b), nil })
	default:
		return nil
	}
}

func keptBadly(b *lockstep.Backup) lockstep.Notice {
	n := lockstep.Notice{
		Kind: lockstep.NoticeDamaged, Deployment: b.Deployment, Key: b.Key, Operation: string(lockstep.OperationBackup),
		Backup: b.ID, Data: b.Data, StartedAt: b.StartedAt.UTC(), Run: b.Run,
		Title: fmt.Sprintf("backup %s is damaged", b.ID),
		Text:  sentence(b.WhyNot()) + " It is not restored unless it is named, and keeps no other backup from being kept.",
		Hint:  "lockstep backups show " + string(b.ID),
	}
	if b.Data == lockstep.DataSuspect {
		n.Kind, n.Title = lockstep.NoticeSuspect, fmt.Sprintf("backup %s is suspect", b.ID)
		n.Text = sentence(b.WhyNot()) + " It is kept, and takes no older one's place."
		n.Hint = fmt.Sprintf("if it is meant: lockstep backup %s --accept-change", b.Deployment)
	}
	return n
}

func repositoryMissing(err error) lockstep.Notice {
	n := lockstep.Notice{
		Kind: lockstep.NoticeRepositoryMissing, Title: "the repository is missing, or cannot be read",
		Text: sentence(err.Error()), Hint: "lockstep repository check",
	}
	if hint := lockstep.HintOf(err); hint != "" {
		n.Text += " " + sentence(hint)
	}
	return n
}

func halfRestored(deployment, why string) lockstep.Notice {
	return lockstep.Notice{
		Kind: lockstep.NoticeHalfRestored, Deployment: deployment, Operation: string(lockstep.OperationRestore), Data: lockstep.DataPartial,
		Title: deployment + " is half restored", Text: sentence(why) + " Its backups are suspect until a restore succeeds or somebody acknowledges it.",
		Hint: fmt.Sprintf("lockstep runs list %s --operation restore", deployment),
	}
}

// sentence is text as one.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
