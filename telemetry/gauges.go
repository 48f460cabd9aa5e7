package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lockstep"
)

// Now is what the gauges ask, each time they are collected.
type Now interface {
	Deployments(ctx context.Context) ([]lockstep.DeploymentInfo, error)
	Held(ctx context.Context, deployment string) ([]lockstep.Hold, error)
	Runs(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error)
	// LastSizes are the bytes of the newest verified backup: as the instances
	// have them, and as the repository stores them. ok is false where there is
	// none or nobody knows.
	LastSizes(ctx context.Context, deployment string) (logical, stored int64, ok bool)
	// ExpectedInterval is how often a backup of the deployment is due, 0 where
	// none is scheduled.
	ExpectedInterval(ctx context.Context, deployment string) time.Duration
	// Leads reports whether this server works through schedules and notices.
	Leads() bool
	// Kept counts the backups of each deployment by what their data is worth, and
	// says which deployments are half restored and how much room is left. The error
	// says that the repository is missing, or cannot be read.
	Kept(ctx context.Context) (Kept, error)
}

// Kept is what is kept, as gauges tell it.
type Kept struct {
	Backups      map[string]map[lockstep.DataState]int
	HalfRestored map[string]bool
	// Free is how many bytes may still be kept, -1 if that is not known.
	Free int64
}

// keptStates are those that a gauge is given of every deployment, so that an
// alarm on one that has none yet finds a 0.
var keptStates = []lockstep.DataState{
	lockstep.DataVerified, lockstep.DataIncomplete, lockstep.DataSuspect, lockstep.DataDamaged, lockstep.DataUnproven,
}

// collectWithin bounds one collection.
const collectWithin = 5 * time.Second

// gauges collects what is true now.
type gauges struct {
	now                                                  Now
	locked, since, success, window, expected, size, open *prometheus.Desc
	backups, half, missing, free, leads                  *prometheus.Desc
}

func newGauges(now Now) *gauges {
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("lockstep_"+name, help, labels, nil)
	}
	return &gauges{
		now:      now,
		locked:   gauge("locked", "1 while anything of the deployment is or may be locked.", "deployment"),
		since:    gauge("locked_since_timestamp_seconds", "When the oldest lock that is still held was taken; absent while nothing is locked.", "deployment"),
		success:  gauge("last_success_timestamp_seconds", "End of the last run that succeeded; absent where there is none.", "deployment", "operation"),
		window:   gauge("lock_window_seconds", "Lock window of the last backup that locked.", "deployment"),
		expected: gauge("schedule_expected_interval_seconds", "How often a backup is due; absent where none is scheduled.", "deployment"),
		backups:  gauge("backups", "Backups of the deployment, by what their data is worth.", "deployment", "data"),
		half:     gauge("half_restored", "1 while the last restore of the deployment ended partial and nobody acknowledged it.", "deployment"),
		missing:  gauge("repository_missing", "1 while the repository is not the one that was used before, or cannot be read."),
		free:     gauge("repository_free_bytes", "How much may still be kept in the repository; absent where that is not known, as of a bucket."),
		leads:    gauge("leader", "1 while this server works through schedules and notices; of several on one database one does."),
		size:     gauge("artifact_bytes", "Size of the newest verified backup.", "deployment", "kind"),
		open:     gauge("open_runs", "Runs that have not ended; abandoned ones have no living orchestrator.", "deployment", "driver"),
	}
}

// Describe implements prometheus.Collector.
func (p *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.locked, p.since, p.success, p.window, p.expected, p.size, p.open, p.backups, p.half, p.missing, p.free, p.leads} {
		to <- d
	}
}

