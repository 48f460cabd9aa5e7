package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"lockstep"
)

// Traces makes a trace of each ended run: a span of the run, below it one of
// each stage, below that one of each try of a step, with the times that the
// journal has. A run that a dead orchestrator left is traced when it is settled.
type Traces struct{ tracer trace.Tracer }

var _ Recorder = (*Traces)(nil)

// NewTraces makes traces with spans of that provider.
func NewTraces(provider trace.TracerProvider) *Traces {
	return &Traces{tracer: provider.Tracer("lockstep")}
}

// OTLP is a provider that sends spans by OTLP over HTTP, to where the standard
// variables say (OTEL_EXPORTER_OTLP_ENDPOINT and its kin). shutdown sends what
// waits.
func OTLP(ctx context.Context, version string) (provider trace.TracerProvider, shutdown func(context.Context) error, err error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("make the exporter of traces: %w", err)
	}
	p := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(resource.NewSchemaless(
		attribute.String("service.name", "lockstep"), attribute.String("service.version", version),
	)))
	return p, p.Shutdown, nil
}

// Record sends the trace of an ended run.
func (t *Traces) Record(run *lockstep.Run) {
	if run.Ending == nil {
		return
	}
	ctx, root := t.tracer.Start(context.Background(), string(run.Opened.Operation)+" "+run.Opened.Deployment,
		trace.WithNewRoot(), trace.WithTimestamp(run.OpenedAt), trace.WithAttributes(
			attribute.String("lockstep.run", string(run.ID)),
			attribute.String("lockstep.deployment", run.Opened.Deployment),
			attribute.String("lockstep.operation", string(run.Opened.Operation)),
			attribute.String("lockstep.state", string(run.Ending.State)),
			attribute.String("lockstep.locks", string(run.Ending.Locks)),
			attribute.Float64("lockstep.lock_window_seconds", run.LockWindow(run.EndedAt).Seconds()),
		))
	if run.Ending.State != lockstep.RunSucceeded {
		root.SetStatus(codes.Error, string(run.Ending.State)) // the error may quote a script
	}
	t.stages(ctx, run)
	root.End(trace.WithTimestamp(run.EndedAt))
}

func (t *Traces) stages(ctx context.Context, run *lockstep.Run) {
	parents := map[lockstep.Stage]context.Context{}
	for stage, in := range spansOfStages(run) {
		stageCtx, span := t.tracer.Start(ctx, "stage "+string(stage), trace.WithTimestamp(in.start))
		span.End(trace.WithTimestamp(in.end))
		parents[stage] = stageCtx
	}
	for _, x := range triesOf(run) {
		t.try(parents[x.step.Stage], x)
	}
}

func (t *Traces) try(ctx context.Context, x tried) {
	attributes := []attribute.KeyValue{
		attribute.String("lockstep.step", string(x.step.ID)),
		attribute.String("lockstep.stage", string(x.step.Stage)),
		attribute.Int("lockstep.wave", x.step.Wave),
		attribute.Int("lockstep.attempt", x.try.Attempt),
		attribute.String("lockstep.outcome", x.try.Outcome.String()),
	}
	if x.step.Instance != "" {
		attributes = append(attributes, attribute.String("lockstep.instance", string(x.step.Instance)))
	}
	if job := x.step.Job(); job != "" {
		attributes = append(attributes, attribute.String("lockstep.job", job))
	}
	_, span := t.tracer.Start(ctx, string(x.step.ID), trace.WithTimestamp(x.try.StartedAt), trace.WithAttributes(attributes...))
	if !x.try.Outcome.OK() {
		// What a script printed may hold secrets; how it ended does not.
		span.SetStatus(codes.Error, x.try.Outcome.String())
	}
	span.End(trace.WithTimestamp(x.try.FinishedAt))
}
