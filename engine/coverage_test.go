package engine_test

import (
	"maps"
	"slices"
	"sync"
	"testing"
)

// coverage counts what the simulation made happen.
type coverage struct {
	mu   sync.Mutex
	hits map[string]int
}

func (c *coverage) hit(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits[what]++
}

// injected are the faults, and the ways to end, without which a green
// simulation would mean nothing.
var injected = []string{
	"a plan of the planner's", "a fenced orchestrator notices", "a machine refuses a fenced orchestrator", "a lease fires", "a reboot unlocks",
	"a script ignores TERM", "a try is abandoned", "a try never started", "a worker panics", "an outcome is unknown",
	"an unlock is tried beside the collect of others: abandoned", "an unlock is tried beside the collect of others: exit",
	"a recovery while an unlock is tried beside the collect of others", "what did not answer is collected later",
	"a deploy in the middle is noticed", "a displaced run is refused", "an abandoned try is stopped before its unlock", "cleanup of what was held", "recovery",
	"a try is stopped: lock", "a try is stopped: work", "a try is stopped: unlock", "a try is stopped: collect",
	"fault: acknowledgement lost", "fault: cancel", "fault: crash", "fault: disk full", "fault: lease reported",
	"fault: reboot", "fault: rival", "fault: second cancel", "fault: unreachable for a while",
	"fault: unreachable for long", "fault: unreachable for ever",
	"data: incomplete", "data: none", "data: partial", "data: restored", "data: untouched", "data: verified",
	"end: canceled", "end: failed", "end: interrupted", "end: succeeded", "locks: held", "locks: released",
}

// checkCoverage: each fault was really injected, and each end really reached.
func checkCoverage(t *testing.T, seen *coverage) {
	names := slices.Sorted(maps.Keys(seen.hits))
	for _, name := range names {
		t.Logf("%6d %s", seen.hits[name], name)
	}
	for _, name := range injected {
		if least := *seedCount / 2500; seen.hits[name] < least {
			t.Errorf("%q happened %d times in %d seeds, expected at least %d", name, seen.hits[name], *seedCount, least)
		}
	}
}