// Collect implements prometheus.Collector. What cannot be read is an invalid
// metric, never a number: nothing is guessed from a listing that failed.
func (p *gauges) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectWithin)
	defer cancel()
	leads := 0.0
	if p.now.Leads() {
		leads = 1
	}
	to <- value(p.leads, leads)
	deployments, err := p.now.Deployments(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(p.locked, err)
		return
	}
	held, err := p.now.Held(ctx, "")
	if err != nil {
		to <- prometheus.NewInvalidMetric(p.locked, err)
		return
	}
	running, err := p.now.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
	if err != nil {
		to <- prometheus.NewInvalidMetric(p.open, err)
		return
	}
	for _, name := range namesOf(deployments, held) {
		p.collectLocks(to, name, held)
		p.collectOpen(to, name, running)
		p.collectLast(ctx, to, name)
		p.collectSizes(ctx, to, name)
	}
	// Last, and with what time is left: a slow repository hides nothing of this.
	p.collectKept(ctx, to, deployments)
}

func (p *gauges) collectKept(ctx context.Context, to chan<- prometheus.Metric, deployments []lockstep.DeploymentInfo) {
	kept, err := p.now.Kept(ctx)
	if err != nil {
		to <- value(p.missing, 1)
		return
	}
	to <- value(p.missing, 0)
	if kept.Free >= 0 {
		to <- value(p.free, float64(kept.Free))
	}
	for _, d := range deployments {
		half := 0.0
		if kept.HalfRestored[d.Name] {
			half = 1
		}
		to <- value(p.half, half, d.Name)
		for _, state := range keptStates {
			to <- value(p.backups, float64(kept.Backups[d.Name][state]), d.Name, string(state))
		}
	}
}

// namesOf are the configured deployments, and those of which something is held
// that are configured no longer.
func namesOf(deployments []lockstep.DeploymentInfo, held []lockstep.Hold) []string {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name], names = true, append(names, name)
		}
	}
	for _, d := range deployments {
		add(d.Name)
	}
	for _, h := range held {
		add(h.Deployment)
	}
	return names
}

func (p *gauges) collectLocks(to chan<- prometheus.Metric, name string, held []lockstep.Hold) {
	var since time.Time
	for _, h := range held {
		if h.Deployment == name && (since.IsZero() || h.Since.Before(since)) {
			since = h.Since
		}
	}
	if since.IsZero() {
		to <- value(p.locked, 0, name)
		return
	}
	to <- value(p.locked, 1, name)
	to <- value(p.since, seconds(since), name)
}

func (p *gauges) collectOpen(to chan<- prometheus.Metric, name string, running []lockstep.RunSummary) {
	var alive, abandoned float64
	for _, r := range running {
		switch {
		case r.Deployment != name:
		case r.Abandoned:
			abandoned++
		default:
			alive++
		}
	}
	to <- value(p.open, alive, name, "alive")
	to <- value(p.open, abandoned, name, "abandoned")
}

func (p *gauges) collectLast(ctx context.Context, to chan<- prometheus.Metric, name string) {
	for _, op := range []lockstep.Operation{lockstep.OperationBackup, lockstep.OperationRestore, lockstep.OperationCheck} {
		runs, err := p.now.Runs(ctx, lockstep.RunFilter{Deployment: name, Operation: op, State: lockstep.RunSucceeded, Limit: 1})
		if err != nil {
			to <- prometheus.NewInvalidMetric(p.success, err)
			return
		}
		if len(runs) > 0 {
			to <- value(p.success, seconds(runs[0].EndedAt), name, string(op))
		}
	}
	runs, err := p.now.Runs(ctx, lockstep.RunFilter{Deployment: name, Operation: lockstep.OperationBackup, Limit: lastWindows})
	if err != nil {
		to <- prometheus.NewInvalidMetric(p.window, err)
		return
	}
	for _, r := range runs {
		if r.LockWindow > 0 {
			to <- value(p.window, r.LockWindow, name)
			break
		}
	}
}

// lastWindows is among how many of the last backups one with a lock window is
// looked for.
const lastWindows = 10

func (p *gauges) collectSizes(ctx context.Context, to chan<- prometheus.Metric, name string) {
	if every := p.now.ExpectedInterval(ctx, name); every > 0 {
		to <- value(p.expected, every.Seconds(), name)
	}
	if logical, stored, ok := p.now.LastSizes(ctx, name); ok {
		to <- value(p.size, float64(logical), name, "logical")
		to <- value(p.size, float64(stored), name, "stored")
	}
}

func value(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
