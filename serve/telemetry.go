package serve

import (
	"context"
	"sync"
	"time"

	"lockstep"
	"lockstep/notify"
	"lockstep/outbox"
	"lockstep/schedule"
	"lockstep/telemetry"
)

// monitoring tells monitoring systems how runs went.
type monitoring struct {
	feed    *telemetry.Feed
	log     *telemetry.Log
	metrics *telemetry.Metrics
	working sync.WaitGroup
	stop    context.CancelFunc
	flush   func(context.Context) error // sends the traces that wait
}

// flushTimeout bounds sending the last traces.
const flushTimeout = 5 * time.Second

// openMonitoring begins it. Traces are sent where the standard variables of
// OpenTelemetry say where to.
func openMonitoring(ctx context.Context, s Serving, now *present) (*monitoring, error) {
	m := &monitoring{metrics: telemetry.NewMetrics(s.Version, now)}
	recorders := []telemetry.Recorder{m.metrics}
	if s.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")+s.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" {
		provider, flush, err := telemetry.OTLP(ctx, s.Version)
		if err != nil {
			return nil, err
		}
		m.flush = flush
		recorders = append(recorders, telemetry.NewTraces(provider))
	}
	m.feed = telemetry.NewFeed(now, s.Logger, recorders...)
	m.log = telemetry.NewLog(s.Logger, now)
	ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	m.working.Go(func() { m.feed.Drain(ctx) })
	m.working.Go(func() { m.log.Drain(ctx) })
	return m, nil
}

// close ends it.
func (m *monitoring) close() {
	m.stop()
	m.working.Wait()
	if m.flush != nil {
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		_ = m.flush(ctx)
	}
}

// counted are receivers whose deliveries are counted.
func (m *monitoring) counted(receivers []outbox.Receiver) []outbox.Receiver {
	for i, r := range receivers {
		receivers[i].Sender = countedSender{r.Sender, m.metrics}
	}
	return receivers
}

type countedSender struct {
	notify.Sender
	metrics *telemetry.Metrics
}

// Send implements notify.Sender.
func (c countedSender) Send(ctx context.Context, n notify.Notice) error {
	err := c.Sender.Send(ctx, n)
	c.metrics.Delivered(err == nil)
	return err
}

// present is what gauges ask.
type present struct {
	lockstep.Service
	// schedules, where there are any yet.
	schedules lockstep.Schedules
	// leads says whether this server leads; nil: that is not known yet.
	leads func() lockstep.Leading

	mu    sync.Mutex
	sizes map[lockstep.RunID]int64

	keptMu sync.Mutex
	keptAt time.Time
	kept   telemetry.Kept
	// keptErr is that of the last look.
	keptErr error
}

// keptFor is how long what was found of all backups is told again: to look
// reads every manifest.
const keptFor = time.Minute

// Kept implements telemetry.Now.
func (p *present) Kept(ctx context.Context) (telemetry.Kept, error) {
	p.keptMu.Lock()
	defer p.keptMu.Unlock()
	if time.Since(p.keptAt) < keptFor {
		return p.kept, p.keptErr
	}
	kept, err := keptOf(ctx, p.Service)
	if ctx.Err() != nil {
		return kept, err // it says nothing of the repository; the next look may have the time
	}
	p.keptAt, p.kept, p.keptErr = time.Now(), kept, err
	return kept, err
}

func keptOf(ctx context.Context, svc lockstep.Service) (telemetry.Kept, error) {
	kept := telemetry.Kept{Backups: map[string]map[lockstep.DataState]int{}, HalfRestored: map[string]bool{}, Free: -1}
	list, err := svc.Backups(ctx, "")
	if err != nil {
		return kept, err
	}
	for _, b := range list {
		if kept.Backups[b.Deployment] == nil {
			kept.Backups[b.Deployment] = map[lockstep.DataState]int{}
		}
		kept.Backups[b.Deployment][b.Data]++
	}
	if r, ok := svc.(interface {
		RepositoryFree(ctx context.Context) (int64, error)
	}); ok {
		if kept.Free, err = r.RepositoryFree(ctx); err != nil {
			return kept, err
		}
	}
	h, ok := svc.(interface {
		HalfRestored(ctx context.Context) (map[string]string, error)
	})
	if !ok {
		return kept, nil
	}
	half, err := h.HalfRestored(ctx)
	for name := range half {
		kept.HalfRestored[name] = true
	}
	return kept, err
}

// Leads implements telemetry.Now.
func (p *present) Leads() bool { return p.leads != nil && p.leads().Leads }

// Held implements telemetry.Now. A run that is lost may have locked anything.
func (p *present) Held(ctx context.Context, deployment string) ([]lockstep.Hold, error) {
	held, err := p.Service.Held(ctx, deployment)
	l, ok := p.Service.(lockstep.LostRuns)
	if err != nil || !ok {
		return held, err
	}
	lost, err := l.LostRuns(ctx)
	for _, r := range lost {
		if deployment == "" || r.Deployment == deployment {
			held = append(held, lockstep.Hold{Key: r.Key, Deployment: r.Deployment, Run: r.Run, Since: r.Since})
		}
	}
	return held, err
}

// LastSizes implements telemetry.Now. A plain folder stores what it is given.
// What a run moved never changes, so that it is read once.
func (p *present) LastSizes(ctx context.Context, deployment string) (logical, stored int64, ok bool) {
	runs, err := p.Runs(ctx, lockstep.RunFilter{Deployment: deployment, Operation: lockstep.OperationBackup, State: lockstep.RunSucceeded, Limit: 1})
	if err != nil || len(runs) == 0 {
		return 0, 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := runs[0].ID
	size, known := p.sizes[id]
	if !known {
		run, err := p.Run(ctx, id)
		if err != nil {
			return 0, 0, false
		}
		manifest := run.Manifest(run.EndedAt)
		size = manifest.Bytes()
		if len(p.sizes) > maxSizes || p.sizes == nil {
			p.sizes = map[lockstep.RunID]int64{}
		}
		p.sizes[id] = size
	}
	return size, size, true
}

// maxSizes bounds what is remembered.
const maxSizes = 1000

// ExpectedInterval implements telemetry.Now: the longest gap of the densest
// schedule.
func (p *present) ExpectedInterval(ctx context.Context, deployment string) time.Duration {
	if p.schedules == nil {
		return 0
	}
	list, err := p.schedules.List(ctx, deployment)
	if err != nil {
		return 0
	}
	var shortest time.Duration
	for _, s := range list {
		times, err := schedule.Parse(s.Cron, s.Zone)
		if err != nil || s.Operation != lockstep.ScheduledBackup || s.Paused {
			continue
		}
		if gap := (schedule.Rules{Times: times}).LongestGap(time.Now()); shortest == 0 || gap > 0 && gap < shortest {
			shortest = gap
		}
	}
	return shortest
}
