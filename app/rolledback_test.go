package app

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository/dir"
)

// puttingBack is a deployment whose repository can be put back to an earlier state.
type puttingBack struct {
	*App
	t    *testing.T
	path string
}

func newPuttingBack(t *testing.T) *puttingBack {
	t.Helper()
	p := &puttingBack{App: newApp(t, twoInstances(t)), t: t, path: filepath.Join(t.TempDir(), "backups")}
	repo, err := dir.At(p.path)
	if err != nil {
		t.Fatal(err)
	}
	p.cfg.Repository = repo
	return p
}

func (p *puttingBack) backup() *lockstep.Run {
	p.t.Helper()
	r := run(p.t, p.App, lockstep.Request{Operation: lockstep.OperationBackup})
	if r.Ending.State != lockstep.RunSucceeded {
		p.t.Fatalf("%+v", r.Ending)
	}
	return r
}

// save keeps the repository's state, and gives what puts it back.
func (p *puttingBack) save() (back func()) {
	p.t.Helper()
	copied := filepath.Join(p.t.TempDir(), "state")
	do := func(from, to string) {
		p.t.Helper()
		if out, err := exec.CommandContext(p.t.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
			p.t.Fatalf("%v: %s", err, out)
		}
	}
	do(p.path, copied)
	return func() {
		p.t.Helper()
		if err := os.RemoveAll(p.path); err != nil {
			p.t.Fatal(err)
		}
		do(copied, p.path)
	}
}

// lacks says which backups the repository must be found to lack.
func (p *puttingBack) lacks(want ...lockstep.BackupID) {
	p.t.Helper()
	s, err := p.RepositoryStatus(p.t.Context())
	if err != nil || s.Missing || !slices.Equal(s.RolledBack, want) {
		p.t.Errorf("it lacks %v, missing %v (%s), %v; want %v", s.RolledBack, s.Missing, s.Problem, err, want)
	}
	if told := strings.Contains(s.Problem, "is an earlier state of itself") && strings.Contains(s.Hint, "repository accept"); told != (len(want) > 0) {
		p.t.Errorf("problem %q, hint %q", s.Problem, s.Hint)
	}
}

// TestARepositoryThatIsPutBack is told by its status and beside the next backup, which is
// made, and by no other word than that; until it is accepted, or is back.
//
//fault:repository-put-back the repository is put back to an earlier state of itself, which lacks committed backups | `repository check` and the next backup say which it lacks and what to do, until `repository accept`; the backup is made
func TestARepositoryThatIsPutBack(t *testing.T) {
	t.Parallel()
	p := newPuttingBack(t)
	p.lacks()
	first := p.backup()
	earlier := p.save()
	second := p.backup()
	later := p.save()
	p.lacks()
	earlier()
	p.lacks(second.BackupID())
	third := p.backup()
	if !told(third, "warn", "it lacks backup "+string(second.BackupID())) || !told(third, "warn", "`lockstep repository accept`") {
		t.Errorf("beside the next backup: %+v", third.Notes)
	}
	p.lacks(second.BackupID()) // though a newer one is there
	if fourth := p.backup(); !told(fourth, "warn", string(second.BackupID())) {
		t.Errorf("beside the one after it: %+v", fourth.Notes)
	}
	if _, err := p.AcceptRepository(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	p.lacks()
	if fifth := p.backup(); told(fifth, "warn", "earlier state") {
		t.Errorf("accepted: %+v", fifth.Notes)
	}
	later()
	if s, err := p.RepositoryStatus(t.Context()); err != nil || len(s.RolledBack) != 1 {
		t.Errorf("put back once more: %+v, %v", s, err)
	}
	if list, err := p.Backups(t.Context(), "shop"); err != nil || len(list) != 2 || !slices.ContainsFunc(list, func(b lockstep.Backup) bool { return b.ID == first.BackupID() }) {
		t.Errorf("%v, %v", list, err)
	}
}

// TestWhatIsForgottenIsNotMissed, and what is back is told no more.
func TestWhatIsForgottenIsNotMissed(t *testing.T) {
	t.Parallel()
	p := newPuttingBack(t)
	p.backup()
	earlier := p.save()
	second := p.backup()
	later := p.save()
	earlier()
	p.lacks(second.BackupID())
	later()
	p.lacks()
	if err := p.Forget(t.Context(), second.BackupID()); err != nil {
		t.Fatal(err)
	}
	p.lacks()
	if third := p.backup(); told(third, "warn", "earlier state") {
		t.Errorf("%+v", third.Notes)
	}
	// One that cannot be read is there: its damage is told elsewhere.
	if err := os.WriteFile(filepath.Join(p.path, string(p.backup().BackupID()), "manifest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.lacks()
	if !errors.Is(p.rolledBack([]committedAt{{ID: "x"}}), ErrRolledBack) {
		t.Error("the error has no kind of its own")
	}
}
