package telemetry

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lockstep"
)

// Metrics are the numbers of one orchestrator, all with the prefix "lockstep_",
// in base units. Counters and histograms count the runs that ended under this
// process; gauges are read from the journal when they are collected. It is safe
// for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	runs     *prometheus.CounterVec
	duration *prometheus.HistogramVec
	stages   *prometheus.HistogramVec
	windows  *prometheus.HistogramVec
	scripts  *prometheus.CounterVec
	notices  *prometheus.CounterVec
}

var _ Recorder = (*Metrics)(nil)

// durations are the buckets of runs and stages: from a tenth of a second to
// half a day.
var durations = []float64{.1, .5, 1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 12 * 3600}

// NewMetrics makes the metrics of an orchestrator of that version.
func NewMetrics(version string, now Now) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lockstep_run_total", Help: "Runs that ended, by how.",
		}, []string{"deployment", "operation", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lockstep_run_duration_seconds", Help: "From the opening of a run to its end.", Buckets: durations,
		}, []string{"deployment", "operation"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lockstep_stage_duration_seconds", Help: "From the start of a stage's first step to the end of its last.", Buckets: durations,
		}, []string{"operation", "stage"}),
		windows: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lockstep_lock_window_duration_seconds", Help: "How long a deployment stood still, of each run that locked.", Buckets: durations,
		}, []string{"deployment"}),
		scripts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lockstep_script_exit_total", Help: "Tries of job scripts, by how they ended: ok, failed (an exit status that is not 0), signal, or no status received.",
		}, []string{"stage", "result"}),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lockstep_notifications_total", Help: "Attempts to deliver a notification, by how they ended.",
		}, []string{"result"}),
	}
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lockstep_build_info", Help: "Always 1; its labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
	m.registry.MustRegister(
		m.runs, m.duration, m.stages, m.windows, m.scripts, m.notices, info, newGauges(now),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers a collector of metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Delivered counts one attempt to deliver a notification.
func (m *Metrics) Delivered(ok bool) {
	result := "failed"
	if ok {
		result = "delivered"
	}
	m.notices.WithLabelValues(result).Inc()
}

// Record counts an ended run.
func (m *Metrics) Record(run *lockstep.Run) {
	if run.Ending == nil {
		return
	}
	deployment, operation := run.Opened.Deployment, string(run.Opened.Operation)
	m.runs.WithLabelValues(deployment, operation, string(run.Ending.State)).Inc()
	m.duration.WithLabelValues(deployment, operation).Observe(run.EndedAt.Sub(run.OpenedAt).Seconds())
	if window := run.LockWindow(run.EndedAt); window > 0 {
		m.windows.WithLabelValues(deployment).Observe(window.Seconds())
	}
	for stage, span := range spansOfStages(run) {
		m.stages.WithLabelValues(operation, string(stage)).Observe(span.end.Sub(span.start).Seconds())
	}
	for _, t := range triesOf(run) {
		if t.step.Script != nil {
			m.scripts.WithLabelValues(string(t.step.Stage), resultOf(t.try.Outcome)).Inc()
		}
	}
}

func resultOf(o lockstep.Outcome) string {
	switch {
	case o.OK():
		return "ok"
	case o.Kind == lockstep.OutcomeExit:
		return "failed"
	case o.Kind == lockstep.OutcomeSignal:
		return "signal"
	}
	return "unknown"
}
