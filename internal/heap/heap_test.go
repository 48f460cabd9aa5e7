package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		counted uint64
		want    int
	}{
		{0, maxPercent},
		{1, maxPercent},
		{3 << 20, maxPercent},
		{6 << 20, 200},
		{12 << 20, 100},
		{60 << 20, least},
		{1 << 40, least},
	} {
		if got := percent(c.counted); got != c.want {
			t.Errorf("%d MiB: %d%%, want %d%%", c.counted>>20, got, c.want)
		}
	}
}

// It comes first: what a Bound sets going never stops.
func TestBoundLeavesWhatWasAskedFor(t *testing.T) {
	t.Setenv("GOGC", "77")
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	Bound()
	if got := debug.SetGCPercent(77); got != 77 {
		t.Errorf("it was set to %d", got)
	}
}

// TestPaceFollowsTheHeap: the percentage falls when the heap has grown and
// rises when it has shrunk again. It changes what holds for the whole process,
// so it does not run beside others.
func TestPaceFollowsTheHeap(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	Bound()
	held := make([]byte, 100<<20)
	await(t, func(percent int) bool { return percent == least })
	runtime.KeepAlive(held)
	await(t, func(percent int) bool { return percent > 2*least })
}

// await collects until the percentage is as it should be.
func await(t *testing.T, good func(percent int) bool) {
	t.Helper()
	last := 0
	for range 500 {
		runtime.GC()
		last = debug.SetGCPercent(100)
		debug.SetGCPercent(last)
		if good(last) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the percentage stays at %d", last)
}
