package telemetry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"lockstep"
	"lockstep/telemetry"
)

var start = time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)

const stderrOfScript = "password=canary-7f3a"

// endedRun is a backup whose lock script failed once and was unlocked after.
func endedRun(t *testing.T) *lockstep.Run {
	t.Helper()
	run, err := lockstep.FoldRun(eventsOfRun())
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func eventsOfRun() []lockstep.Event {
	slot := lockstep.Slot{Group: "db", Index: "0", Job: "postgres"}
	lock := lockstep.Step{ID: "db/0/postgres/pre-backup-lock", Stage: lockstep.StageLock, Wave: 1, Instance: "db/0", Slot: slot, Script: &lockstep.Script{Kind: lockstep.ScriptPreBackupLock}}
	unlock := lockstep.Step{ID: "db/0/postgres/post-backup-unlock", Stage: lockstep.StageUnlock, Wave: 1, Instance: "db/0", Slot: slot, Of: lock.ID, Script: &lockstep.Script{Kind: lockstep.ScriptPostBackupUnlock}}
	plan := lockstep.Plan{Operation: lockstep.OperationBackup, Deployment: "shop", Waves: []lockstep.Wave{
		{Stage: lockstep.StageLock, Number: 1, Steps: []lockstep.Step{lock}},
		{Stage: lockstep.StageUnlock, Number: 1, Steps: []lockstep.Step{unlock}},
	}}
	var events []lockstep.Event
	for i, x := range []struct {
		after time.Duration
		data  lockstep.EventData
	}{
		{0, lockstep.RunOpened{Operation: lockstep.OperationBackup, Deployment: "shop"}},
		{time.Second, lockstep.RunPlanned{Plan: plan, Digest: plan.Digest()}},
		{2 * time.Second, lockstep.StepStarted{Step: lock.ID, Attempt: 1}},
		{5 * time.Second, lockstep.StepFinished{Step: lock.ID, Attempt: 1, Outcome: lockstep.Exited(3), Error: stderrOfScript}},
		{6 * time.Second, lockstep.StepStarted{Step: unlock.ID, Attempt: 1}},
		{8 * time.Second, lockstep.StepFinished{Step: unlock.ID, Attempt: 1, Outcome: lockstep.Exited(0)}},
		{9 * time.Second, lockstep.RunEnded{Ending: lockstep.Ending{State: lockstep.RunFailedState, Locks: lockstep.LocksReleased, ExitCode: 4, Error: stderrOfScript}}},
	} {
		events = append(events, lockstep.Event{V: 1, Run: "r1", Seq: uint64(i + 1), Term: 1, Time: start.Add(x.after), Data: x.data})
	}
	return events
}

// world answers what gauges ask.
type world struct {
	held    []lockstep.Hold
	runs    []lockstep.RunSummary
	failing error
	gone    error // of the repository
	free    int64 // bytes there
	run     *lockstep.Run
}

func (w world) Kept(context.Context) (telemetry.Kept, error) {
	return telemetry.Kept{
		Backups:      map[string]map[lockstep.DataState]int{"shop": {lockstep.DataVerified: 3, lockstep.DataDamaged: 1, lockstep.DataSuspect: 2}},
		HalfRestored: map[string]bool{"shop": true}, Free: w.free,
	}, w.gone
}

func (w world) Deployments(context.Context) ([]lockstep.DeploymentInfo, error) {
	return []lockstep.DeploymentInfo{{Name: "shop"}, {Name: "idle"}}, w.failing
}
func (world) Leads() bool { return true }

func (w world) Held(context.Context, string) ([]lockstep.Hold, error) { return w.held, nil }
func (w world) Runs(_ context.Context, f lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	return slices.DeleteFunc(slices.Clone(w.runs), func(r lockstep.RunSummary) bool {
		return f.Deployment != "" && r.Deployment != f.Deployment || f.State != "" && r.State != f.State || f.Operation != "" && r.Operation != f.Operation
	}), nil
}
func (w world) LastSizes(_ context.Context, name string) (int64, int64, bool) {
	return 1000, 1024, name == "shop"
}
func (w world) ExpectedInterval(_ context.Context, name string) time.Duration {
	if name == "shop" {
		return 24 * time.Hour
	}
	return 0
}
func (w world) Run(context.Context, lockstep.RunID) (*lockstep.Run, error) {
	if w.run == nil {
		return nil, errors.New("the journal is damaged")
	}
	return w.run, nil
}

// busyWorld has one of everything, so that every metric has a value.
func busyWorld() world {
	return world{
		held: []lockstep.Hold{{Deployment: "shop", Since: start}, {Deployment: "shop", Since: start.Add(time.Minute)}, {Deployment: "gone", Since: start}},
		runs: []lockstep.RunSummary{
			{Deployment: "shop", Operation: lockstep.OperationBackup, State: lockstep.RunSucceeded, EndedAt: start, LockWindow: 1.5},
			{Deployment: "shop", Operation: lockstep.OperationBackup, State: lockstep.RunRunning, Abandoned: true},
		},
		free: 5 << 30,
	}
}

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestMetrics(t *testing.T) {
	m := telemetry.NewMetrics("1.2.3", busyWorld())
	m.Record(endedRun(t))
	m.Delivered(true)
	m.Delivered(false)
	got := scrape(t, m)
	for _, want := range []string{
		`lockstep_run_total{deployment="shop",operation="backup",result="failed"} 1`,
		`lockstep_run_duration_seconds_sum{deployment="shop",operation="backup"} 9`,
		`lockstep_stage_duration_seconds_sum{operation="backup",stage="lock"} 3`,
		`lockstep_lock_window_duration_seconds_sum{deployment="shop"} 6`,
		`lockstep_script_exit_total{result="failed",stage="lock"} 1`,
		`lockstep_script_exit_total{result="ok",stage="unlock"} 1`,
		`lockstep_notifications_total{result="failed"} 1`,
		`lockstep_locked{deployment="shop"} 1`,
		`lockstep_locked{deployment="idle"} 0`,
		`lockstep_locked{deployment="gone"} 1`, // configured no longer, and still locked
		`lockstep_locked_since_timestamp_seconds{deployment="shop"} 1.7958348e+09`,
		`lockstep_last_success_timestamp_seconds{deployment="shop",operation="backup"} 1.7958348e+09`,
		`lockstep_lock_window_seconds{deployment="shop"} 1.5`,
		`lockstep_schedule_expected_interval_seconds{deployment="shop"} 86400`,
		`lockstep_artifact_bytes{deployment="shop",kind="stored"} 1024`,
		`lockstep_open_runs{deployment="shop",driver="abandoned"} 1`,
		`lockstep_backups{data="damaged",deployment="shop"} 1`,
		`lockstep_backups{data="suspect",deployment="shop"} 2`,
		`lockstep_backups{data="damaged",deployment="idle"} 0`,
		`lockstep_half_restored{deployment="shop"} 1`,
		`lockstep_half_restored{deployment="idle"} 0`,
		`lockstep_repository_missing 0`,
		`lockstep_leader 1`,
		`lockstep_repository_free_bytes 5.36870912e+09`,
		`version="1.2.3"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, never := range []string{`lockstep_locked_since_timestamp_seconds{deployment="idle"}`, `lockstep_last_success_timestamp_seconds{deployment="idle"`, "canary"} {
		if strings.Contains(got, never) {
			t.Errorf("the metrics have %s", never)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// A repository that is missing is not one without backups.
//
//fault:repository-missing-metric the disk of the repository is not mounted | lockstep_repository_missing is 1, and no number of backups is told
func TestMetrics_ARepositoryThatIsMissing(t *testing.T) {
	w := busyWorld()
	w.gone = errors.New("not mounted")
	got := scrape(t, telemetry.NewMetrics("1", w))
	if !strings.Contains(got, "lockstep_repository_missing 1") || strings.Contains(got, "lockstep_backups{") || strings.Contains(got, "lockstep_repository_free") {
		t.Errorf("metrics:\n%s", got)
	}
}

// How much room a bucket has nobody knows, and no number is told.
func TestMetrics_RoomThatIsNotKnown(t *testing.T) {
	w := busyWorld()
	w.free = -1
	if got := scrape(t, telemetry.NewMetrics("1", w)); strings.Contains(got, "\nlockstep_repository_free_bytes") {
		t.Errorf("metrics:\n%s", got)
	}
}

// What cannot be read must not look like "nothing is locked".
func TestMetrics_AListingThatFailedIsNoNumber(t *testing.T) {
	w := busyWorld()
	w.failing = errors.New("the disk is gone")
	rec := httptest.NewRecorder()
	telemetry.NewMetrics("1", w).Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code == 200 || strings.Contains(rec.Body.String(), "lockstep_locked{") {
		t.Errorf("status %d, body %s; want a failure without numbers of locks", rec.Code, rec.Body)
	}
}

func TestTraces_OneSpanPerTry(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	run := endedRun(t)
	telemetry.NewTraces(sdk.NewTracerProvider(sdk.WithSyncer(spans))).Record(run)
	got := map[string]tracetest.SpanStub{}
	for _, s := range spans.GetSpans() {
		got[s.Name] = s
	}
	if len(got) != 5 { // the run, two stages, two tries
		t.Fatalf("%d spans: %v", len(got), got)
	}
	lock := got["db/0/postgres/pre-backup-lock"]
	if !lock.StartTime.Equal(start.Add(2*time.Second)) || !lock.EndTime.Equal(start.Add(5*time.Second)) {
		t.Errorf("the lock's span is from %s to %s", lock.StartTime, lock.EndTime)
	}
	if lock.Parent.SpanID() != got["stage lock"].SpanContext.SpanID() || got["stage lock"].Parent.SpanID() != got["backup shop"].SpanContext.SpanID() {
		t.Error("a try's span is not below its stage's, or that not below the run's")
	}
	for name, s := range got {
		if strings.Contains(s.Status.Description, "canary") {
			t.Errorf("span %q tells what a script printed: %q", name, s.Status.Description)
		}
	}
}

// counted is a recorder that says which runs it was told of.
type counted chan lockstep.RunID

func (c counted) Record(run *lockstep.Run) { c <- run.ID }

func TestFeed(t *testing.T) {
	told := make(counted, 8)
	feed := telemetry.NewFeed(world{run: endedRun(t)}, slog.New(slog.DiscardHandler), told)
	feed.Observe(lockstep.Event{Run: "r1", Data: lockstep.Noted{}})
	feed.Observe(lockstep.Event{Run: "r1", Data: lockstep.RunEnded{}})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { feed.Drain(ctx); close(done) }()
	if id := <-told; id != "r1" {
		t.Errorf("told of %s", id)
	}
	stop()
	<-done
	if len(told) != 0 {
		t.Error("told of an event that ends no run")
	}
}

// A flood of ended runs, and nobody who drains: Observe must not wait.
func TestFeed_NeverWaits(t *testing.T) {
	feed := telemetry.NewFeed(world{}, slog.New(slog.DiscardHandler))
	for range 5000 {
		feed.Observe(lockstep.Event{Data: lockstep.RunEnded{}})
	}
	if feed.Dropped() == 0 {
		t.Error("5000 runs wait")
	}
}

func TestLog(t *testing.T) {
	var out strings.Builder
	log := telemetry.NewLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), world{})
	for _, e := range eventsOfRun() {
		log.Observe(e)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	log.Drain(ctx) // what waits is still written
	for _, want := range []string{
		`level=INFO msg="run begins" run_id=r1 deployment=shop operation=backup`,
		`level=WARN msg="step has ended" run_id=r1 deployment=shop step=db/0/postgres/pre-backup-lock attempt=1 outcome="exit 3" stage=lock instance=db/0 job=postgres script=pre-backup-lock`,
		`level=DEBUG msg="step has ended" run_id=r1 deployment=shop step=db/0/postgres/post-backup-unlock`,
		`level=ERROR msg="run has ended" run_id=r1 deployment=shop state=failed`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %s in:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "canary") {
		t.Errorf("what a script printed is in the log:\n%s", &out)
	}
}

// Of a run that another orchestrator began its begin was not seen.
func TestLog_ARunThatIsTakenOver(t *testing.T) {
	for name, tt := range map[string]struct {
		known world
		want  []string
	}{
		"known": {world{run: endedRun(t)}, []string{
			`msg="run of a dead orchestrator is taken over" run_id=r1 deployment=shop`,
			`msg="step has ended" run_id=r1 deployment=shop step=db/0/postgres/post-backup-unlock attempt=2 outcome="exit 1" stage=unlock instance=db/0`,
			`msg="run has ended" run_id=r1 deployment=shop`,
		}},
		"unknown": {world{}, []string{`msg="step has ended" run_id=r1 deployment="" step=db/0/postgres/post-backup-unlock`}},
	} {
		var out strings.Builder
		log := telemetry.NewLog(slog.New(slog.NewTextHandler(&out, nil)), tt.known)
		for i, data := range []lockstep.EventData{
			lockstep.RunRecovering{Owner: "another"},
			lockstep.StepFinished{Step: "db/0/postgres/post-backup-unlock", Attempt: 2, Outcome: lockstep.Exited(1)},
			lockstep.RunEnded{},
		} {
			log.Observe(lockstep.Event{Seq: uint64(i + 9), Run: "r1", Data: data})
		}
		ctx, stop := context.WithCancel(context.Background())
		stop()
		log.Drain(ctx)
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no line %s in:\n%s", name, want, &out)
			}
		}
	}
}

// A log that nobody reads must not hold a run up, and what is missing is said.
func TestLog_NeverWaits(t *testing.T) {
	var out strings.Builder
	log := telemetry.NewLog(slog.New(slog.NewTextHandler(&out, nil)), world{})
	for range 10_000 {
		log.Observe(lockstep.Event{Seq: 1, Run: "r1", Data: lockstep.LeaseFired{Instance: "db/0"}})
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	log.Drain(ctx)
	if !strings.Contains(out.String(), "lines=5904") {
		t.Errorf("what is missing is not said: %.200s", out.String())
	}
}

// metricsOf is a scrape with one of everything.
func metricsOf(t *testing.T) string {
	m := telemetry.NewMetrics("1", busyWorld())
	m.Record(endedRun(t))
	m.Delivered(true)
	return scrape(t, m)
}

// The document names the metrics that there are, all of them and no others.
func TestTheDocumentNamesAllMetrics(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(pattern, in string) []string {
		var out []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(in, -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	said, real := names("(?m)^\\| `(lockstep_[a-z_]+)` \\|", string(text)), names(`(?m)^# TYPE (lockstep_[a-z_]+) `, metricsOf(t))
	if len(real) < 15 || !slices.Equal(said, real) {
		t.Errorf("docs/operations.md names\n%q\nthere are\n%q", said, real)
	}
}

// The examples must name metrics that exist.
func TestExamplesNameRealMetrics(t *testing.T) {
	real := map[string]bool{}
	for _, name := range regexp.MustCompile(`(?m)^lockstep_[a-z_]+`).FindAllString(metricsOf(t), -1) {
		real[name] = true
	}
	for _, file := range []string{"alerts.yaml", "grafana-dashboard.json"} {
		text, err := os.ReadFile("../examples/monitoring/" + file)
		if err != nil {
			t.Fatal(err)
		}
		used := regexp.MustCompile(`\blockstep_[a-z_]+`).FindAllString(string(text), -1)
		if len(used) < 8 {
			t.Errorf("%s names %d metrics; is it whole?", file, len(used))
		}
		for _, name := range used {
			if !real[name] {
				t.Errorf("%s names the metric %s, which does not exist", file, name)
			}
		}
	}
}
