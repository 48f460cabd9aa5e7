package serve

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"lockstep"
	"lockstep/config"
	"lockstep/journal"
	journalfiles "lockstep/journal/sqlite"
	"lockstep/state/sqlite"
	"lockstep/telemetry"
)

// quiet is a service of which nothing runs.
type quiet struct{ lockstep.Service }

func (quiet) Runs(context.Context, lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	return nil, nil
}
func (quiet) Held(context.Context, string) ([]lockstep.Hold, error)          { return nil, nil }
func (quiet) Deployments(context.Context) ([]lockstep.DeploymentInfo, error) { return nil, nil }
func (quiet) Backups(context.Context, string) ([]lockstep.Backup, error)     { return nil, nil }
func (quiet) Run(context.Context, lockstep.RunID) (*lockstep.Run, error) {
	return nil, errors.New("none")
}
func (quiet) Start(context.Context, lockstep.Request) (lockstep.RunID, error) {
	return "", errors.New("no")
}
func (quiet) HalfRestored(context.Context) (map[string]string, error) { return nil, nil }

// backgroundIn opens that of a server whose facts are in the folder, as if they were in a
// database that others share, or not.
func backgroundIn(t *testing.T, dir string, shared bool) (*background, error) {
	t.Helper()
	j, err := journalfiles.Open(t.Context(), journalfiles.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(); _ = j.Close() })
	cfg := &config.Config{StateDir: dir, Schedules: []lockstep.Schedule{{Name: "nightly", Deployment: "shop", Operation: lockstep.ScheduledBackup, Cron: "0 3 * * *", Zone: "UTC"}}}
	cfg.Access.PepperFile = filepath.Join(dir, "pepper")
	if shared {
		cfg.State.Postgres = &config.Postgres{}
	}
	s := Serving{Options: Options{Logger: slog.New(slog.DiscardHandler)}}
	g, err := openGate(t.Context(), s, &config.Config{StateDir: dir}, gateParts{store, j})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	m := &monitoring{metrics: telemetry.NewMetrics("test", &present{Service: quiet{}})}
	b, err := openBackground(t.Context(), s, cfg, backgroundParts{quiet{}, g, j, store, m})
	if err == nil {
		t.Cleanup(b.close)
	}
	return b, err
}

// TestASecondServerOfAStateFolder is refused, and is told what to do.
func TestASecondServerOfAStateFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := backgroundIn(t, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backgroundIn(t, dir, false); lockstep.KindOf(err) != lockstep.KindConflict || !errors.Is(err, journal.ErrOwned) || lockstep.HintOf(err) == "" {
		t.Errorf("a second one: %v, hint %q", err, lockstep.HintOf(err))
	}
	first.letGo() // what it waits for it still tells of
	if _, err := backgroundIn(t, dir, false); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("while the first one stops: %v", err)
	}
	first.close()
	if _, err := backgroundIn(t, dir, false); err != nil {
		t.Errorf("after the first one: %v", err)
	}
}

// TestASecondServerOfADatabase follows, and leads when the first one stops: the schedules
// of the configuration are the leader's.
func TestASecondServerOfADatabase(t *testing.T) {
	dir := t.TempDir()
	first, err := backgroundIn(t, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	second, err := backgroundIn(t, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if !first.lead.Leading().Leads || second.lead.Leading().Leads {
		t.Fatalf("the first says %+v, the second %+v", first.lead.Leading(), second.lead.Leading())
	}
	first.begin()
	second.begin()
	first.letGo()
	for deadline := time.Now().Add(20 * time.Second); !second.lead.Leading().Leads; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the second one does not lead within 20 seconds")
		}
	}
	if first.lead.Leading().Leads {
		t.Error("both lead")
	}
}
