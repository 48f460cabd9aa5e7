package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"lockstep"
	"lockstep/journal/journaltest"
)

// BenchmarkAppend is the cost of one durable Append of so many events.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 50, 1000} {
		b.Run(fmt.Sprintf("%d-events", n), func(b *testing.B) {
			j := openBench(b, b.TempDir())
			st := journaltest.NewStory("run-a", "key-a")
			appendBench(b, j, st.Begun(lockstep.OperationBackup, n))
			for b.Loop() {
				b.StopTimer()
				wave := st.Started(lockstep.StageLock)
				b.StartTimer()
				appendBench(b, j, wave)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkPlan is the cost of planning 1,000 instances of three jobs: one big
// event.
func BenchmarkPlan(b *testing.B) {
	dir := b.TempDir()
	j := openBench(b, dir)
	i := 0
	for b.Loop() {
		st := journaltest.NewStory(lockstep.RunID(fmt.Sprintf("run-%06d", i)), "key-a")
		i++
		appendBench(b, j, st.Begun(lockstep.OperationBackup, 3000))
	}
}

// BenchmarkOutput is the cost of keeping what a script printed.
func BenchmarkOutput(b *testing.B) {
	j := openBench(b, b.TempDir())
	st := journaltest.NewStory("run-a", "key-a")
	appendBench(b, j, st.Begun(lockstep.OperationBackup, 1))
	i := 0
	for b.Loop() {
		i++
		out := lockstep.StepOutput{Attempt: i, Stream: "stdout", Head: make([]byte, 2000)}
		if err := j.PutOutput(context.Background(), "run-a", "step", out); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRuns is the cost of a page of 50 runs, among few and among many.
func BenchmarkRuns(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		dir := b.TempDir()
		j := openBench(b, dir)
		fill(b, filepath.Join(dir, "lockstep.db"), n)
		for name, f := range map[string]lockstep.RunFilter{
			"all": {Limit: 50}, "key": {Key: "key-1", Limit: 50}, "running": {State: lockstep.RunRunning, Limit: 50},
			"key-operation": {Key: "key-1", Operation: lockstep.OperationRestore, Limit: 50},
		} {
			b.Run(fmt.Sprintf("%s-of-%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if _, err := j.Runs(context.Background(), f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkOpen is the cost of opening a journal, with its check, among few runs
// and among many.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("of-%d", n), func(b *testing.B) {
			dir := b.TempDir()
			fill(b, filepath.Join(openBenchDir(b, dir), "lockstep.db"), n)
			for b.Loop() {
				j := openBench(b, dir)
				if err := j.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// openBenchDir makes a journal in the folder.
func openBenchDir(b *testing.B, dir string) string {
	b.Helper()
	if err := openBench(b, dir).Close(); err != nil {
		b.Fatal(err)
	}
	return dir
}
