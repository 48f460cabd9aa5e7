package engine_test

import (
	"fmt"
	"time"

	"lockstep"
)

// dice answer questions by the seed and the question alone, so that the order
// in which goroutines ask does not matter.
type dice struct{ seed uint64 }

// roll is a number that belongs to the question.
func (d dice) roll(what ...any) uint64 {
	h := uint64(14695981039346656037) ^ d.seed*0x9E3779B97F4A7C15
	for _, w := range what {
		var s string
		switch v := w.(type) {
		case string:
			s = v
		case lockstep.StepID:
			s = string(v)
		case lockstep.InstanceID:
			s = string(v)
		case int:
			h ^= uint64(v) + 0x9E3779B97F4A7C15
		default:
			panic(fmt.Sprintf("no dice for a %T", w))
		}
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h ^= h >> 29
		h *= 0xBF58476D1CE4E5B9
	}
	h ^= h >> 32
	h *= 0x94D049BB133111EB
	return h ^ h>>29
}

func (d dice) chance(p float64, what ...any) bool {
	return float64(d.roll(what...)>>11)/(1<<53) < p
}

func (d dice) below(n int, what ...any) int { return int(d.roll(what...) % uint64(n)) }

// delay is a time of its own, above 0 and at most limit.
func (d dice) delay(limit time.Duration, what ...any) time.Duration {
	return 1 + time.Duration(d.roll(what...)%uint64(limit))
}

// odds say how often what goes wrong in one world.
type odds struct {
	fail, hang, panics, lost, stuck, empty float64
}

// fate is what becomes of one try, if nothing interferes.
type fate struct {
	takes       time.Duration
	code        int
	hangs       bool
	ignoresTerm bool
	locksEarly  bool // the lock is taken at the start, whatever comes of the script
	// panicsAfter and lostAfter, if not 0, are when the worker that waits for
	// it dies, or loses sight of it.
	panicsAfter, lostAfter time.Duration
}

func (w *world) fateOf(t lockstep.Task) fate {
	id, n, o := string(t.Step.ID), t.Attempt, w.odds
	f := fate{
		takes:       10*time.Millisecond + w.delay(5*time.Second, "takes", id, n),
		locksEarly:  w.chance(0.7, "locks early", id),
		ignoresTerm: w.chance(0.3, "ignores", id, n),
	}
	if t.Step.Script != nil {
		f.hangs = w.chance(o.hang, "hangs", id, n)
	}
	slow := 0.05
	if t.Step.Stage == lockstep.StageLock {
		slow = 0.3
	}
	if w.chance(slow, "slow", id, n) {
		f.takes += w.delay(20*time.Minute, "slow", id, n)
	}
	if w.chance(o.fail, "fails", id, n) || t.Step.Stage == lockstep.StageUnlock && w.stuck(t.Step.Slot) {
		f.code = 1 + w.below(3, "code", id, n)
	}
	if w.chance(o.panics, "panics", id, n) {
		f.panicsAfter = w.delay(f.takes+time.Second, "panics", id, n)
	}
	if w.chance(o.lost, "lost", id, n) {
		f.lostAfter = w.delay(f.takes+time.Second, "lost", id, n)
	}
	return f
}
