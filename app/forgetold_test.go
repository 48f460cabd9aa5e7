package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

// unforgetting is a repository in which some backups cannot be deleted, or listed.
type unforgetting struct {
	repository.Repository
	refuse  map[lockstep.BackupID]error
	list    error
	deleted []lockstep.BackupID
}

func (u *unforgetting) List(ctx context.Context, deployment string) ([]lockstep.Backup, error) {
	if u.list != nil && len(u.deleted) == 0 {
		return nil, u.list
	}
	return u.Repository.List(ctx, deployment)
}

func (u *unforgetting) Delete(ctx context.Context, id lockstep.BackupID) error {
	if err := u.refuse[id]; err != nil {
		return err
	}
	u.deleted = append(u.deleted, id)
	return u.Repository.Delete(ctx, id)
}

// ruled is an App with a rule that keeps the newest two, over a repository that has
// backups of earlier days, the newest first.
func ruled(t *testing.T, s *shop) (*App, *unforgetting, []lockstep.BackupID) {
	t.Helper()
	a := newApp(t, s)
	repo := &unforgetting{Repository: a.cfg.Repository, refuse: map[lockstep.BackupID]error{}}
	a.cfg.Repository, a.cfg.Keep = repo, map[string]lockstep.KeepRules{"shop": {Last: 2}}
	var ids []lockstep.BackupID
	for n := range 3 {
		m := repositorytest.Manifest(lockstep.BackupID("shop_2026010" + string(rune('3'-n)) + "T000000Z"))
		m.Key, m.StartedAt, m.FinishedAt = "test:shop", m.StartedAt.AddDate(0, 0, -20-n), m.StartedAt.AddDate(0, 0, -20-n)
		repositorytest.Begin(t, repo, m.ID)
		repositorytest.Commit(t, repo, m)
		ids = append(ids, m.ID)
	}
	return a, repo, ids
}

func told(r *lockstep.Run, level, text string) bool {
	return slices.ContainsFunc(r.Notes, func(n lockstep.Noted) bool { return n.Level == level && strings.Contains(n.Message, text) })
}

// TestRulesAfterABackup: what the rules do not keep goes after a verified backup, which
// says so beside itself.
func TestRulesAfterABackup(t *testing.T) {
	t.Parallel()
	a, repo, ids := ruled(t, twoInstances(t))
	other := repositorytest.Manifest("shop_20250101T000000Z")
	other.Key = "another:shop"
	other.StartedAt, other.FinishedAt = other.StartedAt.AddDate(-1, 0, 0), other.StartedAt.AddDate(-1, 0, 0)
	repositorytest.Begin(t, repo, other.ID)
	repositorytest.Commit(t, repo, other)
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if r.Ending.State != lockstep.RunSucceeded || !told(r, "info", "kept 2, forgot 2: "+string(ids[1])+", "+string(ids[2])) {
		t.Errorf("%+v, %+v", r.Ending, r.Notes)
	}
	if !slices.Equal(repo.deleted, ids[1:]) {
		t.Errorf("deleted are %v, not %v", repo.deleted, ids[1:])
	}
}

// TestRulesLeaveWhatIsDamaged: that goes only when a person says so. A disk that was away
// for an hour makes all damaged that was verified then.
//
//fault:rules-and-damage the rules of what to keep would delete damaged backups after a backup | they are left for a person, and the note beside the run names them
func TestRulesLeaveWhatIsDamaged(t *testing.T) {
	t.Parallel()
	a, repo, ids := ruled(t, twoInstances(t))
	if err := repo.RecordVerify(t.Context(), ids[2], lockstep.Verification{Problems: []string{"content differs"}}); err != nil {
		t.Fatal(err)
	}
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if !slices.Equal(repo.deleted, ids[1:2]) || !told(r, "info", "left 1 that are damaged") || !told(r, "info", string(ids[2])) {
		t.Errorf("deleted %v, %+v", repo.deleted, r.Notes)
	}
}

// TestRulesNeverSpoilABackup: whatever goes wrong when they are applied, the backup is as
// good as without.
//
//fault:rules-after-a-backup older backups cannot be listed, or not be deleted, after a backup | the backup succeeds, and a warning beside it says why and that the next one does it again
func TestRulesNeverSpoilABackup(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breaks      func(*unforgetting, []lockstep.BackupID)
		level, text string
		deleted     int
	}{
		"a backup cannot be deleted": {func(u *unforgetting, ids []lockstep.BackupID) { u.refuse[ids[1]] = errors.New("disk on fire") }, "warn", "disk on fire", 0},
		"object lock keeps one": {func(u *unforgetting, ids []lockstep.BackupID) {
			u.refuse[ids[1]] = &lockstep.Error{Kind: lockstep.KindRetained, Op: "delete"}
		}, "info", "object lock still keeps 1", 1},
		"one is gone already": {func(u *unforgetting, ids []lockstep.BackupID) {
			u.refuse[ids[1]] = &lockstep.Error{Kind: lockstep.KindNotFound, Op: "delete"}
		}, "info", "forgot 2", 1},
		"a defect": {func(u *unforgetting, _ []lockstep.BackupID) { u.refuse = nil; u.Repository = nil }, "warn", "defect", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, repo, ids := ruled(t, twoInstances(t))
			inner := repo.Repository
			a.cfg.Observe = nil
			first := true
			a.cfg.Repository = &beforeRules{Repository: repo, do: func() {
				if first {
					first = false
					c.breaks(repo, ids)
				}
			}}
			r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
			repo.Repository = inner
			if r.Ending.State != lockstep.RunSucceeded || r.Ending.ExitCode != 0 || r.Ending.Data != lockstep.DataVerified || !told(r, c.level, c.text) {
				t.Errorf("%+v, %+v", r.Ending, r.Notes)
			}
			if len(repo.deleted) != c.deleted {
				t.Errorf("deleted are %v", repo.deleted)
			}
		})
	}
}

// beforeRules does something once a backup is committed.
type beforeRules struct {
	repository.Repository
	do func()
}

func (b *beforeRules) Commit(ctx context.Context, m lockstep.Backup) error {
	defer b.do()
	return b.Repository.Commit(ctx, m)
}

// TestNoRulesAfterABadBackup: only a verified one makes others go.
func TestNoRulesAfterABadBackup(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"failed": "exit 1", "suspect": `test -e locked; echo >"$BBR_ARTIFACT_DIRECTORY"data`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := twoInstances(t)
			if err := os.WriteFile(filepath.Join(s.root, "b", "data"), make([]byte, 1<<20), 0o644); err != nil {
				t.Fatal(err)
			}
			a, repo, _ := ruled(t, s)
			if r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup}); r.Ending.Data != lockstep.DataVerified {
				t.Fatalf("a good one: %+v", r.Ending)
			}
			a.cfg.Keep["shop"] = lockstep.KeepRules{Last: 1}
			repo.deleted = nil
			s.script("b", "db", lockstep.ScriptBackup, script)
			r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
			if r.Ending.State == lockstep.RunSucceeded || len(repo.deleted) > 0 || told(r, "info", "rules") || told(r, "warn", "rules") {
				t.Errorf("%+v, deleted %v, %+v", r.Ending, repo.deleted, r.Notes)
			}
			if name == "suspect" && r.Ending.Data != lockstep.DataSuspect {
				t.Errorf("it is %s", r.Ending.Data)
			}
		})
	}
}

// TestRulesWantTheNewBackup: a list that lacks the backup that was just made is not one
// to delete by.
func TestRulesWantTheNewBackup(t *testing.T) {
	t.Parallel()
	a, repo, _ := ruled(t, twoInstances(t))
	a.cfg.Repository = &halfListing{repo}
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	if r.Ending.State != lockstep.RunSucceeded || len(repo.deleted) > 0 || !told(r, "warn", "is not listed") {
		t.Errorf("%+v, deleted %v, %+v", r.Ending, repo.deleted, r.Notes)
	}
}

// halfListing lacks the newest backup.
type halfListing struct{ repository.Repository }

func (h *halfListing) List(ctx context.Context, deployment string) ([]lockstep.Backup, error) {
	list, err := h.Repository.List(ctx, deployment)
	if len(list) > 3 {
		list = list[1:]
	}
	return list, err
}
